import nibabel
import numpy as np
import pandas as pd
import pytest
import sklearn
import xarray as xr
from nilearn.interfaces.fmriprep import load_confounds

from neuroml.data import read_fmri
from neuroml.exceptions import DataError


def atlas_of(labels):
    return nibabel.Nifti1Image(labels, np.diag([3.0, 3.0, 3.0, 1.0]))


def test_image_and_atlas(save_image, volumes):
    path = save_image(volumes[0])
    run = read_fmri(path, labels=atlas_of(volumes[2]), units=list("abc"), key=("01", "", "2"))
    assert run.signal.shape == (40, 3)
    assert run.unit.values.tolist() == ["a", "b", "c"]
    assert run.attrs["rate_hz"] == 0.5
    assert run.time.values[:3].tolist() == [0, 2, 4]
    assert (run.attrs["subject"], run.attrs["run"]) == ("01", "2")
    assert len(run.attrs["sha256"]) == 64
    assert run.attrs["dropped"] == []


@pytest.mark.parametrize("opened", [True, False])
def test_path_and_image_read_alike(save_image, volumes, opened):
    path = save_image(volumes[0])
    run = read_fmri(nibabel.load(path) if opened else str(path), labels=atlas_of(volumes[2]))
    np.testing.assert_allclose(run.signal[:, 2], volumes[0][volumes[2] == 300].mean(0), rtol=1e-5)


def test_list_of_volumes_equals_the_series(save_image, volumes):
    whole = read_fmri(save_image(volumes[0]), labels=atlas_of(volumes[2]))
    paths = [save_image(volumes[0][..., i], name=f"v{i:03}.nii") for i in range(40)]
    parts = read_fmri(paths, labels=atlas_of(volumes[2]), tr_s=2.0)
    np.testing.assert_allclose(parts.signal, whole.signal)
    np.testing.assert_array_equal(parts.time, whole.time)


def test_values_are_not_scaled(save_image, volumes):
    run = read_fmri(save_image(volumes[0] + 5000), mask=atlas_of((volumes[2] > 0).astype("u1")))
    assert 5000 < float(run.signal.min())
    assert run.attrs["value_units"] == "BOLD a.u."


def test_constant_voxels(save_image, volumes):
    volumes[0][0, 0, 0] = 3
    path, mask = save_image(volumes[0]), atlas_of((volumes[2] > 0).astype("u1"))
    with pytest.raises(DataError, match=r"bold.nii.gz.*never vary.*1 of 30 units: voxel_0_0_0"):
        read_fmri(path, mask=mask)
    run = read_fmri(path, mask=mask, on_nan="drop_units")
    assert run.signal.shape == (40, 29)
    assert run.x.shape == (29,)
    assert run.attrs["dropped"] == ["1 of 30 units with missing or constant values: voxel_0_0_0"]
    assert read_fmri(path, mask=mask, on_nan="keep").signal.shape == (40, 30)


def test_missing_voxels(save_image, volumes):
    volumes[0][0, 0, 0, 4] = np.nan
    path = save_image(volumes[0])
    with pytest.raises(DataError, match="1 in 1 of 3 units: region300; the first at sample 4"):
        read_fmri(path, labels=atlas_of(volumes[2]))
    run = read_fmri(path, labels=atlas_of(volumes[2]), on_nan="interpolate")
    around = run.signal.values[[3, 5], 2].mean()
    assert float(run.signal[4, 2]) == pytest.approx(around, rel=1e-6)


def test_table_in_every_format(written, signal):
    run = read_fmri(written, tr_s=1.5)
    np.testing.assert_array_equal(run.signal, signal)
    assert run.attrs["rate_hz"] == pytest.approx(1 / 1.5)
    assert run.unit.values.tolist() == ["region0", "region1", "region2"]


def test_table_without_tr_counts_samples(written):
    run = read_fmri(written)
    assert run.attrs["time_axis"] == "samples"
    assert run.attrs["rate_hz"] is None


def write_table(tmp_path, signal, header):
    path = tmp_path / "regions.csv"
    np.savetxt(path, signal, delimiter=",", header=header, comments="")
    return path


def test_confounds_are_columns_of_the_table(tmp_path, signal):
    path = write_table(tmp_path, signal, "V1,WM,A1")
    run = read_fmri(path, confounds=["WM"], tr_s=2.0)
    assert run.unit.values.tolist() == ["V1", "A1"]
    assert run.confound.values.tolist() == ["WM"]
    np.testing.assert_array_equal(run.confounds[:, 0], signal[:, 1])


