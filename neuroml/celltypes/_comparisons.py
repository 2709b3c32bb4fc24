"""Comparison of clusterings of cells: agreement with known types, stability, baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import adjusted_rand_score

from neuroml._core.estimator import Estimator
from neuroml._core.validation import as_labels, check_labels
from neuroml.exceptions import DataError

__all__ = ["compare_clusterings", "stability", "type_confusion"]


def type_confusion(types: ArrayLike, labels: ArrayLike) -> pd.DataFrame:
    """Tabulate the share of each type's cells (rows) in each cluster (columns).

    Parameters
    ----------
    types, labels : array-like of shape (n_cells,)

    Returns
    -------
    DataFrame
        Rows add up to 1; clusters are sorted by the type that is most frequent in them.

    Raises
    ------
    DataError
        If there is not one label for each cell.
    """
    first, second = _of_the_same_cells([types, labels], ["types", "labels"])
    counts = pd.crosstab(first, second, rownames=["type"], colnames=["cluster"])
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

    Raises
    ------
    DataError
        If there are fewer than two, or they are not of the same cells.
    """
    if len(labels) < 2:
        raise DataError(
            "stability needs several clusterings",
            expected=">= 2",
            found=len(labels),
            field="labels",
        )
    same = _of_the_same_cells(labels, [f"clustering {i}" for i in range(len(labels))])
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(same, 2)]))


def _of_the_same_cells(labels: Sequence[ArrayLike], names: Sequence[str]) -> list[np.ndarray]:
    """Labels as arrays, one for each cell of the first."""
    n_cells = as_labels(labels[0]).size
    return [check_labels(one, n_cells, name) for one, name in zip(labels, names, strict=True)]


def compare_clusterings(
    methods: dict[str, Callable[[int], ArrayLike | Estimator]],
    types: ArrayLike | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:
    """Run clusterings with several seeds and put them in one table.

    Parameters
    ----------
    methods : dict
        Name, and a function of a seed that returns labels (n_cells,) or a fitted
        `MostDiscriminativeStimuli` or `FunctionalTypes`.
    types : array-like of shape (n_cells,), optional
        Known types to compare with.
    seeds : sequence of int
        Two or more.

    Returns
    -------
    DataFrame
        One row per method: ``ari_mean`` and ``ari_sd`` over seeds (NaN without types),
        ``stability`` (mean ARI between seeds) and ``n_clusters`` (mean).

    Raises
    ------
    DataError
        If a method's labels, or the types, are not one for each cell.

    Examples
    --------
    >>> from neuroml.celltypes import FunctionalTypes, compare_clusterings
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_transient", "off_sustained"], n_cells=5, random_state=0)
    >>> methods = {"mixture": lambda seed: FunctionalTypes(2, n_bootstrap=0, random_state=seed)
    ...            .fit(retina.responses.T)}
    >>> table = compare_clusterings(methods, retina.types)
    >>> table.loc["mixture", ["ari_mean", "stability"]].tolist()
    [1.0, 1.0]
    """
    rows = {}
    for name, method in methods.items():
        found = [_labels(method(seed)) for seed in seeds]
        ari = [np.nan]
        if types is not None:
            known, *same = _of_the_same_cells([types, *found], ["types", *[name] * len(found)])
            ari = [adjusted_rand_score(known, labels) for labels in same]
        rows[name] = {
            "ari_mean": float(np.mean(ari)),
            "ari_sd": float(np.std(ari)),
            "stability": stability(found),
            "n_clusters": float(np.mean([len(set(labels.tolist()) - {-1}) for labels in found])),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _labels(found: Any) -> np.ndarray:
    return np.asarray(found.labels_ if hasattr(found, "labels_") else found)
