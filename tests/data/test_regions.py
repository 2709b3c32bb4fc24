import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiMasker

from neuroml.data._stream import VolumeStream
from neuroml.data._volumes import series_from_image as from_stream
from neuroml.exceptions import DataError


def series_from_image(image, labels, mask, units, maps=None):
    return from_stream(VolumeStream(image), labels, mask, maps, units)


@pytest.fixture
def image(volumes):
    return nibabel.Nifti1Image(volumes[0], volumes[1])


def atlas_of(labels, affine=None):
    return nibabel.Nifti1Image(labels, np.diag([3.0, 3.0, 3.0, 1.0]) if affine is None else affine)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.uint16])
def test_regions_are_means_in_the_order_of_ids(image, volumes, dtype):
    values, _, labels = volumes
    series = series_from_image(image, atlas_of(labels.astype(dtype)), None, None)
    assert series.names == ["region5", "region130", "region300"]
    for column, region in enumerate((5, 130, 300)):
        mean = values[labels == region].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(series.values[:, column], mean, rtol=1e-5)
        center = 3 * np.argwhere(labels == region).mean(axis=0)
        np.testing.assert_allclose([series.coords[c][column] for c in "xyz"], center)


def test_labels_agree_with_nilearn(image, volumes):
    masker = NiftiLabelsMasker(atlas_of(volumes[2]), standardize=None, reports=False)
    series = series_from_image(image, atlas_of(volumes[2]), None, None)
    np.testing.assert_array_equal(series.values, masker.fit_transform(image))


def test_mask_agrees_with_nilearn(image, volumes):
    mask = atlas_of((volumes[2] > 0).astype(np.uint8))
    series = series_from_image(image, None, mask, None)
    expected = NiftiMasker(mask, standardize=None, reports=False).fit_transform(image)
    np.testing.assert_array_equal(series.values, expected)
    i, j, k = np.argwhere(volumes[2] > 0)[7]
    assert series.names[7] == f"voxel_{i}_{j}_{k}"
    assert series.names.dtype == np.array(series.names.tolist()).dtype  # no space to spare
    np.testing.assert_array_equal(series.values[:, 7], volumes[0][i, j, k])
    assert [series.coords[c][7] for c in "xyz"] == [3.0 * i, 3.0 * j, 3.0 * k]


def test_mask_within_rounding_of_the_grid(image, volumes):
    affine = np.diag([3.00001, 3.0, 3.0, 1.0])
    mask = atlas_of((volumes[2] > 0).astype(np.uint8), affine)
    assert series_from_image(image, None, mask, None).values.shape == (40, 30)


def test_region_with_a_missing_voxel_is_missing_not_smaller(volumes):
    values, affine, labels = volumes
    values[0, 0, 0, 3] = np.nan
    series = series_from_image(nibabel.Nifti1Image(values, affine), atlas_of(labels), None, None)
    assert np.argwhere(np.isnan(series.values)).tolist() == [[3, 2]]
    nilearn_reads = NiftiLabelsMasker(atlas_of(labels), standardize=None, reports=False)
    with pytest.warns(UserWarning, match="[Nn]on-finite"):
        assert np.isfinite(nilearn_reads.fit_transform(nibabel.Nifti1Image(values, affine))).all()


def test_missing_voxel_of_a_mask_stays_missing_where_nilearn_has_0(volumes):
    values, affine, labels = volumes
    values[0, 0, 0, 3] = np.nan
    image, mask = nibabel.Nifti1Image(values, affine), atlas_of((labels > 0).astype(np.uint8))
    assert np.isnan(series_from_image(image, None, mask, None).values).sum() == 1
    masker = NiftiMasker(mask, standardize=None, reports=False)
    assert masker.fit_transform(image)[3, 0] == 0


def test_missing_voxel_outside_is_nobodys_business(volumes):
    values, affine, labels = volumes
    values[3, 3, 2, 3] = np.nan
    series = series_from_image(nibabel.Nifti1Image(values, affine), atlas_of(labels), None, None)
    assert np.isfinite(series.values).all()


def test_atlas_on_a_finer_grid_gives_the_same_regions(image, volumes):
    labels = volumes[2]
    fine = np.kron(labels, np.ones((3, 3, 3))).astype(np.int16)
    fine_affine = np.diag([1.0, 1.0, 1.0, 1.0])
    fine_affine[:3, 3] = -1.0  # voxel centers of the middle ones coincide
    series = series_from_image(image, atlas_of(fine, fine_affine), None, None)
    same = series_from_image(image, atlas_of(labels), None, None)
    np.testing.assert_allclose(series.values, same.values)


