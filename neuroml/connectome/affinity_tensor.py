"""From the traces of a cohort to a tensor of affinities between pairs of units."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    Estimator,
    Interval,
    StrOptions,
    TableOutputMixin,
    check_input_names,
    validated_fit,
)
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.samples import Samples, check_samples
from neuroml._core.validation import session_slices
from neuroml.connectome._affinity import METHODS, WINDOWED, later_mean, prepare_signals
from neuroml.connectome._pair_rows import PairRows, Subject
from neuroml.connectome.tensors import FiberTensor
from neuroml.exceptions import DataError

__all__ = ["AffinityTensor"]


class AffinityTensor(TableOutputMixin, Estimator):
    r"""Affinity of every pair of units, in every subject, at every moment.

    The tensor has the modes pairs, subjects and time; the pairs are i < j, or in both orders if
    they have a direction. A unit that was not recorded in a subject (NaN throughout) has no fiber
    there: missing is never zero. All subjects must share one time axis, such as a stimulus
    sequence. Where they do not, as at rest, fit each subject by itself, or factorize
    `SlidingWindowConnectivity` per subject and compare features that ignore time.

    Parameters
    ----------
    method : {"unsigned", "same_sign", "min", "ratio", "mtd", "correlation", "edge"}
        "same_sign" by default. With :math:`g` the smoothed derivative, scaled so that 95 % of it
        lie within 1, and cut:

        - "unsigned": :math:`\sqrt{|g_i g_j|}`, closest to the text of [1]_, which has no formula;
        - "same_sign": :math:`\sqrt{\max(g_i g_j, 0)}`;
        - "min": :math:`\min(|g_i|, |g_j|)` where the signs agree;
        - "ratio": :math:`\min(|g_i|, |g_j|) / \max(|g_i|, |g_j|)` where they agree; it ignores
          their size, so that noise of two silent units looks like affinity.

        Over the windows of `window`, negative means set to 0:

        - "mtd": mean of the product of derivatives scaled to unit variance (multiplication of
          temporal derivatives [2]_), the most robust to noise;
        - "correlation": Pearson's correlation of the traces.

        - "edge": positive part of the product of z-scores (edge time series [3]_).
    opposite : {"drop", "separate"}, default="drop"
        Whether affinity by opposite signs is left out, or forms a second set of pairs. It is never
        added to the first, where positive and negative coupling could not be told apart.
    directed : bool, default=False
        Whether pairs have a direction, from i to j: the signal of i is compared with what j does
        afterwards. With a(x, y) the affinity of `method`,

        .. math:: A_{i \to j}(t) = a\Big(g_i(t), \frac{1}{L} \sum_{l=1}^{L} g_j(t + l)\Big),

        over the :math:`L` = `n_lags` samples that follow in the session (the last ones have fewer,
        the very last none, and no affinity). The definition is ours. All ordered pairs are modes of
        the tensor. A direction in time is no cause: what drives both units at different delays
        shows in the same way, and slow signals have affinity both ways.
    n_lags : int, default=5
        Number of later samples, for directed affinities.
    sigma : float, default=2.0
        Width of the Gaussian whose derivative is taken, in samples.
    window : int, default=15
        Length of the windows of "mtd" and "correlation" in samples. Windows are centered, and cut
        where a session ends.
    stride : int, default=1
        Number of samples from one value of the tensor to the next.
    min_subjects : int, optional
        Leave out pairs of units that fewer subjects have both. By default all pairs stay, and a
        pair that no subject has is an error.
    implicit : bool, default=False
        Keep the traces in place of the affinities and compute these whenever they are needed. For
        "unsigned", "same_sign" and "edge", the factorization then never needs them at all.

    Attributes
    ----------
    pairs_ : ndarray of int of shape (n_pairs, 2)
        The units of each pair.
    signs_ : ndarray of int of shape (n_pairs,)
        1, or -1 for affinity by opposite signs.
    n_features_in_ : int
        Number of units.

    See Also
    --------
    NonnegativeCP : factorizes the tensor; give it ``sample_mode=1``.
    SlidingWindowConnectivity : for recordings without a shared time axis.

    References
    ----------
    .. [1] L. Dyballa et al. (2024). Learning dynamic representations of the functional connectome
       in neurobiological networks. ICLR.
    .. [2] J. M. Shine et al. (2015). Estimation of dynamic functional connectivity using
       multiplication of temporal derivatives. NeuroImage 122.
    .. [3] F. Zamani Esfahlani et al. (2020). High-amplitude cofluctuations in cortical activity
       drive functional connectivity. PNAS 117(45).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import AffinityTensor
    >>> worms = [np.random.default_rng(seed).normal(size=(50, 4)) for seed in range(3)]
    >>> worms[0][:, 2] = np.nan
    >>> tensor = AffinityTensor().fit_transform(worms)
    >>> tensor.shape, len(tensor.index)
    ((6, 3, 50), 15)
    """

    _parameter_constraints = {
        "method": [StrOptions(set(METHODS))],
        "opposite": [StrOptions({"drop", "separate"})],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "window": [Interval(Integral, 2, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "min_subjects": [Interval(Integral, 1, None, closed="left"), None],
        "implicit": ["boolean"],
        "directed": ["boolean"],
        "n_lags": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        method: str = "same_sign",
        *,
        opposite: str = "drop",
        directed: bool = False,
        n_lags: int = 5,
        sigma: float = 2.0,
        window: int = 15,
        stride: int = 1,
        min_subjects: int | None = None,
        implicit: bool = False,
    ) -> None:
        self.method = method
        self.opposite = opposite
        self.directed = directed
        self.n_lags = n_lags
        self.sigma = sigma
        self.window = window
        self.stride = stride
        self.min_subjects = min_subjects
        self.implicit = implicit

    @validated_fit
    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> AffinityTensor:
        """Find the pairs of units that subjects have both.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units) or (n_subjects, n_samples, n_units), or list
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
            Time first. A unit is NaN throughout in a subject where it was not recorded.
        y : ignored
        sessions : array-like of shape (n_samples,), optional
            Session label of each sample; nothing is computed across their borders.
        groups : array-like of shape (n_samples,), optional
            Subject of each sample, where subjects have several sessions; by default each session
            is a subject of its own.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If no subject has some unit or (without ``min_subjects``) both units of some pair, a
            unit is NaN for part of a subject's samples, "unsigned" is to have opposite signs, a
            window is longer than a session, or subjects differ in their number of samples.
        """
        given = check_samples(self, X, sessions=sessions, groups=groups, reset=True, on_nan="keep")
        parts, _ = self._subjects(given)
        seen = np.array([~np.isnan(given.X[part]).any(axis=0) for part, _ in parts])
        pairs = np.column_stack(np.triu_indices(given.X.shape[1], k=1))
        if self.directed:
            pairs = np.argwhere(~np.eye(given.X.shape[1], dtype=bool))
        pairs = pairs[self._kept(seen, pairs)]
        signs = np.ones(len(pairs), dtype=np.int64)
        if self.opposite == "separate":
            if self.method == "unsigned":
                raise DataError(
                    "unsigned affinity does not tell opposite signs from the same",
                    expected='opposite="drop", or another method',
                    found='opposite="separate"',
                    field="opposite",
                )
            pairs, signs = np.concatenate([pairs, pairs]), np.concatenate([signs, -signs])
        self.pairs_, self.signs_ = pairs, signs
        return self

    def transform(
        self,
        X: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> FiberTensor:
        """Return the tensor of affinities.

        Parameters
        ----------
        X, sessions, groups
            As in `fit`; the subjects may be others.

        Returns
        -------
        FiberTensor of shape (n_pairs, n_subjects, n_times)

        Raises
        ------
        DataError
            As in `fit`, and if a unit never changes.
        """
        check_is_fitted(self)
        given = check_samples(self, X, sessions=sessions, groups=groups, reset=False, on_nan="keep")
        parts, names = self._subjects(given)
        subjects, index = [], []
        for number, (part, slices) in enumerate(parts):
            x = given.X[part].astype(np.float64)
            seen = ~np.isnan(x).any(axis=0)
            shown = np.flatnonzero(seen[self.pairs_].all(axis=1))
            signals = np.zeros_like(x)
            signals[:, seen] = prepare_signals(x[:, seen], self.method, self.sigma, slices)
            later = later_mean(signals, self.n_lags, slices) if self.directed else signals
            subjects.append(Subject(signals, self.pairs_[shown], self.signs_[shown], slices, later))
            index.append(np.column_stack([shown, np.full(len(shown), number)]))
        rows = PairRows(subjects, self.method, self.window, self.stride)
        times = np.arange(0, len(subjects[0].signals), self.stride)
        return FiberTensor(
            rows if self.implicit else rows.materialize(),
            np.concatenate(index),
            (len(self.pairs_), len(subjects), len(times)),
            axes=("pair", "subject", "time"),
            labels=(self.get_feature_names_out(), names, times),
            pieces=np.unique(np.sort(self.pairs_, axis=1), axis=0, return_inverse=True)[1].ravel(),
        )

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the pairs, ``unit_i--unit_j``.

        A ``~`` stands for opposite signs, and ``>`` at the end for a direction.
        """
        check_is_fitted(self)
        names = check_input_names(self, input_features)
        same, opposite = ("->", "~>") if self.directed else ("--", "~~")
        marks = np.where(self.signs_ > 0, same, opposite)
        return np.array(
            [f"{names[i]}{m}{names[j]}" for (i, j), m in zip(self.pairs_, marks, strict=True)],
            dtype=object,
        )

    def _kept(self, seen: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Tell which pairs enough subjects have, from the units (n_subjects, n_units) of each."""
        never = np.flatnonzero(~seen.any(axis=0))
        if len(never):
            raise DataError(
                "some units were never seen",
                expected="every unit in some subject",
                found=f"units {never[:10].tolist()} are NaN throughout",
                fix="Leave them out.",
                field="X",
            )
        together = (seen[:, pairs[:, 0]] & seen[:, pairs[:, 1]]).sum(axis=0)
        kept = together >= (self.min_subjects or 0)
        if self.min_subjects is None and not together.all():
            raise DataError(
                "some units were never seen together, so nothing is known of their affinity",
                expected="every pair of units in some subject",
                found=f"{int((together == 0).sum())} pairs in none, "
                f"such as {pairs[together == 0][:5].tolist()}",
                fix="Pass min_subjects=1 to leave these pairs out, or keep units that more "
                "subjects share (neuroml.data.align_units(min_recordings=...)).",
                field="X",
            )
        if not kept.any():
            raise DataError(
                "no pair of units is left",
                expected=f"pairs seen together in {self.min_subjects} subjects",
                found=f"at most {together.max(initial=0)} of {len(seen)} subjects",
                field="min_subjects",
            )
        return kept

    def samples_of_subjects(
        self, X: Any, sessions: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> list[np.ndarray]:
        """Return the row numbers of each subject's samples, in the order of the tensor's subjects.

        Parameters
        ----------
        X, sessions, groups
            As in `transform`.

        Returns
        -------
        list of ndarray of int
        """
        check_is_fitted(self)
        given = check_samples(self, X, sessions=sessions, groups=groups, reset=False, on_nan="keep")
        return [rows for rows, _ in self._subjects(given)[0]]

    def _subjects(
        self, given: Samples
    ) -> tuple[list[tuple[np.ndarray, tuple[slice, ...]]], np.ndarray]:
        """Return each subject's samples with the slices of its sessions, and the subjects' labels.

        Without ``groups``, a session is a subject.
        """
        sessions: Any = given.sessions
        labels = sessions if given.groups is None else given.groups
        names, first = np.unique(labels, return_index=True)
        names = names[np.argsort(first)]
        parts = [np.flatnonzero(labels == name) for name in names]
        lengths = [len(part) for part in parts]
        if len(set(lengths)) > 1:
            raise DataError(
                "subjects differ in their number of samples, so they share no time axis",
                expected="the same samples in every subject",
                found=f"{min(lengths)} to {max(lengths)} samples",
                fix="Cut to what they share (neuroml.data.epochs), or fit each subject by itself.",
                field="groups",
            )
        slices = [tuple(session_slices(sessions[part])) for part in parts]
        shortest = min(one.stop - one.start for several in slices for one in several)
        if self.method in WINDOWED and shortest < self.window:
            raise DataError(
                "a session is shorter than the window",
                expected=f">= {self.window} samples",
                found=f"{shortest}",
                fix="Choose a shorter window, or leave the session out.",
                field="window",
            )
        _check_missing(given.X, parts, names)
        return list(zip(parts, slices, strict=True)), names

    def to_frame(self) -> pd.DataFrame:
        """Return the pairs of units as one tidy table.

        Returns
        -------
        DataFrame
            One pair per row: ``quantity`` ("sign"), ``unit`` and ``to_unit`` (names or numbers of
            columns of X) and ``value``: 1, or -1 for affinity by opposite signs.
        """
        check_is_fitted(self)
        labels = feature_labels(self)
        first, second = ([labels[i] for i in units] for units in self.pairs_.T)
        axes = {"unit": first, "to_unit": second}
        return long_frame([Quantity("sign", self.signs_, axes, paired=True)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _check_missing(X: np.ndarray, parts: list[np.ndarray], names: np.ndarray) -> None:
    for name, part in zip(names, parts, strict=True):
        missing = np.isnan(X[part])
        partly = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
        if len(partly):
            raise DataError(
                "units are missing for part of a subject's samples",
                expected="NaN throughout for a unit that was not seen, else no NaN",
                found=f"units {partly[:10].tolist()} of subject {name}",
                fix="Interpolate short gaps (neuroml.data.clean), or leave the samples out.",
                field="X",
            )
