"""Surface files: GIFTI (vertices of one hemisphere) and CIFTI (parcels, or grayordinates)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from neuroml.data._bids_names import stated_tr
from neuroml.data._image_space import describe_grayordinates, describe_vertices
from neuroml.data._nifti import needed, parse_image, plausible_tr, size_problems, tr_of
from neuroml.data._regions import Series, Units, no_atlas, region_names, series_of_regions
from neuroml.exceptions import DataError

__all__ = ["describe_surface", "is_surface_file", "series_from_file", "write_full_mask"]

_CIFTI = (".dtseries.nii", ".ptseries.nii", ".dlabel.nii", ".dscalar.nii")
_SECONDS = {"SECOND": 1.0}


def is_surface_file(source: Any) -> bool:
    """Whether a path names a GIFTI or CIFTI file."""
    return isinstance(source, str | Path) and str(source).lower().endswith((".gii", *_CIFTI))


def series_from_file(
    path: Path, labels: Any, mask: Any, units: Units | None, tr_s: float | None
) -> tuple[Series, float]:
    """Signals of parcels, regions or vertices, and the repetition time in seconds.

    Parameters
    ----------
    path : Path
        ``.func.gii``, ``.dtseries.nii``, or ``.ptseries.nii``, whose parcels are the units.
    labels, mask : path-like, optional
        A file of labels, or of values above 0 inside, over the same vertices.
    units : optional
        As for `neuroml.data.read_fmri`.
    tr_s : float, optional
        By default that of the CIFTI header (GIFTI has none), or of a sidecar.

    Raises
    ------
    DataError
        If a file is damaged, the parts do not fit together, or there is no repetition time.
    """
    image = _opened(path)
    if isinstance(image, nib.GiftiImage):
        n = _grid(image)
        series = _reduced(
            _vertices(image, path), n, labels, mask, units, partial(describe_vertices, image, n)
        )
        return series, tr_of(None, tr_s) if tr_s is not None else stated_tr(_no_tr, path)
    time, space = _series_axes(image, path)
    seconds = stated_tr(lambda: _step_s(time), path) if tr_s is None else tr_of(None, tr_s)
    values = np.asarray(image.dataobj, dtype=np.float64)
    if isinstance(space, nib.cifti2.ParcelsAxis):
        if labels is not None or mask is not None:
            raise DataError("the file has parcels already", expected="no labels= or mask=")
        parcels = np.arange(1, len(space) + 1)
        names, coords = region_names(list(space.name) if units is None else units, parcels)
        coords |= {"image_index": parcels - 1}
        return Series(values, names, coords, image=describe_grayordinates(space)), seconds
    describe = partial(describe_grayordinates, space)
    return _reduced(values, space, labels, mask, units, describe), seconds


def describe_surface(path: Path) -> list[str]:
    """What is in a GIFTI or CIFTI file, a sentence each."""
    image = _opened(path)
    if isinstance(image, nib.GiftiImage):
        if not any(array.intent == nib.nifti1.intent_codes["pointset"] for array in image.darrays):
            values = _vertices(image, path)
            facts = [f"GIFTI: {len(values)} maps of {values.shape[1]} vertices."]
            missing = int((~np.isfinite(values)).any(axis=0).sum())
            return facts + ([f"{missing} vertices have missing values."] if missing else [])
        return ["GIFTI: a mesh of vertices and triangles, which holds no signal."]
    axes = _axes(image, path)
    names = {"SeriesAxis": "times", "ParcelsAxis": "parcels", "BrainModelAxis": "grayordinates"}
    sizes = [f"{len(axis)} {names.get(type(axis).__name__, 'maps')}" for axis in axes]
    facts = [f"CIFTI: {' x '.join(sizes)}."]
    if isinstance(axes[0], nib.cifti2.SeriesAxis):
        facts.append(f"One volume every {_step_s(axes[0]):g} s.")
    return facts


def write_full_mask(path: Path, folder: Path) -> Path | None:
    """Write a mask of all vertices of a series; None if it needs none, having parcels already."""
    image = _opened(path)
    mask: Any
    if isinstance(image, nib.GiftiImage):
        ones = nib.gifti.GiftiDataArray(np.ones(_grid(image), np.float32))
        mask, name = nib.GiftiImage(darrays=[ones]), "mask.shape.gii"
    else:
        _, space = _series_axes(image, path)
        if isinstance(space, nib.cifti2.ParcelsAxis):
            return None
        axes = (nib.cifti2.ScalarAxis(["mask"]), space)
        mask = nib.Cifti2Image(np.ones((1, len(space)), np.float32), axes)
        name = "mask.dscalar.nii"
    nib.save(mask, folder / name)
    return folder / name


def _step_s(axis: nib.cifti2.SeriesAxis) -> float:
    """Seconds per volume of a CIFTI series."""
    if axis.unit not in _SECONDS:
        raise DataError(
            "the header has no usable repetition time (TR)",
            expected="a step in seconds",
            found=f"{axis.step} {axis.unit}",
            fix="Pass tr_s= in seconds.",
            field="SeriesStep",
        )
    return plausible_tr(float(axis.step) * _SECONDS[axis.unit], file=None, field="SeriesStep")


def _no_tr() -> float:
    """GIFTI's answer to the question for its repetition time."""
    return needed(None)


