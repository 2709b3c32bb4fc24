"""The shared response model: one response for all subjects, a basis of voxels for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from scipy.stats import median_abs_deviation

from neuroml._core.cohort import Subject
from neuroml._core.estimator import RANDOM_STATE, Interval, StrOptions, validated_fit
from neuroml._core.iteration import FitTrace, iterate, select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.decoding import _shared_response as maths
from neuroml.decoding._alignment import CohortAligner
from neuroml.decoding._subjects import voxel_scaling
from neuroml.exceptions import DataError

__all__ = ["SharedResponseModel"]


class SharedResponseModel(CohortAligner):
    r"""Shared response of several subjects, with different voxels, to the same stimuli.

    :math:`X_i = S W_i^T + \varepsilon_i` with one response :math:`S` for all and orthonormal
    columns in every :math:`W_i`, after centering the voxels. Subjects may have
    different voxels, and may have missed samples.

    A rotation of S and of every :math:`W_i` fits as well. The one that is returned gives all
    components the same variance, :math:`\mathrm{diag}(S^T S) = \mathrm{tr}(S^T S) / k`: noise of
    orthonormal axes is alike as well, so that components may be standardized afterwards without
    raising those that are mostly noise.

    Parameters
    ----------
    n_components : int, default=50
    method : {"probabilistic", "deterministic", "robust"}, default="probabilistic"
        ``probabilistic``: a Gaussian prior on S, a noise level for each subject, maximum likelihood
        by expectation maximization [1]_. ``deterministic``: least squares [1]_. ``robust``: least
        squares beside sparse responses of each subject alone [2]_.
    standardize : bool, default=True
        Divide voxels by their standard deviation in the training data; ``robust`` takes medians and
        median absolute deviations (times 1.4826), which outliers do not move.
    gamma : float, default=1.0
        Penalty on the absolute values of a subject's own responses (``robust`` only), in standard
        deviations of a voxel if ``standardize``.
    prior : {"none", "pooled"}, default="none"
        "pooled" where voxels correspond between subjects (an atlas, or a common space): the map of
        a subject added later is drawn to the mean of the maps found in ``fit``, as strongly as
        blocks left out of its samples allow. Without it voxels are not compared.
    max_iter : int, default=100
    tol : float, default=1e-6
        Converged when an iteration gains no more than this: log-likelihood per value
        (probabilistic), share of variance (deterministic), or loss per value (robust).
    random_state : int, RandomState, Generator or None, default=None
        Seed of the start, which is close to the leading directions of the mean Gram matrix.

    Attributes
    ----------
    basis_ : dict of ndarray of shape (n_voxels, n_components)
        Orthonormal columns, by subject.
    shared_response_ : ndarray of shape (n_samples, n_components)
        Components of equal variance.
    noise_variance_ : dict of float
        By subject (probabilistic only, otherwise empty).
    mean_, scale_ : dict of ndarray of shape (n_voxels,)
        Subtracted from voxels, and divisors afterwards.
    held_out_r_ : dict of float
        For subjects added later: correlation with the shared response on the half of the samples
        that the basis was not fitted to, mean over components and halves.
    pooled_basis_ : ndarray of shape (n_voxels, n_components)
        With ``prior="pooled"``: the mean of the maps found in ``fit``.
    pooled_scale_ : ndarray of shape (n_voxels,)
        With ``prior="pooled"``: the mean of the divisors found in ``fit``, to which those of a
        subject added later are drawn as far as its samples are few.
    pooled_memory_ : float
        With ``prior="pooled"``: the autocorrelation time of voxels in ``fit``, in samples.
    prior_weight_ : dict of float
        With ``prior="pooled"``, for subjects added later: the weight of the others' map, from 0,
        their own map alone, to 1.
    n_constant_, n_voxels_ : dict of int
    voxel_names_ : dict of (list of str or None)
        Names of the columns of X, by subject; absent where no subject has names.
    objective_trace_ : ndarray of shape (n_iter + 1,)
        The objective at the start and after each iteration; it never decreases.
    converged_ : bool
    n_iter_ : int

    References
    ----------
    .. [1] P.-H. Chen et al. (2015). A reduced-dimension fMRI shared response model. Advances in
       Neural Information Processing Systems 28.
    .. [2] J. S. Turek et al. (2018). Capturing shared and individual information in fMRI data.
       ICASSP 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding import SharedResponseModel
    >>> rng = np.random.default_rng(0)
    >>> S = rng.standard_normal((100, 3))
    >>> X = {name: S @ rng.standard_normal((3, v)) for name, v in [("a", 20), ("b", 30)]}
    >>> model = SharedResponseModel(3, random_state=0).fit(X)
    >>> {name: part.shape for name, part in model.transform(X).items()}
    {'a': (100, 3), 'b': (100, 3)}
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"probabilistic", "deterministic", "robust"})],
        "standardize": ["boolean"],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "prior": [StrOptions({"none", "pooled"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_components: int = 50,
        method: Literal["probabilistic", "deterministic", "robust"] = "probabilistic",
        *,
        standardize: bool = True,
        gamma: float = 1.0,
        prior: str = "none",
        max_iter: int = 100,
        tol: float = 1e-6,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.standardize = standardize
        self.gamma = gamma
        self.prior = prior
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @validated_fit
    def fit(self, X: Any, y: Any = None) -> SharedResponseModel:
        """Find the shared response and every subject's basis.

        Parameters
        ----------
        X : dict or list of array-like of shape (n_samples, n_voxels_s), or one such array
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
            The same samples in the same order for all; rows that a subject missed are NaN.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is one subject in a dict, samples are not shared, nobody saw a sample, or there
            are more components than a subject saw samples or has voxels.

        Warns
        -----
        NotConvergedWarning
            After ``max_iter`` iterations without convergence.
        """
        centered, seen = self._check_and_scale(X)
        best, _ = select_restart(
            [self._iterated(list(centered.values()), list(seen.values()))], name=type(self).__name__
        )
        state = best.state
        # turned by what the response itself says, so that seeds agree
        response = maths.balanced(state if isinstance(state, np.ndarray) else state.mean)
        self.shared_response_ = response
        self.basis_ = {
            s: self._fit_basis(part, response * seen[s][:, None], s) for s, part in centered.items()
        }
        self._pool_maps(centered)
        noise = state.noise.tolist() if isinstance(state, maths.Posterior) else []
        self.noise_variance_: dict[Subject, float] = dict(zip(centered, noise, strict=False))
        self.objective_trace_ = np.array(best.trace)
        self.converged_, self.n_iter_ = best.converged, best.n_iter
        self._n_features_out = self.n_components
        return self

    def _check_seen(self, X: np.ndarray, subject: Subject) -> None:
        super()._check_seen(X, subject)
        # a new subject's map is whole from few samples where it is drawn to the others'
        maximum = X.shape[1] if hasattr(self, "pooled_basis_") else min(X.shape)
        if self.n_components > maximum:
            raise DataError(
                "more components than samples or voxels",
                expected=f"n_components <= {maximum}",
                found=f"n_components={self.n_components} for n_samples = {len(X)} "
                f"(rows that are not NaN) and n_features = {X.shape[1]}",
                fix="Lower n_components, or leave the subject out.",
                subject=subject,
                field="n_components",
            )

    def _iterated(self, data: list[np.ndarray], seen: list[np.ndarray]) -> FitTrace[Any]:
        (rng,) = spawn_generators(self.random_state, 1)
        views = [maths.view(X, rows) for X, rows in zip(data, seen, strict=True)]
        start = maths.first_response(views, self.n_components, rng)
        state: Any = start
        step: Callable[[Any], tuple[Any, float]]
        if self.method == "probabilistic":
            state = maths.Posterior(start, np.zeros_like(start), start[0], start[0])
            step = partial(maths.probabilistic_step, views)
        elif self.method == "deterministic":
            step = partial(maths.deterministic_step, views)
        else:
            state = maths.RobustState(start, [np.zeros_like(X) for X in data])
            step = partial(maths.robust_step, data, [one.seen for one in views], gamma=self.gamma)
        state, value = step(state)
        return iterate(
            step,
            state,
            value,
            max_iter=self.max_iter,
            tol=self.tol,
            rounding=maths.resolution(start.dtype),
        )

    def _center_and_scale(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, deviation = voxel_scaling(X)
        if self.method != "robust":
            return mean, deviation
        median = np.median(X, axis=0)
        scale = median_abs_deviation(X, axis=0, scale="normal")
        return median, np.where(scale > 0, scale, deviation)

    @property
    def _target(self) -> np.ndarray:
        return self.shared_response_

    def _fit_basis(
        self,
        X: np.ndarray,
        target: np.ndarray,
        subject: Subject,  # noqa: ARG002
    ) -> np.ndarray:
        # the polar factor; robust: in turn with the subject's individual part, for a fixed response
        basis = maths.polar_factor(X.T @ target)
        for _ in range(self.max_iter if self.method == "robust" else 0):
            before = basis
            own = maths.shrink(X - target @ basis.T, self.gamma)
            basis = maths.polar_factor((X - own).T @ target)
            if np.abs(basis - before).max() <= self.tol:
                break
        return basis

    def _mixed(self, own: np.ndarray, pooled: np.ndarray, weight: float) -> np.ndarray:
        return maths.polar_factor(super()._mixed(own, pooled, weight))

    def _project(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        basis = self.basis_[subject]
        # X W; robust: in turn with the individual part, for a fixed basis
        response = X @ basis
        for _ in range(self.max_iter if self.method == "robust" else 0):
            before = response
            response = (X - maths.shrink(X - response @ basis.T, self.gamma)) @ basis
            if np.abs(response - before).max() <= self.tol:
                break
        return response
