"""How well stimuli tell clusters of cells apart."""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = ["discriminability", "membership", "objective_of"]


def membership(labels: np.ndarray, n_clusters: int, like: torch.Tensor) -> torch.Tensor:
    """Weights (n_clusters, n_cells) that average over the cells of each cluster.

    Cells labeled -1 belong to none. ``like`` gives the tensor's type and device.
    """
    members = torch.from_numpy(labels[None] == np.arange(n_clusters)[:, None])
    members = members.to(device=like.device, dtype=like.dtype)
    return members / members.sum(dim=1, keepdim=True)


def discriminability(
    responses: torch.Tensor, members: torch.Tensor, temperature: float
) -> torch.Tensor:
    r"""Objective of most discriminative stimuli, one value for each cluster's stimulus.

    With :math:`\bar r_k(s)` the mean response of cluster :math:`k` to stimulus :math:`s`,

    .. math::
        J_c(s_c) = \frac{\bar r_c(s_c)}{\tau}
                   - \log \frac{1}{C} \sum_{k=1}^{C} \exp \frac{\bar r_k(s_c)}{\tau} \le \log C

    (Burg et al. 2024, equation 1). Every term depends on one stimulus only, so the gradient of the
    sum is the gradient of each.

    Parameters
    ----------
    responses : Tensor of shape (n_clusters, n_cells)
        Row ``c`` is the response of all cells to the stimulus of cluster ``c``.
    members : Tensor of shape (n_clusters, n_cells)
        From `membership`.
    temperature : float

    Returns
    -------
    Tensor of shape (n_clusters,)
    """
    # rbar_k(s_c) / tau in row c and column k
    means = responses @ members.T / temperature
    # log (1/C) sum_k exp = logsumexp - log C, which cannot overflow
    return means.diagonal() - means.logsumexp(dim=1) + math.log(len(means))


def objective_of(responses: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    """`discriminability` (n_clusters,) of given responses; NaN for clusters without cells."""
    n_clusters = len(responses)
    # a cluster without cells has no mean response; the others are compared without it
    filled = np.isin(np.arange(n_clusters), labels)
    table = torch.from_numpy(np.asarray(responses, dtype=np.float64)[filled])
    members = membership(labels, n_clusters, like=table)[torch.from_numpy(filled)]
    result = np.full(n_clusters, np.nan)
    if filled.any():
        result[filled] = discriminability(table, members, temperature).numpy()
    return result
