"""Damaged and odd files, made on the fly: how each is made, read, and refused.

``python tests/damaged.py`` prints what neuroml says about each.
"""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import scipy.io
from nibabel.gifti import GiftiDataArray, GiftiImage

from neuroml.data import read_events, read_fmri, read_spikes, read_traces
from neuroml.exceptions import DataError

RNG = np.random.default_rng(0)
VOXELS = RNG.normal(100, 10, size=(4, 4, 3, 20)).astype(np.float32)
TRACES = RNG.normal(size=(30, 3))
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
MASK = nibabel.Nifti1Image(np.ones((4, 4, 3), np.uint8), AFFINE)


@dataclass(frozen=True)
class Case:
    """A file that must be refused.

    Attributes
    ----------
    name : str
    make : callable
        Writes it into a folder and returns its path.
    read : callable
        Reads it.
    said : str
        A pattern of what the error says.
    alone : bool
        Whether the file by itself is wrong, so that ``neuroml data check`` tells, too.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    said: str
    alone: bool = True


CASES: list[Case] = []


def case(
    name: str,
    said: str,
    read: Callable[[Path], Any],
    *,
    alone: bool = True,
) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Put the decorated maker into the list."""

    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES.append(Case(name, make, read, said, alone))
        return make

    return register


# ---------------------------------------------------------------------------------------- images


def image(path: Path, values: np.ndarray = VOXELS, affine: np.ndarray = AFFINE) -> Path:
    """A good image, with a repetition time of 2 s."""
    nifti = nibabel.Nifti1Image(values, affine)
    if values.ndim == 4:
        nifti.header.set_zooms((3.0, 3.0, 3.0, 2.0))
        nifti.header.set_xyzt_units("mm", "sec")
    nibabel.save(nifti, path)
    return path


def voxels(path: Path) -> Any:
    """Read all voxels of an image."""
    return read_fmri(path, mask=MASK)


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def poke(path: Path, at: int, content: bytes) -> Path:
    """Overwrite bytes of a file."""
    whole = bytearray(path.read_bytes())
    whole[at : at + len(content)] = content
    path.write_bytes(bytes(whole))
    return path


case("NIfTI cut in half", "truncated", voxels)(lambda d: cut(image(d / "a.nii")))
case("NIfTI cut in its header", "cannot be read as a brain image", voxels)(
    lambda d: cut(image(d / "a.nii"), 0.02)
)
case("compressed NIfTI cut in half", "truncated or damaged", voxels)(
    lambda d: cut(image(d / "a.nii.gz"))
)
case("NIfTI of 0 bytes", "file is empty", voxels)(lambda d: cut(image(d / "a.nii"), 0.0))


@case("compressed NIfTI whose checksum differs", "truncated or damaged", voxels)
def _(folder: Path) -> Path:
    path = image(folder / "a.nii.gz")
    return poke(path, path.stat().st_size - 8, b"\x00\x01\x02\x03")


@case("NIfTI that is another kind of file", "cannot be read as a brain image", voxels)
def _(folder: Path) -> Path:
    path = folder / "a.nii"
    path.write_bytes(b"%PDF-1.4 " + bytes(1000))
    return path


def with_shape(*shape: int) -> Callable[[Path], Path]:
    """An image whose header states another shape."""
    return lambda d: poke(image(d / "a.nii"), 40, struct.pack("<8h", 4, *shape, 1, 1, 1))


case("NIfTI header of more volumes", "truncated; expected", voxels)(with_shape(4, 4, 3, 21))
case("NIfTI header of fewer volumes", "does not account for all bytes", voxels)(
    with_shape(4, 4, 3, 19)
)
case("NIfTI header of 4.6 petabytes", "truncated; expected", voxels)(
    with_shape(32767, 32767, 32767, 32)
)
case("NIfTI header with a negative axis", "empty axis|cannot be read", voxels)(
    with_shape(4, -4, 3, 20)
)


def with_sform(row: list[float]) -> Callable[[Path], Path]:
    """An image whose first row of the affine is another one."""
    return lambda d: poke(image(d / "a.nii"), 280, struct.pack("<4f", *row))


case("affine with NaN", "not finite", voxels)(with_sform([np.nan, 0, 0, 0]))
case("affine with infinity", "not finite", voxels)(with_sform([np.inf, 0, 0, 0]))
case("affine that is singular", "singular", voxels)(with_sform([0, 0, 0, 0]))


def with_scaling(slope: float, intercept: float) -> Callable[[Path], Path]:
    """An image of integers whose header scales them."""

    def make(folder: Path) -> Path:
        path = image(folder / "a.nii", VOXELS.astype(np.int16))
        return poke(path, 112, struct.pack("<2f", slope, intercept))

    return make


