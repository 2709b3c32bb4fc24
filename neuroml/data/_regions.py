"""Signals of regions or voxels, from an image and an atlas or mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from neuroml.data._nifti import check_is_3d, load_image, on_grid_of
from neuroml.data._tables import read_text_table
from neuroml.data._units import check_unique
from neuroml.exceptions import DataError

__all__ = [
    "Series",
    "Units",
    "is_surface",
    "one_of",
    "region_names",
    "series_from_image",
    "series_from_surface",
]

Units = Sequence[str] | pd.DataFrame | str | Path

_IDS = ("id", "index")
_LABELS = ("label", "name", "region")
_SIDES = ("hemisphere", "hemi")


@dataclass(frozen=True)
class Series:
    """What `neuroml.data.read_fmri` found, on its way to a recording.

    Attributes
    ----------
    values : ndarray of shape (n_times, n_units)
    names : list of str
    coords : dict of str to ndarray of shape (n_units,)
        Where the units are.
    side : DataFrame of shape (n_times, n_confounds)
        Columns of the same table that are no units.
    notes : list of str
        What was left out.
    """

    values: np.ndarray
    names: list[str]
    coords: dict[str, np.ndarray] = field(default_factory=dict)
    side: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)


def series_from_image(image: Any, labels: Any, mask: Any, units: Units | None) -> Series:
    """Mean of each region of an atlas, or each voxel of a mask."""
    one_of(labels, mask)
    try:
        if mask is not None:
            return _voxels(image, load_image(mask, is_signal=False))
        return _regions(image, load_image(labels, is_signal=False), units)
    except DataError as error:
        given = mask if labels is None else labels
        if error.field in ("mask", "labels") and isinstance(given, str | Path):
            raise error.at(file=given) from error
        raise


def one_of(labels: Any, mask: Any) -> None:
    """Raise DataError unless exactly one of the two is given."""
    if (labels is None) == (mask is None):
        raise DataError(
            "an image needs an atlas or a mask",
            expected="labels= or mask=",
            found="neither" if labels is None else "both",
        )


def _voxels(image: Any, mask: Any) -> Series:
    from nilearn.masking import apply_mask

    mask = on_grid_of(image, mask, "mask")
    inside = np.asanyarray(mask.dataobj)
    if not np.isfinite(inside).all():
        raise DataError("the mask has values that are not finite", field="mask")
    chosen = inside > 0
    if not chosen.any():
        raise DataError(
            "the mask has no voxel on the image's grid",
            expected="voxels above 0, in the same space",
            found=0,
            field="mask",
        )
    binary = nib.Nifti1Image(chosen.astype(np.uint8), image.affine)
    values = apply_mask(image, binary, ensure_finite=False)
    where = np.argwhere(chosen)
    names = ["voxel_{}_{}_{}".format(*index) for index in where]
    return Series(values, names, _millimetres(where, image.affine))


def _regions(image: Any, atlas: Any, units: Units | None) -> Series:
    from nilearn.image import new_img_like
    from nilearn.maskers import NiftiLabelsMasker
    from scipy import ndimage

    ids = _region_ids(atlas)
    names, coords = region_names(units, ids)
    atlas = on_grid_of(image, atlas, "labels")
    grid = np.asanyarray(atlas.dataobj).astype(np.int32)
    present = np.isin(ids, grid)
    if not present.any():
        raise DataError(
            "no region of the atlas lies on the image's grid",
            fix="Check that both are in the same space.",
            field="labels",
        )
    masker = NiftiLabelsMasker(
        nib.Nifti1Image(grid, image.affine), standardize=None, resampling_target=None, reports=False
    )
    data = np.asanyarray(image.dataobj, dtype=np.float32)
    missing = ~np.isfinite(data)
    if missing.any():
        image = new_img_like(image, np.where(missing, 0, data), copy_header=True)
    values = masker.fit_transform(image)
    if missing.any():  # a region with a missing voxel is missing, where nilearn would count it as 0
        touched = masker.transform(new_img_like(image, missing.astype(np.float32))) > 0
        values = np.where(touched, np.nan, values)
    centres = ndimage.center_of_mass(np.ones_like(grid), grid, ids[present])
    lost = [name for name, here in zip(names, present, strict=True) if not here]
    notes = [f"{len(lost)} regions without a voxel on the image's grid: {', '.join(lost)}"]
    return Series(
        values,
        [name for name, here in zip(names, present, strict=True) if here],
        {name: column[present] for name, column in coords.items()}
        | _millimetres(np.asarray(centres), image.affine),
        notes=notes if lost else [],
    )


def _millimetres(index: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip("xyz", nib.affines.apply_affine(affine, index).T, strict=True))


def _region_ids(atlas: Any) -> np.ndarray:
    """Sorted ids of an atlas without the background."""
    check_is_3d(atlas, "labels")
    values = np.unique(np.asanyarray(atlas.dataobj))
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise DataError(
            "the atlas is not made of whole numbers",
            expected="one integer id per region",
            found=values[(values != np.round(values)) | ~np.isfinite(values)][:5].tolist(),
            fix="A probabilistic atlas or resampled labels cannot serve as labels=.",
            field="labels",
        )
    if values.min() < 0:
        raise DataError(
            "the atlas has negative ids",
            expected="0 for background and ids above 0",
            found=values[values < 0][:5].tolist(),
            fix="Ids above 127 turn negative when stored as 8-bit integers: save it as int16.",
            field="labels",
        )
    ids = values[values > 0].astype(np.int32)
    if not len(ids):
        raise DataError("the atlas has no region", expected="ids above 0", field="labels")
    return ids


def region_names(units: Units | None, ids: np.ndarray) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the regions, and coordinates that go with them."""
    if units is None:
        return [f"region{i}" for i in ids], {}
    if isinstance(units, str | Path | pd.DataFrame):
        return _names_from_table(units, ids)
    if len(units) != len(ids):
        raise DataError(
            "the names do not fit the atlas",
            expected=f"{len(ids)} names, without the background",
            found=len(units),
            fix="Pass a table with the columns id and label to be sure which is which.",
            field="units",
        )
    names = [str(name) for name in units]
    check_unique(names)
    return names, {}


