r"""Losses between decoded and true embeddings, on any number of targets alike.

All work on unit vectors. There, in D dimensions, the mean squared error is
:math:`2 (1 - \cos) / D`; weights are given on :math:`1 - \cos` and so mean the same at any D.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["cosine_loss", "soft_clip_loss"]


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of one minus the cosine."""
    return 1 - functional.cosine_similarity(predicted, target, dim=1).mean()


def soft_clip_loss(predicted: Tensor, target: Tensor, temperature: float) -> Tensor:
    r"""Contrast within a batch against the similarities of the targets, both ways.

    With unit vectors p and t, :math:`-\sum_j \mathrm{softmax}_j(t_i \cdot t_j / \tau) \log
    \mathrm{softmax}_j(p_i \cdot t_j / \tau)`, the mean over rows i, averaged with the same of the
    transposed logits [1]_.

    Parameters
    ----------
    predicted, target : Tensor of shape (n_rows, n_targets)
    temperature : float

    References
    ----------
    .. [1] S. Wang et al. (2024). MindBridge: A cross-subject brain decoding framework. CVPR,
       equation 1; both directions as in the released code.
    """
    p, t = functional.normalize(predicted, dim=1), functional.normalize(target, dim=1)
    logits = p @ t.T / temperature
    labels = torch.softmax(t @ t.T / temperature, dim=1)
    return 0.5 * (
        functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)
    )
