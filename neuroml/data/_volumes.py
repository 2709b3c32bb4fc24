"""Signals of regions, maps or voxels, gathered as the volumes of an image pass.

An atlas is a sparse matrix of weights W (n_regions, n_voxels): ones in the voxels of a region, or
the values of a map. The signals S (n_times, n_regions) of the volumes Y (n_times, n_voxels) are
those whose sum of maps is nearest to Y (least squares), S = Y W' (W W')^-1; for regions, which
share no voxel, that is their mean. Both products need one volume at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import linalg, sparse

from neuroml.data._image_space import describe_volume
from neuroml.data._nifti import as_3d, is_same_grid, load_image, on_grid_of
from neuroml.data._regions import Series, Units, coverage_notes, no_atlas, region_names, whole_ids
from neuroml.data._stream import VolumeStream
from neuroml.exceptions import DataError

__all__ = ["series_from_image", "weights_of_maps"]


def series_from_image(
    stream: VolumeStream, labels: Any, mask: Any, maps: Any, units: Units | None
) -> Series:
    """Mean of each region of an atlas, part of each map, or each voxel of a mask."""
    if labels is None and maps is None and mask is None:
        raise no_atlas()
    if labels is not None and maps is not None:
        raise DataError(
            "an image has one atlas", expected="labels= or maps=", found="both", field="maps"
        )
    inside: Any = None
    if mask is not None:
        inside = _named("mask", mask, lambda: _inside(stream.image, mask))
    if labels is not None:
        return _named("labels", labels, lambda: _regions(stream, labels, inside, units))
    if maps is not None:
        return _named("maps", maps, lambda: _maps(stream, maps, inside, units))
    return _named("mask", mask, lambda: _voxels(stream, mask, inside))


def _named(name: str, given: Any, read: Any) -> Any:
    """Put the atlas' or mask's name into an error that lacks its field, and its file."""
    try:
        return read()
    except DataError as error:
        if error.field in ("labels", "maps", "mask"):
            raise error.at(file=given if isinstance(given, str | Path) else None) from error
        raise error.at(field=name) from error


@dataclass(frozen=True)
class _Atlas:
    """Weights of regions on the image's grid, and on the atlas' own.

    Attributes
    ----------
    weights : csr_array of shape (n_regions, n_voxels)
        On the grid of the image, its first axis fastest.
    own : csr_array of shape (n_regions, n_own_voxels)
        Absolute weights on the atlas' grid.
    nearest : ndarray of int of shape (n_own_voxels,)
        The image's voxel that holds the center of each, -1 outside of the field of view.
    """

    weights: sparse.csr_array
    own: sparse.csr_array
    nearest: np.ndarray

    def coverage(self, seen: np.ndarray) -> np.ndarray:
        """The share of each region's weight that lies in voxels that were seen."""
        there = np.append(seen, False)[self.nearest].astype(np.float64)  # -1: the last, not seen
        return (self.own @ there) / self.own.sum(axis=1)


def _nearest(image: Any, other: Any) -> np.ndarray:
    """For each voxel of another image, which voxel of the image its center lies in, or -1."""
    if is_same_grid(image, other):
        return np.arange(np.prod(other.shape[:3]))
    index = np.indices(other.shape[:3]).reshape(3, -1, order="F").T
    to_image = np.linalg.inv(image.affine) @ other.affine
    at = np.round(nib.affines.apply_affine(to_image, index)).astype(np.int64)
    inside = ((at >= 0) & (at < image.shape[:3])).all(axis=1)
    found = np.full(len(at), -1)
    found[inside] = np.ravel_multi_index(tuple(at[inside].T), image.shape[:3], order="F")
    return found