@pytest.mark.parametrize("as_file", [True, False])
def test_confounds_from_a_table(tmp_path, written, signal, as_file):
    table = pd.DataFrame({"x": np.arange(12.0), "fd": [np.nan, *range(11)]})
    table.to_csv(tmp_path / "c.tsv", sep="\t", index=False, na_rep="n/a")
    run = read_fmri(written, confounds=tmp_path / "c.tsv" if as_file else table)
    np.testing.assert_array_equal(run.confounds, table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confounds": pd.DataFrame({"x": range(10)})}, "confounds: .*expected 12 rows; found 10"),
        ({"confounds": ["WM"]}, "no such column|cannot be taken by name"),
        ({"labels": "atlas.nii"}, "labels, maps and mask need a brain image"),
        ({"tr_s": 0}, "tr_s is not a duration"),
        ({"units": pd.DataFrame()}, "units= as a list"),
        ({"confounds": {"strategy": ["motion"]}}, "fMRIPrep's confounds cannot be loaded"),
    ],
)
def test_bad_options_of_a_table(tmp_path, signal, options, message):
    path = tmp_path / "a.npy"
    np.save(path, signal)
    with pytest.raises(DataError, match=message):
        read_fmri(path, **options)


def test_names_of_confounds_need_a_table(save_image, volumes):
    with pytest.raises(DataError, match="column names of confounds need a table"):
        read_fmri(save_image(volumes[0]), labels=atlas_of(volumes[2]), confounds=["WM"])


def fmriprep(save_image, volumes, n_rows=40):
    path = save_image(volumes[0], name="sub-01_task-rest_space-X_desc-preproc_bold.nii.gz")
    rng = np.random.default_rng(0)
    motion = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = pd.DataFrame(rng.normal(size=(n_rows, 6)), columns=motion)
    for name in motion:
        table[f"{name}_derivative1"] = np.r_[np.nan, np.diff(table[name])]
    table["framewise_displacement"] = np.r_[np.nan, np.full(n_rows - 1, 0.1)]
    table.loc[20, "framewise_displacement"] = 3.0
    table["std_dvars"] = np.r_[np.nan, np.ones(n_rows - 1)]
    table["non_steady_state_outlier00"] = np.r_[1.0, np.zeros(n_rows - 1)]
    name = "sub-01_task-rest_desc-confounds_timeseries"
    table.to_csv(path.with_name(f"{name}.tsv"), sep="\t", index=False, na_rep="n/a")
    path.with_name(f"{name}.json").write_text("{}")
    return path


STRATEGY = {
    "strategy": ["motion", "scrub"],
    "motion": "derivatives",
    "scrub": 0,
    "fd_threshold": 0.5,
}


def test_fmriprep_confounds_as_nilearn_loads_them(save_image, volumes):
    path = fmriprep(save_image, volumes)
    run = read_fmri(path, labels=atlas_of(volumes[2]), confounds=STRATEGY)
    table, kept = load_confounds(str(path), **STRATEGY)
    np.testing.assert_array_equal(run.confounds, table)
    assert run.confound.values.tolist() == list(table.columns)
    assert np.flatnonzero(~run.outlier.values).tolist() == kept.tolist()
    assert np.flatnonzero(run.outlier.values).tolist() == [0, 20]
    assert run.sizes["time"] == 40


def test_fmriprep_needs_a_file(save_image, volumes):
    image = nibabel.load(fmriprep(save_image, volumes))
    with pytest.raises(DataError, match="found an image in memory"):
        read_fmri(image, labels=atlas_of(volumes[2]), confounds=STRATEGY)


def test_fmriprep_without_its_table(save_image, volumes):
    with pytest.raises(DataError, match="fMRIPrep's confounds cannot be loaded"):
        read_fmri(save_image(volumes[0]), labels=atlas_of(volumes[2]), confounds=STRATEGY)


@pytest.fixture
def surface():
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    rng = np.random.default_rng(0)
    sides = {
        side: InMemoryMesh(rng.normal(size=(6, 3)), np.array([[0, 1, 2], [3, 4, 5]]))
        for side in ("left", "right")
    }
    mesh = PolyMesh(**sides)
    data = {side: rng.normal(size=(6, 9)).astype(np.float32) for side in sides}
    ids = {"left": np.array([1, 1, 0, 2, 2, 2]), "right": np.array([3, 3, 3, 0, 0, 4])}
    return SurfaceImage(mesh, data), SurfaceImage(mesh, ids), data, ids


def test_surface_atlas(surface):
    image, atlas, data, ids = surface
    run = read_fmri(image, labels=atlas, tr_s=1.0, units=list("abcd"))
    np.testing.assert_allclose(run.signal[:, 1], data["left"][ids["left"] == 2].mean(0), rtol=1e-5)
    np.testing.assert_allclose(run.signal[:, 3], data["right"][5], rtol=1e-6)
    with pytest.raises(DataError, match="surface data have no repetition time"):
        read_fmri(image, labels=atlas)


def test_surface_mask(surface):
    from nilearn.surface import SurfaceImage

    image, atlas, data, ids = surface
    mask = SurfaceImage(atlas.mesh, {side: part > 0 for side, part in ids.items()})
    run = read_fmri(image, mask=mask, tr_s=1.0)
    assert run.unit.values.tolist()[:3] == ["left_0", "left_1", "left_3"]
    np.testing.assert_array_equal(run.signal.sel(unit="right_5"), data["right"][5])
    assert run.hemisphere.values[-1] == "right"


def test_haxby_slice_through_its_mask(shared_data):
    folder = shared_data / "haxby_slices"
    run = read_fmri(folder / "bold.nii.gz", mask=folder / "mask.nii.gz")
    assert run.signal.shape == (1452, 530)
    assert run.attrs["rate_hz"] == pytest.approx(0.4)