def _opened(path: Path) -> Any:
    image = parse_image(path)
    if not isinstance(image, nib.GiftiImage | nib.Cifti2Image):
        raise DataError(
            "the file's name says CIFTI or GIFTI, its content says otherwise",
            found=type(image).__name__,
            fix="Rename it, or export it again.",
            file=path,
        )
    if isinstance(image, nib.Cifti2Image):
        for problem in size_problems(image, path):
            raise problem
    return image


def _series_axes(image: Any, path: Path) -> tuple[Any, Any]:
    """Time and space of a CIFTI series."""
    axes = _axes(image, path)
    if len(axes) != 2 or not isinstance(axes[0], nib.cifti2.SeriesAxis):
        raise DataError(
            "this is not a series over time",
            expected="a .dtseries.nii or .ptseries.nii file",
            found=" x ".join(type(axis).__name__ for axis in axes),
            file=path,
        )
    return axes[0], axes[1]


def _axes(image: Any, path: Path) -> list[Any]:
    """What the rows and columns of a CIFTI matrix are."""
    try:
        axes = [image.header.get_axis(i) for i in range(image.ndim)]
    except Exception as error:  # nibabel raises many kinds on a damaged XML header
        raise DataError(
            f"the CIFTI header is damaged ({(str(error) or repr(error)).splitlines()[0]})",
            fix="Export the file again.",
            file=path,
        ) from error
    if tuple(map(len, axes)) != image.shape:
        raise DataError(
            "the CIFTI header does not fit its matrix",
            expected=tuple(map(len, axes)),
            found=image.shape,
            file=path,
        )
    return axes


def _vertices(image: Any, path: Path) -> np.ndarray:
    """Values (n_times, n_vertices) of a GIFTI file of one array per volume, or one in all."""
    arrays = [np.asarray(array.data) for array in image.darrays]
    if not arrays or len({array.shape for array in arrays}) != 1:
        raise DataError(
            "the GIFTI file is not a series of maps",
            expected="arrays of the same number of vertices",
            found=", ".join(str(array.shape) for array in arrays[:5]) or "no array",
            file=path,
        )
    stacked = arrays[0].T if len(arrays) == 1 and arrays[0].ndim == 2 else np.stack(arrays)
    if stacked.ndim != 2 or stacked.dtype.kind not in "biuf":
        raise DataError(
            "the GIFTI file is not a series of maps",
            expected="one number per vertex and volume",
            found=f"shape {stacked.shape} of {stacked.dtype}",
            file=path,
        )
    return stacked.astype(np.float64)


def _grid(image: Any) -> int:
    """What two files must share: for GIFTI no more than the number of vertices is known."""
    return int(image.darrays[0].data.shape[0])