def _sums(
    stream: VolumeStream, weights: sparse.csr_array, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sums (n_times, n_regions), and which voxels (n_voxels,) were scanned.

    A voxel that is 0 throughout was not scanned, as where a volume was cut off or masked. Of the
    candidates only those that were 0 so far are looked at again, which soon are few. A volume's
    weighted voxels are taken region by region, so that the product reads them as they lie.
    """
    sums = np.empty((stream.n_volumes, weights.shape[0]))
    scanned = np.zeros(weights.shape[1], dtype=bool)
    weights, weighted = _compact(weights)
    for row, volume in zip(sums, stream, strict=True):
        row[:] = weights @ volume.take(weighted).astype(np.float64, copy=False)
        scanned[candidates] = volume[candidates] != 0
        candidates = candidates[~scanned[candidates]]
    return sums, scanned


def _gathered(
    stream: VolumeStream, atlas: _Atlas, inside: np.ndarray | None
) -> tuple[np.ndarray, sparse.csr_array, np.ndarray]:
    """Sums, the weights that were inside and scanned, and coverage; see `_sums`."""
    weights = atlas.weights if inside is None else _masked(atlas.weights, inside)
    of_atlas = np.zeros(weights.shape[1] + 1, dtype=bool)  # the last: outside of the field of view
    of_atlas[weights.indices] = of_atlas[atlas.nearest[atlas.own.indices]] = True
    sums, scanned = _sums(stream, weights, np.flatnonzero(of_atlas[:-1]))
    seen = scanned if inside is None else scanned & inside
    return sums, _masked(weights, seen), atlas.coverage(seen)


def _masked(weights: sparse.csr_array, inside: np.ndarray) -> sparse.csr_array:
    data = weights.data * inside[weights.indices]
    kept = sparse.csr_array((data, weights.indices, weights.indptr), weights.shape, copy=True)
    kept.eliminate_zeros()
    return kept


def _compact(weights: sparse.csr_array) -> tuple[sparse.csr_array, np.ndarray]:
    """Weights of the voxels that have any, region by region, and which voxels these are."""
    columns, voxels = pd.factorize(weights.indices)
    shape = (weights.shape[0], len(voxels))
    return sparse.csr_array((weights.data, columns, weights.indptr), shape), voxels


def _regions(
    stream: VolumeStream, labels: Any, inside: np.ndarray | None, units: Units | None
) -> Series:
    image = stream.image
    stored = as_3d(load_image(labels, is_signal=False), "labels")
    ids, whole = whole_ids(np.asanyarray(stored.dataobj))
    names, coords = region_names(units, ids)
    stored = nib.Nifti1Image(whole, stored.affine)
    resampled = on_grid_of(image, stored, "labels")
    grid = np.asanyarray(resampled.dataobj).astype(np.int32)
    weights = _indicators(grid, ids)
    own = weights if resampled is stored else _indicators(whole, ids)
    present = np.diff(weights.indptr) > 0
    if not present.any():
        raise DataError(
            "no region of the atlas lies on the image's grid",
            fix="Check that both are in the same space.",
            field="labels",
        )
    atlas = _Atlas(weights[present], own[present], _nearest(image, stored))
    sums, seen, coverage = _gathered(stream, atlas, inside)
    n_seen = seen.sum(axis=1)
    values = sums / np.where(n_seen > 0, n_seen, np.nan)  # nothing was scanned: missing
    lost = [name for name, here in zip(names, present, strict=True) if not here]
    kept = [name for name, here in zip(names, present, strict=True) if here]
    notes = [f"{len(lost)} regions without a voxel on the image's grid: {', '.join(lost)}"]
    return Series(
        values.astype(np.float32),
        kept,
        {name: column[present] for name, column in coords.items()}
        | _centers(atlas.weights, image)
        | {"coverage": coverage, "image_index": ids[present]},
        notes=(notes if lost else []) + coverage_notes(kept, coverage),
        image=describe_volume(image, labels=grid),
    )


def _indicators(grid: np.ndarray, ids: np.ndarray) -> sparse.csr_array:
    """Weights (n_regions, n_voxels) of 1 in the voxels of each id."""
    flat = grid.ravel(order="F")
    where = np.flatnonzero(flat)
    rows = np.searchsorted(ids, flat[where])
    return sparse.csr_array(
        (np.ones(len(where)), (rows, where)), shape=(len(ids), flat.size), dtype=np.float64
    )


def _maps(
    stream: VolumeStream, maps: Any, inside: np.ndarray | None, units: Units | None
) -> Series:
    image, opened = stream.image, load_image(maps, is_signal=False)
    if len(opened.shape) != 4:
        raise DataError(
            "the maps are not a 4-D image",
            expected="one map per region along the fourth axis (labels= takes a 3-D atlas)",
            found=f"shape {opened.shape}",
            field="maps",
        )
    numbers = np.arange(opened.shape[3])
    names, coords = region_names([f"map{i}" for i in numbers] if units is None else units, numbers)
    weights, stored = weights_of_maps(opened, image)
    atlas = _Atlas(weights, abs(stored), _nearest(image, opened))
    sums, seen, coverage = _gathered(stream, atlas, inside)
    return Series(
        _least_squares(sums, seen).astype(np.float32),
        names,
        coords | _centers(weights, image) | {"coverage": coverage, "image_index": numbers},
        notes=coverage_notes(names, coverage),
        image=describe_volume(image, maps=maps),
    )


def weights_of_maps(maps: Any, image: Any) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Weights (n_maps, n_voxels) of an opened 4-D atlas, on an image's grid and on its own."""
    is_same = is_same_grid(image, maps)
    own, resampled = zip(*_rows(maps, None if is_same else image), strict=True)
    stored = sparse.csr_array(sparse.vstack(own))
    return stored if is_same else sparse.csr_array(sparse.vstack(resampled)), stored


def _rows(maps: Any, image: Any) -> Iterator[tuple[sparse.csr_array, sparse.csr_array | None]]:
    """Each map as a row of weights on its own grid, and on the image's if that is another."""
    for volume in VolumeStream(maps):
        if not np.isfinite(volume).all():
            raise DataError("the maps have values that are not finite", field="maps")
        row = sparse.csr_array(volume.astype(np.float64)[None])
        if not row.nnz:
            raise DataError("a map of the atlas is empty", expected="weights", field="maps")
        if image is None:
            yield row, None
            continue
        one = nib.Nifti1Image(volume.reshape(maps.shape[:3], order="F"), maps.affine)
        moved = on_grid_of(image, one, "maps", "linear")
        flat = np.asanyarray(moved.dataobj, dtype=np.float64).ravel(order="F")
        yield row, sparse.csr_array(flat[None])


def _least_squares(sums: np.ndarray, seen: sparse.csr_array) -> np.ndarray:
    """Signals (n_times, n_maps) from weighted sums; NaN for maps of which nothing was scanned.

    The normal equations square the condition of the maps, which for published atlases is below
    1e3, and so leave ten digits.
    """
    values = np.full(sums.shape, np.nan)
    some = np.flatnonzero(np.diff(seen.indptr))
    gram = (seen[some] @ seen[some].T).toarray()
    rank = np.linalg.matrix_rank(gram, hermitian=True) if len(some) else 0
    if rank < len(some):
        raise DataError(
            "the maps cannot be told apart in the voxels that were scanned",
            expected=f"{len(some)} linearly independent maps",
            found=f"rank {rank}",
            fix="Leave out maps that repeat, or pass a mask= that holds more of the brain.",
            field="maps",
        )
    complete = np.isfinite(sums[:, some]).all(axis=1)  # the maps share voxels, and what is missing
    if complete.any() and len(some):
        solved = linalg.solve(gram, sums[np.ix_(complete, some)].T, assume_a="pos")
        values[np.ix_(complete, some)] = solved.T
    return values


def _inside(image: Any, mask: Any) -> np.ndarray:
    """Which voxels (n_voxels,) of the image are in a mask, with what of the mask lies outside."""
    stored = as_3d(load_image(mask, is_signal=False), "mask")
    inside = np.asanyarray(on_grid_of(image, stored, "mask").dataobj)
    if not np.isfinite(inside).all():
        raise DataError("the mask has values that are not finite", field="mask")
    chosen = (inside > 0).ravel(order="F")
    if not chosen.any():
        raise DataError(
            "the mask has no voxel on the image's grid",
            expected="voxels above 0, in the same space",
            found=0,
            field="mask",
        )
    return chosen


def _voxels(stream: VolumeStream, mask: Any, chosen: np.ndarray) -> Series:
    image = stream.image
    where = np.argwhere(chosen.reshape(image.shape[:3], order="F"))
    flat = np.asarray(np.ravel_multi_index(tuple(where.T), image.shape[:3], order="F"))
    values = np.empty((stream.n_volumes, len(flat)), dtype=np.float32)
    for row, volume in zip(values, stream, strict=True):
        row[:] = volume.take(flat)
    names = _voxel_names(where, image.shape[:3])
    stored = as_3d(load_image(mask, is_signal=False), "mask")
    own = np.asanyarray(stored.dataobj).ravel(order="F") > 0
    share = (_nearest(image, stored)[own] >= 0).mean()
    notes = [f"{1 - share:.0%} of the mask, which lie outside the image"] if share < 1 else []
    return Series(
        values,
        names,
        _millimetres(where, image) | {"image_index": flat},
        notes=notes,
        image=describe_volume(image),
    )


def _voxel_names(where: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Names (n_voxels,) such as voxel_7_50_43, from tables of the names of columns and slices."""
    columns = np.array([f"voxel_{x}_{y}_" for x, y in np.ndindex(shape[:2])])
    slices = np.array([str(z) for z in range(shape[2])])  # astype(str) would reserve 21 characters
    return np.strings.add(columns[where[:, 0] * shape[1] + where[:, 1]], slices[where[:, 2]])


def _centers(weights: sparse.csr_array, image: Any) -> dict[str, np.ndarray]:
    """Where the centers of mass of regions lie, in mm; NaN for those without a voxel."""
    size, weighted = _compact(abs(weights))
    index = np.array(np.unravel_index(weighted, image.shape[:3], order="F"))
    total = size.sum(axis=1)
    center = (size @ index.T.astype(np.float64)) / np.where(total > 0, total, np.nan)[:, None]
    return _millimetres(center, image)


def _millimetres(index: np.ndarray, image: Any) -> dict[str, np.ndarray]:
    return dict(zip("xyz", nib.affines.apply_affine(image.affine, index).T, strict=True))