def _names_from_table(
    units: pd.DataFrame | str | Path, ids: np.ndarray
) -> tuple[list[str], dict[str, np.ndarray]]:
    file = None if isinstance(units, pd.DataFrame) else units
    if isinstance(units, pd.DataFrame):
        table = units
    else:
        table = read_text_table(units, text=[*_LABELS, *_SIDES]).columns
    by_lower = {str(name).lower(): name for name in table.columns}
    found = [
        next((by_lower[name] for name in choices if name in by_lower), None)
        for choices in (_IDS, _LABELS, _SIDES)
    ]
    if found[0] is None or found[1] is None:
        raise DataError(
            "the table of regions lacks a column",
            expected="id (or index) and label (or name)",
            found=", ".join(map(str, table.columns)),
            file=file,
            field="units",
        )
    table = table.drop_duplicates(found[0]).set_index(found[0])
    absent = [int(i) for i in ids if i not in table.index]
    if absent:
        raise DataError(
            "the table of regions lacks ids of the atlas",
            expected=f"{len(ids)} ids",
            found=f"no row for {absent[:5]}",
            file=file,
            field="units",
        )
    rows = table.loc[ids]
    names = rows[found[1]].astype(str).tolist()
    if found[2] is None:
        check_unique(names, file=file)
        return names, {}
    sides = rows[found[2]].to_numpy().astype(str)
    if len(set(names)) < len(names):
        names = [f"{side}_{name}" for side, name in zip(sides, names, strict=True)]
    check_unique(names, file=file)
    return names, {"hemisphere": sides}


def is_surface(source: Any) -> bool:
    """Whether this is a nilearn ``SurfaceImage``, told without importing nilearn."""
    return type(source).__name__ == "SurfaceImage"


def series_from_surface(source: Any, labels: Any, mask: Any, units: Units | None) -> Series:
    """Mean of each region of a surface atlas, or each vertex of a surface mask."""
    from nilearn.maskers import SurfaceLabelsMasker, SurfaceMasker

    one_of(labels, mask)
    if any(not np.isfinite(part).all() for part in source.data.parts.values()):
        raise DataError("the surface data have missing values", fix="Fill or mask them first.")
    if mask is not None:
        values = SurfaceMasker(mask, standardize=None, reports=False).fit_transform(source)
        names = [
            f"{side}_{vertex}"
            for side, part in mask.data.parts.items()
            for vertex in np.flatnonzero(np.asarray(part).ravel() > 0)
        ]
        return Series(values, names, {"hemisphere": np.array([n.split("_")[0] for n in names])})
    every = np.concatenate([np.ravel(part) for part in labels.data.parts.values()])
    ids = np.unique(every[every > 0])
    names, coords = region_names(units, ids)
    values = SurfaceLabelsMasker(labels, standardize=None, reports=False).fit_transform(source)
    return Series(values, names, coords)