def _reduced(
    values: np.ndarray,
    grid: Any,
    labels: Any,
    mask: Any,
    units: Units | None,
    describe: Callable[..., str],
) -> Series:
    """Mean of each region of an atlas (within a mask, if there is one), or a mask's vertices."""
    inside = None
    if mask is not None:
        inside = _map_on(grid, mask, "mask")[0] > 0
        if not inside.any():
            raise DataError("the mask has no vertex above 0", field="mask")
    if labels is None:
        if inside is None:
            raise no_atlas()
        at = np.flatnonzero(inside)
        names = [f"vertex{i}" for i in at]
        return Series(values[:, at], names, {"image_index": at}, image=describe())
    regions, names_of_ids = _map_on(grid, labels, "labels")
    if units is None and names_of_ids:
        ids = np.unique(regions[regions > 0])
        units = [names_of_ids.get(int(i), f"region{int(i)}") for i in ids]
    series = series_of_regions(values, regions, units, inside)
    return replace(series, image=describe(labels=regions))


def _map_on(grid: Any, source: Any, name: str) -> tuple[np.ndarray, dict[int, str]]:
    """One whole number per vertex, and the names that the file gives them."""
    if not is_surface_file(source):
        raise DataError(
            f"surface data need a surface {name} file",
            expected=".gii or .dlabel.nii",
            found=source,
            field=name,
        )
    image = _opened(Path(source))
    if isinstance(image, nib.GiftiImage):
        values, there = _vertices(image, Path(source)), _grid(image)
        names = image.labeltable.get_labels_as_dict()
    else:
        values = np.asarray(image.dataobj)
        first, there = _axes(image, Path(source))
        table = first.label[0] if isinstance(first, nib.cifti2.LabelAxis) else {}
        names = {key: text for key, (text, _) in table.items()}
    placed = values if there is grid or _is_same(there, grid) else _placed(values, there, grid)
    if placed is None:
        raise DataError(
            f"the {name} file has other vertices than the data",
            expected=grid if isinstance(grid, int) else f"the same {len(grid)} grayordinates",
            found=there if isinstance(there, int) else f"{len(there)} grayordinates",
            fix="Use files of one mesh, such as fsLR 32k.",
            file=source,
            field=name,
        )
    if len(placed) != 1:
        raise DataError(
            f"the {name} file has several maps",
            expected="one",
            found=len(placed),
            fix="Save the map that you mean as a file of its own.",
            file=source,
            field=name,
        )
    if not np.isfinite(placed[0]).all() or (placed[0] != np.round(placed[0])).any():
        raise DataError(f"the {name} are not whole numbers", file=source, field=name)
    return placed[0].astype(np.int64), {int(key): str(text) for key, text in names.items()}


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _placed(values: np.ndarray, there: Any, grid: Any) -> np.ndarray | None:
    """Values (n_maps, n) of one file's grayordinates at those of another of the same mesh.

    Grayordinates that the file lacks are background (0): an atlas of the cortex serves for data
    with subcortical voxels, and its medial wall needs none. None if the meshes or grids differ.
    """
    models = nib.cifti2.BrainModelAxis
    if not (isinstance(there, models) and isinstance(grid, models)):
        return None
    meshes = {**there.nvertices, **grid.nvertices}
    if any(
        axis.nvertices[name] != meshes[name] for axis in (there, grid) for name in axis.nvertices
    ):
        return None
    placed = np.zeros((len(values), len(grid)), dtype=values.dtype)
    for name in there.nvertices.keys() & grid.nvertices.keys():
        whole = np.zeros((len(values), meshes[name]), dtype=values.dtype)
        whole[:, there.vertex[there.name == name]] = values[:, there.name == name]
        placed[:, grid.name == name] = whole[:, grid.vertex[grid.name == name]]
    if there.volume_mask.any() and grid.volume_mask.any():
        same = there.volume_shape == grid.volume_shape and np.allclose(there.affine, grid.affine)
        if not same:
            return None
        volume = np.zeros((len(values), *grid.volume_shape), dtype=values.dtype)
        volume[:, *there.voxel[there.volume_mask].T] = values[:, there.volume_mask]
        placed[:, grid.volume_mask] = volume[:, *grid.voxel[grid.volume_mask].T]
    return placed if placed.any() or not values.any() else None
