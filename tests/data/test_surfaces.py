"""GIFTI and CIFTI: means of regions equal those computed by hand, and damage is told."""

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, LabelAxis, ParcelsAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable

from neuroml.data import describe_file, read_fmri
from neuroml.exceptions import DataError

N_TIMES, N_VERTICES = 12, 30
LABELS = np.repeat([0, 4, 9], 10).astype(np.int32)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(100, 5, size=(N_TIMES, N_VERTICES)).astype(np.float32)


@pytest.fixture
def gifti(tmp_path, values):
    """Data, labels and a mask of one hemisphere."""
    table = GiftiLabelTable()
    for key, name in ((0, "???"), (4, "V1"), (9, "MT")):
        label = GiftiLabel(key=key)
        label.label = name
        table.labels.append(label)
    images = {
        "lh.func.gii": GiftiImage(
            darrays=[GiftiDataArray(row, "NIFTI_INTENT_TIME_SERIES") for row in values]
        ),
        "lh.label.gii": GiftiImage(
            darrays=[GiftiDataArray(LABELS, "NIFTI_INTENT_LABEL")], labeltable=table
        ),
        "lh.shape.gii": GiftiImage(
            darrays=[GiftiDataArray((LABELS == 9).astype(np.float32), "NIFTI_INTENT_SHAPE")]
        ),
    }
    for name, image in images.items():
        nibabel.save(image, tmp_path / name)
    return [tmp_path / name for name in images]


@pytest.fixture
def cifti(tmp_path, values):
    """A dense series, labels of the same grayordinates, and a series of parcels."""
    left = BrainModelAxis.from_surface(np.arange(20), 25, name="cortex_left")
    right = BrainModelAxis.from_surface(np.arange(10), 25, name="cortex_right")
    space, time = left + right, SeriesAxis(0, 0.72, N_TIMES, unit="SECOND")
    table = {0: ("???", (0, 0, 0, 0)), 4: ("V1", (1, 0, 0, 1)), 9: ("MT", (0, 1, 0, 1))}
    parcels = ParcelsAxis.from_brain_models([("A", left), ("B", right)])
    images = {
        "a.dtseries.nii": nibabel.Cifti2Image(values, (time, space)),
        "a.dlabel.nii": nibabel.Cifti2Image(
            LABELS[None].astype(np.float32), (LabelAxis(["atlas"], [table]), space)
        ),
        "a.ptseries.nii": nibabel.Cifti2Image(values[:, :2], (time, parcels)),
    }
    for name, image in images.items():
        nibabel.save(image, tmp_path / name)
    return [tmp_path / name for name in images]


def by_hand(values):
    return np.column_stack([values[:, LABELS == i].mean(axis=1) for i in (4, 9)])


def test_gifti_through_labels_and_mask(gifti, values):
    func, labels, mask = gifti
    recording = read_fmri(func, labels=labels, tr_s=1.5)
    assert recording.unit.values.tolist() == ["V1", "MT"]
    np.testing.assert_allclose(recording.signal, by_hand(values), rtol=1e-6)
    assert recording.attrs["rate_hz"] == pytest.approx(1 / 1.5)
    recording = read_fmri(func, mask=mask, tr_s=1.5)
    assert recording.unit.values.tolist() == [f"vertex{i}" for i in range(20, 30)]
    np.testing.assert_array_equal(recording.signal, values[:, 20:])


def test_one_array_for_all_volumes_is_the_same(gifti, values, tmp_path):
    path = tmp_path / "joint.func.gii"
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(np.ascontiguousarray(values.T))]), path)
    joint, apart = (read_fmri(p, labels=gifti[1], tr_s=1.0).signal for p in (path, gifti[0]))
    np.testing.assert_array_equal(joint, apart)


def test_cifti_dense_and_parcels(cifti, values):
    dense, labels, parcels = cifti
    recording = read_fmri(dense, labels=labels)
    assert recording.unit.values.tolist() == ["V1", "MT"]
    np.testing.assert_allclose(recording.signal, by_hand(values), rtol=1e-6)
    assert recording.attrs["rate_hz"] == pytest.approx(1 / 0.72)
    recording = read_fmri(parcels, tr_s=2.0)
    assert recording.unit.values.tolist() == ["A", "B"]
    np.testing.assert_array_equal(recording.signal, values[:, :2])
    assert recording.attrs["rate_hz"] == 0.5


