"""Small files of every format, made on the fly."""

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io


@pytest.fixture
def signal():
    """Twelve samples of three units, each value at one place only."""
    return np.random.default_rng(0).normal(size=(12, 3))


def save_matlab_73(path, **variables):
    """What MATLAB's save(..., '-v7.3') makes: HDF5 after 512 bytes, axes in reverse."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            if isinstance(values, list):
                group = file.require_group("#refs#")
                cells = np.empty((len(values), 1), dtype=h5py.ref_dtype)
                for at, cell in enumerate(values):
                    cell = np.atleast_2d(cell)
                    stored = cell.T if cell.size else np.array(cell.shape, dtype=np.uint64)
                    item = group.create_dataset(f"{name}{at}", data=stored)
                    item.attrs["MATLAB_class"] = np.bytes_("double")
                    if not cell.size:
                        item.attrs["MATLAB_empty"] = np.uint8(1)
                    cells[at, 0] = item.ref
                file.create_dataset(name, data=cells, dtype=h5py.ref_dtype)
                file[name].attrs["MATLAB_class"] = np.bytes_("cell")
            else:
                file.create_dataset(name, data=np.asarray(values).T)
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as handle:
        handle.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def _h5(path, values):
    with h5py.File(path, "w") as file:
        file["group/signal"] = values


WRITERS = {
    "npy": lambda path, values: np.save(path, values),
    "npz": lambda path, values: np.savez(path, signal=values, comment="text"),
    "csv": lambda path, values: np.savetxt(path, values, delimiter=","),
    "tsv": lambda path, values: np.savetxt(path, values, delimiter="\t"),
    "txt": lambda path, values: np.savetxt(path, values),
    "txt.gz": lambda path, values: np.savetxt(path, values),
    "mat": lambda path, values: scipy.io.savemat(path, {"signal": values, "comment": "text"}),
    "v73.mat": lambda path, values: save_matlab_73(path, signal=values),
    "h5": _h5,
}


@pytest.fixture
def writers():
    """Functions of (path, values), by suffix."""
    return WRITERS


@pytest.fixture
def matlab_73():
    """Function of (path, **variables) that writes MATLAB's v7.3 format."""
    return save_matlab_73


@pytest.fixture(params=sorted(WRITERS))
def written(request, tmp_path, signal):
    """A file that holds ``signal``, in each format in turn."""
    path = tmp_path / f"file.{request.param}"
    WRITERS[request.param](path, signal)
    return path


@pytest.fixture
def volumes():
    """Voxels (4, 4, 3, 40), an affine of 3 mm, and labels 5, 130 and 300 on the same grid."""
    values = np.random.default_rng(1).normal(100, 10, size=(4, 4, 3, 40)).astype(np.float32)
    labels = np.zeros((4, 4, 3), dtype=np.int16)
    labels[0], labels[1], labels[2, :2] = 300, 5, 130
    return values, np.diag([3.0, 3.0, 3.0, 1.0]), labels


@pytest.fixture
def save_image(tmp_path):
    """Write an image with a repetition time, and return its path."""

    def save(values, affine=None, *, tr=2.0, unit="sec", name="bold.nii.gz"):
        affine = np.diag([3.0, 3.0, 3.0, 1.0]) if affine is None else affine
        image = nibabel.Nifti1Image(values, affine)
        if values.ndim == 4:
            image.header.set_zooms((*image.header.get_zooms()[:3], tr))
            image.header.set_xyzt_units("mm", unit)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
        return path

    return save
