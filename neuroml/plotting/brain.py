"""Values of units in the brain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import nibabel as nib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neuroml._core.recording import name_of
from neuroml.data import to_image
from neuroml.exceptions import DataError
from neuroml.plotting._checks import names_for
from neuroml.plotting._style import DIVERGING, MAP, canvas_for, in_house_style

__all__ = ["plot_brain_map"]

_ROW = 2.4
"""Height of a map in inches."""
_FSAVERAGE5 = 10242
"""Vertices of a hemisphere: those of an icosahedron whose faces are cut into four, five times."""
_SIDES = {"CortexLeft": "left", "CortexRight": "right"}
"""What GIFTI calls the hemispheres."""


@in_house_style
def plot_brain_map(
    values: ArrayLike,
    recording: xr.Dataset,
    *,
    map_names: Sequence[str] | np.ndarray | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw values of a recording's units in the brain, one row per map, by nilearn.

    In an MNI space maps are projected onto a glass brain (the largest absolute value along each
    line of sight), else cut where nilearn finds most. Vertices of fsaverage5 are drawn on its
    inflated surface, from both sides.

    Parameters
    ----------
    values : array-like of shape (n_units,) or (n_maps, n_units)
        As for `neuroml.data.to_image`; missing ones are not drawn.
    recording : Dataset
        From `neuroml.data.read_fmri` or `read_bids`, of a volume or one hemisphere of fsaverage5.
    map_names : sequence of str, optional
        One per map.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the values do not fit the units, the recording does not know where they are, or it is of
        another surface, whose mesh does not travel with it.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> from neuroml.data import read_fmri
    >>> from neuroml.plotting import plot_brain_map
    >>> signal = np.random.default_rng(0).normal(size=(4, 4, 4, 10)).astype(np.float32)
    >>> atlas = np.repeat([1, 2], 32).reshape(4, 4, 4).astype(np.int16)
    >>> affine = np.diag([20.0, 20.0, 20.0, 1.0])
    >>> image, regions = (nibabel.Nifti1Image(one, affine) for one in (signal, atlas))
    >>> figure = plot_brain_map([1.0, -0.5], read_fmri(image, labels=regions, tr_s=2.0))
    >>> len(figure.axes) > 3
    True
    """
    image = to_image(values, recording)
    maps, paint = _painter(image, recording)
    if np.isinf(maps).any():
        raise DataError(
            "a map has no color for infinite values",
            expected="finite numbers, NaN where missing",
            found=f"{int(np.isinf(maps).sum())} places",
            subject=name_of(recording),
            field="values",
        )
    maps = np.nan_to_num(maps)
    if not maps.any():
        raise DataError("all values are 0 or missing", expected="values", field="values")
    n_maps = len(maps)
    names = names_for(map_names, n_maps, "map", "map_names")
    if figure is None:
        figure = canvas_for(None, 8.0, _ROW * n_maps)
        figure.set_layout_engine("none")  # nilearn places its axes by itself
    options = _colors(maps)
    for row, name in enumerate(names):
        place = (0.0, 1 - (row + 1) / n_maps, 1.0, 1 / n_maps)
        paint(maps[row], name if n_maps > 1 else "", figure, place, options)
    return figure


def _painter(image: Any, recording: xr.Dataset) -> tuple[np.ndarray, Callable[..., None]]:
    """The maps (n_maps, ...) of an image, and what draws one of them into a place of a figure."""
    if isinstance(image, nib.Nifti1Image):
        stored = np.asarray(image.dataobj, dtype=np.float64)
        maps = stored[None] if stored.ndim == 3 else np.moveaxis(stored, -1, 0)
        is_glass = recording.attrs.get("space", "").startswith("MNI")
        return maps, partial(_paint_volume, image.affine, is_glass)
    space, found = recording.attrs.get("space", ""), type(image).__name__
    if isinstance(image, nib.GiftiImage):
        maps = np.stack([array.data for array in image.darrays]).astype(np.float64)
        structure = image.meta.get("AnatomicalStructurePrimary", "")
        if space.startswith("fsaverage") and maps.shape[1] == _FSAVERAGE5 and structure in _SIDES:
            return maps, partial(_paint_surface, _SIDES[structure])
        found = (
            f"{maps.shape[1]} vertices of {structure or 'a hemisphere that the file does not name'}"
        )
    raise DataError(
        "surfaces other than fsaverage5 are not drawn: their mesh does not travel with the "
        "recording",
        expected=f"voxels, or the {_FSAVERAGE5} vertices of CortexLeft or CortexRight in a space "
        "named fsaverage",
        found=f"{found}, space {space!r}",
        fix="Draw to_image(values, recording) on your mesh with nilearn.plotting.",
        subject=name_of(recording),
        field="image",
    )


def _paint_volume(
    affine: np.ndarray,
    is_glass: bool,
    values: np.ndarray,
    title: str,
    figure: Figure,
    place: tuple[float, ...],
    options: dict[str, Any],
) -> None:
    from nilearn import plotting

    more: dict[str, Any]
    if is_glass:
        draw, more = plotting.plot_glass_brain, {"plot_abs": False}
    else:
        draw = plotting.plot_stat_map
        more = {"bg_img": None, "draw_cross": False, "black_bg": False}
    image = nib.Nifti1Image(values, affine)
    display = draw(image, figure=figure, axes=place, colorbar=True, **options, **more)
    if title:
        display.title(title, size=9, color="k", bgcolor="none")


def _paint_surface(
    side: str,
    values: np.ndarray,
    title: str,
    figure: Figure,
    place: tuple[float, ...],
    options: dict[str, Any],
) -> None:
    from nilearn import plotting
    from nilearn.datasets import fetch_surf_fsaverage

    mesh = fetch_surf_fsaverage("fsaverage5")  # of nilearn's own files: nothing is downloaded
    left, bottom, width, height = place
    for column, view in enumerate(("lateral", "medial")):
        box = (left + column * width / 2, bottom, width / 2, height)
        plotting.plot_surf_stat_map(
            mesh[f"infl_{side}"],
            values,
            hemi=side,
            view=view,
            bg_map=mesh[f"sulc_{side}"],
            figure=figure,
            axes=figure.add_axes(box, projection="3d"),
            colorbar=view == "medial",  # one scale for both
            **options,
        )
    if title:
        figure.text(left + 0.01, bottom + height, title, va="top", size=9)


def _colors(maps: np.ndarray) -> dict[str, Any]:
    """One scale for all maps, so that rows can be compared; 0 is not drawn."""
    limit = float(np.abs(maps).max())
    signed = bool((maps < 0).any())
    return {
        "cmap": DIVERGING if signed else MAP,
        "vmin": -limit if signed else 0.0,
        "vmax": limit,
        "symmetric_cbar": signed,
        "threshold": limit * 1e-6,
    }
