import gzip
import hashlib
import struct

import nibabel
import numpy as np
import pytest

from neuroml.data._nifti import load_image, on_grid_of, open_series, tr_of
from neuroml.data._stream import VolumeStream
from neuroml.exceptions import DataError

DIM, SLOPE, INTERCEPT, CODES, SFORM = 40, 112, 116, 252, 280


def patched(path, at, code, *values):
    """Overwrite fields of the header behind nibabel's back."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as handle:
        content = bytearray(handle.read())
    struct.pack_into(f"<{len(values)}{code}", content, at, *values)
    with opener(path, "wb") as handle:
        handle.write(content)
    return path


def read(path):
    """All volumes, as they pass."""
    return np.stack(list(VolumeStream(load_image(path), path)))


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_good_image_passes(save_image, volumes, suffix):
    image = open_series(save_image(volumes[0], name=f"a.{suffix}"))
    np.testing.assert_array_equal(image.get_fdata(), volumes[0])
    assert tr_of(image, None) == 2.0


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("n_volumes", [30000, 39, 41])
def test_header_that_lies_about_volumes(save_image, volumes, suffix, n_volumes):
    path = patched(save_image(volumes[0], name=f"a.{suffix}"), DIM, "h", 4, 4, 4, 3, n_volumes)
    with pytest.raises(DataError, match=rf"4 x 4 x 3 x {n_volumes} voxels of float32; found"):
        read(path)


def test_header_of_petabytes_is_refused_at_once(save_image, volumes):
    path = patched(save_image(volumes[0], name="a.nii"), DIM, "h", 4, *[32767] * 4)
    with pytest.raises(DataError, match="file is truncated; expected 46111"):
        read(path)


def test_negative_axis(save_image, volumes):
    path = patched(save_image(volumes[0], name="a.nii"), DIM, "h", 4, 4, -4, 3, 40)
    with pytest.raises(DataError, match=r"empty axis|cannot be read"):
        load_image(path)


@pytest.mark.parametrize("keep", [0.01, 0.3, 0.95])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_truncated(save_image, volumes, suffix, keep):
    path = save_image(volumes[0], name=f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match="truncated|cannot be read"):
        read(path)


def test_checksum_of_gzip_is_compared(save_image, volumes):
    path = save_image(volumes[0])
    content = bytearray(path.read_bytes())
    content[-6] ^= 255
    path.write_bytes(content)
    nibabel.load(path).get_fdata()  # which does not notice
    with pytest.raises(DataError, match="compressed file is truncated or damaged.*CRC"):
        read(path)


@pytest.mark.parametrize("slope", [np.inf, -np.inf])
def test_scaling_that_makes_no_sense(save_image, volumes, slope):
    path = save_image((volumes[0] * 10).astype(np.int16), name="a.nii")
    patched(path, SLOPE, "f", slope)
    nibabel.load(path).get_fdata()  # which takes it for 1
    with pytest.raises(DataError, match=f"scl_slope.*found slope {slope}, intercept 0.0"):
        load_image(path)
    assert load_image(nibabel.load(path)).shape == (4, 4, 3, 40)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("scaling", [(0, 0), (0, 5), (np.nan, np.nan), (np.nan, 0)])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_slope_0_means_not_scaled(save_image, volumes, dtype, scaling, suffix):
    stored = volumes[0].astype(dtype)
    path = patched(save_image(stored, name=f"a.{suffix}"), SLOPE, "f", *scaling)
    values = read(path).reshape(40, 3, 4, 4).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(values, stored)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_slope_and_intercept_as_nibabel_applies_them(save_image, volumes, suffix):
    path = save_image((volumes[0] * 10).astype(np.uint16), name=f"a.{suffix}")
    patched(path, SLOPE, "f", 0.1, -7)
    expected = nibabel.load(path).get_fdata()
    values = read(path).reshape(40, 3, 4, 4).transpose(3, 2, 1, 0)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_the_fingerprint_is_that_of_the_file(save_image, volumes, suffix):
    path = save_image(volumes[0], name=f"a.{suffix}")
    stream = VolumeStream(load_image(path), path)
    list(stream)
    assert stream.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_opened_image_is_read_as_nibabel_reads_it(save_image, volumes):
    path = save_image(volumes[0])
    with gzip.open(path) as handle:
        content = handle.read()
    with gzip.open(path, "wb") as handle:
        handle.write(content + bytes(7))
    with pytest.raises(DataError, match="does not account for all bytes"):
        read(path)
    values = np.stack(list(VolumeStream(nibabel.load(path))))
    np.testing.assert_array_equal(values.reshape(40, 3, 4, 4).T, volumes[0])
    with gzip.open(path, "wb") as handle:
        handle.write(content[:-7])
    with pytest.raises(DataError, match="truncated"):
        list(VolumeStream(nibabel.load(path)))


def test_intercept_that_is_not_finite(save_image, volumes):
    path = patched(save_image(volumes[0], name="a.nii"), INTERCEPT, "f", np.inf)
    with pytest.raises(DataError):
        load_image(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [([np.nan, 0, 0, 0], "not finite"), ([0, 0, 0, 0], "singular"), ([np.inf, 0, 0, 0], "finite")],
)
def test_affine(save_image, volumes, row, message):
    path = patched(save_image(volumes[0], name="a.nii"), SFORM, "f", *row)
    with pytest.raises(DataError, match=f"field affine: the affine.*{message}"):
        load_image(path)
    with pytest.raises(DataError, match=f"affine.*{message}"):
        load_image(nibabel.load(path))


@pytest.mark.parametrize(
    ("tr", "unit", "seconds"),
    [(2.0, "sec", 2.0), (720.0, "msec", 0.72), (1e6, "usec", 1.0), (1.35, "unknown", 1.35)],
)
def test_repetition_time(save_image, volumes, tr, unit, seconds):
    image = open_series(save_image(volumes[0], tr=tr, unit=unit))
    assert tr_of(image, None) == pytest.approx(seconds, abs=1e-6)
    assert tr_of(image, 0.8) == 0.8


@pytest.mark.parametrize(
    ("tr", "unit"), [(0.0, "sec"), (2000.0, "sec"), (2.0, "msec"), (500.0, "unknown"), (2.0, "hz")]
)
def test_repetition_time_that_cannot_be(save_image, volumes, tr, unit):
    path = save_image(volumes[0], tr=tr, unit=unit)
    with pytest.raises(DataError, match=rf"repetition time.*found {tr:g}, unit '{unit}'.*tr_s="):
        tr_of(open_series(path), None, file=path)


def test_repetition_time_guess_for_milliseconds(save_image, volumes):
    with pytest.raises(DataError, match="2 s would be, if milliseconds are meant"):
        tr_of(open_series(save_image(volumes[0], tr=2000.0)), None)


@pytest.mark.parametrize("tr", [0, -1.0, np.nan, np.inf])
def test_given_repetition_time_is_checked(tr):
    with pytest.raises(DataError, match="tr_s is not a duration"):
        tr_of(None, tr)


def test_list_of_volumes(save_image, volumes):
    values = volumes[0]
    paths = [save_image(values[..., i], name=f"v{i:02}.nii") for i in range(5)]
    np.testing.assert_array_equal(open_series(paths).get_fdata(), values[..., :5])
    with pytest.raises(DataError, match="repetition time"):
        tr_of(open_series(paths), None)
    moved = save_image(values[..., 5], np.diag([3.0, 3.0, 4.0, 1.0]), name="moved.nii")
    with pytest.raises(DataError, match="moved.nii, field affine: .*different grids"):
        open_series([*paths, moved])
    smaller = save_image(values[:3, ..., 5], name="smaller.nii")
    with pytest.raises(DataError, match="smaller.nii: .*same shape"):
        open_series([*paths, smaller])
    with pytest.raises(DataError, match="list of images is empty"):
        open_series([])


def test_single_volume_is_no_series(save_image, volumes):
    with pytest.raises(DataError, match="not a series of volumes"):
        open_series(save_image(volumes[0][..., 0]))


def test_not_an_image(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"hello" * 200)
    with pytest.raises(DataError, match="cannot be read as a brain image"):
        load_image(tmp_path / "a.nii")


def test_same_grid_is_returned_as_it_is(volumes):
    values, affine, labels = volumes
    atlas = nibabel.Nifti1Image(labels, affine)
    assert on_grid_of(nibabel.Nifti1Image(values, affine), atlas, "labels") is atlas


def test_other_grid_needs_to_know_where_the_image_lies(save_image, volumes):
    values, affine, labels = volumes
    fine = nibabel.Nifti1Image(np.kron(labels, np.ones((2, 2, 2))).astype(np.int16), affine / 2)
    path = patched(save_image(values, name="a.nii"), CODES, "h", 0, 0)
    with pytest.raises(DataError, match="does not say where it lies.*sform_code 0"):
        on_grid_of(open_series(path), fine, "labels")


def test_real_files_that_store_352_bytes_too_many(shared_data):
    """nitime's two images: the data begin 352 bytes after where the header says."""
    for name in ("fmri1.nii.gz", "fmri2.nii.gz"):
        path = shared_data / "nitime_small" / name
        with pytest.raises(DataError, match="expected 144352 bytes.*found 144704 bytes"):
            read(path)
        content = np.frombuffer(gzip.open(path).read(), dtype="<i2")
        as_told, shifted = (
            content[at : at + 72000].reshape((10, 10, 18, 40), order="F").astype(float)
            for at in (176, 352)
        )

        def alike(x):
            return np.corrcoef(x[:-1].ravel(), x[1:].ravel())[0, 1]

        assert alike(shifted) > alike(as_told) + 0.05