def test_a_missing_vertex_makes_its_region_missing(gifti, values, tmp_path):
    values = values.copy()
    values[3, 25] = np.nan
    path = tmp_path / "holes.func.gii"
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(row) for row in values]), path)
    with pytest.raises(DataError, match=r"holes.func.gii.*MT"):
        read_fmri(path, labels=gifti[1], tr_s=1.0)
    assert read_fmri(path, labels=gifti[1], tr_s=1.0, on_nan="drop_units").unit.item() == "V1"


def test_what_does_not_fit_is_told(gifti, cifti, tmp_path, save_image, volumes):
    func, labels, mask = gifti
    with pytest.raises(DataError, match=r"lh.func.gii.*no repetition time.*tr_s="):
        read_fmri(func, labels=labels)
    with pytest.raises(DataError, match=r"an atlas or a mask.*neither"):
        read_fmri(func, tr_s=1.0)
    with pytest.raises(DataError, match="other vertices than the data"):
        read_fmri(func, labels=cifti[1], tr_s=1.0)
    short = tmp_path / "short.label.gii"
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(LABELS[:7])]), short)
    with pytest.raises(DataError, match=r"short.label.gii.*other vertices.*expected 30; found 7"):
        read_fmri(func, labels=short, tr_s=1.0)
    with pytest.raises(DataError, match=r"need a surface labels file"):
        read_fmri(func, labels=save_image(volumes[2], name="atlas.nii.gz"), tr_s=1.0)
    with pytest.raises(DataError, match="not a series over time"):
        read_fmri(cifti[1], mask=mask)
    with pytest.raises(DataError, match="parcels already"):
        read_fmri(cifti[2], labels=cifti[1])
    plain = save_image(volumes[0], name="plain.dtseries.nii")
    with pytest.raises(DataError, match="its content says otherwise"):
        read_fmri(plain, labels=cifti[1])


def test_every_kind_is_described(gifti, cifti):
    texts = [str(describe_file(path)) for path in (*gifti, *cifti)]
    assert "12 maps of 30 vertices" in texts[0]
    assert "12 times x 30 grayordinates" in texts[3] and "every 0.72 s" in texts[3]
    assert "12 times x 2 parcels" in texts[5]
    assert not any("Problem" in text for text in texts)
    assert [" returns " in text for text in texts] == [True, False, False, True, False, True]
    assert "returns 12 times x 30 units" in texts[0] and "x 2 units, at 1.38889 Hz" in texts[5]


@pytest.mark.parametrize("at", [0, 3])
def test_truncated_files_are_told(gifti, cifti, at):
    path = (*gifti, *cifti)[at]
    path.write_bytes(path.read_bytes()[:-50])
    atlas = gifti[1] if at == 0 else cifti[1]
    with pytest.raises(DataError, match=path.name):
        read_fmri(path, labels=atlas, tr_s=1.0)
    assert not describe_file(path).ok


@pytest.mark.parametrize("at", [0, 3])
def test_the_sidecar_of_a_surface_file(gifti, cifti, at):
    path, labels = (gifti if at == 0 else cifti)[:2]
    sidecar = path.with_name(path.name.split(".")[0] + ".json")
    sidecar.write_text('{"RepetitionTime": 0.72}')
    assert read_fmri(path, labels=labels).attrs["rate_hz"] == pytest.approx(1 / 0.72)
    sidecar.write_text('{"RepetitionTime": 720}')
    with pytest.raises(DataError, match=r"json.*found 720.*0.72 s would be"):
        read_fmri(path, labels=labels)


@pytest.mark.parametrize("at", [0, 3])
def test_vertices_that_were_not_scanned(gifti, cifti, at, values, tmp_path):
    holes = values.copy()
    first = np.flatnonzero(LABELS == 4)
    holes[:, first[0]] = 0
    holes[:, LABELS == 9] = 0
    path, labels = (gifti if at == 0 else cifti)[:2]
    if at == 0:
        arrays = [GiftiDataArray(row.astype(np.float32)) for row in holes]
        nibabel.save(GiftiImage(darrays=arrays), path)
    else:
        old = nibabel.load(path)
        nibabel.save(nibabel.Cifti2Image(holes, old.header), path)
    run = read_fmri(path, labels=labels, tr_s=1.0, on_nan="keep")
    share = 1 - 1 / len(first)
    np.testing.assert_allclose(run.coverage.values[:2], [share, 0])
    np.testing.assert_allclose(run.signal[:, 0], holes[:, first[1:]].mean(axis=1), rtol=1e-5)
    assert np.isnan(run.signal.values[:, 1]).all()
    assert "0 throughout" in run.attrs["dropped"][0]


