"""How many neurons of a feed-forward block can be left out at a given loss of a metric.

References
----------
Y. Luo et al. (2024). Sparsing law: towards large language models with greater activation sparsity.
arXiv:2411.02335.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from neuroml.dendrites._counts import check_probability
from neuroml.exceptions import DataError

__all__ = ["CETTSparsity", "cett", "cett_sparsity"]

_HALVINGS = 30  # of the range of a threshold: 2^-30 is below the resolution of float32
_RESOLUTION = 1e-3  # of the truncation error that all layers share


@dataclass(frozen=True)
class CETTSparsity:
    """The sparsest state of a network whose metric is still acceptable.

    Attributes
    ----------
    cett : float
        Truncation error that all layers share.
    thresholds : ndarray of shape (n_layers,)
        Norm of a neuron's output up to which it is left out.
    layer_sparsity : ndarray of shape (n_layers,)
        Share of the neurons left out, averaged over samples, of the dense network's activity.
    metric, dense_metric : float
        The metric with those neurons left out in all layers at once, and with none.
    """

    cett: float
    thresholds: np.ndarray
    layer_sparsity: np.ndarray
    metric: float
    dense_metric: float

    @property
    def sparsity(self) -> float:
        """Mean over layers."""
        return float(self.layer_sparsity.mean())


def cett(activations: torch.Tensor, weight: torch.Tensor, threshold: float) -> float:
    r"""Compute the cumulative error of tail truncation (CETT): the share of small neurons' output.

    Neuron i contributes :math:`n_i = a_i w_i`, its activation times its column of output weights.
    The error is :math:`\lVert \sum_{i \in D} n_i \rVert / \lVert \sum_i n_i \rVert` with
    :math:`D = \{i : \lVert n_i \rVert \le \epsilon\}`, averaged over samples.

    Parameters
    ----------
    activations : Tensor of shape (n_samples, n_neurons)
    weight : Tensor of shape (n_outputs, n_neurons)
    threshold : float
        :math:`\epsilon`.

    Returns
    -------
    float
        Samples without any output count as zero.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import cett
    >>> cett(torch.tensor([[3.0, 4.0]]), torch.eye(2), threshold=3.5)
    0.6000000238418579
    """
    activations, weight = activations.detach(), weight.detach()
    left_out = torch.where(_is_small(activations, weight, threshold), activations, 0.0)
    error = torch.linalg.vector_norm(left_out @ weight.T, dim=-1)
    whole = torch.linalg.vector_norm(activations @ weight.T, dim=-1)
    return float(torch.where(whole > 0, error / whole, 0.0).mean())


def cett_sparsity(
    layers: Sequence[nn.Linear],
    metric: Callable[[], float],
    *,
    tolerance: float = 0.01,
    max_samples: int = 4096,
) -> CETTSparsity:
    """Leave out as many neurons as a metric allows, with the same truncation error in every layer.

    Given a common `cett`, each layer's threshold follows by bisection; the largest common error
    with an acceptable metric follows by bisection again. With perplexity as the metric and a
    tolerance of one per cent this is CETT-PPL-1%.

    Parameters
    ----------
    layers : sequence of torch.nn.Linear
        Output projections of the feed-forward blocks: their *inputs* are the neurons.
    metric : callable
        ``metric() -> float`` runs the model on validation data; smaller is better (give the
        negative of an accuracy).
    tolerance : float, default=0.01
        Maximum rise of the metric, relative to its magnitude in the dense network.
    max_samples : int, default=4096
        Number of samples, the first of the validation data, on which the thresholds are found.

    Returns
    -------
    CETTSparsity

    Raises
    ------
    DataError
        If tolerance is not in [0, 1], the metric is not finite, or it does not run the layers.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neuroml.dendrites.layers import cett_sparsity
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(5, 200), nn.ReLU(), nn.Linear(200, 1))
    >>> x = torch.randn(99, 5)
    >>> y = model(x).detach()
    >>> found = cett_sparsity([model[2]], lambda: 1 + float((model(x) - y).square().mean()))
    >>> found.metric <= 1.01 and found.sparsity > 0.5
    True
    """
    check_probability(tolerance, "tolerance")
    with torch.no_grad():
        samples, dense = _record(layers, metric, max_samples)
        limit = dense + tolerance * abs(dense)
        best = _at_level(1.0, layers, samples, metric, dense)
        if best.metric <= limit:
            return best
        best, too_much = _at_level(0.0, layers, samples, metric, dense), 1.0
        while too_much - best.cett > _RESOLUTION:
            found = _at_level((best.cett + too_much) / 2, layers, samples, metric, dense)
            if found.metric <= limit:
                best = found
            else:
                too_much = found.cett
    return best


def _at_level(
    level: float,
    layers: Sequence[nn.Linear],
    samples: Sequence[torch.Tensor],
    metric: Callable[[], float],
    dense_metric: float,
) -> CETTSparsity:
    """Truncate every layer with the same error and compute the metric."""
    pairs = list(zip(samples, layers, strict=True))
    thresholds = [_threshold(x, layer.weight, level) for x, layer in pairs]
    shares = [
        float(_is_small(x, layer.weight, threshold).double().mean())
        for (x, layer), threshold in zip(pairs, thresholds, strict=True)
    ]
    with ExitStack() as stack:
        for layer, threshold in zip(layers, thresholds, strict=True):
            stack.enter_context(_truncated(layer, threshold))
        value = float(metric())
    return CETTSparsity(level, np.array(thresholds), np.array(shares), value, dense_metric)


def _is_small(activations: torch.Tensor, weight: torch.Tensor, threshold: float) -> torch.Tensor:
    return activations.abs() * torch.linalg.vector_norm(weight, dim=0) <= threshold


def _threshold(activations: torch.Tensor, weight: torch.Tensor, level: float) -> float:
    """Largest threshold found by bisection whose truncation error is at most ``level``."""
    norms = activations.abs() * torch.linalg.vector_norm(weight, dim=0)
    low, high = 0.0, float(norms.max())
    if cett(activations, weight, high) <= level:
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = cett(activations, weight, middle) <= level
        low, high = (middle, high) if fits else (low, middle)
    return low


@contextmanager
def _truncated(layer: nn.Linear, threshold: float) -> Iterator[None]:
    def leave_out(_layer: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        return torch.where(_is_small(inputs[0], layer.weight, threshold), 0.0, inputs[0])

    hook = layer.register_forward_pre_hook(leave_out)
    try:
        yield
    finally:
        hook.remove()


def _record(
    layers: Sequence[nn.Linear], metric: Callable[[], float], max_samples: int
) -> tuple[list[torch.Tensor], float]:
    """Inputs of every layer, (n_samples, n_neurons), and the metric of the dense network."""
    inputs: dict[int, list[torch.Tensor]] = {i: [] for i in range(len(layers))}

    def keep(i: int, x: torch.Tensor) -> None:
        if sum(map(len, inputs[i])) < max_samples:
            inputs[i].append(x.detach().flatten(0, -2)[:max_samples])

    hooks = [
        layer.register_forward_pre_hook(lambda _layer, x, i=i: keep(i, x[0]))
        for i, layer in enumerate(layers)
    ]
    try:
        dense = float(metric())
    finally:
        for hook in hooks:
            hook.remove()
    silent = [i for i, found in inputs.items() if not found]
    if silent or not layers or not np.isfinite(dense):
        raise DataError(
            "there is nothing to judge the neurons by",
            expected="a finite metric that runs every layer",
            found=f"metric {dense}, layers not run: {silent} of {len(layers)}",
        )
    return [torch.cat(found) for found in inputs.values()], dense
