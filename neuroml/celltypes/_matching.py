"""Assign cells to clusters by their responses to the clusters' stimuli.

Both rules compare a cell's responses, standardized over the stimuli, with one template for each
cluster and take the one with the highest correlation. For the rule "fingerprint" the template is
the mean of the cluster's cells. For "argmax" it is one for the cluster's own stimulus and zero for
the others, which makes the winner the cluster whose stimulus drives the cell most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.validation import as_given, as_numbers
from neuroml.exceptions import DataError

__all__ = [
    "check_responses",
    "cluster_templates",
    "confusion",
    "correlate",
    "mean_and_noise",
    "mean_and_sd",
    "mutual_confusion",
    "posterior",
    "probabilities_by_correlation",
    "residual_variance",
    "standardize",
]

# Below this share of its largest response, a cell's standard deviation over stimuli is rounding of
# double precision, in which responses are compared.
_CONSTANT = 1e-9
# Variance over stimuli below which a template says nothing (templates have variance 1 or so).
_FLAT = 1e-12
_MIN_VARIANCE = 1e-6  # keeps probabilities finite where cells equal their template


def check_responses(responses: ArrayLike, n_stimuli: int) -> np.ndarray:
    """Check responses and return them as (n_repeats, n_stimuli, n_cells), NaN where not shown.

    Raises
    ------
    DataError
        If the shape does not fit or values are infinite.
    """
    array = as_numbers(as_given(responses, "responses"), "responses").astype(np.float64)
    if array.ndim not in (2, 3) or array.shape[-2] != n_stimuli:
        raise DataError(
            "the responses do not fit the stimuli",
            expected=f"shape ({n_stimuli}, n_cells) or (n_repeats, {n_stimuli}, n_cells)",
            found=f"shape {array.shape}",
            fix="Stimuli come before cells: transpose if need be.",
            field="responses",
        )
    if np.isinf(array).any():
        raise DataError(
            "the responses are not finite",
            expected="numbers, or NaN where a stimulus was not shown",
            found=f"{int(np.isinf(array).sum())} infinite values",
            field="responses",
        )
    return array.reshape(-1, *array.shape[-2:])


def mean_and_noise(repeats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over repeats (n_stimuli, n_cells), and the variance (n_cells,) of that mean by noise.

    The variance is averaged over stimuli and divided by the variance of the cell's means over
    stimuli; it is zero where nothing was repeated.
    """
    shown = np.isfinite(repeats)
    count = shown.sum(axis=0)
    mean = mean_and_sd(repeats)[0]
    # variance of a mean over n repeats: sum of squares / (n (n - 1)), where n > 1
    squares = (np.where(shown, repeats - mean, 0.0) ** 2).sum(axis=0)
    repeated = count > 1
    mean_variance = squares * repeated / np.maximum((count - 1) * count, 1)
    # its mean over the stimuli that were repeated, relative to the signal's variance over stimuli
    noise = mean_variance.sum(axis=0) / np.maximum(repeated.sum(axis=0), 1)
    mean = np.where(count > 0, mean, np.nan)
    variance = mean_and_sd(mean)[1] ** 2
    return mean, np.divide(noise, variance, out=np.zeros_like(noise), where=variance > 0)


