"""Non-negative CP factorization of a tensor."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
)
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted
from tensorly.cp_tensor import CPTensor

from neuroml._core.estimator import (
    DEVICE,
    RANDOM_STATE,
    Estimator,
    Interval,
    StrOptions,
    TableOutputMixin,
    validated_fit,
)
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.iteration import select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.validation import check_sample_weight, check_table, one_array
from neuroml.connectome._background import (
    background_map,
    norm_of_change,
    with_constant,
    with_known,
    with_profiles,
)
from neuroml.connectome._factors import (
    factor_match,
    nonnegative_loadings,
    normalize_cp,
    random_factors,
)
from neuroml.connectome._hals import (
    Penalty,
    Problem,
    background_of,
    background_shift,
    factorize,
    normal_equations,
    quadratic,
)
from neuroml.connectome._packed import Packed, pack, unobserved
from neuroml.connectome._problem import build_problem, kernels_for, squares_along
from neuroml.connectome.tensors import FiberTensor
from neuroml.exceptions import DataError

__all__ = ["NonnegativeCP"]

_ARRAYS: Any = {
    "dtype": (np.float64, np.float32),
    "allow_nd": True,
    "ensure_all_finite": "allow-nan",
}


class NonnegativeCP(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator):
    r"""Non-negative CP (canonical polyadic) decomposition: a sum of rank-one tensors.

    A tensor of pairs by subjects by time becomes components, each a pattern of connectivity that is
    present to a varying degree in the subjects and over time:
    :math:`x_{pat} \approx \sum_r \lambda_r\, u_{pr}\, v_{ar}\, w_{tr}` with nothing negative.
    It minimizes, over observed entries only,

    .. math::
        \sum \Big(x_{pat} - \sum_r u_{pr} v_{ar} w_{tr}\Big)^2
        + \rho \sum_r \lambda_r^2 + \sigma \sum_r \|u_r\|_1 \|v_r\|_1 \|w_r\|_1
        + \mu \sum_r \|u_r\|^2 \|v_r\|^2 \sum_t (w_{t+1,r} - w_{tr})^2 .

    With a background, :math:`B_{pa} \ge 0`, constant in time, is added to the sum; it takes what is
    there all the time, which otherwise takes a component or a part of each.

    No penalty changes when scale moves from one factor to another.

    Parameters
    ----------
    n_components : int, default=3
    symmetric_modes : tuple of two int, optional
        Modes whose exchange leaves the tensor as it is, such as ``(1, 2)`` for windows by regions
        by regions. Only half of the data is then stored; the result is the same.
    n_init : int, default=5
        Number of random starts, iterated together; the one with the smallest objective is kept.
    max_iter : int, default=500
        Maximum number of iterations.
    tol : float, default=1e-6
        A fit has converged when an iteration lowers the relative error by no more than this.
    ridge : float, default=1e-3
        :math:`\rho`, relative to the data: a component fitted to complete data shrinks by the
        factor 1 / (1 + ridge). It determines what the data do not, such as a pair observed in fewer
        subjects than there are components.
    sparsity : float, default=0
        :math:`\sigma`, in the units of the data.
    smoothness : float, default=0
        :math:`\mu`, along the mode that fibers run along: the last one of a `FiberTensor`; in an
        array, the longest one along which no fiber is partly missing.
    background : {"none", "mean", "rank-one"}, default="none"
        "mean" is a map of its own, free but for being constant in time and not negative; "rank-one"
        a further component whose time course is constant. Time is the last mode of a `FiberTensor`
        and the first one of an array.
    init : tensorly CPTensor, optional
        Decomposition to start from, in place of random starts.
    sample_mode : int, default=0
        The mode along which `transform` and `score` take new data; 1 for what `AffinityTensor`
        gives, where it holds the subjects.
    dtype : {"float32", "float64"}, default="float32"
        Type of the data in memory. Factors and sums are float64 in any case. With "float32", a
        relative error below about 1e-3 is not resolved.
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where torch finds one.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    cp_ : tensorly CPTensor
        ``(weights, factors)``: weights (n_components,) in falling order, and for each mode of the
        tensor a factor (size, n_components) with columns of unit norm.
    background_ : ndarray of the tensor's shape without time, or None
        What is there all the time; NaN where nothing was observed. Its part of a time course is
        determined by the ridge alone: without one, a component may hold some of it.
    reconstruction_err_ : float
        Norm of the residual over norm of the data, on observed entries.
    objective_trace_ : ndarray of shape (n_iter + 1,)
        Root of the objective over the norm of the data, after a first update and each iteration of
        the kept start; lower is better. Without penalties this is the relative error.
    restart_objectives_ : ndarray of shape (n_init,)
        Its last value for every start, lower is better: large differences mean local minima.
    restart_matches_ : ndarray of shape (n_init,)
        `factor_match` of every start with the kept one: components that only some starts find are
        not to be interpreted.
    converged_ : bool
    n_iter_ : int
    n_features_in_ : int
        Size of the second mode.

    Warns
    -----
    NotConvergedWarning
        If the best start had not converged after ``max_iter`` iterations.

    See Also
    --------
    AffinityTensor : computes the tensor of a cohort.
    select_rank : chooses the number of components.

    Notes
    -----
    Hierarchical alternating least squares [1]_ with extrapolation and restart. Missing fibers are
    left out of the sums, not filled in, and all modes but the one along the fibers are updated from
    one pass over the data.

    References
    ----------
    .. [1] N. Gillis and F. Glineur (2012). Accelerated multiplicative updates and hierarchical
       ALS algorithms for nonnegative matrix factorization. Neural Computation 24(4).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import NonnegativeCP
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.uniform(size=(n, 2)) for n in (10, 8, 6))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> model = NonnegativeCP(n_components=2, random_state=0).fit(tensor)
    >>> model.reconstruction_err_ < 0.01
    True
    >>> model.transform(tensor[:3]).shape
    (3, 2)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "symmetric_modes": [tuple, list, None],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="left")],
        "sparsity": [Interval(Real, 0, None, closed="left")],
        "smoothness": [Interval(Real, 0, None, closed="left")],
        "background": [StrOptions({"none", "mean", "rank-one"})],
        "init": [CPTensor, tuple, None],
        "sample_mode": [Integral],
        "dtype": [StrOptions({"float32", "float64"})],
        "device": DEVICE,
        "random_state": RANDOM_STATE,
    }
    _former_parameters = {"n_jobs": None}

    def __init__(  # noqa: PLR0913 - one keyword for each parameter
        self,
        n_components: int = 3,
        *,
        symmetric_modes: tuple[int, int] | None = None,
        n_init: int = 5,
        max_iter: int = 500,
        tol: float = 1e-6,
        ridge: float = 1e-3,
        sparsity: float = 0.0,
        smoothness: float = 0.0,
        background: str = "none",
        init: CPTensor | None = None,
        sample_mode: int = 0,
        dtype: str = "float32",
        device: Any = "cpu",
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.symmetric_modes = symmetric_modes
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.ridge = ridge
        self.sparsity = sparsity
        self.smoothness = smoothness
        self.background = background
        self.init = init
        self.sample_mode = sample_mode
        self.dtype = dtype
        self.device = device
        self.random_state = random_state

    @validated_fit
    def fit(self, X: ArrayLike | FiberTensor, y: Any = None) -> NonnegativeCP:
        """Factorize a tensor.

        Parameters
        ----------
        X : array-like with two or more dimensions, or FiberTensor
            Non-negative; NaN is a missing entry. An array, DataFrame, DataArray, recording or
            torch tensor; masked entries are NaN.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If entries are negative, an index of a mode is never observed, slices said to be
            symmetric are not, there are more components than the tensor's shape allows, or the
            device is not there.
        """
        kernels = kernels_for(self.device)
        tensor = self._check_tensor(X, reset=True)
        packed = pack(tensor, self.symmetric_modes, along=self._time_of(tensor))
        problem = self._problem(packed, kernels, self.background)
        starts = [
            [problem.kernels.array(factors[mode]) for mode in packed.order]
            for factors in self._starts(tensor.shape, norm_of_change(problem))
        ]
        if problem.n_held:
            starts = [with_constant(factors, problem) for factors in starts]
        best, every = select_restart(
            factorize(problem, starts, max_iter=self.max_iter, tol=self.tol),
            name=type(self).__name__,
        )
        found = [_as_cp(one.state.factors, packed, problem) for one in every]
        self.cp_ = _as_cp(best.state.factors, packed, problem)
        self.background_ = background_map(best.state.factors, packed, problem)
        self.objective_trace_ = -np.array(best.trace)
        self.reconstruction_err_ = _relative_error(problem, best.state.factors)
        self.restart_objectives_ = np.array([-one.objective for one in every])
        self.restart_matches_ = np.array([factor_match(self.cp_, one) for one in found])
        self.converged_ = best.converged
        self.n_iter_ = best.n_iter
        self._n_features_out = self.n_components
        return self

    def transform(self, X: ArrayLike | FiberTensor) -> np.ndarray:
        """Compute loadings of new data along ``sample_mode``, with the other modes' factors fixed.

        Parameters
        ----------
        X : array-like or FiberTensor
            As in `fit`, of any size along ``sample_mode``.

        Returns
        -------
        ndarray of shape (size along sample_mode, n_components)
            The exact non-negative least-squares solution, NaN where nothing of a slice was
            observed. Its product with the other modes' unit-norm factors approximates the data;
            for the data of `fit`, it is the factor times ``cp_.weights``.

        Raises
        ------
        DataError
            As in `fit`, if the other modes have another size than in fit, and if nothing at all is
            observed.
        """
        return self._project(X)[0]

    @property
    def _rows_are_samples(self) -> bool:
        return self.sample_mode == 0

    def score(
        self,
        X: ArrayLike | FiberTensor,
        y: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return minus the relative error on new data, of which only the loadings are fitted.

        Parameters
        ----------
        X : array-like or FiberTensor
            As in `transform`.
        y : ignored
        sample_weight : array-like of shape (size along sample_mode,), optional
            Weights of the squares along ``sample_mode``, in the residual as in the data.

        Returns
        -------
        float

        Raises
        ------
        DataError
            As in `transform`, and if weights do not fit, are not finite or negative, or are all
            zero.
        """
        return -self._project(X, sample_weight)[1]

    def _project(
        self, X: ArrayLike | FiberTensor, sample_weight: ArrayLike | None = None
    ) -> tuple[np.ndarray, float]:
        """Loadings of new data and the relative error that they leave."""
        check_is_fitted(self)
        tensor, mode = self._new_tensor(X)
        packed = pack(tensor, self.symmetric_modes, check_unseen=False, along=self._time_of(tensor))
        place = packed.order.index(mode)
        along_time = place == len(packed.order) - 1
        # the background of new moments is known; that of new subjects is found with their loadings
        kind = "mean" if self.background == "rank-one" and along_time else self.background
        problem = replace(self._problem(packed, kernels_for(self.device), kind), penalty=Penalty())
        if kind == "mean" and along_time:
            problem = with_known(problem, packed, self.background_)
        factors = [problem.kernels.array(self.cp_.factors[k]) for k in packed.order]
        factors[place] = problem.kernels.array(np.ones((tensor.shape[mode], self.n_components)))
        if problem.n_held:
            factors = with_profiles(factors, self.background_, packed.order, place, problem)
        loadings, wanted, gram, background = self._load(problem, factors, place)
        unknown = unobserved(packed, place)
        if sample_weight is None:
            loss = quadratic(problem, wanted, gram, loadings)
            loss += background_shift(problem, background)
        else:
            counted = np.isin(np.arange(len(loadings)), unknown, invert=True)
            weights = check_sample_weight(sample_weight, len(loadings), counted)
            # norm of the data, and of what is left of them without the background
            norm, rest = (
                float(weights @ squares_along(problem, packed, place, off))
                for off in (None, background)
            )
            problem = replace(problem, squared_norm=norm)
            grams = np.broadcast_to(gram, (len(loadings), *gram.shape[-2:]))
            root = np.sqrt(weights)[:, None]
            loss = quadratic(problem, wanted * root, grams, loadings * root) + rest - norm
        loadings[unknown] = np.nan
        return loadings[:, : self.n_components], problem.relative(loss)

    def _new_tensor(self, X: ArrayLike | FiberTensor) -> tuple[Any, int]:
        """New data, which have the modes of those seen in fit, and the mode of their samples."""
        tensor = self._check_tensor(X, reset=False)
        mode = self.sample_mode % tensor.ndim
        expected = [len(factor) for factor in self.cp_.factors]
        expected[mode] = tensor.shape[mode]
        if list(tensor.shape) != expected or mode in (self.symmetric_modes or ()):
            raise DataError(
                "new data must have the modes of the data seen in fit",
                expected=f"{expected} with any size along mode {mode}, not a symmetric one",
                found=tensor.shape,
                field="X",
            )
        return tensor, mode

    def _load(self, problem: Problem, factors: Any, place: int) -> tuple[Any, Any, Any, Any]:
        """Loadings along one mode, their normal equations, and the background beside them.

        Given the loadings the background is in closed form, and the other way round: a convex
        problem, whose optimum the two reach by turns.
        """
        learned = problem.constant is not None and problem.constant.given is None
        loadings = None
        for _ in range(self.max_iter if learned else 1):
            background = background_of(problem, factors)
            wanted, gram = (
                problem.kernels.to_numpy(part) for part in normal_equations(problem, factors, place)
            )
            before = loadings
            loadings = nonnegative_loadings(wanted, gram + self.ridge * np.eye(gram.shape[-1]))
            factors[place] = problem.kernels.array(loadings)
            if before is not None and np.abs(loadings - before).max() <= 1e-6 * loadings.max():
                break
        return loadings, wanted, gram, background

    def _time_of(self, tensor: Any) -> int | None:
        """The mode of an array that rows must run along."""
        return None if self.background == "none" or isinstance(tensor, FiberTensor) else 0

    def _problem(self, packed: Packed, kernels: Any, background: str) -> Problem:
        penalty = Penalty(self.ridge, self.sparsity, self.smoothness)
        return build_problem(
            packed, penalty, dtype=self.dtype, kernels=kernels, background=background
        )

    def _starts(self, shape: tuple[int, ...], norm: float) -> list[list[np.ndarray]]:
        """Factors to start from, one list per start, modes as in the tensor."""
        if self.init is None:
            generators = spawn_generators(self.random_state, self.n_init)
            return [random_factors(shape, self.n_components, norm, rng) for rng in generators]
        weights, factors = self.init
        wanted = [(size, self.n_components) for size in shape]
        if [np.shape(factor) for factor in factors] != wanted:
            raise DataError(
                "init does not fit the tensor",
                expected=f"factors of shapes {wanted}",
                found=[np.shape(factor) for factor in factors],
                field="init",
            )
        scale = np.ones(self.n_components) if weights is None else np.asarray(weights)
        if scale.shape != (self.n_components,):
            raise DataError(
                "init has other weights than components",
                expected=f"{self.n_components} weights, or None",
                found=f"shape {scale.shape}",
                field="init",
            )
        for name, part in (("weights", scale), *(("factors", factor) for factor in factors)):
            if not ((np.asarray(part) >= 0) & np.isfinite(part)).all():
                raise DataError(
                    f"init has {name} that are negative or not finite",
                    expected="finite numbers >= 0",
                    found=f"minimum {np.min(part):.4g}, maximum {np.max(part):.4g}",
                    field="init",
                )
        first = np.asarray(factors[0]) * scale
        return [[np.array(factor, dtype=np.float64) for factor in (first, *factors[1:])]]

    def _check_tensor(self, X: ArrayLike | FiberTensor, *, reset: bool) -> Any:
        if isinstance(X, FiberTensor):
            tensor: Any = X
            if reset:
                self.n_features_in_ = X.shape[1]
        elif reset or self.sample_mode != 1:
            tensor = check_table(self, X, reset=reset, **_ARRAYS)
        else:
            tensor = check_array(one_array(X), **_ARRAYS)
        most = int(np.prod(tensor.shape)) // max(tensor.shape)
        if reset and self.n_components > most:
            raise DataError(
                "more components than the tensor's shape allows",
                expected=f"n_components <= {most}",
                found=f"n_components={self.n_components} for shape {tensor.shape} "
                f"(n_samples={tensor.shape[0]}, n_features={tensor.shape[1]})",
                field="n_components",
            )
        return tensor

    def to_frame(self) -> pd.DataFrame:
        """Return weights and loadings of all components as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity`` ("weight" or "loading"), ``component``, ``mode`` of the
            tensor, ``label`` (place in that mode, or the name of a table's column; neither for
            weights) and ``value``.
        """
        check_is_fitted(self)
        weights, factors = self.cp_
        components = range(len(weights))
        found = [Quantity("weight", np.asarray(weights), {"component": components})]
        for mode, factor in enumerate(factors):
            labels = feature_labels(self) if mode == 1 else range(len(factor))
            axes = {"component": components, "label": labels}
            found.append(Quantity("loading", np.asarray(factor).T, axes, fixed={"mode": mode}))
        return long_frame(found)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def _as_cp(factors: Any, packed: Packed, problem: Problem) -> CPTensor:
    """The decomposition in normal form, modes as in the tensor."""
    n_components = factors[0].shape[1] - problem.n_held
    arrays = [problem.kernels.to_numpy(factor)[:, :n_components] for factor in factors]
    return normalize_cp(CPTensor((None, [arrays[k] for k in np.argsort(packed.order)])))


def _relative_error(problem: Problem, factors: Any) -> float:
    """Norm of the residual over norm of the data, whatever the penalties."""
    bare = replace(problem, penalty=Penalty())
    wanted, gram = normal_equations(bare, factors, len(factors) - 1)
    loss = quadratic(bare, wanted, gram, factors[-1])
    return problem.relative(loss + background_shift(bare, background_of(bare, factors)))