case("slope infinite", "field scl_slope.*found slope inf", voxels)(with_scaling(np.inf, 0.0))
case("intercept NaN", "invalid intercept nan", voxels)(with_scaling(1.0, np.nan))


def with_tr(stored: float, unit: int) -> Callable[[Path], Path]:
    """An image with another repetition time; unit 2 is mm, + 8 s, + 16 ms, + 32 Hz."""
    return lambda d: poke(
        poke(image(d / "a.nii"), 92, struct.pack("<f", stored)), 123, bytes([unit])
    )


case("TR 0", r"no usable repetition time.*tr_s=", voxels)(with_tr(0.0, 2 + 8))
case("TR negative", r"no usable repetition time.*tr_s=", voxels)(with_tr(-2.0, 2 + 8))
case("TR NaN", r"no usable repetition time.*tr_s=", voxels)(with_tr(np.nan, 2 + 8))
case("milliseconds called seconds", "2 s would be, if milliseconds", voxels)(with_tr(2000, 2 + 8))
case("hertz in place of seconds", r"no usable repetition time.*hz", voxels)(with_tr(0.5, 2 + 32))


@case("NaN voxels", r"missing values|NaN", voxels)
def _(folder: Path) -> Path:
    values = VOXELS.copy()
    values[1, 2, 1, 5] = np.nan
    return image(folder / "a.nii", values)


@case("voxel that never changes", "never var", voxels, alone=False)
def _(folder: Path) -> Path:
    values = VOXELS.copy()
    values[1, 2, 1] = 7
    return image(folder / "a.nii", values)


case("one volume for a series", "not a series of volumes", voxels, alone=False)(
    lambda d: image(d / "a.nii", VOXELS[..., 0])
)


