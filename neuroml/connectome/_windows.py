"""Windows over time, and the connectivity inside each."""

from __future__ import annotations

import numpy as np
from nilearn.connectome import ConnectivityMeasure
from scipy.signal import get_window
from sklearn.base import BaseEstimator, clone

from neuroml._core.dependence import dependent_units
from neuroml._core.validation import session_slices
from neuroml.exceptions import DataError

__all__ = ["taper_weights", "window_bounds", "windowed_connectivity"]

_CONSTANT = 1e-12  # share of the largest value: a few thousand times the rounding of doubles


def window_bounds(sessions: np.ndarray, window: int, stride: int, edges: str) -> np.ndarray:
    """Place windows so that none crosses a session.

    Parameters
    ----------
    sessions : ndarray of int of shape (n_samples,)
        Checked session labels.
    window, stride : int
        Length and spacing in samples.
    edges : {"drop", "shrink"}
        Keep only whole windows, or center one on every ``stride``-th sample and cut it at the
        edges.

    Returns
    -------
    ndarray of int of shape (n_windows, 3)
        First, one-past-last and nominal first sample of every window; the nominal first sample
        differs from the first one where a window is cut.
    """
    bounds = []
    for part in session_slices(sessions):
        if part.stop - part.start < window:
            raise DataError(
                f"session {sessions[part.start]} is shorter than the window",
                expected=f">= {window} samples",
                found=f"n_samples={part.stop - part.start}",
                fix="Choose a shorter window, or leave the session out.",
                field="sessions",
            )
        if edges == "drop":
            nominal = np.arange(part.start, part.stop - window + 1, stride)
        else:
            nominal = np.arange(part.start, part.stop, stride) - window // 2
        first = np.maximum(nominal, part.start)
        last = np.minimum(nominal + window, part.stop)
        bounds.append(np.column_stack([first, last, nominal]))
    return np.concatenate(bounds)


def taper_weights(taper: str, window: int) -> np.ndarray:
    """Positive weights (window,) of the samples of a window."""
    # two samples more, whose ends of some tapers are zero, are left off: all weights are positive
    shape = ("gaussian", window / 6) if taper == "gaussian" else taper
    return get_window(shape, window + 2, fftbins=False)[1:-1]


def windowed_connectivity(
    X: np.ndarray, bounds: np.ndarray, weights: np.ndarray, kind: str, covariance: BaseEstimator
) -> np.ndarray:
    r"""Connectivity between all pairs of units in every window.

    The rows :math:`\sqrt{w_t}\,(x_t - \bar x)/s` of a window, with the weighted mean
    :math:`\bar x` and standard deviation :math:`s` of each unit in it, go to the covariance
    estimator; its (inverse) covariance gives the (partial) correlation.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_units)
    bounds : ndarray of shape (n_windows, 3)
        From `window_bounds`.
    weights : ndarray of shape (window,)
        From `taper_weights`.
    kind : {"correlation", "partial correlation"}
    covariance : estimator
        A scikit-learn covariance estimator that assumes centered data.

    Returns
    -------
    ndarray of shape (n_windows, n_units, n_units)

    Raises
    ------
    DataError
        If a unit is constant within a window, where correlation has no meaning, or units depend
        linearly on each other, where partial correlation has none.
    """
    windows = []
    for first, last, nominal in bounds:
        part = X[first:last]
        # weights of the samples that the window still holds, of mean one
        w = (
            weights[first - nominal : last - nominal, None]
            / weights[first - nominal : last - nominal].mean()
        )
        # weighted mean and standard deviation of each unit
        centered = part - (w * part).mean(axis=0)
        deviation = np.sqrt((w * centered**2).mean(axis=0))
        # what is left of a constant unit is rounding of its mean
        constant = deviation <= _CONSTANT * np.abs(part).max(axis=0, initial=1e-300)
        if constant.any():
            found = np.flatnonzero(constant)[:10].tolist()
            raise DataError(
                "units are constant within a window, so their correlation is not defined",
                expected="every unit to vary in every window",
                found=f"units {found} in samples {first} to {last - 1}",
                fix="Drop these units or use a longer window.",
                field="X",
            )
        # the plain covariance of these rows is the weighted correlation
        windows.append(np.sqrt(w) * centered / deviation)
        if kind == "partial correlation":
            _refuse_dependent(clone(covariance).fit(windows[-1]).covariance_, first, last)
    return ConnectivityMeasure(covariance, kind=kind, standardize=None).fit_transform(windows)


def _refuse_dependent(covariance: np.ndarray, first: int, last: int) -> None:
    """Refuse a window whose covariance (n_units, n_units) has no inverse."""
    units = dependent_units(covariance)
    if not len(units):
        return
    few = last - first <= len(covariance)
    named = ", ".join(str(unit) for unit in units[:10]) + (", ..." if len(units) > 10 else "")
    raise DataError(
        "units depend linearly on each other within a window, so their partial correlation is not "
        "defined",
        expected=f"more samples than the {len(covariance)} units in every window"
        if few
        else "no unit that is a copy, or a sum, of others",
        found=f"{last - first} samples, {first} to {last - 1}; units {named} depend on each other",
        fix="Use covariance='ledoit-wolf', longer windows or fewer units."
        if few
        else "Leave one of these units out, or use covariance='ledoit-wolf'.",
        field="X",
    )
