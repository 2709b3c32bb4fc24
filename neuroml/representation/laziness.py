"""How much of what a network knows it learned: rich or lazy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuroml.exceptions import DataError
from neuroml.representation._networks import calls_of, check_networks, evaluating, like_weights
from neuroml.representation.kernels import kernel_alignment

if TYPE_CHECKING:
    import torch

__all__ = ["LazinessReport", "laziness_report", "tangent_kernel"]


@dataclass(frozen=True)
class LazinessReport:
    """What `laziness_report` found; a lazy network changes little and keeps its kernels.

    Attributes
    ----------
    weight_change : float
        Norm of the difference of all weights.
    relative_weight_change : float
        The same over the norm of the first network's weights.
    kernel_alignment : float
        Of the tangent kernels.
    representation_alignment : float
        Of the products of the hidden units' activity, not centered.
    sign_similarity : float
        Share of hidden units and samples whose activity is above zero in both networks or neither.
    """

    weight_change: float
    relative_weight_change: float
    kernel_alignment: float
    representation_alignment: float
    sign_similarity: float

    def to_frame(self) -> pd.DataFrame:
        """One row per quantity: ``quantity, value``."""
        return pd.DataFrame(list(asdict(self).items()), columns=["quantity", "value"])


def tangent_kernel(
    model: torch.nn.Module, x: Any, *, params: list[str] | None = None
) -> np.ndarray:
    r"""The neural tangent kernel :math:`J J^T` of a network at its present weights.

    J is the derivative of all outputs for all samples by the weights [1]_.

    Parameters
    ----------
    model : torch.nn.Module
        Evaluated as by ``eval()``; it stays as it is.
    x : Tensor or array-like of shape (n_samples, ...)
    params : list of str, optional
        Names of the weights, as ``named_parameters`` has them; by default all that are trained.

    Returns
    -------
    ndarray of shape (n_samples * n_outputs, n_samples * n_outputs)
        Samples outermost.

    Raises
    ------
    DataError
        If there are no such weights, or the network returns no tensor.

    References
    ----------
    .. [1] A. Jacot, F. Gabriel, C. Hongler (2018). Neural tangent kernel: convergence and
       generalization in neural networks. NeurIPS.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from neuroml.representation import tangent_kernel
    >>> x = torch.eye(2)
    >>> tangent_kernel(torch.nn.Linear(2, 1, bias=False), x)  # of a linear model: x x^T
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    from torch.func import functional_call, jacrev

    check_networks(model)
    known = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    chosen = list(known) if params is None else list(params)
    missing = [name for name in chosen if name not in known]
    if missing or not chosen:
        raise DataError(
            "there are no such weights",
            expected=f"some of {list(known)}",
            found=missing,
            field="params",
        )
    inputs = like_weights(x, model)

    def outputs(some: dict[str, torch.Tensor]) -> torch.Tensor:
        found = functional_call(model, known | some, (inputs,))
        if not hasattr(found, "reshape"):
            raise DataError(
                "the network's output is not one tensor",
                expected="a module that returns a tensor",
                found=type(found).__name__,
                field="model",
            )
        return found.reshape(-1)

    with evaluating(model):
        parts = jacrev(outputs)({name: known[name] for name in chosen})
    # one weight after the other, so that the whole derivative is never in memory twice
    kernel = sum(part.flatten(1) @ part.flatten(1).T for part in parts.values())
    return np.asarray(kernel.detach().cpu())


def laziness_report(
    model0: torch.nn.Module, model1: torch.nn.Module, x: Any, *, layer: str | None = None
) -> LazinessReport:
    """Compare a network before and after it learned.

    Large alignments and a small change of weights are lazy: the network fitted its task with the
    features it started from. Compare networks at the same loss [1]_.

    Parameters
    ----------
    model0, model1 : torch.nn.Module
        The same network before and after.
    x : Tensor or array-like of shape (n_samples, ...)
    layer : str, optional
        Name of the module whose output is the hidden activity; by default, what the last
        `torch.nn.Linear` that is run is given.

    Returns
    -------
    LazinessReport

    Raises
    ------
    DataError
        If the two are different networks, or there is no such module.

    References
    ----------
    .. [1] Y. H. Liu et al. (2024), as in `rank_limited_init`.

    Examples
    --------
    >>> import copy, torch
    >>> from neuroml.representation import laziness_report
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> report = laziness_report(net, copy.deepcopy(net), torch.randn(5, 3))
    >>> report.weight_change, round(report.kernel_alignment, 5)
    (0.0, 1.0)
    """
    import torch

    check_networks(model0, model1)
    before, after = dict(model0.named_parameters()), dict(model1.named_parameters())
    shapes = [{n: tuple(p.shape) for n, p in one.items()} for one in (before, after)]
    if shapes[0] != shapes[1]:
        raise DataError(
            "these are different networks",
            expected="weights of the same names and shapes",
            found=sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:4],
            field="model1",
        )
    first, second = (
        torch.cat([p.detach().reshape(-1).double() for p in one.values()])
        for one in (before, after)
    )
    change = float((second - first).norm())
    hidden = [_hidden(model, x, layer) for model in (model0, model1)]
    return LazinessReport(
        weight_change=change,
        relative_weight_change=change / max(float(first.norm()), 1e-300),
        kernel_alignment=kernel_alignment(tangent_kernel(model0, x), tangent_kernel(model1, x)),
        representation_alignment=kernel_alignment(*(h @ h.T for h in hidden)),
        sign_similarity=float(((hidden[0] > 0) == (hidden[1] > 0)).mean()),
    )


def _hidden(model: torch.nn.Module, x: Any, layer: str | None) -> np.ndarray:
    """Hidden activity (n_samples, n_units)."""
    import torch

    modules = dict(model.named_modules())
    if layer is not None and layer not in modules:
        raise DataError(
            "there is no such module",
            expected=f"one of {list(modules)[1:]}",
            found=layer,
            field="layer",
        )
    linear = [m for m in modules.values() if isinstance(m, torch.nn.Linear)]
    calls = calls_of(model, x, linear if layer is None else [modules[layer]])
    if not calls:
        raise DataError(
            "no torch.nn.Linear is run, whose input would be the hidden activity"
            if layer is None
            else "this module is not run",
            expected=f"layer=, one of {list(modules)[1:]}",
            found=layer,
            field="layer",
        )
    activity = calls[-1].given if layer is None else calls[-1].output
    return np.asarray(activity.reshape(len(activity), -1).cpu(), dtype=np.float64)