def through(**parts: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Read a good image through the file as its atlas or mask."""

    def read(path: Path) -> Any:
        series = nibabel.Nifti1Image(VOXELS, AFFINE)
        options = {name: part(path) for name, part in parts.items()}
        return read_fmri(series, tr_s=2.0, **options)

    return read


as_labels, as_mask = through(labels=Path), through(mask=Path)
IDS = np.repeat(np.arange(1, 5), 12).reshape(4, 4, 3)
case("atlas ids above 127 in 8 bits", r"negative|int16", as_labels)(
    lambda d: image(d / "a.nii", (IDS * 50).astype(np.uint8).view(np.int8))
)
case("probabilistic atlas as labels", "not made of whole numbers", as_labels, alone=False)(
    lambda d: image(d / "a.nii", (IDS / 5).astype(np.float32))
)
case("atlas with NaN", "not made of whole numbers", as_labels)(
    lambda d: image(d / "a.nii", np.where(IDS == 1, np.nan, IDS).astype(np.float32))
)
case("atlas of 4 dimensions", "labels image is not 3-D", as_labels, alone=False)(
    lambda d: image(d / "a.nii")
)
case("mask without a voxel", "mask has no voxel", as_mask, alone=False)(
    lambda d: image(d / "a.nii", np.zeros((4, 4, 3), np.uint8))
)
case("mask with NaN", "values that are not finite", as_mask)(
    lambda d: image(d / "a.nii", np.full((4, 4, 3), np.nan, np.float32))
)
case("atlas of another space", "no region of the atlas lies", as_labels, alone=False)(
    lambda d: image(d / "a.nii", IDS.astype(np.int16), np.array(
        [[3.0, 0, 0, 900], [0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]
    ))
)  # fmt: skip


# -------------------------------------------------------------------------------------- surfaces


def surface(path: Path, n_vertices: int = 10) -> Path:
    """A good GIFTI series."""
    values = RNG.normal(size=(12, n_vertices)).astype(np.float32)
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(row) for row in values]), path)
    return path


def vertices(path: Path) -> Any:
    """Read all vertices of a surface file."""
    mask = path.with_name("mask.shape.gii")
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(np.ones(10, np.float32))]), mask)
    return read_fmri(path, mask=mask, tr_s=1.0)


case("GIFTI cut in half", "cannot be read as a brain image", vertices)(
    lambda d: cut(surface(d / "a.func.gii"))
)
case("GIFTI that is no XML", "cannot be read as a brain image", vertices)(
    lambda d: poke(surface(d / "a.func.gii"), 0, b"garbage!")
)
case("GIFTI of another mesh", "other vertices than the data", vertices, alone=False)(
    lambda d: surface(d / "a.func.gii", 11)
)


def grayordinates(folder: Path) -> Path:
    """A good CIFTI series of parcels."""
    left = nibabel.cifti2.BrainModelAxis.from_surface(np.arange(5), 8, name="cortex_left")
    right = nibabel.cifti2.BrainModelAxis.from_surface(np.arange(5), 8, name="cortex_right")
    space = nibabel.cifti2.ParcelsAxis.from_brain_models([("A", left), ("B", right)])
    time = nibabel.cifti2.SeriesAxis(0, 0.72, 12, unit="SECOND")
    path = folder / "a.ptseries.nii"
    nibabel.save(nibabel.Cifti2Image(RNG.normal(size=(12, 2)), (time, space)), path)
    return path


case("CIFTI cut short", "truncated", read_fmri)(lambda d: cut(grayordinates(d), 0.98))
case("CIFTI with a damaged header", "cannot be read|CIFTI header is damaged", read_fmri)(
    lambda d: poke(grayordinates(d), 700, b"<<<<<<<<")
)


@case("volume called CIFTI", "content says otherwise", read_fmri)
def _(folder: Path) -> Path:
    return image(folder / "a.nii").rename(folder / "a.dtseries.nii")


# ---------------------------------------------------------------------------------------- tables


def table(text: str | bytes, name: str = "a.csv") -> Callable[[Path], Path]:
    """A text file."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def traces(path: Path) -> Any:
    """Read fluorescence."""
    return read_traces(path, rate_hz=10.0)


ROWS = "\n".join(",".join(f"{v:.4f}" for v in row) for row in TRACES)
case("table of 0 bytes", "file is empty", traces)(table(""))
case("table of binary content", "csv", traces)(table(bytes(range(256)) * 4))
case("table with a header only", "no rows|no row|empty", traces)(table("a,b,c\n"))
case("table with rows of different lengths", "row|column|fields", traces)(
    table("a,b\n1,2\n3,4,5\n")
)
case("table with a unit twice", "column names repeat", traces)(table("a,a\n1,2\n3,5\n"))
case("table with words among numbers", "number|text", traces, alone=False)(
    table("a,b\n1,2\nx,4\n5,6\n")
)
case("table with missing values", "missing", traces)(table("a,b\n1,2\n,4\n5,7\n"))
case("table with infinity", "missing", traces)(table("a,b\n1,2\ninf,4\n5,7\n"))
case("unit that never varies", "never var", traces)(table("a,b\n1,2\n1,4\n1,7\n"))
case("table of one unit per row", "more columns than rows", traces)(table("1,2,3,4\n5,6,7,9\n"))
case("time axis taken for a unit", "looks like a time axis", traces, alone=False)(
    table("time,a\n0,2\n1,4\n2,7\n")
)


def timed(path: Path) -> Any:
    """Read traces with their timestamps."""
    return read_traces(path, time="time")


case("time that runs backwards", "increas|monoton|backward", timed, alone=False)(
    table("time,a\n0,2\n2,4\n1,7\n")
)
case("time that stands still", "increas|monoton|backward", timed, alone=False)(
    table("time,a\n0,2\n1,4\n1,7\n")
)
case("time with a missing value", "finite|missing", timed)(table("time,a\n0,2\n,4\n1,7\n"))


@case("compressed table cut short", "truncated or damaged|cannot be", traces)
def _(folder: Path) -> Path:
    path = folder / "a.csv.gz"
    path.write_bytes(gzip.compress(ROWS.encode()))
    return cut(path, 0.7)


case("events without onset", "lack the column 'onset'", read_events, alone=False)(
    table("duration\ttrial_type\n1\ta\n", "a_events.tsv")
)
case("events without duration", "lack the column 'duration'", read_events, alone=False)(
    table("onset\ttrial_type\n1\ta\n", "a_events.tsv")
)
case("event at n/a", "onset cannot be used", read_events)(
    table("onset\tduration\nn/a\t1\n2\t1\n", "a_events.tsv")
)
case("event of negative duration", "duration cannot be used", read_events)(
    table("onset\tduration\n1\t-1\n", "a_events.tsv")
)


# ---------------------------------------------------------------------------------------- arrays


def npy(path: Path) -> Path:
    """A good array file."""
    np.save(path, TRACES)
    return path


def npz(path: Path, **arrays: Any) -> Path:
    """A good compressed archive of arrays."""
    np.savez_compressed(path, **(arrays or {"signal": TRACES}))
    return path


case("npy cut in half", "truncated or damaged", traces)(lambda d: cut(npy(d / "a.npy")))
case("npy with bytes too many", "truncated or damaged", traces)(
    lambda d: table(npy(d / "b.npy").read_bytes() + b"more", "a.npy")(d)
)


@case("npy header of 8 petabytes", "expected 80000000000000", traces)
def _(folder: Path) -> Path:
    path = folder / "a.npy"
    with path.open("wb") as handle:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10**3)}
        np.lib.format.write_array_header_1_0(handle, header)
        handle.write(bytes(800))
    return path


