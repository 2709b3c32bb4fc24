import gzip
import io
import struct
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io

from neuroml.data._arrays import gzip_size, list_arrays, read_array
from neuroml.exceptions import DataError


def is_matrix(array):
    return array.kind == "numbers" and len(array.shape) == 2 and min(array.shape) > 1


def npy_bytes(shape, dtype="<f8", data=b""):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize("kind", ["npy", "npz", "mat", "v73.mat", "h5"])
def test_reads_the_only_matrix_of_every_format(tmp_path, writers, signal, kind):
    path = tmp_path / f"file.{kind}"
    writers[kind](path, signal)
    np.testing.assert_array_equal(read_array(path, None, is_matrix, "a matrix"), signal)


@pytest.mark.parametrize("shape", [(10**15,), (2**31, 2**31), (11, 3), (13, 3)])
def test_npy_header_that_lies_about_its_size_is_refused(tmp_path, signal, shape):
    path = tmp_path / "lie.npy"
    path.write_bytes(npy_bytes(shape, data=signal.tobytes()))
    with pytest.raises(DataError, match="header does not fit the file.*expected .* bytes"):
        list_arrays(path)


def test_object_array_is_refused_before_it_is_loaded(tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"Python objects.*numpy\.savez"):
        list_arrays(path)


def test_object_array_in_npz_does_not_hide_the_others(tmp_path, signal):
    path = tmp_path / "mixed.npz"
    np.savez(path, good=signal, bad=np.array([{}], dtype=object))
    np.testing.assert_array_equal(read_array(path, None, is_matrix, "a matrix"), signal)
    with pytest.raises(DataError, match="Python objects"):
        read_array(path, "bad", is_matrix, "a matrix")


@pytest.mark.parametrize("header", [b"{'descr': (", b"[1, 2]", b"{'shape': 3}", b"\xff\xfe"])
def test_broken_npy_header(tmp_path, header):
    path = tmp_path / "broken.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(DataError, match="header cannot be read"):
        list_arrays(path)


def test_npz_member_that_claims_more_than_deflate_can_hold(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, signal=np.ones((50, 4)))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(content)
    with pytest.raises(DataError, match="claims more bytes than the file can hold"):
        list_arrays(path)


def test_npz_checksum_is_compared(tmp_path, signal):
    path = tmp_path / "flipped.npz"
    np.savez(path, signal=signal)
    content = bytearray(path.read_bytes())
    content[content.index(signal.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated or damaged.*CRC"):
        read_array(path, "signal", is_matrix, "a matrix")


def test_hdf5_array_never_written_is_refused(tmp_path):
    path = tmp_path / "empty.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("signal", (2**40, 2**13), "f8", chunks=(1024, 8))
    with pytest.raises(DataError, match=r"signal: the array claims more bytes"):
        list_arrays(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["npy", "npz", "mat", "v73.mat", "h5"])
def test_truncated_files(tmp_path, writers, signal, kind, keep):
    path = tmp_path / f"file.{kind}"
    writers[kind](path, signal)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match="truncated|damaged|cannot be read|not a MATLAB"):
        read_array(path, None, is_matrix, "a matrix")


def test_truncated_gzip(tmp_path):
    content = gzip.compress(bytes(range(256)) * 40)
    for keep in (5, len(content) // 2, len(content) - 1):
        (tmp_path / "a.gz").write_bytes(content[:keep])
        with pytest.raises(DataError, match="truncated or damaged"):
            gzip_size(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(content)
    assert gzip_size(tmp_path / "a.gz") == 256 * 40


def test_several_candidates_are_listed_and_one_can_be_named(tmp_path, signal):
    path = tmp_path / "two.npz"
    np.savez(path, raw=signal, smooth=signal + 1)
    with pytest.raises(DataError, match=r"2 arrays.*raw \(12 x 3\), smooth.*variable='raw'"):
        read_array(path, None, is_matrix, "a matrix")
    np.testing.assert_array_equal(read_array(path, "smooth", is_matrix, "a matrix"), signal + 1)
    with pytest.raises(DataError, match="field sharp: no array of that name"):
        read_array(path, "sharp", is_matrix, "a matrix")


def test_fields_of_matlab_structures_have_dotted_names(tmp_path, signal):
    path = tmp_path / "struct.mat"
    scipy.io.savemat(path, {"data": {"trace": signal, "meta": {"rate": 3.0}}})
    assert {array.name for array in list_arrays(path)} == {"data.trace", "data.meta.rate"}
    np.testing.assert_array_equal(read_array(path, "data.trace", is_matrix, "a matrix"), signal)


def test_bytes_of_another_format(tmp_path):
    for suffix in ("npy", "npz", "mat", "h5"):
        path = tmp_path / f"other.{suffix}"
        path.write_bytes(b"not what the name says " * 20)
        with pytest.raises(DataError, match=str(path)):
            list_arrays(path)


def test_missing_empty_and_unknown_files(tmp_path):
    (tmp_path / "empty.npy").touch()
    (tmp_path / "notes.docx").write_bytes(b"x")
    for name, message in [
        ("absent.npy", "no such file"),
        ("empty.npy", "empty"),
        ("notes.docx", "unknown kind of file '.docx'"),
    ]:
        with pytest.raises(DataError, match=message):
            list_arrays(tmp_path / name)
    with pytest.raises(DataError, match="folder"):
        list_arrays(tmp_path)


def test_version_3_header_is_read(tmp_path, signal):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, signal, version=(3, 0))
    (tmp_path / "three.npy").write_bytes(stream.getvalue())
    np.testing.assert_array_equal(
        read_array(tmp_path / "three.npy", None, is_matrix, "a matrix"), signal
    )


def test_zip_of_something_else(tmp_path):
    path = tmp_path / "other.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    (array,) = list_arrays(path)
    assert array.kind == "other"
    assert "header cannot be read" in array.note


def test_hdf5_tables_say_what_they_are(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = np.zeros(4, dtype=[("video", "i4"), ("index", "i8")])
    (array,) = list_arrays(tmp_path / "a.h5")
    assert array.kind == "other"
    assert array.note == "a table with the columns video, index, not an array of numbers"
