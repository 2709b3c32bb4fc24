"""The plain models that stand beside every model, by its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale

from neuroml._core.estimator import Estimator
from neuroml._core.parallel import spawn_generators
from neuroml._core.validation import as_given, as_numbers
from neuroml.celltypes import FunctionalTypes, MostDiscriminativeStimuli
from neuroml.connectome import AffinityTensor, DynamicConnectome
from neuroml.decoding import PrototypeClassifier, RidgeDecoder
from neuroml.evaluation._fitted import Alone, Pooled, last_step
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation._windows import WindowPatterns
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

Data = Rows | dict[Any, Rows]

__all__ = [
    "ConstantRate",
    "MemorylessMixture",
    "MemorylessPopulation",
    "ResponseClusters",
    "beside",
    "constant_rate",
    "for_cells",
    "for_choices",
    "for_classifiers",
    "for_cohort_classes",
    "for_decoders",
    "for_populations",
    "for_positions",
    "for_responses",
    "for_types",
    "for_windows",
    "plain",
]


class ConstantRate(Estimator):
    """Independent Poisson counts, each unit at its mean rate.

    Rates have Jeffreys' prior, half a spike, so that a unit that was silent in the training data
    does not make one spike impossible.

    Attributes
    ----------
    rates_ : ndarray of shape (n_units,)
        Expected spikes per bin.
    """

    def fit(self, spikes: ArrayLike, y: Any = None) -> ConstantRate:
        """Count spikes (n_bins, n_units)."""
        del y
        counts = as_numbers(as_given(spikes), "spikes")
        self.rates_ = (counts.sum(axis=0) + 0.5) / len(counts)
        return self

    def score(self, spikes: ArrayLike, y: Any = None) -> float:
        """Mean log-likelihood in nats per bin, summed over units."""
        del y
        counts = as_numbers(as_given(spikes), "spikes")
        values = counts * np.log(self.rates_) - self.rates_ - gammaln(counts + 1.0)
        return float(values.sum(axis=1).mean())


class MemorylessMixture(Estimator):
    """The states of a `SwitchingGLM` without their chain: each trial draws its state anew.

    What a switching model predicts better than this, it knows from the order of trials.

    Parameters
    ----------
    model : SwitchingGLM
    """

    def __init__(self, model: SwitchingGLM) -> None:
        self.model = model

    def fit(self, X: ArrayLike | None, y: ArrayLike) -> MemorylessMixture:
        """Fit with every sample as a session of its own, whose first state is drawn."""
        self.model_ = clone(self.model).set_params(transition_columns=None, pooling="complete")
        self.model_.fit(X, y, sessions=np.arange(len(y)))  # type: ignore[arg-type]
        self.converged_ = self.model_.converged_
        return self

    def score(self, X: ArrayLike | None, y: ArrayLike) -> float:
        """Mean log-likelihood in nats per sample."""
        return self.model_.score(X, y, sessions=np.arange(len(y)))  # type: ignore[arg-type]


class MemorylessPopulation(SwitchingPopulationGLM):
    """The states of a `SwitchingPopulationGLM` without their chain: each bin draws its own anew.

    Rates still depend on the spikes before.
    """

    def _problem(
        self, counts: np.ndarray, sessions: np.ndarray, covariates: np.ndarray | None = None
    ) -> Any:
        problem = super()._problem(counts, sessions, covariates)
        return problem._replace(starts=np.arange(len(counts) + 1))  # every bin is a first one


def plain_glm(model: SwitchingGLM) -> SwitchingGLM:
    """One state, no inputs: the rate, share of choices or mean of all the training data."""
    return clone(model).set_params(
        n_states=1,
        n_init=1,
        pooling="complete",
        emission_columns=[],
        transition_columns=None,
        fit_intercept=True,
    )


def constant_rate(model: Any, train: Rows) -> Callable[[Rows], float]:
    """The log-likelihood, per sample, of what knows nothing but the training data's mean.

    Parameters
    ----------
    model : estimator
        A switching model, or a baseline of one.
    train : Rows
    """
    last = last_step(model)
    inner = getattr(last, "model", last)
    if isinstance(inner, SwitchingGLM):
        fitted = plain_glm(inner).fit(None, train.y, sessions=train.sessions)
        return lambda rows: fitted.score(None, rows.y, sessions=rows.sessions)
    if not isinstance(inner, SwitchingPopulationGLM | ConstantRate):
        raise DataError(
            "bits are above a constant rate of spikes, or share of choices",
            expected="a SwitchingGLM or a SwitchingPopulationGLM",
            found=type(last).__name__,
            field="scoring",
        )
    rate = ConstantRate().fit(train.X)
    return lambda rows: rate.score(rows.X)


def beside(model: Any, last: Any) -> Any:
    """The same preparation, with another model at the end."""
    if not isinstance(model, Pipeline):
        return last
    return Pipeline([*[(n, clone(step)) for n, step in model.steps[:-1]], ("baseline", last)])


def for_choices(model: Any, data: Data) -> dict[str, Any]:
    """One state, a constant rate and a mixture without memory, beside a `SwitchingGLM`."""
    last: SwitchingGLM = last_step(model)
    found: dict[str, Any] = {}
    if last.n_states > 1:
        found["one state"] = clone(last).set_params(n_states=1, n_init=1)
        found["memoryless mixture"] = MemorylessMixture(last)
    if isinstance(data, Rows) and data.X is not None:
        found["constant rate"] = plain_glm(last)
    return {name: beside(model, one) for name, one in found.items()}


def for_populations(model: Any, data: Data) -> dict[str, Any]:
    """One state, a constant rate and states without memory, beside `SwitchingPopulationGLM`."""
    del data
    last: SwitchingPopulationGLM = last_step(model)
    found: dict[str, Any] = {"constant rate": ConstantRate()}
    if last.n_states > 1:
        found["one state"] = clone(last).set_params(n_states=1, n_init=1)
        found["memoryless mixture"] = MemorylessPopulation(**last.get_params(deep=False))
    return {name: beside(model, one) for name, one in found.items()}


def for_windows(model: Any, data: Data) -> dict[str, Any]:
    """The mean, a static map, PCA, NMF and k-means of the windows, with as many components."""
    del data
    last = last_step(model)
    if isinstance(last, DynamicConnectome):
        names = AffinityTensor().get_params().keys() & last.get_params().keys()
        own = ("affinity", AffinityTensor(**{name: getattr(last, name) for name in names}))
        before = model.steps[:-1] if isinstance(model, Pipeline) else []
        model = Pipeline([*before, own, ("last", last)])
    kinds = {
        "mean map": "mean",
        "static connectivity": "static",
        "PCA": "pca",
        "NMF": "nmf",
        "co-activation patterns": "kmeans",
    }
    return {
        name: beside(model, WindowPatterns(kind, last.n_components)) for name, kind in kinds.items()
    }


def for_responses(model: Any, data: Data) -> dict[str, Any]:
    """A linear-nonlinear model, beside a response network."""
    del data
    last = last_step(model)
    if last.core == "linear":
        return {"mean": beside(model, DummyRegressor())}
    linear = clone(last).set_params(core="linear")
    return {"linear-nonlinear": beside(model, linear), "mean": DummyRegressor()}


class ResponseClusters(Estimator):
    """k-means of the responses to ordinary stimuli, the first clustering that comes to mind.

    Parameters
    ----------
    model : MostDiscriminativeStimuli
        Whose number of clusters, and way to ask a model of cells, are taken.
    random_state : int, RandomState, Generator or None

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_cells,)
        -1 for cells that do not respond.
    """

    def __init__(self, model: MostDiscriminativeStimuli, random_state: Any = None) -> None:
        self.model = model
        self.random_state = random_state

    def fit(self, cells: Any, y: Any = None) -> ResponseClusters:
        """Cluster the cells of a response model."""
        from neuroml.celltypes._cluster_search import responding_cells
        from neuroml.celltypes._model_adapter import ModelAdapter

        del y
        clip_rng, cluster_rng = spawn_generators(self.random_state, 2)
        asked = self.model
        with ModelAdapter.adapt(
            cells,
            stimulus_shape=asked.stimulus_shape,
            stimulus_axes=asked.stimulus_axes,
            window=asked.window,
        ) as adapter:
            responses = adapter.record(adapter.clips(asked.n_reference, clip_rng))
        known = responding_cells(responses)
        self.labels_ = np.full(responses.shape[1], -1)
        kmeans = _kmeans(asked.n_clusters, int(cluster_rng.integers(2**31)))
        self.labels_[known] = kmeans.fit_predict(_standardized(responses[:, known].T))
        return self


def for_cells(model: Any, data: Data) -> dict[str, Any]:
    """k-means of responses, beside `MostDiscriminativeStimuli`."""
    del data
    return {"k-means of responses": ResponseClusters(model)}


def _standardized(responses: np.ndarray) -> np.ndarray:
    """Each cell's responses (n_cells, n_samples) with mean 0 and variance 1."""
    return scale(np.asarray(responses, dtype=float), axis=1)


