"""Comparison of clusterings of cells: agreement with known types, stability, baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from neuroml._core.estimator import check_option
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.celltypes._matching import standardize
from neuroml.celltypes.most_discriminative_stimuli import MostDiscriminativeStimuli
from neuroml.exceptions import DataError

__all__ = ["cluster_features", "compare_clusterings", "stability", "type_confusion"]

# Principal components of the baselines: they hold the signal of some ten types and leave most noise
# out; with 20, k-means on noisy responses finds the types of the simulated retinas.
_N_COMPONENTS = 20


def cluster_features(
    features: ArrayLike,
    n_clusters: int,
    *,
    method: str = "kmeans",
    random_state: RandomState = None,
) -> np.ndarray:
    """Cluster cells by features, as a baseline.

    Parameters
    ----------
    features : array-like of shape (n_cells, n_features)
        Responses or readout weights; each cell is standardized, and 20 principal components are
        kept.
    n_clusters : int
    method : {"kmeans", "gmm"}
        k-means, or a mixture of Gaussians with diagonal covariances, ten starts.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ndarray of int of shape (n_cells,)

    Raises
    ------
    DataError
        If the method is not known or there are fewer cells than clusters.

    Examples
    --------
    >>> from neuroml.celltypes import cluster_features
    >>> labels = cluster_features([[0, 1, 2], [0, 2, 4], [2, 1, 0], [1, 0, -1]], 2, random_state=0)
    >>> bool(labels[0] == labels[1] and labels[2] == labels[3] and labels[0] != labels[2])
    True
    """
    check_option(method, ("kmeans", "gmm"), "method")
    scores = np.nan_to_num(standardize(np.asarray(features, dtype=float).T)).T
    if len(scores) < n_clusters:
        raise DataError(
            "there are fewer cells than clusters",
            expected=f">= {n_clusters} cells",
            found=len(scores),
            field="features",
        )
    (rng,) = spawn_generators(random_state, 1)
    seed = int(rng.integers(2**31))
    n_components = min(_N_COMPONENTS, *scores.shape)
    pca = PCA(n_components, random_state=seed).set_output(transform="default")
    reduced = pca.fit_transform(scores)
    if method == "kmeans":
        return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(reduced)
    mixture = GaussianMixture(
        n_clusters, covariance_type="diag", n_init=10, reg_covar=1e-3, random_state=seed
    )
    return mixture.fit_predict(reduced)


def type_confusion(types: ArrayLike, labels: ArrayLike) -> pd.DataFrame:
    """Tabulate the share of each type's cells (rows) in each cluster (columns).

    Parameters
    ----------
    types, labels : array-like of shape (n_cells,)

    Returns
    -------
    DataFrame
        Rows add up to 1; clusters are sorted by the type that is most frequent in them.
    """
    counts = pd.crosstab(
        np.asarray(types), np.asarray(labels), rownames=["type"], colnames=["cluster"]
    )
    shares = counts.div(counts.sum(axis=1), axis=0)
    order = np.argsort(shares.to_numpy().argmax(axis=0), kind="stable")
    return shares.iloc[:, order]


def stability(labels: Sequence[ArrayLike]) -> float:
    """Compute the mean adjusted Rand index between all pairs of clusterings of the same cells.

    Parameters
    ----------
    labels : sequence of array-like of shape (n_cells,)
        One clustering for each seed, two or more.

    Returns
    -------
    float
        1 if all are the same up to the names of clusters, about 0 if they are unrelated.
    """
    if len(labels) < 2:
        raise DataError(
            "stability needs several clusterings",
            expected=">= 2",
            found=len(labels),
            field="labels",
        )
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]))


def compare_clusterings(
    methods: dict[str, Callable[[int], ArrayLike | MostDiscriminativeStimuli]],
    types: ArrayLike | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:
    """Run clusterings with several seeds and put them in one table.

    Parameters
    ----------
    methods : dict
        Name, and a function of a seed that returns labels (n_cells,) or a fitted
        `MostDiscriminativeStimuli`.
    types : array-like of shape (n_cells,), optional
        Known types to compare with.
    seeds : sequence of int
        Two or more.

    Returns
    -------
    DataFrame
        One row per method: ``ari_mean`` and ``ari_sd`` over seeds (NaN without types),
        ``stability`` (mean ARI between seeds) and ``n_clusters`` (mean).

    Examples
    --------
    >>> from neuroml.celltypes import cluster_features, compare_clusterings
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_transient", "off_sustained"], n_cells=5, random_state=0)
    >>> methods = {"k-means": lambda seed: cluster_features(retina.responses.T, 2,
    ...                                                     random_state=seed)}
    >>> table = compare_clusterings(methods, retina.types)
    >>> table.loc["k-means", ["ari_mean", "stability"]].tolist()
    [1.0, 1.0]
    """
    rows = {}
    for name, method in methods.items():
        found = [_labels(method(seed)) for seed in seeds]
        ari = (
            [adjusted_rand_score(types, labels) for labels in found]
            if types is not None
            else [np.nan]
        )
        rows[name] = {
            "ari_mean": float(np.mean(ari)),
            "ari_sd": float(np.std(ari)),
            "stability": stability(found),
            "n_clusters": float(np.mean([len(set(labels.tolist()) - {-1}) for labels in found])),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _labels(found: Any) -> np.ndarray:
    return np.asarray(found.labels_ if hasattr(found, "labels_") else found)