def test_real_image_with_milliseconds_called_seconds(shared_data):
    path = shared_data / "haxby_slices" / "example4d.nii.gz"
    with pytest.raises(DataError, match="found 2000, unit 'sec'"):
        tr_of(open_series(path), None, file=path)


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(
    ("codes", "moved", "is_doubt"),
    [((1, 1), 40.0, True), ((1, 1), 0.01, False), ((4, 1), 40.0, False), ((0, 1), 40.0, False)],
)
def test_sform_and_qform_of_one_space(tmp_path, volumes, opened, codes, moved, is_doubt):
    image = nibabel.Nifti1Image(volumes[0], volumes[1])
    elsewhere = volumes[1].copy()
    elsewhere[0, 3] += moved
    image.set_sform(volumes[1], codes[0])
    image.set_qform(elsewhere, codes[1])
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    source = nibabel.load(path) if opened else path
    if is_doubt:
        with pytest.raises(DataError, match="sform and qform.*found 40 mm, both with code 1"):
            load_image(source)
    else:
        assert load_image(source).shape == (4, 4, 3, 40)


@pytest.mark.parametrize("source", [np.ones((4, 4, 3, 10)), 3, {"a": 1}, [np.ones((4, 4, 3))]])
def test_a_source_that_is_no_image(source):
    with pytest.raises(DataError, match="this is not a brain image"):
        open_series(source)


@pytest.mark.parametrize("tr", ["2", [2.0], {"tr": 2}, True])
def test_a_repetition_time_that_is_no_number(tr):
    with pytest.raises(DataError, match="tr_s is not a duration"):
        tr_of(None, tr)
