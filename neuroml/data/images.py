"""The way back: values of a recording's units as a brain image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import name_of
from neuroml._core.validation import as_given, as_numbers
from neuroml.data._image_space import unpacked, unpacked_text
from neuroml.data._nifti import load_image
from neuroml.data._volumes import weights_of_maps
from neuroml.exceptions import DataError

__all__ = ["to_image"]


def to_image(values: ArrayLike, recording: xr.Dataset) -> Any:
    """Put values of a recording's units back where `read_fmri` found them.

    Parameters
    ----------
    values : array-like of shape (n_units,) or (n_maps, n_units)
        One number per unit, in the order of ``recording.unit``, such as loadings; NaN is kept.
    recording : Dataset
        From `read_fmri` or `read_bids`, with all or some of its units.

    Returns
    -------
    nibabel image
        Of volumes a ``Nifti1Image`` of shape (x, y, z) or (x, y, z, n_maps), with the affine of the
        data: every voxel of a region has its region's value; of maps, it is their sum weighted by
        the values; 0 outside. Of one hemisphere's vertices a ``GiftiImage`` with an array per map.
        Of grayordinates or parcels a ``Cifti2Image`` (``.dscalar.nii``, ``.pscalar.nii``).

    Raises
    ------
    DataError
        If the values do not fit the units, or the recording does not know where they are: it was
        read from a table, an older version, or maps that were in memory.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> from neuroml.data import read_fmri, to_image
    >>> signal = np.random.default_rng(0).normal(size=(2, 2, 2, 10)).astype(np.float32)
    >>> atlas = np.array([[[1, 1], [1, 0]], [[7, 7], [7, 7]]], dtype=np.int16)
    >>> run = read_fmri(
    ...     nibabel.Nifti1Image(signal, np.eye(4)),
    ...     labels=nibabel.Nifti1Image(atlas, np.eye(4)),
    ...     tr_s=2.0,
    ... )
    >>> to_image([0.5, -2.0], run).get_fdata()[:, 1, :].tolist()
    [[0.5, 0.0], [-2.0, -2.0]]
    """
    values = as_numbers(as_given(values, "values"), "values")
    subject, n_units = name_of(recording), recording.sizes.get("unit", 0)
    if values.ndim not in (1, 2) or values.shape[-1] != n_units:
        raise DataError(
            "the values do not fit the units",
            expected=f"shape ({n_units},) or (n_maps, {n_units})",
            found=f"shape {values.shape}",
            subject=subject,
            field="values",
        )
    if not recording.attrs.get("image") or "image_index" not in recording.coords:
        raise _no_image("the recording does not know where in an image its units are", subject)
    about = json.loads(recording.attrs["image"])
    index = recording["image_index"].values
    if not np.isfinite(index).all():  # as align_units leaves those of other recordings
        lost = recording["unit"].values[~np.isfinite(index)].tolist()
        raise DataError(
            "units of the values have no place in this recording's image",
            expected="units that were read from it",
            found=f"{len(lost)} others: {', '.join(map(str, lost[:5]))}",
            fix="Take a recording that has them all, or leave them out.",
            subject=subject,
            field="image_index",
        )
    table = np.atleast_2d(values.astype(np.float32 if values.dtype == np.float32 else np.float64))
    full = _spread(table, index.astype(np.int64), about, subject)
    return _FORMS[about["form"]](full if values.ndim == 2 else full[0], about)


def _no_image(problem: str, subject: str) -> DataError:
    return DataError(
        problem,
        expected="one that read_fmri made from a file of images, surfaces or grayordinates",
        fix="Read it again with read_fmri; pass maps= as a file.",
        subject=subject,
        field="image",
    )


def _spread(
    values: np.ndarray, index: np.ndarray, about: dict[str, Any], subject: str
) -> np.ndarray:
    """Values (n_maps, n_places) of all voxels, vertices or grayordinates, 0 where no unit is."""
    if "maps" in about:
        return values @ _weights(about, subject)[index]
    labels = unpacked(about)
    if labels is None:
        full = np.zeros((len(values), np.prod(about["shape"])), dtype=values.dtype)
        full[:, index] = values
        return full
    order = np.argsort(index)
    at = np.searchsorted(index[order], labels).clip(max=len(index) - 1)
    is_unit = index[order][at] == labels
    return np.where(is_unit, values[:, order][:, at], np.zeros((), dtype=values.dtype))


def _weights(about: dict[str, Any], subject: str) -> Any:
    """The maps (n_maps, n_voxels) of an atlas on the recording's grid, from the same file."""
    if about["maps"] is None:
        raise _no_image("the maps were in memory, and do not travel with the recording", subject)
    path = Path(about["maps"])
    if not path.is_file() or sha256_of_file(path) != about["maps_sha256"]:
        raise DataError(
            "the atlas of maps is not there any more, or has changed",
            expected=f"the file of SHA-256 {about['maps_sha256'][:12]}...",
            found="another" if path.is_file() else "none",
            fix="Put it back, or read the recording again.",
            file=path,
            subject=subject,
        )
    shape = tuple(about["shape"])
    grid = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), np.array(about["affine"]))
    return weights_of_maps(load_image(path, is_signal=False), grid)[0]


def _volume(full: np.ndarray, about: dict[str, Any]) -> nib.Nifti1Image:
    shape = (*about["shape"], *full.shape[:-1])
    affine = np.array(about["affine"])
    image = nib.Nifti1Image(full.T.reshape(shape, order="F"), affine)
    if about["code"]:  # otherwise nibabel says "aligned", without which no affine is stored
        image.set_sform(affine, about["code"])
        image.set_qform(affine, about["code"])
    image.header.set_xyzt_units("mm", "sec")
    return image


def _vertices(full: np.ndarray, about: dict[str, Any]) -> nib.GiftiImage:
    arrays = [
        nib.gifti.GiftiDataArray(row.astype(np.float32), "NIFTI_INTENT_NONE")
        for row in np.atleast_2d(full)
    ]
    meta = {"AnatomicalStructurePrimary": about["structure"]} if about["structure"] else {}
    return nib.GiftiImage(darrays=arrays, meta=nib.gifti.GiftiMetaData(meta))


def _grayordinates(full: np.ndarray, about: dict[str, Any]) -> nib.Cifti2Image:
    parser: Any = nib.cifti2.parse_cifti2.Cifti2Parser()
    parser.parse(string=unpacked_text(about["axis"]))
    rows = np.atleast_2d(full)
    maps = nib.cifti2.ScalarAxis([f"map{i}" for i in range(len(rows))])
    return nib.Cifti2Image(rows, (maps, parser.header.get_axis(1)))


_FORMS = {"nifti": _volume, "gifti": _vertices, "cifti": _grayordinates}