def test_region_lost_by_resampling_is_told(image, volumes):
    fine = np.kron(volumes[2], np.ones((3, 3, 3))).astype(np.int16)
    fine[0, 0, 0] = 7  # smaller than a voxel of the image
    affine = np.eye(4)
    affine[:3, 3] = -1.0
    series = series_from_image(image, atlas_of(fine, affine), None, ["a", "tiny", "b", "c"])
    assert series.names == ["a", "b", "c"]
    assert series.notes == ["1 regions without a voxel on the image's grid: tiny"]


def test_atlas_elsewhere(image, volumes):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[0, 3] = 500
    with pytest.raises(DataError, match="no region of the atlas lies on the image's grid"):
        series_from_image(image, atlas_of(volumes[2], affine), None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.astype(np.int8), "negative ids.*above 127 turn negative"),
        (lambda a: a.astype(np.float32) + 0.25, "not made of whole numbers"),
        (lambda a: np.where(a == 5, np.nan, a).astype(np.float32), "whole numbers.*nan"),
        (lambda a: np.zeros_like(a), "no region"),
        (lambda a: np.stack([a, a], axis=-1), "not 3-D"),
    ],
)
def test_bad_atlases(image, volumes, change, message):
    with pytest.raises(DataError, match=message):
        series_from_image(image, atlas_of(change(volumes[2])), None, None)


def test_bad_masks(image, volumes):
    with pytest.raises(DataError, match="mask has no voxel on the image's grid"):
        series_from_image(image, None, atlas_of(np.zeros_like(volumes[2])), None)
    with pytest.raises(DataError, match="mask has values that are not finite"):
        nan = np.full(volumes[2].shape, np.nan, dtype=np.float32)
        series_from_image(image, None, atlas_of(nan), None)


def test_what_says_which_voxels_are_units(image, volumes):
    atlas = atlas_of(volumes[2])
    with pytest.raises(DataError, match=r"labels= \(or maps=\).*found neither"):
        series_from_image(image, None, None, None)
    with pytest.raises(DataError, match="one atlas.*found both"):
        series_from_image(image, atlas, atlas, None, atlas)


TABLE = pd.DataFrame({"id": [300, 130, 5, 9], "label": ["occipital", "insula", "insula", "none"]})


def test_names_come_by_id_not_by_row(image, volumes):
    table = TABLE.assign(hemisphere=["L", "R", "L", "R"])
    series = series_from_image(image, atlas_of(volumes[2]), None, table)
    assert series.names == ["L_insula", "R_insula", "L_occipital"]
    assert series.coords["hemisphere"].tolist() == ["L", "R", "L"]


def test_names_from_a_file(image, volumes, tmp_path):
    table = TABLE.assign(label=list("abcd")).rename(columns={"id": "index", "label": "name"})
    table.to_csv(tmp_path / "lut.tsv", sep="\t", index=False)
    series = series_from_image(image, atlas_of(volumes[2]), None, tmp_path / "lut.tsv")
    assert series.names == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (TABLE, r"unit names repeat.*\['insula'\]"),
        (TABLE.iloc[:2].assign(label=list("ab")), r"lacks ids of the atlas.*no row for \[5\]"),
        (TABLE.rename(columns={"id": "n"}), "lacks a column; expected id .* found n, label"),
        (["a", "b"], "names do not fit the atlas; expected 3 names"),
        (["a", "b", "a"], "unit names repeat"),
    ],
)
def test_bad_names(image, volumes, units, message):
    with pytest.raises(DataError, match=message):
        series_from_image(image, atlas_of(volumes[2]), None, units)


def test_what_was_not_scanned_is_no_part_of_a_mean(volumes):
    values, affine, labels = volumes
    values[0, 1:] = 0  # 9 of the 12 voxels of region 300
    values[1] = 0  # region 5
    series = series_from_image(nibabel.Nifti1Image(values, affine), atlas_of(labels), None, None)
    assert series.names == ["region5", "region130", "region300"]
    assert series.coords["coverage"].tolist() == [0.0, 1.0, 0.25]
    assert np.isnan(series.values[:, 0]).all()
    np.testing.assert_allclose(series.values[:, 2], values[0, 0].mean(axis=0), rtol=1e-5)
    assert series.notes == [
        "what was not scanned (0 throughout) of 2 regions: region5 (0%), region300 (25%)"
    ]


