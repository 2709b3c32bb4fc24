"""Functional types of cells from their responses alone."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.base import ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.validation import (
    align_columns,
    as_numbers,
    check_table,
    names_of,
    one_array,
    set_or_forget,
)
from neuroml._core.warn import warn_caller
from neuroml.celltypes._response_features import block_labels, block_projection, scale_cells
from neuroml.exceptions import DataError, NotConvergedWarning

__all__ = ["FunctionalTypes"]

_COVARIANCES = ("full", "tied", "diag", "spherical")
# Added to the variances within a type, where features have variance 1 over all cells: keeps a type
# from shrinking onto a few cells that happen to be alike.
_MIN_VARIANCE = 1e-2
_PATIENCE = 3  # numbers of types without a lower BIC after which more are not tried


class FunctionalTypes(ClusterMixin, Estimator):
    r"""Types of cells from their responses to a fixed set of stimuli, without a model of these.

    The responses to each stimulus, and their derivatives in time, are reduced to the few principal
    components that explain more than chance; a mixture of Gaussians is fitted to these and to any
    further features, the number of types being that with the lowest Bayesian information criterion
    (BIC), in the manner of [1]_.

    Parameters
    ----------
    n_types : int, optional
        Number of types; the one with the lowest BIC if not given.
    method : {"gmm", "full", "tied", "diag", "spherical"}, default="gmm"
        Covariance within types: one for each type, one for all, variances alone, or one variance
        for each type. "gmm" takes the one with the lowest BIC.
    max_types : int, default=30
        The largest number of types that is tried.
    max_components : int, default=10
        The largest number of components of each stimulus, and of its derivative.
    sparse : bool, default=False
        Components that have few time points each, as in [1]_; some hundred times slower.
    n_init : int, default=10
        Number of starts of each mixture, from cells drawn far apart (k-means++); the most likely
        one is kept.
    n_bootstrap : int, default=10
        Number of refits for ``stability_``; 0 for none.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_cells,)
        Type of each cell; type 0 is the most frequent one.
    n_types_ : int
    bic_ : float
        BIC of the mixture; lower is better.
    candidates_ : DataFrame
        ``n_types``, ``covariance`` and ``bic`` of every mixture that was tried.
    stability_ : float
        Mean adjusted Rand index between ``labels_`` and the types that mixtures fitted to cells
        drawn with replacement give to all cells; NaN without refits.
    weights_ : ndarray of shape (n_types,)
        Share of the cells.
    means_ : ndarray of shape (n_types, n_columns)
        Of the components and the further features, over their standard deviation.
    covariances_ : ndarray of shape (n_types, n_columns, n_columns)
    covariance_ : str
        The kind of covariance.
    projection_ : ndarray of shape (n_samples, n_components)
        What responses, scaled, are multiplied by.
    block_labels_ : ndarray of int of shape (n_samples,)
        Stimulus 0, 1, ... of each sample; -1 for samples of none.
    converged_ : bool
    n_iter_ : int

    See Also
    --------
    MostDiscriminativeStimuli : Types, and a stimulus for each, from a model of the responses.
    quality_index : Which cells respond reliably enough to be typed.

    Notes
    -----
    Each cell's response is taken about its mean within each stimulus and divided by its standard
    deviation over all stimuli, so gains do not matter. A component is kept if its singular value
    exceeds that of 20 shuffles of the cells within each time point. Where no component does, the
    first of each stimulus is kept.

    Where the number of types is known, k-means of principal components is about as good on the
    simulated retinas of `neuroml.simulate`: put it beside this.

    References
    ----------
    .. [1] T. Baden, P. Berens, K. Franke, et al. (2016). The functional diversity of retinal
       ganglion cells in the mouse. Nature 529, 345-350.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.celltypes import FunctionalTypes
    >>> t = np.linspace(0, 6, 60)
    >>> kinds = np.repeat([0, 1, 2], 20)
    >>> rng = np.random.default_rng(0)
    >>> X = np.array([np.sin(t), np.cos(t), t**2 / 18])[kinds] + 0.3 * rng.normal(size=(60, 60))
    >>> types = FunctionalTypes(random_state=0).fit(X)
    >>> types.n_types_, len(set(zip(types.labels_.tolist(), kinds.tolist())))
    (3, 3)
    """

    _parameter_constraints = {
        "n_types": [Interval(Integral, 1, None, closed="left"), None],
        "method": [StrOptions({"gmm", *_COVARIANCES})],
        "max_types": [Interval(Integral, 1, None, closed="left")],
        "max_components": [Interval(Integral, 1, None, closed="left")],
        "sparse": ["boolean"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "n_bootstrap": [Interval(Integral, 0, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_types: int | None = None,
        method: str = "gmm",
        *,
        max_types: int = 30,
        max_components: int = 10,
        sparse: bool = False,
        n_init: int = 10,
        n_bootstrap: int = 10,
        random_state: RandomState = None,
    ) -> None:
        self.n_types = n_types
        self.method = method
        self.max_types = max_types
        self.max_components = max_components
        self.sparse = sparse
        self.n_init = n_init
        self.n_bootstrap = n_bootstrap
        self.random_state = random_state

    @validated_fit
    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        features: ArrayLike | None = None,
        blocks: Any = None,
    ) -> FunctionalTypes:
        """Find the types.

        Parameters
        ----------
        X : array-like of shape (n_cells, n_samples)
            Mean response of each cell over repeats, all stimuli one after another. An array,
            DataFrame, DataArray, recording or torch tensor; masked entries are NaN, and refused.
        y : ignored
        features : array-like or DataFrame of shape (n_cells, n_features), optional
            Anything else that is known of each cell, such as the size of its soma or an index of
            direction selectivity, each in its own units.
        blocks : array-like of shape (n_samples,), or sequence or dict of slices or of columns
            The stimulus of each sample, or the columns of each stimulus; one stimulus if not given.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If values are missing or not finite, there are fewer cells than types, features have
            another number of rows, or blocks overlap.

        Warns
        -----
        NotConvergedWarning
            If the mixture did not converge.
        """
        responses = check_table(
            self, X, dtype=np.float64, ensure_min_samples=2, ensure_min_features=2
        )
        self._check_number(len(responses))
        shuffle_rng, mixture_rng, bootstrap_rng = spawn_generators(self.random_state, 3)
        self.block_labels_ = block_labels(blocks, responses.shape[1])
        self.projection_ = self._project(responses, shuffle_rng)
        extra, names = self._check_features(features, len(responses))
        set_or_forget(self, "feature_means_", None if extra is None else extra.mean(axis=0))
        set_or_forget(self, "feature_sds_", None if extra is None else _positive(extra.std(axis=0)))
        set_or_forget(self, "further_names_", names)
        columns = self._columns(responses, extra)
        self._take(self._search(columns, mixture_rng), columns)
        self.labels_ = self._posterior(columns).argmax(axis=1)
        self.stability_ = self._bootstrap(columns, bootstrap_rng)
        return self

    def _check_number(self, n_cells: int) -> None:
        if self.n_types is not None and self.n_types > n_cells:
            raise DataError(
                "there are fewer cells than types",
                expected=f">= n_types={self.n_types} cells",
                found=f"n_samples={n_cells}",
                fix="X is (n_cells, n_samples): transpose it if cells are columns.",
                field="X",
            )

    def _project(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Weights (n_samples, n_components) that make components of variance 1."""
        labels = self.block_labels_
        scaled = scale_cells(X, labels)
        blocks = range(labels.max() + 1)
        found = [
            block_projection(
                scaled[:, labels == b],
                rng,
                max_components=self.max_components,
                sparse=self.sparse,
            )
            for b in blocks
        ]
        if not sum(weights.shape[1] for weights in found):
            found = [_first_component(scaled[:, labels == b]) for b in blocks]
        weights = np.zeros((X.shape[1], sum(one.shape[1] for one in found)))
        start = 0
        for block, one in zip(blocks, found, strict=True):
            weights[labels == block, start : start + one.shape[1]] = one
            start += one.shape[1]
        return weights / _positive((scaled @ weights).std(axis=0))

    def _check_features(
        self, features: Any, n_cells: int
    ) -> tuple[np.ndarray | None, list[str] | None]:
        """Further features (n_cells, n_features) and their names, or None."""
        if features is None:
            return None, None
        given = one_array(features, "features")
        if np.ndim(given) == 1:
            given = np.asarray(given)[:, None]
        values = as_numbers(given, "features").astype(np.float64)
        if values.ndim != 2 or len(values) != n_cells:
            raise DataError(
                "the features do not match the cells",
                expected=f"shape ({n_cells}, n_features), one row for each cell",
                found=f"shape {values.shape}",
                field="features",
            )
        if not np.isfinite(values).all():
            cell = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise DataError(
                "some features are missing or not finite",
                expected="finite numbers",
                found=f"{int((~np.isfinite(values)).sum())} others; the first in cell {cell}",
                fix="Leave these cells or this feature out.",
                field="features",
            )
        return values, names_of(given)

    def _columns(self, X: np.ndarray, extra: np.ndarray | None) -> np.ndarray:
        """What the mixture is of, (n_cells, n_columns)."""
        components = scale_cells(X, self.block_labels_) @ self.projection_
        if extra is None:
            return components
        return np.hstack([components, (extra - self.feature_means_) / self.feature_sds_])

    def _search(self, columns: np.ndarray, rng: np.random.Generator) -> GaussianMixture:
        """The mixture with the lowest BIC of those that the parameters allow."""
        seed = int(rng.integers(2**31))
        numbers = (
            range(1, min(self.max_types, len(columns) - 1) + 1)
            if self.n_types is None
            else [self.n_types]
        )
        tried = []
        for covariance in _COVARIANCES if self.method == "gmm" else [self.method]:
            best, worse = np.inf, 0
            for number in numbers:
                fitted = self._mixture(columns, number, covariance, self.n_init, seed)
                bic = float(fitted.bic(columns))
                tried.append((number, covariance, bic, fitted))
                best, worse = (bic, 0) if bic < best else (best, worse + 1)
                if worse == _PATIENCE:
                    break
        self.candidates_ = pd.DataFrame(
            [one[:3] for one in tried], columns=["n_types", "covariance", "bic"]
        )
        self.bic_ = float(self.candidates_["bic"].min())
        return tried[int(self.candidates_["bic"].argmin())][3]

    @staticmethod
    def _mixture(
        columns: np.ndarray, n_types: int, covariance: str, n_init: int, seed: int
    ) -> GaussianMixture:
        mixture = GaussianMixture(
            n_types,
            covariance_type=covariance,
            reg_covar=_MIN_VARIANCE,
            n_init=n_init,
            # starts from k-means often end in one optimum
            init_params="k-means++",
            max_iter=500,
            random_state=seed,
        )
        with warnings.catch_warnings():  # `fit` says in its own words whether the best converged
            warnings.simplefilter("ignore", ConvergenceWarning)
            return mixture.fit(columns)

    def _take(self, mixture: GaussianMixture, columns: np.ndarray) -> None:
        """Set what describes the mixture, types in falling order of their number of cells."""
        n_types, n_columns = mixture.means_.shape
        given, unit = mixture.covariances_, np.eye(n_columns)
        full = {
            "full": lambda: given,
            "tied": lambda: np.repeat(given[None], n_types, axis=0),
            "diag": lambda: given[:, None] * unit,
            "spherical": lambda: given[:, None, None] * unit,
        }[mixture.covariance_type]()
        sizes = np.bincount(mixture.predict(columns), minlength=n_types)
        order = np.lexsort([-mixture.weights_, -sizes])
        self.n_types_, self.covariance_ = n_types, mixture.covariance_type
        self.weights_, self.means_ = mixture.weights_[order], mixture.means_[order]
        self.covariances_ = full[order]
        self.converged_, self.n_iter_ = bool(mixture.converged_), int(mixture.n_iter_)
        if not self.converged_:
            warn_caller(
                f"The mixture of {n_types} types had not converged after {self.n_iter_} "
                "iterations.",
                NotConvergedWarning,
            )

    def _bootstrap(self, columns: np.ndarray, rng: np.random.Generator) -> float:
        found = []
        for _ in range(self.n_bootstrap):
            drawn = columns[rng.integers(len(columns), size=len(columns))]
            seed = int(rng.integers(2**31))
            again = self._mixture(drawn, self.n_types_, self.covariance_, self.n_init, seed)
            found.append(adjusted_rand_score(self.labels_, again.predict(columns)))
        return float(np.mean(found)) if found else np.nan

    def _posterior(self, columns: np.ndarray) -> np.ndarray:
        density = [
            multivariate_normal(mean, covariance).logpdf(columns)
            for mean, covariance in zip(self.means_, self.covariances_, strict=True)
        ]
        logits = np.reshape(density, (self.n_types_, len(columns))).T + np.log(self.weights_)
        return softmax(logits, axis=1)

    def predict_proba(self, X: ArrayLike, *, features: ArrayLike | None = None) -> np.ndarray:
        """Probability of each type for each cell, also of other recordings of the same stimuli.

        Parameters
        ----------
        X : array-like of shape (n_cells, n_samples)
        features : array-like of shape (n_cells, n_features)
            If there were any in `fit`.

        Returns
        -------
        ndarray of shape (n_cells, n_types)

        Raises
        ------
        DataError
            If X or features are not those of `fit`.
        """
        check_is_fitted(self)
        responses = check_table(self, X, dtype=np.float64, reset=False)
        expected = getattr(self, "feature_means_", None)
        if (features is None) != (expected is None):
            raise DataError(
                "the features are not those of fit",
                expected="no features" if expected is None else f"{len(expected)} features",
                found="none" if features is None else "some",
                field="features",
            )
        if features is not None:
            given = one_array(features, "features")
            features = align_columns(given, getattr(self, "further_names_", None), field="features")
        extra, _ = self._check_features(features, len(responses))
        if extra is not None and extra.shape[1] != len(self.feature_means_):
            raise DataError(
                "the features are not those of fit",
                expected=f"{len(self.feature_means_)} features",
                found=extra.shape[1],
                field="features",
            )
        return self._posterior(self._columns(responses, extra))

    def predict(self, X: ArrayLike, *, features: ArrayLike | None = None) -> np.ndarray:
        """Type of each cell, also of other recordings of the same stimuli.

        Parameters
        ----------
        X : array-like of shape (n_cells, n_samples)
        features : array-like of shape (n_cells, n_features)
            If there were any in `fit`.

        Returns
        -------
        ndarray of int of shape (n_cells,)
        """
        return self.predict_proba(X, features=features).argmax(axis=1)

    def to_frame(self) -> pd.DataFrame:
        """Return types and their features as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``type``, ``feature``, ``input`` (name or number of
            the column of X), ``cell``, ``value``. Quantities: "share" of the cells and "n_cells"
            of each type, "mean" of each feature ("component 0", ... and the further ones), in
            standard deviations over all cells, "weight" of each column of X in a component, and
            "type" of each cell.
        """
        check_is_fitted(self)
        n_components = self.projection_.shape[1]
        n_further = self.means_.shape[1] - n_components
        further = getattr(self, "further_names_", [f"feature {i}" for i in range(n_further)])
        components = [f"component {i}" for i in range(n_components)]
        types = {"type": range(self.n_types_)}
        counts = np.bincount(self.labels_, minlength=self.n_types_)
        return long_frame(
            [
                Quantity("share", self.weights_, types),
                Quantity("n_cells", counts, types),
                Quantity("mean", self.means_, types | {"feature": [*components, *further]}),
                Quantity(
                    "weight",
                    self.projection_,
                    {"input": feature_labels(self), "feature": components},
                ),
                Quantity("type", self.labels_, {"cell": range(len(self.labels_))}),
            ]
        )


def _positive(sd: np.ndarray) -> np.ndarray:
    """Deviations, with 1 where there is none."""
    return np.where(sd > 0, sd, 1.0)


def _first_component(responses: np.ndarray) -> np.ndarray:
    return np.linalg.svd(responses - responses.mean(axis=0), full_matrices=False)[2][:1].T
