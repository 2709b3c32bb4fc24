"""The models that first recipes end in, with settings that suit a first look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from neuroml.batch.starting.writing import Section
from neuroml.exceptions import DataError
from neuroml.report.tables.connectome import FEWEST_WINDOWS, worth

__all__ = ["assemblies", "couplings", "n_strategies", "strategies", "trial_types"]

_WINDOW_S, _WINDOW_SAMPLES = 10.0, 200
_LEAST_WINDOW = 10
"""Samples: of fewer, a correlation of nothing has a standard deviation above 1/3."""
_TRIALS_OF_STATE = 100
"""A rule of thumb of ours: with fewer, a fit of three states often has no strict maximum, so that
its weights have no standard errors."""
_HISTORY_S = 0.1


def assemblies(
    rate_hz: float | None,
    n_samples: int,
    *,
    units: str = "cells",
    window_s: float = _WINDOW_S,
    before: Sequence[Section] = (),
) -> list[Section]:
    """Groups of units whose correlation comes and goes.

    Parameters
    ----------
    rate_hz : float or None
        Of the samples that the model sees.
    n_samples : int
        Length of the shortest recording, which the windows have to fit into.
    units : str
        What they are, in the plural.
    window_s : float
        Length of the windows, if a rate is known.
    before : sequence of Section
        Steps that come first.
    """
    wanted = _WINDOW_SAMPLES if rate_hz is None else round(window_s * rate_hz)
    # a sixteenth of the recording: windows enough for three components
    window = max(min(wanted, n_samples // 16), min(wanted, _LEAST_WINDOW), 2)
    _refuse_too_short(n_samples, window, rate_hz)
    length = "the rate is not known" if rate_hz is None else f"{window / rate_hz:.3g} s"
    return [
        Section("[fit]", {"scope": "recording", "random_state": 0}),
        *before,
        Section(
            "[[fit.steps]]",
            {
                "use": "SlidingWindowConnectivity",
                "window": window,
                "stride": _stride(window),
                "negative": "zero",
                "vectorize": False,
                "discard_diagonal": True,
            },
            notes={"window": f"samples: {length}", "stride": "samples"},
            comment=f"Correlations between all pairs of {units} in windows of time.",
        ),
        Section(
            "[[fit.steps]]",
            {"use": "NonnegativeCP", "n_init": 3},
            notes={"n_init": "random starts"},
            comment=f"Non-negative components: assemblies of {units}, and when each was active.",
        ),
        Section(
            "[select]",
            {"n_components": [1, 2, 3, 4, 5, 6]},
            comment="The fewest components that explain held-out time within one standard error "
            "of the best. For a number of your own, put n_components under the step and leave this "
            "out. [evaluate] with cv = 3 would put the model beside NMF, PCA and others, and "
            "choose anew in each fold: that takes several times as long.",
        ),
    ]


def _stride(window: int) -> int:
    return max(window // 4, 1)


def _refuse_too_short(n_samples: int, window: int, rate_hz: float | None) -> None:
    """Refuse a recording that has too few windows for one component, as the report counts them."""
    stride = _stride(window)
    if worth((n_samples - window) // stride + 1, window, stride) >= FEWEST_WINDOWS:
        return
    needed = window + stride * (math.ceil(FEWEST_WINDOWS * window / stride) - 1)
    seconds = "" if rate_hz is None else f" ({needed / rate_hz:.3g} s)"
    raise DataError(
        "the recording is too short for the model that the recipe would fit",
        expected=f"at least {needed} samples{seconds}, which {FEWEST_WINDOWS} windows of {window} "
        "fill, for one component",
        found=f"{n_samples} samples",
        fix="Take longer recordings, or narrower bins by --bin-s where it is given.",
    )


def trial_types(n_subjects: int, n_runs: int) -> list[Section]:
    """A decoder of the labels of events.

    Parameters
    ----------
    n_subjects, n_runs : int
        How many there are in all; decides what is held out.
    """
    held_out = ("subjects", "each left out once: the model has not seen who is tested")
    if n_subjects == 1:
        held_out = ("sessions", "folds of runs") if n_runs > 1 else ("blocks", "blocks of time")
    return [
        Section(
            "[fit]",
            {"scope": "cohort" if n_subjects > 1 else "subject", "random_state": 0},
            notes={"scope": "one model for all subjects" if n_subjects > 1 else ""},
        ),
        Section(
            "[[fit.steps]]",
            {"use": "PrototypeClassifier"},
            comment="Ridge regression decodes an indicator of each label; the nearest label wins.",
        ),
        Section(
            "[evaluate]",
            {"cv": held_out[0]},
            notes={"cv": held_out[1]},
            comment="Accuracy beside logistic regression and the most frequent label.",
        ),
    ]


def couplings(bin_s: float) -> list[Section]:
    """Couplings between spiking units, which switch with a hidden state.

    Parameters
    ----------
    bin_s : float
    """
    n_lags = max(2, min(10, round(_HISTORY_S / bin_s)))
    return [
        Section("[fit]", {"scope": "recording", "random_state": 0}),
        Section(
            "[[fit.steps]]",
            {"use": "SwitchingPopulationGLM", "n_states": 2, "n_lags": n_lags, "n_init": 3},
            notes={
                "n_states": "1 is a GLM whose couplings do not change",
                "n_lags": f"bins of spike history: {n_lags * bin_s:.3g} s",
            },
            comment="The ridge of the couplings is chosen by held-out spikes. In place of one "
            "n_states, [select] with n_states = [1, 2, 3] chooses that by held-out spikes too.",
        ),
        Section(
            "[evaluate]",
            {"cv": 3},
            notes={"cv": "blocks of time, each held out once"},
            comment="Beside units that fire at constant rates, and the model of one state.",
        ),
    ]


def n_strategies(n_trials: int) -> int:
    """How many strategies so many trials, of all subjects, can tell apart: at most three."""
    return min(max(n_trials // _TRIALS_OF_STATE, 1), 3)


def strategies(family: str, *, n_trials: int, n_subjects: int, n_sessions: int) -> list[Section]:
    """Strategies between which subjects switch, shared by all of them.

    Parameters
    ----------
    family : str
        Of `neuroml.switching.SwitchingGLM`.
    n_trials : int
        Of all subjects; decides how many strategies are looked for.
    n_subjects, n_sessions : int
        How many there are in all; decides what is held out.
    """
    several, n_states = n_subjects > 1, n_strategies(n_trials)
    more = (
        "In place of one n_states, [select] with n_states = [1, 2, 3, 4] chooses it by held-out "
        "trials."
    )
    if n_states < 3:
        more = (
            f"{n_trials} trials: more states need about {_TRIALS_OF_STATE} trials each, or their "
            "weights are not determined."
        )
    cv: Any = "blocks"
    if n_sessions > 1:
        cv = min(n_sessions, 3)
    return [
        Section(
            "[fit]",
            {"scope": "cohort" if several else "recording", "random_state": 0},
            notes={
                "scope": "one model for all subjects; or 'subject', one for each" if several else ""
            },
        ),
        Section(
            "[[fit.steps]]",
            {
                "use": "SwitchingGLM",
                "n_states": n_states,
                "family": family,
                "ridge": 0.1,
                "n_init": 5,
            },
            comment=more,
        ),
        Section(
            "[evaluate]",
            {"cv": cv},
            notes={"cv": "blocks of trials" if cv == "blocks" else "folds of sessions"},
            comment=f"Beside {'a model of one strategy, and ' * (n_states > 1)}choices at constant "
            "odds.",
        ),
    ]