def test_a_region_beyond_the_edge_of_the_image(volumes):
    values, affine, labels = volumes
    image = nibabel.Nifti1Image(values[:, :1], affine)  # a third or half of each region
    series = series_from_image(image, atlas_of(labels), None, None)
    shares = [1 / 4, 1 / 2, 1 / 4]
    np.testing.assert_allclose(series.coords["coverage"], shares)
    np.testing.assert_allclose(series.values[:, 2], values[0, 0].mean(axis=0), rtol=1e-5)
    assert "3 regions: region5 (25%)" in series.notes[0]


def test_coverage_on_a_finer_atlas(volumes):
    values, _, labels = volumes
    values[0, :1] = 0
    fine = np.kron(labels, np.ones((3, 3, 3))).astype(np.int16)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -1.0
    image = nibabel.Nifti1Image(values, volumes[1])
    series = series_from_image(image, atlas_of(fine, affine), None, None)
    np.testing.assert_allclose(series.coords["coverage"], [1, 1, 0.75])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("which", ["labels", "mask"])
def test_an_atlas_or_mask_elsewhere(image, volumes, sign, axis, which):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[axis, 3] = sign * 500
    given = {"labels": None, "mask": None, which: atlas_of(volumes[2], affine)}
    with pytest.raises(DataError, match=rf"field {which}: .*(overlap|image's grid)"):
        series_from_image(image, units=None, **given)


@pytest.mark.parametrize("given", [np.ones((4, 4, 3)), ["A", "B"], 3, {"maps": None}])
@pytest.mark.parametrize("which", ["labels", "mask"])
def test_what_is_no_image(image, given, which):
    options = {"labels": None, "mask": None, which: given}
    with pytest.raises(DataError, match=rf"field {which}: this is not a brain image.*Nifti1Image"):
        series_from_image(image, units=None, **options)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(300, "a"), (130, "b"), (5, "c"), (5, "d")], r"names an id twice.*\[5, 'c'\]"),
        ([(300, "a"), (130, "b"), (5, None)], r"has ids without a label.*\[5, (None|nan)\]"),
    ],
)
def test_names_that_are_not_one_per_id(image, volumes, tmp_path, rows, message):
    table = pd.DataFrame(rows, columns=["id", "label"])
    table.to_csv(tmp_path / "lut.tsv", sep="\t", index=False, na_rep="n/a")
    for units in (table, tmp_path / "lut.tsv"):
        with pytest.raises(DataError, match=message):
            series_from_image(image, atlas_of(volumes[2]), None, units)


def test_rows_that_say_the_same_or_nothing_of_the_atlas(image, volumes):
    rows = [(300, "a", 1), (130, "b", 2), (5, "c", 3), (5, "c", 4), (9, "x", 5), (9, "y", 6)]
    table = pd.DataFrame(rows, columns=["id", "label", "area"])
    assert series_from_image(image, atlas_of(volumes[2]), None, table).names == ["c", "b", "a"]


def test_columns_that_differ_in_case_only(image, volumes):
    table = TABLE.assign(Label=list("wxyz"))
    with pytest.raises(DataError, match="differ in upper and lower case only; found id, label, L"):
        series_from_image(image, atlas_of(volumes[2]), None, table)


def test_a_mask_beyond_the_edge_of_the_image_is_told(volumes):
    values, affine, labels = volumes
    mask = atlas_of((labels == 300).astype(np.uint8))
    image = nibabel.Nifti1Image(values[:, :3], affine)  # three of four rows
    series = series_from_image(image, None, mask, None)
    assert series.values.shape == (40, 9)
    assert series.notes == ["25% of the mask, which lie outside the image"]
    whole = series_from_image(nibabel.Nifti1Image(values, affine), None, mask, None)
    assert whole.notes == []


def test_an_atlas_within_a_mask(image, volumes):
    values, _, labels = volumes
    inside = np.ones(labels.shape, dtype=np.uint8)
    inside[0, 1:] = inside[1] = 0  # a quarter of region 300 stays, nothing of region 5
    series = series_from_image(image, atlas_of(labels), atlas_of(inside), None)
    assert series.coords["coverage"].tolist() == [0.0, 1.0, 0.25]
    assert np.isnan(series.values[:, 0]).all()
    np.testing.assert_allclose(series.values[:, 2], values[0, 0].mean(axis=0), rtol=1e-6)
    masker = NiftiLabelsMasker(
        atlas_of(labels), mask_img=atlas_of(inside), standardize=None, reports=False
    )
    with pytest.warns(UserWarning, match="removed"):
        expected = masker.fit_transform(image)
    np.testing.assert_allclose(series.values[:, 1:], expected[:, -2:], rtol=1e-6)


