"""A classifier of several subjects, which takes on a new one from a few minutes of data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import ClassifierMixin, clone
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import (
    Subject,
    is_cohort,
    map_subjects,
    pair_by_subject,
    sessions_by_subject,
)
from neuroml._core.estimator import Estimator, Interval, validated_meta_fit
from neuroml._core.samples import is_mapping
from neuroml._core.validation import as_given, check_labels
from neuroml._core.warn import each_warning_once
from neuroml.decoding._held_out_folds import block_folds, session_folds
from neuroml.decoding._retrieval import RetrievalMixin
from neuroml.decoding._subjects import weights_by_subject
from neuroml.decoding.cross_subject import CrossSubjectDecoder
from neuroml.decoding.prototypes import best_temperature, class_prototypes, prototype_frame
from neuroml.exceptions import DataError

__all__ = ["CrossSubjectClassifier"]


class CrossSubjectClassifier(ClassifierMixin, Estimator):
    r"""Classify samples of subjects whose voxels differ, with what a cohort has in common.

    A class is a point in the space of targets, its prototype: an embedding, or by default an axis
    of its own. A decoder of several subjects says how likely a sample is, given each class, and the
    likeliest class is predicted. All classes are equally likely before a sample is seen.
    Probabilities are :math:`\mathrm{softmax}(\ell / T)` of the log-likelihoods, with a temperature
    T that suits left-out training samples, since likelihoods of many correlated voxels are too
    sure of themselves.

    Where voxels correspond between subjects, logistic regression of all subjects' samples together
    may well be better: compare them with `neuroml.evaluation.evaluate`, which does so by default.

    Parameters
    ----------
    estimator : decoder or None, default=None
        A decoder of several subjects of this library; None is a `CrossSubjectDecoder`.
    prototypes : dict of array-like of shape (n_targets,) or None, default=None
        The embedding of every class. None takes indicators, one dimension for each class. A class
        that no training sample shows can be recognized if it has a prototype.
    cv : int, default=5
        Parts of every subject's samples that are left out in turn to find the temperature: whole
        sessions where there are as many and the others show all classes, else contiguous blocks of
        each class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    prototypes_ : ndarray of shape (n_classes, n_targets)
    decoder_ : decoder
        Fitted to the prototypes of the labels. Its ``voxel_names_`` are the names of the columns
        of X, by subject; indicators of classes have no ``target_names_``.
    temperature_ : float
    n_voxels_ : dict
        Number of voxels of each subject.
    n_features_in_ : int
        Only if fitted to one 2-D array, which is then subject 0.

    See Also
    --------
    PrototypeClassifier : The same idea for one subject, or subjects with the same units.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding import CrossSubjectClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["face", "house"], 40)
    >>> means = {s: rng.normal(size=(2, n)) for s, n in (("a", 30), ("b", 25), ("c", 35))}
    >>> X = {s: m[(y == "house").astype(int)] + rng.normal(size=(80, m.shape[1]))
    ...      for s, m in means.items()}
    >>> model = CrossSubjectClassifier().fit({s: X[s] for s in "ab"}, {s: y for s in "ab"})
    >>> adapted = model.adapt(X["c"][::4], y[::4], subject="c")
    >>> bool(np.mean(adapted.predict(X["c"], subject="c") == y) > 0.9)
    True
    """

    _parameter_constraints = {
        "estimator": [RetrievalMixin, None],
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
        self, X: Any, y: Any, *, sessions: Any = None, groups: ArrayLike | None = None
    ) -> CrossSubjectClassifier:
        """Fit the decoder to the prototypes of the labels, then the temperature.

        Parameters
        ----------
        X : dict, list, 2-D array or object array of rows
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
        y : like X
            Labels (n_samples_s,): names, numbers or truth values.
        sessions : array-like of shape (n_rows,), or dict or list of such, optional
            Session of each row, in the form of X.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is only one class, a label has no prototype, or subjects, rows or values of X
            and y do not fit together.
        """
        if y is None:
            raise DataError("requires y to be passed, but the target y is None", field="y")
        data, labels = pair_by_subject(X, _joined(y), groups)
        named = {s: _labels(part, s) for s, part in labels.items()}
        seen = np.unique(np.concatenate(list(named.values())))
        self.classes_, self.prototypes_ = class_prototypes(self.prototypes, seen)
        given = {} if sessions is None else {"sessions": sessions}
        more = given if groups is None else given | {"groups": groups}
        self.decoder_ = self._decoder().fit(X, _in_form(y, self._targets), **more)
        self.n_voxels_ = self.decoder_.n_voxels_
        self.__dict__.pop("n_features_in_", None)
        if hasattr(self.decoder_, "n_features_in_"):
            self.n_features_in_ = self.decoder_.n_features_in_
        known = sessions_by_subject(X, sessions, groups, {s: len(n) for s, n in named.items()})
        scores, truth = self._held_out({s: np.asarray(part) for s, part in data.items()},
                                       named, known)  # fmt: skip
        self.temperature_ = best_temperature(scores, truth)
        return self

    def _decoder(self) -> Any:
        return CrossSubjectDecoder() if self.estimator is None else clone(self.estimator)

    def _targets(self, labels: ArrayLike) -> np.ndarray:
        """Prototypes (n_samples, n_targets) of labels, which must be among the classes."""
        given = _labels(labels)
        places = np.searchsorted(self.classes_, given).clip(max=len(self.classes_) - 1)
        strange = sorted(set(given[self.classes_[places] != given].tolist()), key=str)
        if strange:
            raise DataError(
                "labels that the classifier does not know",
                expected=f"some of {self.classes_.tolist()}",
                found=strange,
                fix="Fit with all classes, or give each one a prototype.",
                field="y",
            )
        return self.prototypes_[places]

    def _folds(self, labels: np.ndarray, targets: np.ndarray, sessions: np.ndarray) -> np.ndarray:
        """Sessions left out together, or blocks if there are few or one alone shows a class."""
        fold = session_folds(sessions, self.cv)
        # a decoder that never saw a class says nothing of how sure the one of all samples is
        n_classes = len(np.unique(labels))
        whole = all(len(np.unique(labels[fold != k])) == n_classes for k in np.unique(fold))
        enough = sessions[-1] + 1 >= self.cv
        return fold if whole and enough else block_folds(targets, self.cv)

    def _held_out(
        self,
        data: dict[Subject, np.ndarray],
        labels: dict[Subject, np.ndarray],
        sessions: dict[Subject, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihoods of the classes of all samples, by decoders not fitted to them; truth."""
        targets = {s: self._targets(part) for s, part in labels.items()}
        folds = {s: self._folds(labels[s], targets[s], sessions[s]) for s in data}
        scores, truth = [], []
        for k in np.unique(np.concatenate(list(folds.values()))):
            kept = {s: fold != k for s, fold in folds.items()}
            # a subject with hardly any rows is asked of the decoder that knows all of them
            few = min(int(rows.sum()) for rows in kept.values()) < 2
            decoder = (
                self.decoder_
                if few
                else self._decoder().fit(
                    {s: data[s][rows] for s, rows in kept.items()},
                    {s: targets[s][rows] for s, rows in kept.items()},
                    sessions={s: sessions[s][rows] for s, rows in kept.items()},
                )
            )
            for s, rows in kept.items():
                if not rows.all():
                    scores.append(
                        decoder.score_candidates(data[s][~rows], self.prototypes_, subject=s)
                    )
                    truth.append(np.searchsorted(self.classes_, labels[s][~rows]))
        return np.concatenate(scores), np.concatenate(truth)

    def adapt(
        self, X: ArrayLike, y: ArrayLike, *, subject: Subject, sessions: ArrayLike | None = None
    ) -> CrossSubjectClassifier:
        """Return a new model that also knows another subject, or knows one from other data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        y : array-like of shape (n_samples,)
            Labels, of classes that the model knows; not all of them need come up.
        subject : hashable
        sessions : array-like of shape (n_samples,), optional

        Returns
        -------
        CrossSubjectClassifier
            This model stays as it is. The temperature stays that of ``fit``.

        Raises
        ------
        DataError
            If X and y do not fit together, or there are labels of no class.
        """
        check_is_fitted(self)
        targets = _in_form(y, self._targets)
        if isinstance(targets, list):  # a subject's sessions
            targets = np.concatenate(targets)
        extended = copy.copy(self)
        more = {} if sessions is None else {"sessions": sessions}
        extended.decoder_ = self.decoder_.adapt(X, targets, subject=subject, **more)
        extended.n_voxels_ = extended.decoder_.n_voxels_
        return extended

    def decision_function(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Log-likelihood of every class, up to a constant per sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels), or dict, or rows with groups
        subject : hashable, optional
            Whose data one array is; not needed if the model knows only one.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a dict of such
            For two classes (n_samples,): that of the second minus that of the first.
        """
        return self._of_scores(
            X, subject, groups, lambda s: s if s.shape[1] > 2 else s[:, 1] - s[:, 0]
        )

    def predict_proba(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Probability of every class.

        Parameters
        ----------
        X, subject, groups
            As in `decision_function`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a dict of such
        """
        return self._of_scores(X, subject, groups, lambda s: softmax(s / self.temperature_, axis=1))

    def to_frame(self) -> pd.DataFrame:
        """Return the prototypes as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity`` ("prototype" or "temperature"), ``class``, ``target``
            (its number; neither for the temperature) and ``value``. The weights of the fit to
            prototypes are those of ``decoder_``.
        """
        check_is_fitted(self)
        return prototype_frame(self.prototypes_, self.classes_, self.temperature_)

    def predict(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Predict the likeliest class.

        Parameters
        ----------
        X, subject, groups
            As in `decision_function`.

        Returns
        -------
        ndarray of shape (n_samples,), or a dict of such
        """
        return self._of_scores(X, subject, groups, lambda s: self.classes_[s.argmax(axis=1)])

    def _of_scores(
        self,
        X: Any,
        subject: Subject | None,
        groups: ArrayLike | None,
        function: Callable[[np.ndarray], np.ndarray],
    ) -> Any:
        check_is_fitted(self)
        decoder = self.decoder_

        def one(s: Subject, part: np.ndarray) -> np.ndarray:
            # names were checked already, and are no longer on the part
            return function(decoder._score_gallery(part, self.prototypes_, s, "likelihood"))

        return map_subjects(decoder, X, one, subject=subject, groups=groups)

    def score(
        self,
        X: Any,
        y: Any,
        *,
        subject: Subject | None = None,
        groups: ArrayLike | None = None,
        sample_weight: Any = None,
    ) -> float:
        """Share of samples whose class is predicted, the mean over subjects.

        Parameters
        ----------
        X, y
            As in ``fit``.
        subject : hashable, optional
            Whose data one 2-D array is.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.
        sample_weight : array-like of shape (n_rows,), or dict or list of such, optional
            Weights of the samples, in the form of X; every subject counts alike in the mean.

        Returns
        -------
        float
        """
        data, labels = pair_by_subject(X, _joined(y), groups)
        weights = weights_by_subject(sample_weight, data, X, groups)
        one = groups is None and not is_cohort(X)
        values = [
            accuracy_score(
                _labels(labels[s], s),
                self.predict(part, subject=subject if one else s),
                sample_weight=weights[s],
            )
            for s, part in data.items()
        ]
        return float(np.mean(values))


def _labels(labels: Any, subject: Subject | None = None) -> np.ndarray:
    """One subject's labels, all there and of one kind."""
    given = column_or_1d(np.asarray(as_given(labels, "y")), warn=True)
    found = np.asarray(check_labels(given, len(given), "y"))
    try:
        check_classification_targets(found)
    except ValueError as error:
        raise DataError(str(error), field="y", subject=subject) from error
    return found


def _joined(y: Any) -> Any:
    """Labels whose sessions are joined in each subject of a dict; names stay names."""
    if not is_mapping(y):
        return y
    return {s: _one_after_another(part) if _is_several(part) else part for s, part in y.items()}


def _is_several(y: Any) -> bool:
    listed = isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype == object)
    return bool(listed and len(y) and np.ndim(as_given(y[0], "y")) > 0)


def _one_after_another(parts: Any) -> np.ndarray:
    values = [value for part in parts for value in np.asarray(as_given(part, "y")).tolist()]
    return check_labels(values, len(values), "y")


def _in_form(y: Any, encode: Callable[[Any], np.ndarray]) -> Any:
    """Labels encoded, in the form in which they came: by subject, by session, or as one array."""
    if is_mapping(y):
        return {s: _in_form(part, encode) for s, part in y.items()}
    listed = isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype == object)
    rows: Any = np.empty(0) if listed else np.asarray(as_given(y, "y"))
    if _is_several(y) or (rows.ndim == 2 and rows.shape[1] > 1):  # a row per subject
        return [_in_form(part, encode) for part in y]
    return encode(y)
