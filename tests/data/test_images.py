"""The way back: what was read from an image becomes an image again, and reads the same."""

import json
import pickle

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, LabelAxis, ParcelsAxis, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from neuroml.data import align_units, make_recording, read_fmri, to_image
from neuroml.exceptions import DataError

AFFINE = np.array([[-3.0, 0, 0, 9], [0, 3, 0.5, -20], [0, 0, 3, 4], [0, 0, 0, 1]])
N_TIMES, N_VERTICES = 9, 12
LABELS = np.repeat([0, 4, 9], 4).astype(np.int32)


@pytest.fixture
def parts(volumes, save_image):
    """A series, an atlas, a mask and maps on one oblique grid, as files."""
    values, _, labels = volumes
    rng = np.random.default_rng(2)
    maps = rng.uniform(size=(4, 4, 3, 3)) * (rng.uniform(size=(4, 4, 3, 3)) > 0.5)
    return {
        "bold": save_image(values, AFFINE, name="sub-1_task-x_space-MNI152NLin6Asym_bold.nii.gz"),
        "labels": save_image(labels, AFFINE, name="labels.nii.gz"),
        "mask": save_image((labels > 0).astype(np.uint8), AFFINE, name="mask.nii"),
        "maps": save_image(maps, AFFINE, name="maps.nii.gz"),
    }


def as_series(image):
    """The maps of an image as volumes over time."""
    series = nibabel.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine)
    series.header.set_zooms((*image.header.get_zooms()[:3], 2.0))
    return series


@pytest.mark.parametrize("kind", ["labels", "mask", "maps"])
def test_volumes_there_and_back(parts, kind):
    run = read_fmri(parts["bold"], **{kind: parts[kind]})
    image = to_image(run.signal.values, run)
    assert image.shape == (4, 4, 3, 40)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)
    again = read_fmri(as_series(image), tr_s=2.0, **{kind: parts[kind]})
    tolerance = 1e-4 if kind == "maps" else 1e-6  # single precision, through a condition of ten
    np.testing.assert_allclose(again.signal, run.signal, rtol=tolerance)
    assert to_image(run.signal.values[0], run).shape == (4, 4, 3)
    assert run.attrs["space"] == "MNI152NLin6Asym"


def test_each_voxel_has_its_region_s_value(parts, volumes):
    run = read_fmri(parts["bold"], labels=parts["labels"])
    image = to_image([1.5, -2.0, np.nan], run).get_fdata()
    for region, value in ((0, 0), (5, 1.5), (130, -2), (300, np.nan)):
        np.testing.assert_array_equal(image[volumes[2] == region], value)


def test_a_part_of_the_units_in_another_order(parts, volumes):
    run = read_fmri(parts["bold"], labels=parts["labels"]).isel(unit=[2, 0])
    image = to_image([7.0, 3.0], run).get_fdata()
    assert set(image[volumes[2] == 300]) == {7.0} and set(image[volumes[2] == 5]) == {3.0}
    assert set(image[volumes[2] == 130]) == {0.0}


def test_the_way_back_survives_copies_and_text(parts):
    run = read_fmri(parts["bold"], labels=parts["labels"])
    copy = pickle.loads(pickle.dumps(run)).assign_attrs(image=json.loads(json.dumps(run.image)))
    one, other = (to_image([1.0, 2.0, 3.0], r).get_fdata() for r in (run, copy))
    np.testing.assert_array_equal(one, other)
    again = read_fmri(parts["bold"], labels=parts["labels"])
    assert again.attrs["image"] is run.attrs["image"], "runs share what describes their atlas"
    assert len(run.attrs["image"]) < 1000


def test_an_atlas_of_another_grid_is_given_back_on_that_of_the_data(volumes, save_image):
    values, affine, labels = volumes
    fine = np.kron(labels, np.ones((3, 3, 3))).astype(np.int16)
    fine_affine = np.diag([1.0, 1, 1, 1])
    fine_affine[:3, 3] = -1
    run = read_fmri(save_image(values), labels=nibabel.Nifti1Image(fine, fine_affine))
    image = to_image([5, 130, 300], run)
    np.testing.assert_array_equal(image.get_fdata(), labels)
    np.testing.assert_array_equal(image.affine, affine)


@pytest.fixture
def surface(tmp_path):
    """A series of one hemisphere, and its labels."""
    values = np.random.default_rng(0).normal(5, 1, (N_TIMES, N_VERTICES)).astype(np.float32)
    meta = nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexRight"})
    series = GiftiImage(darrays=[GiftiDataArray(row) for row in values], meta=meta)
    nibabel.save(series, tmp_path / "a_hemi-R_space-fsaverage5_bold.func.gii")
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(LABELS)]), tmp_path / "a.label.gii")
    return tmp_path / "a_hemi-R_space-fsaverage5_bold.func.gii", tmp_path / "a.label.gii"


@pytest.mark.parametrize("kind", ["labels", "mask"])
def test_vertices_there_and_back(surface, kind, tmp_path):
    func, labels = surface
    run = read_fmri(func, tr_s=1.0, **{kind: labels})
    image = to_image(run.signal.values, run)
    assert image.meta["AnatomicalStructurePrimary"] == "CortexRight"
    nibabel.save(image, tmp_path / "back.func.gii")
    again = read_fmri(tmp_path / "back.func.gii", tr_s=1.0, **{kind: labels})
    np.testing.assert_allclose(again.signal, run.signal, rtol=1e-6)
    np.testing.assert_array_equal(image.darrays[0].data[LABELS == 0], 0)
    assert run.attrs["space"] == "fsaverage5"


