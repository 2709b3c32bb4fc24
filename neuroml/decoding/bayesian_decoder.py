"""Bayesian decoding of positions or labels from the tuning curves of independent units."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import Estimator, Interval, StrOptions, validated_fit
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.samples import (
    Samples,
    align_outputs,
    as_samples,
    check_samples,
    code_names,
    is_mapping,
)
from neuroml._core.validation import as_given, check_sample_weight, session_slices, set_or_forget
from neuroml.decoding._naive_bayes import (
    chain_posterior,
    gaussian_log_likelihood,
    poisson_log_likelihood,
    tuning_curves,
)
from neuroml.decoding._position_bins import PositionBins
from neuroml.exceptions import DataError

__all__ = ["BayesianDecoder"]

# Of the largest variance of a unit, as scikit-learn's GaussianNB adds: noise is never zero.
_LEAST_VARIANCE = 1e-9


class BayesianDecoder(Estimator):
    r"""Decode positions or labels by Bayes' rule from the tuning curves of independent units.

    The responses of a sample are independent given its position or label: counts are Poisson
    [1]_, other values Gaussian with a variance that all states share. Positions are put into bins
    of equal width, and follow a random walk over time within sessions [2]_: its steps are those of
    the training data, wherever they start, and the samples after a sample count as those before it.
    Labels are drawn for each sample anew, as often as in training data: the order of trials is the
    experiment's, and is not learned.

    Parameters
    ----------
    likelihood : {"poisson", "gaussian"}, default="poisson"
        Distribution of the units in a state. "poisson" takes counts; values that are no whole
        numbers count as sums of counts in the same units, so events in units of their own have to
        be scaled to counts before, or their evidence weighs too much or too little.
    n_bins : int, default=20
        Bins of positions along each axis; not used for labels.
    smoothing : float, default=1.0
        Standard deviation, in bins, of the Gaussian that smooths tuning curves and occupancy over
        positions, at most ``n_bins``; 0 for none. Not used for labels, which have no neighbors.

    Attributes
    ----------
    tuning_curves_ : ndarray of shape (n_states, n_units)
        Expected response of every unit in every bin (the last axis of position changing fastest)
        or class, in the units of X, with one sample more at the unit's mean.
    variances_ : ndarray of shape (n_units,)
        Only with likelihood="gaussian": of the responses around their tuning curves.
    initial_proba_ : ndarray of shape (n_states,)
        Share of the samples in every state, smoothed as tuning curves are. It is zero for bins that
        lie more than three standard deviations of the smoothing from any sample.
    transition_matrix_ : ndarray of shape (n_states, n_states)
        Only for positions: probabilities of the next sample's bin given that of the present one.
    bin_edges_ : ndarray of shape (n_axes, n_bins + 1)
        Only for positions: in the units of y.
    bin_centers_ : ndarray of shape (n_states,) or (n_states, 2)
        Only for positions: as y came, 1-D or 2-D.
    classes_ : ndarray of shape (n_states,)
        Only for labels.
    n_features_in_ : int

    See Also
    --------
    RidgeDecoder : Linear regression, for targets of any number of columns.

    References
    ----------
    .. [1] K. Zhang, I. Ginzburg, B. L. McNaughton, T. J. Sejnowski (1998). Interpreting neuronal
       population activity by reconstruction. Journal of Neurophysiology 79(2).
    .. [2] E. N. Brown, L. M. Frank, D. Tang, M. C. Quirk, M. A. Wilson (1998). A statistical
       paradigm for neural spike train decoding. Journal of Neuroscience 18(18).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding import BayesianDecoder
    >>> rng = np.random.default_rng(0)
    >>> position = 50 + 50 * np.sin(np.arange(2000) / 30)
    >>> fields = np.linspace(0, 100, 15)
    >>> spikes = rng.poisson(np.exp(-0.5 * ((position[:, None] - fields) / 10) ** 2))
    >>> model = BayesianDecoder().fit(spikes[:1000], position[:1000])
    >>> error = np.abs(model.predict(spikes[1000:]) - position[1000:])
    >>> bool(np.median(error) < 5)
    True
    """

    _parameter_constraints = {
        "likelihood": [StrOptions({"gaussian", "poisson"})],
        "n_bins": [Interval(Integral, 2, None, closed="left")],
        "smoothing": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        likelihood: Literal["poisson", "gaussian"] = "poisson",
        *,
        n_bins: int = 20,
        smoothing: float = 1.0,
    ) -> None:
        self.likelihood = likelihood
        self.n_bins = n_bins
        self.smoothing = smoothing

    @validated_fit
    def fit(self, X: Any, y: Any, *, sessions: ArrayLike | None = None) -> BayesianDecoder:
        """Estimate the tuning curves and, for positions, the random walk.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units), or list or dict of such
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            Samples of a session are at equal distances in time. A list has one for each session;
            a dict one, or a list of sessions, for each subject. They share their units.
        y : array-like of shape (n_samples,) or (n_samples, 2), or like X
            Floats are positions, in any unit of measure; integers, truth values and text are labels
            (n_samples,).
        sessions : array-like of shape (n_samples,), optional
            Label of each sample's session, which is contiguous.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If counts are negative, there is only one class, positions are constant or have more
            than two axes, or values or rows do not fit together.
        """
        data, targets, names = self._check_training(X, y, sessions)
        for name in ("classes_", "bin_edges_", "bin_centers_", "transition_matrix_", "variances_"):
            set_or_forget(self, name, None)
        values = data.X.astype(np.float64, copy=False)
        if names is not None or targets.dtype.kind in "biu":
            self.classes_, states = np.unique(targets, return_inverse=True)
            self._check_classes(targets)
            self.classes_ = self.classes_ if names is None else names
            self._fit_curves(values, states, len(self.classes_), None)
        else:
            self._fit_positions(values, targets.astype(np.float64), data.sessions)
        return self

    def _check_training(
        self, X: Any, y: Any, sessions: ArrayLike | None
    ) -> tuple[Samples, np.ndarray, np.ndarray | None]:
        """Checked samples, their targets, and the names of classes if these are text."""
        if y is None:
            raise DataError(
                "BayesianDecoder requires y to be passed, but the target y is None", field="y"
            )
        codes, names = code_names(y)
        data = check_samples(self, X, codes, sessions=sessions, reset=True)
        targets = np.asarray(data.y)
        align_outputs(self, y, None if names is not None else targets, reset=True)
        if len(targets) != len(data.X) or targets.ndim not in (1, 2):
            raise DataError(
                "X and y differ in their samples",
                expected=f"{len(data.X)} rows, as X has",
                found=f"shape {targets.shape}",
                field="y",
            )
        if not np.isfinite(targets).all():
            raise DataError(
                "some targets are NaN or infinite",
                expected="finite values",
                found=f"{int((~np.isfinite(targets)).sum())} others",
                fix="Leave those samples out, and give what lies on both sides as sessions.",
                field="y",
            )
        self._check_counts(data.X)
        whole = _are_whole(y) if names is None else True
        return data, targets.astype(np.int64) if whole else targets, names

    def _check_classes(self, targets: np.ndarray) -> None:
        if targets.ndim > 1 or len(self.classes_) < 2:
            raise DataError(
                "labels are one column of two or more classes",
                expected="shape (n_samples,) and at least 2 classes",
                found=f"shape {targets.shape} and {len(self.classes_)} class",
                fix="Positions are floats: y.astype(float).",
                field="y",
            )

    def _check_counts(self, X: np.ndarray) -> None:
        if self.likelihood == "poisson" and (X < 0).any():
            raise DataError(
                "Negative values in data passed to BayesianDecoder",
                expected="counts, at least 0",
                found=float(X.min()),
                fix='likelihood="gaussian" takes any values.',
                field="X",
            )

    def _fit_positions(self, X: np.ndarray, y: np.ndarray, sessions: np.ndarray) -> None:
        positions = y.reshape(len(y), -1)
        bins = PositionBins.between(positions, self.n_bins)
        self.bin_edges_ = bins.edges
        self.bin_centers_ = bins.centers if y.ndim == 2 else bins.centers[:, 0]
        self._fit_curves(X, bins.assign(positions), len(bins.centers), bins)
        reached = self.initial_proba_ > 0
        self.transition_matrix_ = bins.random_walk(positions, sessions, reached)

    def _fit_curves(
        self, X: np.ndarray, states: np.ndarray, n_states: int, bins: PositionBins | None
    ) -> None:
        occupancy = np.bincount(states, minlength=n_states).astype(np.float64)
        totals = np.zeros((n_states, X.shape[1]))
        np.add.at(totals, states, X)
        if bins is not None:
            # a Gaussian wider than the axis leaves flat curves, and reaches over memory's end
            if self.smoothing > self.n_bins:
                raise DataError(
                    "tuning curves are smoothed away",
                    expected=f"at most n_bins = {self.n_bins} bins",
                    found=self.smoothing,
                    field="smoothing",
                )
            totals = bins.smooth(totals, self.smoothing)
            occupancy = bins.smooth(occupancy, self.smoothing)
        # half a count more than there were, Jeffreys' prior, so that a silent unit has a rate
        prior = 0.5 / len(X) if self.likelihood == "poisson" else 0.0
        self.tuning_curves_ = tuning_curves(totals, occupancy, X.mean(axis=0) + prior)
        self.initial_proba_ = occupancy / occupancy.sum()
        if self.likelihood == "gaussian":
            noise = ((X - self.tuning_curves_[states]) ** 2).mean(axis=0)
            least = _LEAST_VARIANCE * X.var(axis=0).max()
            self.variances_ = np.maximum(noise, least if least > 0 else 1.0)

    def _log_likelihood(self, X: np.ndarray) -> np.ndarray:
        if self.likelihood == "poisson":
            return poisson_log_likelihood(X, self.tuning_curves_)
        center = self.initial_proba_ @ self.tuning_curves_
        return gaussian_log_likelihood(X, self.tuning_curves_, self.variances_, center)

    def _posterior(self, data: Samples) -> np.ndarray:
        self._check_counts(data.X)
        evidence = self._log_likelihood(data.X.astype(np.float64, copy=False))
        if hasattr(self, "classes_"):
            return softmax(evidence + np.log(self.initial_proba_), axis=1)
        start, walk = self.initial_proba_, self.transition_matrix_
        return np.concatenate(
            [chain_posterior(evidence[s], start, walk) for s in session_slices(data.sessions)]
        )

    def _read(self, X: Any, sessions: ArrayLike | None) -> Samples:
        check_is_fitted(self)
        return check_samples(self, X, sessions=sessions, reset=False)

    def predict_proba(self, X: Any, *, sessions: ArrayLike | None = None) -> np.ndarray:
        """Probability of every bin or class.

        Parameters
        ----------
        X : like that of fit
            Samples of positions are as far apart in time as those of fit.
        sessions : array-like of shape (n_samples,), optional

        Returns
        -------
        ndarray of shape (n_samples, n_states)
            In the order of ``bin_centers_`` or ``classes_``; of positions, given all samples of
            the session.

        Raises
        ------
        DataError
            If counts are negative, or units are not those of fit.
        """
        return self._posterior(self._read(X, sessions))

    def predict(self, X: Any, *, sessions: ArrayLike | None = None) -> np.ndarray:
        """Expected position, or the most probable label, of every sample.

        Parameters
        ----------
        X, sessions
            As in `predict_proba`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, 2)
            In the units of y, or labels of its type.
        """
        return self._decide(self.predict_proba(X, sessions=sessions))

    def _decide(self, posterior: np.ndarray) -> np.ndarray:
        if hasattr(self, "classes_"):
            return self.classes_[posterior.argmax(axis=1)]
        return posterior @ self.bin_centers_

    def score(
        self,
        X: Any,
        y: Any,
        *,
        sessions: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Coefficient of determination of positions, or share of right labels.

        Parameters
        ----------
        X, y, sessions
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float

        Raises
        ------
        DataError
            If weights do not fit the samples, are not finite or negative, or are all zero.
        """
        found = self.predict(X, sessions=sessions)
        codes, names = code_names(y)
        truth: Any = as_samples(X, codes, sessions).y
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(found))
        if hasattr(self, "classes_"):
            truth = truth if names is None else names[truth]
            return float(accuracy_score(truth, found, sample_weight=sample_weight))
        truth = align_outputs(self, y, truth, reset=False)
        return float(r2_score(truth, found, sample_weight=sample_weight))

    def to_frame(self) -> pd.DataFrame:
        """Return the tuning of all units as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``class`` or ``position`` (of two axes,
            ``position_0`` and ``position_1``: centers of bins, in the units of y), ``unit`` (name
            or number of the column of X), ``value``. Quantities: "tuning_curve", "initial_proba"
            and, of a Gaussian, "variance" of each unit.
        """
        check_is_fitted(self)
        units = {"unit": feature_labels(self)}
        if hasattr(self, "classes_"):
            states: dict[str, Any] = {"class": self.classes_}
        else:
            centers = self.bin_edges_[:, :-1] + np.diff(self.bin_edges_) / 2
            names = ["position"] if len(centers) == 1 else ["position_0", "position_1"]
            states = dict(zip(names, centers, strict=True))
        shape = tuple(len(labels) for labels in states.values())
        found = [
            Quantity("tuning_curve", self.tuning_curves_.reshape(*shape, -1), states | units),
            Quantity("initial_proba", self.initial_proba_.reshape(shape), states),
        ]
        if hasattr(self, "variances_"):
            found.append(Quantity("variance", self.variances_, units))
        return long_frame(found)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.likelihood == "poisson"
        tags.target_tags.required = True
        return tags


def _are_whole(y: Any) -> bool:
    """Whether targets came as integers or truth values, in all parts or in none."""
    in_parts = is_mapping(y) or (isinstance(y, list | tuple) and len(y) and np.ndim(y[0]) > 0)
    parts = list(y.values()) if is_mapping(y) else list(y) if in_parts else [y]
    whole = {_is_whole(part) for part in parts}
    if len(whole) > 1:
        raise DataError(
            "y holds integers, which are labels, and floats, which are positions",
            expected="integers in all sessions, or floats in all",
            found="both",
            field="y",
        )
    return whole.pop()


def _is_whole(part: Any) -> bool:
    if is_mapping(part) or (isinstance(part, list | tuple) and np.ndim(part[0]) > 0):
        return _are_whole(part)
    # pandas' own integers, which `as_given` makes floats, since these can be missing
    kind = part.dtype if isinstance(part, pd.Series) else np.asarray(as_given(part)).dtype
    return bool(pd.api.types.is_integer_dtype(kind) or pd.api.types.is_bool_dtype(kind))
