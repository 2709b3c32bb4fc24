"""Names of regions, and their signals on surfaces in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroml.data._tables import read_text_table
from neuroml.data._units import check_unique
from neuroml.exceptions import DataError

__all__ = [
    "Series",
    "Units",
    "coverage_notes",
    "is_surface",
    "no_atlas",
    "region_names",
    "series_from_surface",
    "series_of_regions",
    "whole_ids",
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
    names : list of str or ndarray of str
    coords : dict of str to ndarray of shape (n_units,)
        Where the units are.
    side : DataFrame of shape (n_times, n_confounds)
        Columns of the same table that are no units.
    notes : list of str
        What was left out.
    image : str
        Where the units are, as `neuroml.data._image_space` describes it; "" where nothing does.
    space : str
    """

    values: np.ndarray
    names: Sequence[str] | np.ndarray
    coords: dict[str, np.ndarray] = field(default_factory=dict)
    side: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)
    image: str = ""
    space: str = ""


def no_atlas() -> DataError:
    """The error for a file of voxels or vertices with nothing that says which are units."""
    return DataError(
        "an image needs an atlas or a mask",
        expected="labels= (or maps=) with or without mask=, or mask= alone",
        found="neither",
    )


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
    values: np.ndarray, regions: np.ndarray, ids: np.ndarray, inside: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each region over what was scanned of it, and the share of it that was.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_vertices)
        A vertex that is 0 throughout was not scanned.
    regions : ndarray of int of shape (n_vertices,)
    ids : ndarray of int of shape (n_regions,)
    inside : ndarray of bool of shape (n_vertices,), optional
        What a mask leaves; all by default.

    Returns
    -------
    means : ndarray of shape (n_times, n_regions)
        NaN for regions of which nothing was scanned or inside.
    coverage : ndarray of shape (n_regions,)
    """
    seen = (values != 0).any(axis=0)
    if inside is not None:
        seen &= inside
    means = np.full((len(values), len(ids)), np.nan)
    coverage = np.zeros(len(ids))
    for at, i in enumerate(ids):
        of_region = regions == i
        coverage[at] = seen[of_region].mean()
        if coverage[at]:
            means[:, at] = values[:, of_region & seen].mean(axis=1)
    return means, coverage


def whole_ids(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted ids of an atlas without the background, and the atlas as whole numbers.

    Programs that scale labels on storing return 3.00004 for 3. Up to the rounding of single
    precision at the largest id, the nearest whole number is meant; what is farther off is no id.
    """
    found = np.sort(pd.unique(values.ravel()))  # np.unique sorts a million voxels
    rounding = min(4 * np.finfo(np.float32).eps * float(np.abs(found).max(initial=0)), 0.05)
    apart = ~np.isfinite(found) | (np.abs(found - np.round(found)) > rounding)
    if apart.any():
        raise DataError(
            "the atlas is not made of whole numbers",
            expected="one integer id per region",
            found=found[apart][:5].tolist(),
            fix="A probabilistic atlas is passed as maps=; labels are resampled by nearest "
            "neighbor.",
            field="labels",
        )
    if found.min() < 0:
        raise DataError(
            "the atlas has negative ids",
            expected="0 for background and ids above 0",
            found=found[found < 0][:5].tolist(),
            fix="Ids above 127 turn negative when stored as 8-bit integers: save it as int16.",
            field="labels",
        )
    whole = np.round(values).astype(np.int32)
    ids = np.unique(np.round(found).astype(np.int32))
    ids = ids[ids > 0]
    if not len(ids):
        raise DataError("the atlas has no region", expected="ids above 0", field="labels")
    return ids, whole


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

    if labels is None and mask is None:
        raise no_atlas()
    if labels is not None and mask is not None:
        raise DataError(
            "a SurfaceImage takes an atlas or a mask, not both",
            fix="Set the atlas to 0 outside of the mask, or read the files of the surface.",
            field="mask",
        )
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


def series_of_regions(
    values: np.ndarray, regions: np.ndarray, units: Units | None, inside: np.ndarray | None = None
) -> Series:
    """Signals of the regions of a surface, from those of its vertices (n_times, n_vertices)."""
    ids = np.unique(regions[regions > 0])
    if not len(ids):
        raise DataError("the atlas has no label above 0", field="labels")
    names, coords = region_names(units, ids)
    means, coverage = region_means(values, regions, ids, inside)
    notes = coverage_notes(names, coverage)
    return Series(means, names, coords | {"coverage": coverage, "image_index": ids}, notes=notes)