def _kmeans(n_clusters: int, seed: int) -> KMeans:
    return KMeans(n_clusters, n_init=10, random_state=seed)


def for_types(model: Any, data: Data) -> dict[str, Any]:
    """k-means of the responses with as many clusters, beside `FunctionalTypes`."""
    last: FunctionalTypes = last_step(model)
    n_types = last.n_types
    if n_types is None and isinstance(data, Rows):
        n_types = len(np.unique(data.y))
    kmeans = make_pipeline(FunctionTransformer(_standardized), _kmeans(n_types or 2, 0))
    return {"k-means of responses": kmeans}


def for_decoders(model: Any, data: Data) -> dict[str, Any]:
    """Ridge regression of each subject alone, and of all at once where units agree."""
    del model
    if isinstance(data, Rows):
        return {"ridge": RidgeDecoder(), "mean": DummyRegressor()}
    found: dict[str, Any] = {"ridge": Alone(RidgeDecoder()), "mean": Alone(DummyRegressor())}
    if len({np.shape(rows.X)[1] for rows in data.values()}) == 1:
        found["pooled ridge"] = Pooled(RidgeDecoder())
    return found


def for_classifiers(model: Any, data: Data) -> dict[str, Any]:
    """Logistic regression, prototypes and the most frequent class, beside a decoder of classes."""
    del data
    found: dict[str, Any] = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "nearest mean": make_pipeline(StandardScaler(), NearestCentroid()),
        "prototype": PrototypeClassifier(),
        "most frequent class": DummyClassifier(),
    }
    kind = type(last_step(model))
    return {name: one for name, one in found.items() if type(one) is not kind}


def for_cohort_classes(model: Any, data: Data) -> dict[str, Any]:
    """The classifiers of each subject alone, and of all at once where units agree."""
    plain_ones = for_classifiers(model, data)
    if isinstance(data, Rows):
        return plain_ones
    found: dict[str, Any] = {name: Alone(one) for name, one in plain_ones.items()}
    if len({np.shape(rows.X)[1] for rows in data.values()}) == 1:
        found["pooled logistic regression"] = Pooled(plain_ones["logistic regression"])
    return found


def for_positions(model: Any, data: Data) -> dict[str, Any]:
    """Ridge regression and the mean of positions, or plain classifiers of labels."""
    if isinstance(data, Rows) and np.asarray(data.y).dtype.kind != "f":
        return for_classifiers(model, data)
    return {"ridge": RidgeDecoder(), "mean": DummyRegressor()}


def plain(model: Any, data: Data) -> dict[str, Any]:
    """scikit-learn's dummies, beside any other estimator."""
    del data
    if is_classifier(model):
        return {"most frequent class": DummyClassifier()}
    if is_regressor(model):
        return {"mean": DummyRegressor()}
    return {}
