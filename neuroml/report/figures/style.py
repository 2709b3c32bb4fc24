"""The look of all figures, and how they are written: same input, same bytes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroml._core.files import atomic_path

__all__ = ["COLOURS", "MAP", "color", "new_figure", "save_figure", "styled", "tidy"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette without its yellow: told apart by every kind of color vision."""
MAP = "cividis"

_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "svg.hashsalt": "neuroml",
    "svg.fonttype": "path",
    "figure.dpi": 110,
    "savefig.dpi": 110,
}


def styled() -> AbstractContextManager[None]:
    """The house style, for as long as the context lasts: the user's own settings stay theirs."""
    return mpl.rc_context(_STYLE)


def color(index: int) -> str:
    """The color of the ``index``-th component, in a cycle."""
    return COLOURS[index % len(COLOURS)]


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches that no global state knows of."""
    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Axes, *, x: str = "", y: str = "", title: str = "") -> Axes:
    """Label the axes and take away the frame's upper and right side."""
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``, without dates and with fixed ids."""
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg")]
    with styled():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout found above serves both files
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            with atomic_path(path) as temporary:
                figure.savefig(temporary, metadata=metadata)
    return paths
