"""Recurrent networks with few weights."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

import torch
from torch import nn

from neuroml._core.estimator import check_option
from neuroml.dendrites._counts import check_probability
from neuroml.dendrites.layers.sparse_linear import mask_
from neuroml.exceptions import DataError

__all__ = ["prune_rnn_"]


def prune_rnn_(
    rnn: nn.RNNBase, amount: float, which: Literal["ih", "hh", "both"] = "both"
) -> nn.RNNBase:
    """Set the smallest weights of a recurrent network to zero for good, in place.

    The mask is a parametrization: training continues with the other weights, and no optimizer can
    change a pruned one. Pruning again with a larger amount prunes further.

    Parameters
    ----------
    rnn : torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM
    amount : float
        Share of every weight matrix that is zero afterwards, in [0, 1].
    which : {"ih", "hh", "both"}, default="both"
        Input weights, recurrent weights, or both; biases and projections are left alone.

    Returns
    -------
    torch.nn.RNNBase
        The same object.

    Raises
    ------
    DataError
        If rnn is no recurrent network of torch, or amount is not in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import prune_rnn_
    >>> rnn = prune_rnn_(torch.nn.GRU(3, 5), 0.8, which="hh")
    >>> int((rnn.weight_hh_l0 != 0).sum()), int((rnn.weight_ih_l0 != 0).sum())
    (15, 45)
    """
    check_option(which, ("ih", "hh", "both"), "which")
    if not isinstance(rnn, nn.RNNBase):
        raise DataError(
            "only recurrent networks are pruned here",
            expected="torch.nn.RNN, GRU or LSTM",
            found=type(rnn).__name__,
            field="rnn",
        )
    check_probability(amount, "amount")
    kinds = ("ih", "hh") if which == "both" else (which,)
    directions = ("", "_reverse") if rnn.bidirectional else ("",)
    for layer, kind, direction in product(range(rnn.num_layers), kinds, directions):
        name = f"weight_{kind}_l{layer}{direction}"
        mask_(rnn, name, _largest(getattr(rnn, name).detach(), amount))
    if _release not in rnn._forward_hooks.values():
        rnn.register_forward_hook(_release)
    return rnn


def _release(rnn: nn.RNNBase, _inputs: Any, _output: Any) -> None:
    """Let go of the masked weights of a pass: torch refuses to copy tensors that have a graph."""
    rnn._flat_weights = []


def _largest(weight: torch.Tensor, amount: float) -> torch.Tensor:
    """Mask of a weight's largest magnitudes."""
    n_zero = round(amount * weight.numel())
    order = weight.abs().flatten().argsort(stable=True)
    mask = torch.ones_like(weight)
    mask.view(-1)[order[:n_zero]] = 0
    return mask
