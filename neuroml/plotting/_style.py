"""The look of all figures, and how they are written: same input, same bytes."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from neuroml._core.files import atomic_path

__all__ = [
    "COLORS",
    "DIVERGING",
    "MAP",
    "axes_for",
    "canvas_for",
    "clustered",
    "color",
    "colorbar",
    "count",
    "in_house_style",
    "new_figure",
    "save_figure",
    "state_legend",
    "thin_ticks",
    "tidy",
    "without_noise",
]

P = ParamSpec("P")
R = TypeVar("R")

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette without its yellow: told apart by every kind of color vision."""
MAP = "cividis"
DIVERGING = "PuOr"
"""For values on both sides of zero; like `MAP`, told apart by every kind of color vision."""

_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "svg.hashsalt": "neuroml",
    "svg.fonttype": "path",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    # ticks are what they say: no "+1.234e-1" in a corner to be added to each
    "axes.formatter.useoffset": False,
}
_LEAST_SPAN = 1e-4


def in_house_style(function: Callable[P, R]) -> Callable[P, R]:
    """Draw in the house style: the user's own settings hold again when the function returns."""

    @functools.wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return function(*args, **kwargs)

    return styled


class _NotebookFigure(Figure):
    """A figure that a notebook shows although pyplot does not know it.

    Notebooks learn to show matplotlib's own figures only when pyplot is imported.
    """

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


class _NotebookAxes(Axes):
    """The only axes of such a figure: a notebook shows the figure for them."""

    def _repr_png_(self) -> bytes:
        return cast(_NotebookFigure, self.figure)._repr_png_()


def color(index: int) -> str:
    """The color of the ``index``-th component, in a cycle."""
    return COLORS[index % len(COLORS)]


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches that no global state knows of."""
    return _NotebookFigure(figsize=(width, height), layout="constrained")


def axes_for(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes that were given, or those of a new figure of a size in inches."""
    if ax is not None:
        return ax
    return new_figure(width, height).add_subplot(axes_class=_NotebookAxes)


def canvas_for(figure: Figure | None, width: float, height: float) -> Figure:
    """The figure that was given, or a new one of a size in inches."""
    return new_figure(width, height) if figure is None else figure


def colorbar(axes: Axes, image: Any, label: str) -> None:
    """A bar beside the axes that says what the colors of an image mean."""
    axes.figure.colorbar(image, ax=axes, label=label)


def state_legend(figure: FigureBase, n_states: int) -> None:
    """One square for each state, outside on the right."""
    squares = [
        Line2D([], [], marker="s", linestyle="", color=color(k), label=f"state {k}")
        for k in range(n_states)
    ]
    figure.legend(handles=squares, loc="outside right upper", frameon=False)


def count(axis: Axis) -> None:
    """Ticks at whole numbers: there is no half a unit, session or iteration."""
    axis.set_major_locator(MaxNLocator(integer=True))


def without_noise(axes: Axes, direction: str) -> None:
    """Widen the "x" or "y" axis if its values differ by rounding alone, which would fill it.

    Values of an iteration that changes nothing any more differ in their last digits.
    """
    low, high = getattr(axes, f"{direction}axis").get_data_interval()
    least = _LEAST_SPAN * max(abs(low), abs(high)) or 1.0
    if np.isfinite(least) and high - low < least:
        middle = (low + high) / 2
        limits = (middle - least / 2, middle + least / 2)
        axes.set(**{f"{direction}lim": limits})


def thin_ticks(n: int, most: int) -> range:
    """Every so many of n places, so that at most so many bear a name."""
    return range(0, n, max(1, -(-n // most)))


def clustered(affinity: np.ndarray) -> np.ndarray:
    """Rows in the order of a hierarchy of their affinities (n, n), symmetric (average linkage)."""
    if len(affinity) < 2:
        return np.arange(len(affinity))
    distance = affinity.max() - affinity
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average"))


def tidy(axes: Axes, *, x: str = "", y: str = "", title: str = "") -> Axes:
    """Label the axes and take away the frame's upper and right side."""
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


@in_house_style
def save_figure(figure: Figure, stem: Path | str) -> list[Path]:
    """Write a figure as ``stem.png`` and ``stem.svg``: the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    stem : path-like
        Where to write, without the ending.

    Returns
    -------
    list of pathlib.Path
        Both files.

    Examples
    --------
    >>> import tempfile
    >>> from neuroml.plotting import plot_psychometric, save_figure
    >>> ax = plot_psychometric([-1.0, 0.0, 1.0], [0, 1, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_figure(ax.figure, f"{folder}/choices")]
    ['choices.png', 'choices.svg']
    """
    stem = Path(stem)
    png, svg = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg"))
    # Canvases print at once; Figure.savefig would draw a figure with a layout twice for each file.
    # Dates and versions would change the bytes from one run to the next.
    canvas, dpi = figure.canvas, figure.dpi  # those of a window, if the figure has one
    try:
        with atomic_path(png) as temporary:
            FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})
        figure.set_layout_engine("none")  # the layout found for the first file serves both
        with atomic_path(svg) as temporary:
            FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None})
    finally:
        figure.set_canvas(canvas)
        figure.dpi = dpi
    return [png, svg]