@case("npy of Python objects", "Python objects", traces)
def _(folder: Path) -> Path:
    np.save(folder / "a.npy", np.array([[1, None], [2, 3]], dtype=object), allow_pickle=True)
    return folder / "a.npy"


@case("pickle called npy", "npy header cannot be read", traces)
def _(folder: Path) -> Path:
    return table(pickle.dumps(TRACES), "a.npy")(folder)


case("pickle, by its own name", "does not know|unknown kind", traces)(
    lambda d: table(pickle.dumps(TRACES), "a.pkl")(d)
)
case("npz cut in half", "truncated or damaged", traces)(lambda d: cut(npz(d / "a.npz")))
case("npz with a changed byte", "truncated or damaged", traces)(
    lambda d: poke(npz(d / "a.npz"), 200, b"\xff\x00\xff\x00")
)
case("npz of Python objects", "Python objects", traces)(
    lambda d: npz(d / "a.npz", signal=np.array([[1, None]], dtype=object))
)
case("npz without a matrix", "no arrays", traces, alone=False)(
    lambda d: npz(d / "a.npz", comment="text")
)
case("npz with two matrices", "2 arrays are", traces, alone=False)(
    lambda d: npz(d / "a.npz", one=TRACES, two=TRACES)
)


def mat(path: Path) -> Path:
    """A good MATLAB v5 file."""
    scipy.io.savemat(path, {"signal": TRACES}, do_compression=True)
    return path


case("MATLAB v5 cut in half", "truncated or damaged|damaged", traces)(
    lambda d: cut(mat(d / "a.mat"))
)
case("MATLAB v5 with changed bytes", "damaged", traces)(
    lambda d: poke(mat(d / "a.mat"), 300, b"\x00\xff\x00\xff")
)
case("text called MATLAB", "mat", traces)(table("not a MATLAB file at all, but text " * 9, "a.mat"))


def hdf5(path: Path, name: str = "signal", **options: Any) -> Path:
    """A good HDF5 file."""
    with h5py.File(path, "w") as file:
        file.create_dataset(name, **(options or {"data": TRACES}))
    return path


case("HDF5 cut in half", "truncated or damaged", traces)(lambda d: cut(hdf5(d / "a.h5")))
case("HDF5 array of 8 petabytes never written", "claims more bytes", traces)(
    lambda d: hdf5(d / "a.h5", shape=(10**12, 1000), dtype="f8", chunks=(1000, 1000))
)
case("HDF5 of references", "no arrays|arrays are", traces, alone=False)(
    lambda d: hdf5(d / "a.h5", shape=(3, 3), dtype=h5py.ref_dtype)
)
case("CaImAn results without dF/F", "did not store F_dff", read_traces)(
    lambda d: hdf5(d / "a.hdf5", "estimates/C", data=TRACES.T)
)


def plane(folder: Path, n_cells: int = 3, neuropil: tuple[int, int] = (3, 30)) -> Path:
    """A plane folder of Suite2p."""
    path = folder / "plane0"
    path.mkdir()
    np.save(path / "F.npy", TRACES.T)
    np.save(path / "Fneu.npy", RNG.normal(size=neuropil))
    np.save(path / "iscell.npy", np.ones((n_cells, 2)))
    return path


case("Suite2p's cells of another session", "does not fit F.npy", traces)(
    lambda d: plane(d, n_cells=4)
)
case("Suite2p's neuropil of another session", "does not fit F.npy", traces)(
    lambda d: plane(d, neuropil=(3, 29))
)
case("folder that is none of Suite2p's", "not a plane folder", traces)(lambda d: d)


@case("NWB cut in half", "cannot be read as an NWB file", read_traces)
def _(folder: Path) -> Path:
    return cut(hdf5(folder / "a.nwb"))


case("HDF5 called NWB", "cannot be read as an NWB file", read_traces)(lambda d: hdf5(d / "a.nwb"))


case("spike times with NaN", "not finite", lambda path: read_spikes(path, bin_s=0.1), alone=False)(
    lambda d: npz(d / "a.npz", one=np.array([0.1, np.nan, 0.5]))
)
case("no such file", "no such file", traces)(lambda d: d / "absent.csv")


def main() -> None:
    """Print what is said about each."""
    for one in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = one.make(Path(folder))
            try:
                one.read(path)
                said = "READ WITHOUT A WORD"
            except DataError as error:
                said = str(error).replace(f"{folder}/", "")
        sys.stdout.write(f"{one.name}\n    {said}\n")
    sys.stdout.write(f"{len(CASES)} cases\n")


if __name__ == "__main__":
    main()
