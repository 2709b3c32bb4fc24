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
    "series_of_regions",
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
        raise error.at(field="mask" if labels is None else "labels") from error


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

    stored, mask = mask, on_grid_of(image, mask, "mask")
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
    whole = nib.Nifti1Image((np.asanyarray(stored.dataobj) > 0).astype(np.uint8), stored.affine)
    (share,) = _coverage(whole, np.array([1]), np.ones_like(chosen), image.affine)
    notes = [f"{1 - share:.0%} of the mask, which lie outside the image"] if share < 1 else []
    return Series(values, names, _millimetres(where, image.affine), notes=notes)


def _regions(image: Any, atlas: Any, units: Units | None) -> Series:
    from nilearn.image import new_img_like
    from nilearn.maskers import NiftiLabelsMasker
    from scipy import ndimage

    ids = _region_ids(atlas)
    names, coords = region_names(units, ids)
    stored = atlas
    atlas = on_grid_of(image, atlas, "labels")
    grid = np.asanyarray(atlas.dataobj).astype(np.int32)
    present = np.isin(ids, grid)
    if not present.any():
        raise DataError(
            "no region of the atlas lies on the image's grid",
            fix="Check that both are in the same space.",
            field="labels",
        )
    data = np.asanyarray(image.dataobj, dtype=np.float32)
    scanned = (data != 0).any(axis=-1)
    missing = ~np.isfinite(data)
    if missing.any():
        image = new_img_like(image, np.where(missing, 0, data), copy_header=True)
    there = np.where(scanned, grid, 0)
    seen = np.isin(ids, there)
    values = np.full((data.shape[-1], len(ids)), np.nan, dtype=np.float32)
    if seen.any():
        masker = NiftiLabelsMasker(
            nib.Nifti1Image(there, image.affine),
            standardize=None,
            resampling_target=None,
            reports=False,
        ).set_output(transform="default")
        means = masker.fit_transform(image)
        if missing.any():  # a region with a missing voxel is missing, where nilearn counts it as 0
            touched = masker.transform(new_img_like(image, missing.astype(np.float32))) > 0
            means = np.where(touched, np.nan, means)
        values[:, seen] = means
    centers = ndimage.center_of_mass(np.ones_like(grid), grid, ids[present])
    lost = [name for name, here in zip(names, present, strict=True) if not here]
    kept = [name for name, here in zip(names, present, strict=True) if here]
    coverage = _coverage(stored, ids, scanned, image.affine)[present]
    notes = [f"{len(lost)} regions without a voxel on the image's grid: {', '.join(lost)}"]
    return Series(
        values[:, present],
        kept,
        {name: column[present] for name, column in coords.items()}
        | _millimetres(np.asarray(centers), image.affine)
        | {"coverage": coverage},
        notes=(notes if lost else []) + coverage_notes(kept, coverage),
    )


def _coverage(atlas: Any, ids: np.ndarray, scanned: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The share of each region's voxels whose centers lie in a voxel that was scanned."""
    regions = np.asanyarray(atlas.dataobj).astype(np.int32)
    where = np.argwhere(regions > 0)
    to_image = np.linalg.inv(affine) @ atlas.affine
    index = np.round(nib.affines.apply_affine(to_image, where)).astype(np.int64)
    inside = ((index >= 0) & (index < scanned.shape)).all(axis=1)
    inside[inside] = scanned[tuple(index[inside].T)]
    at = np.searchsorted(ids, regions[tuple(where.T)])
    return np.bincount(at, inside, minlength=len(ids)) / np.bincount(at, minlength=len(ids))


def coverage_notes(names: Sequence[str], coverage: np.ndarray) -> list[str]:
    """Which regions were scanned in part only."""
    in_part = [
        f"{name} ({share:.0%})" for name, share in zip(names, coverage, strict=True) if share < 1
    ]
    shown = ", ".join(in_part[:10]) + (", ..." if len(in_part) > 10 else "")
    return [f"what was not scanned (0 throughout) of {len(in_part)} regions: {shown}"] * bool(
        in_part
    )


def region_means(
    values: np.ndarray, regions: np.ndarray, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each region over what was scanned of it, and the share of it that was.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_vertices)
        A vertex that is 0 throughout was not scanned.
    regions : ndarray of int of shape (n_vertices,)
    ids : ndarray of int of shape (n_regions,)

    Returns
    -------
    means : ndarray of shape (n_times, n_regions)
        NaN for regions of which nothing was scanned.
    coverage : ndarray of shape (n_regions,)
    """
    scanned = (values != 0).any(axis=0)
    means = np.full((len(values), len(ids)), np.nan)
    coverage = np.zeros(len(ids))
    for at, i in enumerate(ids):
        inside = regions == i
        coverage[at] = scanned[inside].mean()
        if coverage[at]:
            means[:, at] = values[:, inside & scanned].mean(axis=1)
    return means, coverage


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
    by_lower = {str(name).strip().lower(): name for name in table.columns}
    if len(by_lower) < len(table.columns):
        raise DataError(
            "columns of the table of regions differ in upper and lower case only",
            found=", ".join(map(str, table.columns)),
            file=file,
            field="units",
        )
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
    table = table[[name for name in found if name is not None]].drop_duplicates()
    table = table[table[found[0]].isin(ids)]
    twice = table[found[0]].duplicated(keep=False)
    unnamed = table[found[1]].isna()
    for wrong, problem in ((twice, "names an id twice"), (unnamed, "has ids without a label")):
        if wrong.any():
            raise DataError(
                f"the table of regions {problem}",
                expected="one label per id of the atlas",
                found=table[wrong].head(4).to_numpy().tolist(),
                file=file,
                field="units",
            )
    table = table.set_index(found[0])
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
    from nilearn.maskers import SurfaceMasker

    one_of(labels, mask)
    name, given = ("mask", mask) if labels is None else ("labels", labels)
    if not is_surface(given):
        raise DataError(
            f"surface data need surface {name}",
            expected="a nilearn SurfaceImage of the same mesh",
            found=type(given).__name__,
            field=name,
        )
    shapes = [{key: len(part) for key, part in one.data.parts.items()} for one in (source, given)]
    if shapes[0] != shapes[1]:
        raise DataError(
            f"the {name} have other vertices than the data",
            expected=shapes[0],
            found=shapes[1],
            field=name,
        )
    if any(not np.isfinite(part).all() for part in source.data.parts.values()):
        raise DataError("the surface data have missing values", fix="Fill or mask them first.")
    if mask is not None:
        masker = SurfaceMasker(mask, standardize=None, reports=False)
        values = masker.set_output(transform="default").fit_transform(source)
        names = [
            f"{side}_{vertex}"
            for side, part in mask.data.parts.items()
            for vertex in np.flatnonzero(np.asarray(part).ravel() > 0)
        ]
        return Series(values, names, {"hemisphere": np.array([n.split("_")[0] for n in names])})
    every = np.concatenate([np.ravel(part) for part in labels.data.parts.values()])
    data = np.concatenate([source.data.parts[side] for side in labels.data.parts])
    return series_of_regions(data.T, every, units)


def series_of_regions(values: np.ndarray, regions: np.ndarray, units: Units | None) -> Series:
    """Signals of the regions of a surface, from those of its vertices (n_times, n_vertices)."""
    ids = np.unique(regions[regions > 0])
    if not len(ids):
        raise DataError("the atlas has no label above 0", field="labels")
    names, coords = region_names(units, ids)
    means, coverage = region_means(values, regions, ids)
    notes = coverage_notes(names, coverage)
    return Series(means, names, coords | {"coverage": coverage}, notes=notes)