def test_several_maps_are_no_atlas(gifti, tmp_path):
    path = tmp_path / "two.label.gii"
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(LABELS), GiftiDataArray(LABELS)]), path)
    for name in ("labels", "mask"):
        with pytest.raises(DataError, match=f"the {name} file has several maps"):
            read_fmri(gifti[0], tr_s=1.0, **{name: path})


def test_a_series_with_missing_values_is_a_problem_in_the_reader_s_words(gifti, values):
    values[3, 25] = np.nan
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(row) for row in values]), gifti[0])
    (problem,) = describe_file(gifti[0]).problems
    assert "found 1 in 1 of 30 units: vertex25" in problem


WALL = np.arange(10) < 3


@pytest.fixture
def cortex_and_thalamus(tmp_path):
    """A dense series of two hemispheres without their medial walls, and of voxels."""
    sides = [
        BrainModelAxis.from_surface(np.flatnonzero(~WALL), 10, name)
        for name in ("CortexLeft", "CortexRight")
    ]
    voxels = np.ones((1, 2, 2), bool)
    thalamus = BrainModelAxis.from_mask(voxels, affine=np.eye(4), name="ThalamusLeft")
    space = sides[0] + sides[1] + thalamus
    values = np.random.default_rng(0).normal(100, 5, (N_TIMES, len(space))).astype(np.float32)
    path = tmp_path / "b.dtseries.nii"
    nibabel.save(nibabel.Cifti2Image(values, (SeriesAxis(0, 2, N_TIMES), space)), path)
    return path, values, sides, thalamus


def save_labels(path, ids, space):
    names = {i: (f"P{i}", (0, 0, 0, 1)) for i in range(4)}
    axes = (LabelAxis(["atlas"], [names]), space)
    nibabel.save(nibabel.Cifti2Image(np.array(ids, np.float32)[None], axes), path)
    return path


@pytest.mark.parametrize("wall", ["with", "without"])
def test_labels_of_the_cortex_for_data_with_more(cortex_and_thalamus, tmp_path, wall):
    path, values, sides, _ = cortex_and_thalamus
    if wall == "with":
        whole = [BrainModelAxis.from_surface(np.arange(10), 10, side.name[0]) for side in sides]
        space, ids = whole[0] + whole[1], np.r_[np.where(WALL, 0, 1), np.where(WALL, 0, 2)]
    else:
        space, ids = sides[1] + sides[0], np.repeat([2, 1], 7)  # right before left
    labels = save_labels(tmp_path / "b.dlabel.nii", ids, space)
    run = read_fmri(path, labels=labels)
    assert run.unit.values.tolist() == ["P1", "P2"]
    means = np.column_stack([values[:, :7].mean(axis=1), values[:, 7:14].mean(axis=1)])
    np.testing.assert_allclose(run.signal, means, rtol=1e-6)


def test_labels_of_voxels_for_data_with_cortex(cortex_and_thalamus, tmp_path):
    path, values, _, thalamus = cortex_and_thalamus
    labels = save_labels(tmp_path / "v.dlabel.nii", [3, 3, 0, 3], thalamus)
    run = read_fmri(path, labels=labels)
    np.testing.assert_allclose(run.signal[:, 0], values[:, [14, 15, 17]].mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("other", ["mesh", "grid", "structure"])
def test_labels_of_another_mesh_or_grid(cortex_and_thalamus, tmp_path, other):
    path, _, _, _ = cortex_and_thalamus
    moved = np.diag([2.0, 2, 2, 1])
    space = {
        "mesh": BrainModelAxis.from_surface(np.arange(4), 12, "CortexLeft"),
        "grid": BrainModelAxis.from_mask(
            np.ones((1, 2, 2), bool), affine=moved, name="ThalamusLeft"
        ),
        "structure": BrainModelAxis.from_surface(np.arange(4), 10, "CerebellumLeft"),
    }[other]
    labels = save_labels(tmp_path / "o.dlabel.nii", [1, 1, 2, 2], space)
    with pytest.raises(DataError, match="other vertices than the data"):
        read_fmri(path, labels=labels)


def test_surface_labels_within_a_mask(gifti, values, tmp_path):
    func, labels, _ = gifti
    inside = (np.arange(N_VERTICES) % 2).astype(np.float32)
    inside[LABELS == 9] = 0
    mask = tmp_path / "half.shape.gii"
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(inside)]), mask)
    run = read_fmri(func, labels=labels, mask=mask, tr_s=1.0, on_nan="keep")
    assert run.coverage.values.tolist() == [0.5, 0.0]
    np.testing.assert_allclose(run.signal[:, 0], values[:, 11:20:2].mean(axis=1), rtol=1e-6)
    assert np.isnan(run.signal.values[:, 1]).all()