def mean_and_sd(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the finite values along the first axis; 0 without any."""
    shown = np.isfinite(values)
    count = np.maximum(shown.sum(axis=0), 1)
    mean = np.where(shown, values, 0.0).sum(axis=0) / count
    squares = np.where(shown, values - mean, 0.0) ** 2
    return mean, np.sqrt(squares.sum(axis=0) / count)


def standardize(responses: np.ndarray) -> np.ndarray:
    """Responses (n_stimuli, n_cells) as z-scores over the stimuli that a cell has been shown.

    NaN marks stimuli that were not shown; a cell with the same response to all of them, or that
    was shown fewer than two, becomes NaN throughout.
    """
    mean, sd = mean_and_sd(responses)
    constant = sd <= _CONSTANT * np.abs(np.nan_to_num(responses)).max(axis=0)
    return np.where(constant, np.nan, responses - mean) / np.where(constant, 1.0, sd)


def cluster_templates(
    scores: np.ndarray, labels: np.ndarray, n_clusters: int, rule: str
) -> np.ndarray:
    """One template (n_clusters, n_stimuli) per cluster.

    Parameters
    ----------
    scores : ndarray of shape (n_stimuli, n_cells)
        From `standardize`.
    labels : ndarray of int of shape (n_cells,)
        -1 for cells that are not to be used. Every cluster has at least one cell.
    n_clusters : int
    rule : {"fingerprint", "argmax"}
        The latter needs one stimulus per cluster, in the same order.
    """
    if rule == "argmax":
        return np.eye(n_clusters)
    # mean over the cluster's cells with varying responses; scores are finite in all rows or none
    members = (labels == np.arange(n_clusters)[:, None]) & np.isfinite(scores[0])
    return members @ np.nan_to_num(scores).T / np.maximum(members.sum(axis=1, keepdims=True), 1)


def correlate(scores: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Correlation (n_clusters, n_cells) over the stimuli that each cell has been shown.

    Zero for a cell or a template without variation over these stimuli.
    """
    # Scores have mean 0 and variance 1 over the stimuli shown, templates have not: so
    # rho = E[t z] / sd(t), with the moments of t over the stimuli that this cell was shown.
    shown = np.isfinite(scores)
    count = np.maximum(shown.sum(axis=0), 1)
    mean = templates @ shown / count
    variance = np.maximum(templates**2 @ shown / count - mean**2, 0.0)
    products = templates @ np.nan_to_num(scores) / count
    return np.divide(
        products, np.sqrt(variance), out=np.zeros_like(products), where=variance > _FLAT
    )


def posterior(correlations: np.ndarray, n_stimuli: np.ndarray, variance: np.ndarray) -> np.ndarray:
    r"""Probability (n_cells, n_clusters) of each cluster, all equally likely beforehand.

    If a standardized response scatters around its cluster's standardized template with the same
    variance :math:`\sigma^2` for every stimulus, then, both having norm :math:`\sqrt n`, its log
    likelihood is :math:`n \rho / \sigma^2` plus a constant, with :math:`\rho` the correlation.
    """
    logits = correlations * (n_stimuli / np.maximum(variance, _MIN_VARIANCE))
    logits = logits - logits.max(axis=0)  # softmax over clusters that cannot overflow
    weights = np.exp(logits)
    return (weights / weights.sum(axis=0)).T


def probabilities_by_correlation(
    repeats: np.ndarray, templates: np.ndarray, variance: float
) -> np.ndarray:
    """Probability (n_cells, n_clusters) of each cluster, NaN for cells without variation.

    Parameters
    ----------
    repeats : ndarray of shape (n_repeats, n_stimuli, n_cells)
        NaN where a stimulus was not shown.
    templates : ndarray of shape (n_clusters, n_stimuli)
    variance : float
        Of standardized responses about the templates without noise, which is added.
    """
    mean, noise = mean_and_noise(repeats)
    scores = standardize(mean)
    shown = np.isfinite(scores).sum(axis=0)
    result = posterior(correlate(scores, templates), shown, variance + noise)
    return np.where(shown[:, None] > 0, result, np.nan)


def residual_variance(scores: np.ndarray, templates: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared difference per stimulus between cells' scores and their own templates.

    For standardized z and t, the mean of (z - t)^2 is 2 (1 - rho).
    """
    cells = np.flatnonzero(labels >= 0)
    return float(2 * (1 - correlate(scores, templates)[labels[cells], cells]).mean())


def confusion(responses: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean response (n_clusters, n_clusters) to each stimulus (row) of each cluster (column).

    NaN for a cluster without cells.
    """
    members = labels == np.arange(len(responses))[:, None]
    sizes = members.sum(axis=1, dtype=float)
    return np.divide(
        responses @ members.T, sizes, out=np.full((len(members),) * 2, np.nan), where=sizes > 0
    )


def mutual_confusion(means: np.ndarray) -> np.ndarray:
    r"""How much each of two clusters responds to the other's stimulus (n_clusters, n_clusters).

    With :math:`M_{ab}` the mean response of cluster :math:`b` to the stimulus of :math:`a`, above
    the response to reference stimuli: the smaller one of :math:`M_{ab} / M_{aa}` and
    :math:`M_{ba} / M_{bb}`. It is 1 where neither stimulus tells the two apart.
    """
    own = np.maximum(means.diagonal(), _FLAT)[:, None]
    share = means / own
    both = np.minimum(share, share.T)
    np.fill_diagonal(both, -np.inf)  # never the most confused pair
    return both
