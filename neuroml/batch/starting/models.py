"""The models that first recipes end in, with settings that suit a first look."""

from __future__ import annotations

from typing import Any

from neuroml.batch.starting.writing import Section

__all__ = ["assemblies", "couplings", "strategies"]

_WINDOW_S, _WINDOW_SAMPLES = 10.0, 200
_HISTORY_S = 0.1


def assemblies(rate_hz: float | None, n_samples: int) -> list[Section]:
    """Groups of units whose correlation comes and goes.

    Parameters
    ----------
    rate_hz : float or None
        Of the samples that the model sees.
    n_samples : int
        Length of the shortest recording, which the windows have to fit into.
    """
    wanted = _WINDOW_SAMPLES if rate_hz is None else round(_WINDOW_S * rate_hz)
    window = max(min(wanted, n_samples // 12), 2)
    length = "the rate is not known" if rate_hz is None else f"{window / rate_hz:.3g} s"
    return [
        Section("[fit]", {"scope": "recording", "random_state": 0}),
        Section(
            "[[fit.steps]]",
            {
                "use": "SlidingWindowConnectivity",
                "window": window,
                "stride": max(window // 4, 1),
                "negative": "zero",
                "vectorize": False,
                "discard_diagonal": True,
            },
            notes={"window": f"samples: {length}", "stride": "samples"},
            comment="Correlations between all pairs of cells in windows of time.",
        ),
        Section(
            "[[fit.steps]]",
            {"use": "NonnegativeCP", "n_init": 3},
            notes={"n_init": "random starts"},
            comment="Non-negative components: assemblies of cells, and when each was active.",
        ),
        Section(
            "[select]",
            {"n_components": [1, 2, 3, 4, 5, 6]},
            comment="The fewest components that explain held-out time within one standard error "
            "of the best. For a number of your own, put n_components under the step and leave "
            "this out. [evaluate] with cv = 3 would put the model beside NMF, PCA and others, and "
            "choose anew in each fold: that takes several times as long.",
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


def strategies(family: str, *, n_subjects: int, n_sessions: int) -> list[Section]:
    """Strategies between which subjects switch, shared by all of them.

    Parameters
    ----------
    family : str
        Of `neuroml.switching.SwitchingGLM`.
    n_subjects, n_sessions : int
        How many there are in all; decides what is held out.
    """
    several = n_subjects > 1
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
            {"use": "SwitchingGLM", "n_states": 3, "family": family, "ridge": 0.1, "n_init": 5},
            comment="In place of one n_states, [select] with n_states = [1, 2, 3, 4] chooses it by "
            "held-out trials.",
        ),
        Section(
            "[evaluate]",
            {"cv": cv},
            notes={"cv": "blocks of trials" if cv == "blocks" else "folds of sessions"},
            comment="Beside a model of one strategy, and choices at constant odds.",
        ),
    ]
