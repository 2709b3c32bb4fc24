"""Classification by embeddings: decode an embedding, then take the nearest prototype."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.preprocessing import normalize
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    Estimator,
    HasMethods,
    Interval,
    WeightedScoreMixin,
    metadata_keywords,
    validated_meta_fit,
)
from neuroml._core.frames import Quantity, long_frame
from neuroml._core.validation import check_sessions, check_table
from neuroml._core.warn import each_warning_once
from neuroml.decoding._held_out_folds import block_folds, session_folds
from neuroml.decoding.ridge import RidgeDecoder
from neuroml.exceptions import DataError

__all__ = ["PrototypeClassifier", "best_temperature", "class_prototypes", "prototype_frame"]


class PrototypeClassifier(WeightedScoreMixin, Estimator):
    r"""Classifier that decodes an embedding and compares it with one prototype per class.

    The score of a class is the cosine between the decoded embedding and the class's prototype, both
    centered on the mean prototype; probabilities are :math:`\mathrm{softmax}(\mathrm{cosine} / T)`
    with a temperature T that suits held-out training samples. Classes that no training sample shows
    can be recognized if they have a prototype (zero-shot).

    Parameters
    ----------
    estimator : regressor or None, default=None
        Decodes embeddings from X; None is a `RidgeDecoder`.
    prototypes : dict of array-like of shape (n_targets,) or None, default=None
        The embedding of every class. None takes indicators, one dimension for each class.
    cv : int, default=5
        Parts of the training samples, each decoded by an estimator fitted to the others, on which
        the temperature is found: whole sessions where there are as many; else contiguous blocks of
        each class, since neighbors in time are alike.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    prototypes_ : ndarray of shape (n_classes, n_targets)
    estimator_ : regressor
    temperature_ : float
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding import PrototypeClassifier
    >>> rng = np.random.default_rng(0)
    >>> words = {"cat": [1, 1, 0], "dog": [1, 0, 1], "car": [0, 1, 1]}
    >>> seen = np.repeat(["cat", "dog"], 50)
    >>> X = np.array([words[name] for name in seen]) + 0.1 * rng.standard_normal((100, 3))
    >>> model = PrototypeClassifier(prototypes=words).fit(X, seen)
    >>> model.predict([[1.0, 1.0, 0.0]]).tolist()
    ['cat']
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "prototypes": [dict, None],
        "cv": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        prototypes: dict[Any, ArrayLike] | None = None,
        cv: int = 5,
    ) -> None:
        self.estimator = estimator
        self.prototypes = prototypes
        self.cv = cv

    @validated_meta_fit
    @each_warning_once()
    def fit(
        self, X: ArrayLike, y: ArrayLike, *, sessions: ArrayLike | None = None
    ) -> PrototypeClassifier:
        """Fit the estimator to the prototypes of the labels, then the temperature.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
        y : array-like of shape (n_samples,)
            Labels.
        sessions : array-like of shape (n_samples,), optional
            Handed on to an estimator that takes them, as `RidgeDecoder` does.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is only one class, or a label has no prototype.
        """
        samples, y = check_table(self, X, y, dtype=(np.float64, np.float32), ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, self.prototypes_ = class_prototypes(self.prototypes, np.unique(y))
        truth = np.searchsorted(self.classes_, y)
        targets = self.prototypes_[truth]
        known = None if sessions is None else check_sessions(sessions, len(targets))
        self.estimator_ = self._fitted(samples, targets, known)
        held_out = self._held_out(np.asarray(samples), targets, known)
        self.temperature_ = best_temperature(self._scores(held_out), truth)
        return self

    def _fitted(self, X: Any, targets: np.ndarray, sessions: np.ndarray | None) -> Any:
        decoder = RidgeDecoder() if self.estimator is None else clone(self.estimator)
        takes = sessions is not None and "sessions" in metadata_keywords(type(decoder), "fit")
        return decoder.fit(X, targets, **({"sessions": sessions} if takes else {}))

    def _held_out(
        self, X: np.ndarray, targets: np.ndarray, sessions: np.ndarray | None
    ) -> np.ndarray:
        """Embedding of every training sample, decoded by an estimator that was not fitted to it."""
        decoded = np.empty(targets.shape)
        if sessions is not None and sessions[-1] + 1 >= self.cv:
            fold = session_folds(sessions, self.cv)
        else:
            fold = block_folds(targets, self.cv)
        for k in np.unique(fold):
            train, test = fold != k, fold == k
            own = None if sessions is None else sessions[train]
            few = train.sum() < 2
            model = self.estimator_ if few else self._fitted(X[train], targets[train], own)
            decoded[test] = model.predict(X[test])
        return decoded

    def _scores(self, decoded: np.ndarray) -> np.ndarray:
        center = self.prototypes_.mean(axis=0)
        return normalize(decoded - center) @ normalize(self.prototypes_ - center).T

    def _class_scores(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        X = check_table(self, X, reset=False, dtype=(np.float64, np.float32))
        return self._scores(self.estimator_.predict(X))

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Cosine with every class; for two classes, that with the second minus the first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
        """
        scores = self._class_scores(X)
        return scores if len(self.classes_) > 2 else scores[:, 1] - scores[:, 0]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of every class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return softmax(self._class_scores(X) / self.temperature_, axis=1)

    def to_frame(self) -> pd.DataFrame:
        """Return the prototypes as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity`` ("prototype" or "temperature"), ``class``, ``target``
            (its number; neither for the temperature) and ``value``. The weights of the fit to
            prototypes are those of ``estimator_``.
        """
        check_is_fitted(self)
        return prototype_frame(self.prototypes_, self.classes_, self.temperature_)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class with the nearest prototype.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        nearest = self._class_scores(X).argmax(axis=1)
        return self.classes_[nearest]


def class_prototypes(
    prototypes: dict[Any, ArrayLike] | None, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Classes and their prototypes (n_classes, n_targets); None takes indicators.

    Raises
    ------
    DataError
        If a label that was seen has no prototype, or there is only one class.
    """
    if prototypes is None:
        classes, table = seen, np.eye(len(seen))
    else:
        classes = np.unique(np.array(list(prototypes)))
        missing = sorted(set(seen.tolist()) - set(classes.tolist()))
        if missing:
            raise DataError(
                "labels without a prototype", expected=classes.tolist(), found=missing, field="y"
            )
        given = {np.asarray(name)[()]: row for name, row in prototypes.items()}
        table = np.array([given[name] for name in classes], dtype=float)
    if len(classes) < 2:
        raise DataError(
            "there is only one class", expected="at least 2 classes", found=classes.tolist()
        )
    return classes, table


def best_temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """Temperature between 0.001 and 1000 under which the right classes are likeliest."""
    # cosines differ by 2 at most: beyond these bounds probabilities are 0 or 1, or all the same

    def loss(log_temperature: float) -> float:
        logits = log_softmax(scores / np.exp(log_temperature), axis=1)
        return -float(logits[np.arange(len(truth)), truth].sum())

    return float(np.exp(minimize_scalar(loss, bounds=np.log([1e-3, 1e3]), method="bounded").x))


def prototype_frame(
    prototypes: np.ndarray, classes: np.ndarray, temperature: float
) -> pd.DataFrame:
    """The tables of both classifiers: a value for each class and target, and the temperature."""
    axes = {"class": classes, "target": range(prototypes.shape[1])}
    return long_frame(
        [Quantity("prototype", prototypes, axes), Quantity("temperature", temperature)]
    )