@pytest.fixture
def grayordinates():
    """Cortex without a medial wall, and voxels."""
    left = BrainModelAxis.from_surface(np.arange(2, 8), 8, "CortexLeft")
    volume = BrainModelAxis.from_mask(np.ones((1, 2, 3), bool), affine=AFFINE, name="ThalamusLeft")
    return left + volume


@pytest.mark.parametrize("kind", ["labels", "mask", "parcels"])
def test_grayordinates_there_and_back(grayordinates, kind, tmp_path):
    time = SeriesAxis(0, 2, N_TIMES)
    space = grayordinates
    if kind == "parcels":
        space = ParcelsAxis.from_brain_models([("A", space[:6]), ("B", space[6:])])
    series = "a.ptseries.nii" if kind == "parcels" else "a_space-fsLR_bold.dtseries.nii"
    values = np.random.default_rng(0).normal(5, 1, (N_TIMES, len(space))).astype(np.float32)
    nibabel.save(nibabel.Cifti2Image(values, (time, space)), tmp_path / series)
    names = {0: ("???", (0, 0, 0, 0)), 4: ("V1", (1, 0, 0, 1)), 9: ("MT", (0, 1, 0, 1))}
    atlas = (LABELS[None].astype(np.float32), (LabelAxis(["atlas"], [names]), grayordinates))
    nibabel.save(nibabel.Cifti2Image(*atlas), tmp_path / "a.dlabel.nii")
    options = {} if kind == "parcels" else {kind: tmp_path / "a.dlabel.nii"}
    run = read_fmri(tmp_path / series, **options)
    image = to_image(run.signal.values, run)
    axes = [image.header.get_axis(i) for i in (0, 1)]
    assert isinstance(axes[0], ScalarAxis) and axes[1] == space
    back = nibabel.Cifti2Image(image.get_fdata(dtype=np.float32), (time, axes[1]))
    nibabel.save(back, tmp_path / f"back.{series.split('.', 1)[1]}")
    again = read_fmri(tmp_path / f"back.{series.split('.', 1)[1]}", **options)
    np.testing.assert_allclose(again.signal, run.signal, rtol=1e-6)
    assert run.attrs["space"] == ("" if kind == "parcels" else "fsLR")


def test_a_recording_that_knows_no_image(parts, volumes, signal, tmp_path):
    np.save(tmp_path / "a.npy", signal)
    in_memory = read_fmri(parts["bold"], maps=nibabel.load(parts["maps"]))
    for run in (
        read_fmri(tmp_path / "a.npy"),
        make_recording(np.ones((4, 3)), modality="fmri"),
        in_memory,
    ):
        with pytest.raises(DataError, match=r"field image: .*read_fmri"):
            to_image([1.0, 2.0, 3.0], run)


def test_maps_that_are_gone_or_others(parts):
    run = read_fmri(parts["bold"], maps=parts["maps"])
    parts["maps"].write_bytes(parts["labels"].read_bytes())
    with pytest.raises(DataError, match=r"maps.nii.gz.*has changed.*found another"):
        to_image([1.0, 2.0, 3.0], run)
    parts["maps"].unlink()
    with pytest.raises(DataError, match="found none"):
        to_image([1.0, 2.0, 3.0], run)


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 2), (1, 1, 3), ()])
def test_values_that_do_not_fit(parts, shape):
    run = read_fmri(parts["bold"], labels=parts["labels"])
    with pytest.raises(DataError, match=r"values: .*\(3,\) or \(n_maps, 3\); found shape"):
        to_image(np.ones(shape), run)


def test_units_of_another_recording_have_no_place(parts):
    run = read_fmri(parts["bold"], labels=parts["labels"])
    first, _ = align_units([run.isel(unit=[0, 1]), run])
    with pytest.raises(DataError, match="no place in this recording's image.*region300"):
        to_image([1.0, 2.0, 3.0], first)


@pytest.mark.parametrize(("code", "space"), [(0, ""), (1, "scanner"), (4, "MNI152")])
def test_the_space_of_a_header(volumes, code, space):
    image = nibabel.Nifti1Image(volumes[0], volumes[1])
    image.set_sform(volumes[1], code)
    image.set_qform(volumes[1], 0)
    run = read_fmri(image, labels=nibabel.Nifti1Image(volumes[2], image.affine), tr_s=2.0)
    assert run.attrs["space"] == space
    back = to_image([1, 2, 3], run)
    assert back.header["sform_code"] == (code or 2)  # without a code no affine is stored
    np.testing.assert_allclose(back.header.get_best_affine(), image.affine)


@pytest.mark.parametrize(("moved", "is_told"), [(40.0, True), (0.01, False)])
def test_sform_and_qform_of_other_spaces_are_told_apart(volumes, moved, is_told):
    image = nibabel.Nifti1Image(volumes[0], volumes[1])
    elsewhere = volumes[1].copy()
    elsewhere[0, 3] += moved
    image.set_sform(volumes[1], 4)
    image.set_qform(elsewhere, 1)
    run = read_fmri(image, labels=nibabel.Nifti1Image(volumes[2], volumes[1]), tr_s=2.0)
    notes = [note for note in run.attrs["dropped"] if "40 mm away from the sform (code 4)" in note]
    assert len(notes) == len(run.attrs["dropped"]) == is_told
