"""Non-negative CP factorisation of a tensor."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from neuroml._core.em import best_climb
from neuroml._core.parallel import RandomState, run_parallel, spawn_generators
from neuroml.connectome._cp_hals import fit_cp
from neuroml.exceptions import DataError

__all__ = ["NonnegativeCP"]


class NonnegativeCP(BaseEstimator):
    r"""Sum of non-negative rank-one parts of a tensor (canonical polyadic decomposition).

    A tensor of windows by regions by regions becomes components, each a pattern over regions
    that is present to a varying degree over windows:
    :math:`x_{tij} \approx \sum_r \lambda_r\, c_{tr}\, a_{ir}\, b_{jr}` with nothing negative.

    Parameters
    ----------
    n_components : int, default=3
    n_init : int, default=5
        Random starts; the one with the smallest error is kept.
    max_iter : int, default=500
    tol : float, default=1e-6
        A fit has converged when a sweep changes the relative error by no more than this.
    n_jobs : int or None, default=None
        Processes over the starts.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    cp_ : tensorly CPTensor
        ``(weights, factors)``: weights (n_components,) in falling order, and for each mode of the
        tensor a factor (size, n_components) with columns of unit norm.
    reconstruction_err_ : float
        Norm of the residual over norm of the data, on observed entries.
    error_trace_ : ndarray of shape (n_sweeps + 1,)
        The relative error at the start and after each sweep of the kept start.
    restart_errors_ : ndarray of shape (n_init,)
        Final relative error of every start: a wide spread means local minima.
    converged_ : bool
    n_iter_ : int
    n_features_in_ : int
        Size of the second mode.

    Notes
    -----
    The sweeps are tensorly's hierarchical alternating least squares [1]_.

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
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state", np.random.Generator],
    }

    def __init__(
        self,
        n_components: int = 3,
        *,
        n_init: int = 5,
        max_iter: int = 500,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> NonnegativeCP:
        """Factorise a tensor.

        Parameters
        ----------
        X : array-like with two or more dimensions
            Non-negative; NaN marks missing entries.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If entries are negative, all are missing, or there are more components than the
            tensor's shape allows.

        Warns
        -----
        NotConvergedWarning
            If the best start had not converged after ``max_iter`` sweeps.
        """
        tensor = validate_data(
            self, X, dtype=np.float64, allow_nd=True, ensure_all_finite="allow-nan"
        )
        self._check_tensor(tensor)
        tasks = [
            (tensor, self.n_components, rng, self.max_iter, self.tol)
            for rng in spawn_generators(self.random_state, self.n_init)
        ]
        best, every = best_climb(
            run_parallel(fit_cp, tasks, n_jobs=self.n_jobs), name=type(self).__name__
        )
        self.cp_ = best.state
        self.error_trace_ = -np.array(best.trace)
        self.reconstruction_err_ = -best.objective
        self.restart_errors_ = np.array([-one.objective for one in every])
        self.converged_ = best.converged
        self.n_iter_ = best.n_iter
        return self

    def _check_tensor(self, X: np.ndarray) -> None:
        observed = ~np.isnan(X)
        if not observed.any():
            raise DataError(
                "every entry is missing", expected="some entries that are not NaN", field="X"
            )
        if X.min(where=observed, initial=0.0) < 0:
            raise DataError(
                "Negative values in data passed to NonnegativeCP",
                expected="entries >= 0",
                found=f"minimum {X[observed].min():.4g} in {int((X[observed] < 0).sum())} entries",
                fix="Clip them, or use SlidingWindowConnectivity(negative='zero' or 'absolute').",
                field="X",
            )
        most = X.size // max(X.shape)
        if self.n_components > most:
            raise DataError(
                "more components than the tensor's shape allows",
                expected=f"n_components <= {most}",
                found=f"n_components={self.n_components} for shape {X.shape} "
                f"(n_samples={X.shape[0]}, n_features={X.shape[1]})",
                field="n_components",
            )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags
