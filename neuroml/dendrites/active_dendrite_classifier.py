"""Classification by the dendritic segment with the most active synapses."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    RANDOM_STATE,
    Estimator,
    Interval,
    StrOptions,
    WeightedScoreMixin,
    validated_fit,
)
from neuroml._core.frames import feature_labels
from neuroml._core.mutation import all_or_nothing
from neuroml._core.validation import check_table
from neuroml.dendrites.k_winners_encoder import KWinnersEncoder
from neuroml.dendrites.segment_bank import SegmentBank
from neuroml.exceptions import DataError

__all__ = ["ActiveDendriteClassifier"]

_SAMPLES_AT_ONCE = 1024  # so that memory does not grow with the number of samples


class ActiveDendriteClassifier(WeightedScoreMixin, Estimator):
    """Classify by segments that each store a training sample: the most excited one decides.

    A sample becomes a sparse code (`KWinnersEncoder`), and a segment learns part of it, as in
    `SegmentBank`. The predicted class is that of the segment with most active synapses; between
    classes with equally excited segments the number of matching segments decides. A sample that no
    segment matches is unlike anything learned: `abstains` returns which samples are, and with
    ``abstain_label`` `predict` returns that label for them.

    Parameters
    ----------
    n_synapses : int, default=80
        Number of synapses per segment.
    threshold : int or "auto", default="auto"
        Minimum number of active synapses of a match; "auto" as in `SegmentBank`.
    n_cells : int or None, default=4096
        Number of cells of the code. None if X is sparse activity already: active where X > 0.
    n_active : int, default=80
        Number of active cells of the code.
    max_false_match : float, default=1e-6
        Maximum probability that a random code matches any segment, for ``threshold="auto"``.
    abstain_label : object, default=None
        Label that `predict` returns for a sample that no segment matches, of the same type as the
        other labels. With None, such a sample gets the class of the most excited segment, too.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    bank_ : SegmentBank
    encoder_ : KWinnersEncoder or None
    segment_classes_ : ndarray of int of shape (n_segments,)
        Index into ``classes_`` for every segment.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from neuroml.dendrites import ActiveDendriteClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = ActiveDendriteClassifier(random_state=0).fit(X[:1500], y[:1500])
    >>> bool(model.score(X[1500:], y[1500:]) > 0.9)
    True
    """

    _parameter_constraints = {
        "n_synapses": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_cells": [Interval(Integral, 1, None, closed="left"), None],
        "n_active": [Interval(Integral, 1, None, closed="left")],
        "max_false_match": [Interval(Real, 0, 1, closed="both")],
        "abstain_label": "no_validation",
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_synapses: int = 80,
        threshold: int | str = "auto",
        *,
        n_cells: int | None = 4096,
        n_active: int = 80,
        max_false_match: float = 1e-6,
        abstain_label: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_synapses = n_synapses
        self.threshold = threshold
        self.n_cells = n_cells
        self.n_active = n_active
        self.max_false_match = max_false_match
        self.abstain_label = abstain_label
        self.random_state = random_state

    @validated_fit
    def fit(self, X: ArrayLike | sparse.csr_array, y: ArrayLike) -> ActiveDendriteClassifier:
        """Learn the samples, forgetting earlier ones.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
        y : array-like of shape (n_samples,)

        Returns
        -------
        self
        """
        with all_or_nothing(self):
            X, y = check_table(self, X, y, accept_sparse="csr")
            return self._learn(X, y, classes=None, first=True)

    @validated_fit
    def partial_fit(
        self, X: ArrayLike | sparse.csr_array, y: ArrayLike, classes: ArrayLike | None = None
    ) -> ActiveDendriteClassifier:
        """Learn further samples; nothing learned before changes.

        The code is centered on the samples of the first call, which should be representative.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), optional
            All classes, also those of later calls; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If ``classes`` is missing in the first call or changes later, or y has other labels.
            The model then stays as it was.
        """
        with all_or_nothing(self):
            return self._learn_more(X, y, classes)

    def _learn_more(self, X: Any, y: ArrayLike, classes: Any) -> ActiveDendriteClassifier:
        first = not hasattr(self, "classes_")
        X, y = check_table(self, X, y, accept_sparse="csr", reset=first)
        if first and classes is None:
            raise DataError("classes are not known", fix="Pass classes= in the first partial_fit.")
        if (
            not first
            and classes is not None
            and not np.array_equal(self.classes_, np.unique(classes))
        ):
            raise DataError(
                "classes changed", expected=self.classes_, found=classes, field="classes"
            )
        return self._learn(X, y, classes=classes, first=first)

    def decision_function(self, X: ArrayLike | sparse.csr_array) -> np.ndarray:
        """Return, for each class, the number of active synapses of its most excited segment.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
            The share of all segments that match, which is below one, is added to break ties. -1 for
            a class without segments. With two classes, the second's value less the first's.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike | sparse.csr_array) -> np.ndarray:
        """Return the class of the most excited segment, or ``abstain_label``.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        scores = self._scores(X)
        labels = self.classes_[scores.argmax(axis=1)]
        if self.abstain_label is None:
            return labels
        silent = scores.max(axis=1) < self.bank_.threshold_
        return np.where(silent, np.asarray(self.abstain_label), labels)

    def abstains(self, X: ArrayLike | sparse.csr_array) -> np.ndarray:
        """Return for which samples no segment matches.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)

        Returns
        -------
        ndarray of bool of shape (n_samples,)
        """
        return self._scores(X).max(axis=1) < self.bank_.threshold_

    def to_frame(self) -> pd.DataFrame:
        """Return all segments' synapses as one tidy table.

        Returns
        -------
        DataFrame
            One synapse per row: ``quantity`` ("synapse"), ``segment``, ``cell`` (of the encoder,
            whose weights are in ``encoder_.to_frame()``; without one, name or number of the column
            of X), ``value``, 1, and ``class``, the label that the segment votes for.
        """
        check_is_fitted(self)
        table = self.bank_.to_frame()
        if self.encoder_ is None:
            cells = feature_labels(self)
            table["cell"] = [cells[j] for j in self.bank_.synapses_.nonzero()[1]]
        labels = self.classes_[self.segment_classes_]
        return table.assign(**{"class": labels[table["segment"].to_numpy(int)]})

    def _learn(
        self, X: Any, y: ArrayLike, *, classes: Any, first: bool
    ) -> ActiveDendriteClassifier:
        check_classification_targets(y)
        if first:
            self.classes_ = np.unique(y if classes is None else classes)
            self.segment_classes_ = np.empty(0, dtype=np.int64)
            self.encoder_ = None
            if self.n_cells is not None:
                encoder = KWinnersEncoder(
                    self.n_cells, self.n_active, random_state=self.random_state
                )
                self.encoder_ = encoder.set_output(transform="default").fit(X)
            self.bank_ = SegmentBank(
                self.n_synapses,
                self.threshold,
                max_false_match=self.max_false_match,
                random_state=self.random_state,
            ).set_output(transform="default")
        labels = np.searchsorted(self.classes_, y)
        known = np.isin(y, self.classes_)
        if not known.all():
            raise DataError(
                "y has labels that are not among the classes",
                expected=self.classes_,
                found=np.setdiff1d(y, self.classes_),
                field="y",
            )
        self.bank_.partial_fit(self._encode(X))
        self.segment_classes_ = np.concatenate([self.segment_classes_, labels])
        return self

    def _encode(self, X: Any) -> Any:
        return X if self.encoder_ is None else self.encoder_.transform(X)

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = check_table(self, X, reset=False, accept_sparse="csr")
        order = np.argsort(self.segment_classes_, kind="stable")
        present, starts = np.unique(self.segment_classes_[order], return_index=True)
        scores = np.full((X.shape[0], len(self.classes_)), -1.0)
        for first in range(0, X.shape[0], _SAMPLES_AT_ONCE):
            part = slice(first, first + _SAMPLES_AT_ONCE)
            overlaps = self.bank_.transform(self._encode(X[part]))[:, order]
            matching = np.add.reduceat(overlaps >= self.bank_.threshold_, starts, axis=1, dtype=int)
            best = np.maximum.reduceat(overlaps, starts, axis=1)
            scores[part, present] = best + matching / (len(order) + 1)
        return scores

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
