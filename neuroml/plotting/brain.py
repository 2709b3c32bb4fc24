"""Values of units in the brain."""

from __future__ import annotations

from collections.abc import Sequence
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
    line of sight), else cut where nilearn finds most.

    Parameters
    ----------
    values : array-like of shape (n_units,) or (n_maps, n_units)
        As for `neuroml.data.to_image`; missing ones are not drawn.
    recording : Dataset
        From `neuroml.data.read_fmri` or `read_bids`, of a volume.
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
        a surface, whose mesh does not travel with it.

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
    from nilearn import plotting

    image = to_image(values, recording)
    if not isinstance(image, nib.Nifti1Image):
        raise DataError(
            "only volumes are drawn: the mesh of a surface does not travel with the recording",
            expected="a recording of voxels, or of regions of a volume",
            found=type(image).__name__,
            fix="Draw to_image(values, recording) on your mesh with nilearn.plotting.",
            subject=name_of(recording),
            field="image",
        )
    data = _drawn_values(image, recording)
    maps = data[..., None] if data.ndim == 3 else data
    if not maps.any():
        raise DataError("all values are 0 or missing", expected="values", field="values")
    n_maps = maps.shape[-1]
    names = names_for(map_names, n_maps, "map", "map_names")
    if figure is None:
        figure = canvas_for(None, 8.0, _ROW * n_maps)
        figure.set_layout_engine("none")  # nilearn places its axes by itself
    options = _colors(maps)
    if recording.attrs.get("space", "").startswith("MNI"):
        draw = plotting.plot_glass_brain
        options |= {"plot_abs": False}
    else:
        draw = plotting.plot_stat_map
        options |= {"bg_img": None, "draw_cross": False, "black_bg": False}
    for row, name in enumerate(names):
        place = (0.0, 1 - (row + 1) / n_maps, 1.0, 1 / n_maps)
        one = nib.Nifti1Image(maps[..., row], image.affine)
        display = draw(one, figure=figure, axes=place, **options)
        if n_maps > 1:
            display.title(name, size=9, color="k", bgcolor="none")
    return figure


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
        "colorbar": True,
    }


def _drawn_values(image: Any, recording: xr.Dataset) -> np.ndarray:
    """The values of an image, 0 where they are missing."""
    stored = np.asarray(image.dataobj, dtype=np.float64)
    if np.isinf(stored).any():
        raise DataError(
            "a map has no color for infinite values",
            expected="finite numbers, NaN where missing",
            found=f"{int(np.isinf(stored).sum())} voxels",
            subject=name_of(recording),
            field="values",
        )
    return np.nan_to_num(stored)