@pytest.fixture
def maps():
    """Five overlapping maps, some of which weigh the same voxels with opposite signs."""
    rng = np.random.default_rng(5)
    return (rng.normal(size=(4, 4, 3, 5)) * (rng.uniform(size=(4, 4, 3, 5)) > 0.4)).astype("f4")


def test_maps_agree_with_nilearn(image, maps):
    series = series_from_image(image, None, None, None, atlas_of(maps))
    masker = NiftiMapsMasker(atlas_of(maps), standardize=None, reports=False)
    expected = masker.fit_transform(image)
    np.testing.assert_allclose(series.values, expected, rtol=1e-4, atol=1e-3)  # of 100 +- 10
    assert series.names == [f"map{i}" for i in range(5)]
    np.testing.assert_allclose(series.coords["coverage"], 1)


def test_maps_within_a_mask_agree_with_nilearn(image, volumes, maps):
    mask = atlas_of((volumes[2] > 0).astype(np.uint8))
    series = series_from_image(image, None, mask, None, atlas_of(maps))
    masker = NiftiMapsMasker(atlas_of(maps), mask_img=mask, standardize=None, reports=False)
    expected = masker.fit_transform(image)
    np.testing.assert_allclose(series.values, expected, rtol=1e-4, atol=1e-3)
    share = np.abs(maps[volumes[2] > 0]).sum(axis=0) / np.abs(maps).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(series.coords["coverage"], share, rtol=1e-6)


def test_maps_of_another_grid_agree_with_nilearn(image, maps):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    fine = atlas_of(np.kron(np.abs(maps), np.ones((2, 2, 2, 1))).astype("f4"), affine)
    series = series_from_image(image, None, None, None, fine)
    masker = NiftiMapsMasker(fine, standardize=None, reports=False, resampling_target="data")
    np.testing.assert_allclose(series.values, masker.fit_transform(image), rtol=1e-4, atol=1e-3)


def test_signals_of_maps_are_found_again(volumes, maps):
    truth = np.random.default_rng(0).normal(size=(7, 5))
    image = nibabel.Nifti1Image(maps @ truth.T, volumes[1])
    series = series_from_image(image, None, None, list("abcde"), atlas_of(maps))
    np.testing.assert_allclose(series.values, truth, atol=1e-6)
    assert series.names == list("abcde")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[..., 0], "not a 4-D image"),
        (lambda m: np.where(m > 1, np.nan, m), "not finite"),
        (lambda m: m * [1, 1, 0, 1, 1], "a map of the atlas is empty"),
        (lambda m: m[..., [0, 1, 0]], "cannot be told apart.*3 linearly independent.*rank 2"),
    ],
)
def test_bad_maps(image, maps, change, message):
    with pytest.raises(DataError, match=f"field maps: .*{message}"):
        series_from_image(image, None, None, None, atlas_of(change(maps).astype("f4")))


def test_a_volume_with_a_missing_voxel_is_missing_for_all_maps(volumes, maps):
    values, affine, _ = volumes
    maps[0, 0, 0] = 1
    values[0, 0, 0, 3] = np.nan
    image = nibabel.Nifti1Image(values, affine)
    series = series_from_image(image, None, None, None, atlas_of(maps))
    assert np.flatnonzero(np.isnan(series.values).any(axis=1)).tolist() == [3]


@pytest.mark.parametrize("which", ["labels", "mask"])
def test_a_fourth_axis_of_length_1(image, volumes, which):
    flat, deep = (
        series_from_image(image, units=None, **{"labels": None, "mask": None, which: given})
        for given in (atlas_of(volumes[2]), atlas_of(volumes[2][..., None]))
    )
    np.testing.assert_array_equal(flat.values, deep.values)


def test_labels_that_were_rounded_on_storing(image, volumes):
    labels = volumes[2]
    stored = np.where(labels == 300, 7014.9995, np.where(labels == 5, 3.0000458, labels))
    series = series_from_image(image, atlas_of(stored.astype(np.float32)), None, None)
    assert series.names == ["region3", "region130", "region7015"]
    whole = series_from_image(image, atlas_of(labels), None, None)
    np.testing.assert_array_equal(series.values, whole.values)
