"""Scores by name: how well a fitted model does on rows it has not seen; larger is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score, get_scorer, get_scorer_names, r2_score

from neuroml.decoding.metrics import feature_correlation, retrieval_accuracy
from neuroml.evaluation._fitted import Fitted
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation._windows import explained_share
from neuroml.exceptions import DataError

__all__ = ["OWN_SCORES", "SCORERS", "Scorer", "named_scorers", "predicts_states"]

Scorer = Callable[[Fitted, Rows], float]


def _own(fitted: Fitted, rows: Rows) -> float:
    return fitted.score(rows)


def _pairs(fitted: Fitted, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets as columns, without samples that have no target, or no prediction."""
    predicted, truth = fitted.predict(rows), np.asarray(rows.y, dtype=np.float64)
    predicted = predicted.reshape(len(predicted), -1)
    truth = truth.reshape(len(truth), -1)
    # a model that looks back over several samples predicts nothing (NaN) for the first of a session
    seen = np.isfinite(truth).all(axis=1) & ~np.isnan(predicted).all(axis=1)
    return predicted[seen], truth[seen]


def _correlation(fitted: Fitted, rows: Rows) -> float:
    return float(feature_correlation(*_pairs(fitted, rows)).mean())


def _r2(fitted: Fitted, rows: Rows) -> float:
    predicted, truth = _pairs(fitted, rows)
    return float(r2_score(truth, predicted))


def _retrieval(fitted: Fitted, rows: Rows) -> float:
    return float(retrieval_accuracy(*_pairs(fitted, rows)).forward)


def _accuracy(fitted: Fitted, rows: Rows) -> float:
    return float((fitted.predict(rows) == np.asarray(rows.y)).mean())


def _bits(fitted: Fitted, rows: Rows) -> float:
    """Bits per sample above a constant rate that was fitted to the same training data."""
    from neuroml.evaluation.baselines import constant_rate

    if fitted.train is None:
        raise DataError("bits compare with the training data's mean rate", field="scoring")
    if fitted.plain is None:  # once, however many permutations are scored
        fitted.plain = constant_rate(fitted.model, fitted.train)
    return (fitted.score(rows) - fitted.plain(rows)) / float(np.log(2))


def _adjusted_rand(fitted: Fitted, rows: Rows) -> float:
    """Agreement of clusters with known types, of the cells that are in a cluster."""
    # a model of cells holds out none; cells by their responses are typed as new ones are
    labels = np.asarray(fitted.model.labels_) if fitted.train is None else fitted.predict(rows)
    return float(adjusted_rand_score(np.asarray(rows.y)[labels >= 0], labels[labels >= 0]))


# Scores that ask the model itself, whatever its predictions are.
OWN_SCORES = ("score", "log_likelihood", "bits")

SCORERS: dict[str, Scorer] = {
    "score": _own,
    "log_likelihood": _own,
    "bits": _bits,
    "correlation": _correlation,
    "r2": _r2,
    "retrieval": _retrieval,
    "accuracy": _accuracy,
    "explained_share": explained_share,
    "adjusted_rand": _adjusted_rand,
}


def named_scorers(scoring: Any, default: tuple[str, ...]) -> dict[str, Scorer]:
    """Scorers by the name that stands in the table.

    Parameters
    ----------
    scoring : None, str, callable, list of str, or dict of such
        A callable is ``scoring(estimator, X, y) -> float``, as scikit-learn's are.
    default : tuple of str
        Where scoring is None.
    """
    if scoring is None:
        scoring = list(default)
    if isinstance(scoring, Sized) and not scoring:
        raise DataError("there is no score", expected="one or more", found=scoring, field="scoring")
    if isinstance(scoring, Mapping):
        return {str(name): _one(given) for name, given in scoring.items()}
    if isinstance(scoring, str):
        return {scoring: _one(scoring)}
    if callable(scoring):
        return {getattr(scoring, "__name__", "score"): _one(scoring)}
    return {str(name): _one(name) for name in scoring}


def predicts_states(kind: type, scoring: tuple[str, ...]) -> str | None:
    """Say why a model whose ``predict`` gives hidden states has no score of its predictions.

    Parameters
    ----------
    kind : type
        Class of the model.
    scoring : tuple of str
        The scores that it is asked for; returns None if it has all of them.
    """
    from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

    wrong = [name for name in scoring if name not in OWN_SCORES]
    if not wrong or not issubclass(kind, SwitchingGLM | SwitchingPopulationGLM):
        return None
    return (
        f"{kind.__name__}.predict gives states, which {', '.join(map(repr, wrong))} would compare "
        f"with observations; use {' or '.join(map(repr, OWN_SCORES[1:]))}"
    )


def _one(given: Any) -> Scorer:
    if isinstance(given, str) and given in SCORERS:
        return SCORERS[given]
    if isinstance(given, str):
        if given not in get_scorer_names():
            raise DataError(
                "there is no score of this name",
                expected=f"one of {', '.join(SCORERS)}, or of scikit-learn's names",
                found=repr(given),
                field="scoring",
            )
        given = get_scorer(given)
    if not callable(given):
        raise DataError(
            "this is no score",
            expected="a name, or a function of estimator, X and y",
            found=repr(given),
            field="scoring",
        )
    return _Called(given)


class _Called:
    """scikit-learn's kind of scorer, which worker processes can import."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, fitted: Fitted, rows: Rows) -> float:
        if fitted.subject is not None:
            raise DataError(
                "a scorer of estimator, X and y does not say which subject X is of",
                expected=f"one of {', '.join(SCORERS)}",
                found=repr(self.function),
                field="scoring",
            )
        return float(self.function(fitted.model, rows.X, rows.y))