def test_desikan_killiany_on_25_mm_data(shared_data):
    atlas = shared_data / "atlas_mni"
    bold = "haxby_slices/haxby2001/sub001/BOLD/task001_run001/bold_25mm.nii.gz"
    run = read_fmri(
        shared_data / bold,
        labels=atlas / "atlas-desikankilliany.nii.gz",
        units=atlas / "atlas-desikankilliany.csv",
        on_nan="drop_units",
    )
    assert {"L_cuneus", "R_caudate"} <= set(run.unit.values)
    assert "regions without a voxel" in run.attrs["dropped"][0]
    assert float(run.x.sel(unit="L_cuneus")) < 0 < float(run.x.sel(unit="R_caudate"))
    assert run.hemisphere.sel(unit="R_caudate") == "R"


def test_nitime_table(shared_data):
    path = shared_data / "nitime_small" / "fmri_timeseries.csv"
    run = read_fmri(path, confounds=["WM", "Vent", "Brain"], tr_s=1.89)
    assert run.signal.shape == (250, 28)
    assert run.confounds.shape == (250, 3)


@pytest.mark.parametrize("kind", ["npy", "npz", "mat", "csv", "h5"])
def test_units_first_in_every_format(tmp_path, signal, writers, kind):
    path = tmp_path / f"a.{kind}"
    writers[kind](path, signal.T)
    with pytest.raises(DataError, match="more columns than rows.*units_first=True"):
        read_fmri(path)
    np.testing.assert_array_equal(read_fmri(path, units_first=True).signal, signal)
    assert read_fmri(path, units_first=False).signal.shape == (3, 12)


def test_units_first_of_an_image(save_image, volumes):
    with pytest.raises(DataError, match="units_first= for tables and arrays only"):
        read_fmri(save_image(volumes[0]), labels=save_image(volumes[2]), units_first=True)


def test_confounds_without_a_name(tmp_path, written, signal):
    pd.DataFrame(signal, columns=["x", "y", "z"], index=np.arange(12) / 10).to_csv(
        tmp_path / "c.csv"
    )
    with pytest.raises(DataError, match="column has no name.*none for column 1"):
        read_fmri(written, confounds=tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("strategy", "absent"),
    [
        ({"strategy": ["motion"], "motion": "derivatives"}, "trans_x_derivative1"),
        ({"strategy": ["motion", "scrub"]}, "framewise_displacement"),
        ({"strategy": ["wm_csf"], "wm_csf": "basic"}, "csf"),
        ({"strategy": ["moton"]}, None),
        ({"strategies": ["motion"]}, None),
    ],
)
def test_confounds_that_nilearn_does_not_find(save_image, volumes, strategy, absent):
    path = fmriprep(save_image, volumes)
    table = next(path.parent.glob("*confounds*.tsv"))
    columns = pd.read_csv(table, sep="\t")
    columns.drop(columns=[absent] if absent in columns else []).to_csv(table, sep="\t", index=False)
    with pytest.raises(DataError, match="confounds cannot be loaded.*Check the keywords"):
        read_fmri(path, labels=atlas_of(volumes[2]), confounds=strategy)


def test_confounds_of_another_length(save_image, volumes):
    path = fmriprep(save_image, volumes, n_rows=45)
    with pytest.raises(DataError, match=r"confounds do not fit.*expected 40 rows; found 45"):
        read_fmri(path, labels=atlas_of(volumes[2]), confounds=STRATEGY)


def test_surface_parts_that_are_none(surface, volumes):
    image, _, _, ids = surface
    for name in ("labels", "mask"):
        with pytest.raises(DataError, match=f"surface data need surface {name}.*Nifti1Image"):
            read_fmri(image, tr_s=1.0, **{name: atlas_of(volumes[2])})
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    faces = np.array([[0, 1, 2], [3, 4, 5]])
    small = {side: InMemoryMesh(np.ones((6, 3)), faces) for side in ("left",)}
    half = SurfaceImage(PolyMesh(**small), {"left": ids["left"]})
    with pytest.raises(DataError, match="labels have other vertices than the data"):
        read_fmri(image, labels=half, tr_s=1.0)


def test_what_a_user_sets_of_scikit_learn_changes_no_signal(save_image, volumes, surface):
    from nilearn.surface import SurfaceImage

    path, (image, atlas, _, ids) = save_image(volumes[0]), surface
    mask = SurfaceImage(atlas.mesh, {side: part > 0 for side, part in ids.items()})
    voxels = atlas_of((volumes[2] > 0).astype("u1"))

    def read():
        yield read_fmri(path, labels=atlas_of(volumes[2]))
        yield read_fmri(path, mask=voxels)
        yield read_fmri(image, labels=atlas, tr_s=1.0)
        yield read_fmri(image, mask=mask, tr_s=1.0)

    plain = list(read())
    with sklearn.config_context(transform_output="pandas"):
        under_pandas = list(read())
    for one, other in zip(plain, under_pandas, strict=True):
        xr.testing.assert_equal(one, other)
