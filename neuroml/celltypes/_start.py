"""Which cells take part in a clustering, and the clusters to start from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans

from neuroml._core.warn import warn_caller
from neuroml.celltypes._matching import standardize
from neuroml.exceptions import DataError

__all__ = ["initial_labels", "responding_cells"]


def responding_cells(recorded: np.ndarray) -> np.ndarray:
    """Which cells respond differently to different reference stimuli, with a warning."""
    if not np.isfinite(recorded).all():
        raise DataError(
            "the model's responses to the reference stimuli are not finite",
            found=f"cells {np.flatnonzero(~np.isfinite(recorded).all(axis=0))[:10].tolist()}",
            field="model",
        )
    constant = recorded.std(axis=0) <= 1e-6 * np.abs(recorded).max(axis=0)
    if constant.any():
        warn_caller(
            f"{constant.sum()} of {len(constant)} cells answer alike to all reference stimuli "
            f"and are left out (label -1): {np.flatnonzero(constant)[:10].tolist()}",
            UserWarning,
        )
    return ~constant


def initial_labels(
    init: str | ArrayLike,
    n_clusters: int,
    recorded: np.ndarray,
    train: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cluster (n_cells,) of each training cell, 0, 1, ... without gaps, and -1 for others."""
    n_cells, n_train = len(train), int(train.sum())
    if not isinstance(init, str):
        given = np.asarray(init)
        if given.shape != (n_cells,):
            raise DataError(
                "the initial labels do not match the model",
                expected=f"one label for each of {n_cells} cells",
                found=f"shape {given.shape}",
                field="init",
            )
        found = np.unique(given[train], return_inverse=True)[1]
        if len(found) == 0 or found.max() < 1:
            raise DataError(
                "the initial labels name fewer than two clusters",
                expected="two or more different labels among the responding cells",
                found=f"{np.unique(given[train]).tolist()}",
                field="init",
            )
    elif n_train < n_clusters:
        raise DataError(
            "there are fewer cells than clusters",
            expected=f">= n_clusters={n_clusters} responding cells to optimize on",
            found=f"{n_train} of {n_cells}",
            fix="Lower n_clusters or holdout.",
            field="n_clusters",
        )
    elif init == "random":
        found = rng.permutation(np.arange(n_train) % n_clusters)
    else:
        scores = standardize(recorded[:, train]).T
        kmeans = KMeans(n_clusters, n_init=10, random_state=int(rng.integers(2**31)))
        found = np.unique(kmeans.fit_predict(scores), return_inverse=True)[1]
    labels = np.full(n_cells, -1)
    labels[train] = found
    return labels
