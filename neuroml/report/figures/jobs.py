"""One figure for a whole run: how its jobs compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuroml.report.figures.style import color, new_figure, tidy

__all__ = ["plot_jobs"]


def plot_jobs(facts: list[dict[str, Any]]) -> Figure | None:
    """One panel for each number that varies between jobs, one dot per job.

    Parameters
    ----------
    facts : list of dict
        Of each job, as `neuroml.report.facts` gives them.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if nothing varies.
    """
    table = pd.DataFrame(facts).select_dtypes(include=["number"])
    varying = [str(name) for name in table if table[name].nunique() > 1]
    if not varying:
        return None
    figure = new_figure(min(2.6 * len(varying) + 0.4, 10.4), 2.2)
    rng = np.random.default_rng(0)
    for axes, name in zip(figure.subplots(1, len(varying), squeeze=False)[0], varying, strict=True):
        values = table[name].dropna()
        axes.plot(values, rng.uniform(-1, 1, len(values)), ".", color=color(0), alpha=0.6)
        axes.axvline(values.median(), color=color(1))
        tidy(axes, x=name).set_ylim(-3, 3)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    return figure
