"""Neurons that are quadratic in their input, and how to train them from linear ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from neuroml.dendrites.layers._checks import check_sizes, check_width

__all__ = ["QuadraticLinear", "relinear_param_groups"]


class QuadraticLinear(nn.Module):
    r"""Quadratic neurons, which start as linear ones.

    .. math:: y = (W_r x + b_r) \odot (W_g x + b_g) + W_b (x \odot x) + c

    with :math:`W_g = 0, b_g = 1, W_b = 0, c = 0` at the start, where the layer equals
    `torch.nn.Linear`. Train it with `relinear_param_groups`.

    Parameters
    ----------
    in_features, out_features : int

    Attributes
    ----------
    linear, gate, power : torch.nn.Linear
        :math:`(W_r, b_r)`, :math:`(W_g, b_g)` and :math:`(W_b, c)`.

    Raises
    ------
    DataError
        If a size is no positive integer or the input has another width.

    References
    ----------
    F.-L. Fan, M. Li, F. Wang, R. Lai, G. Wang (2021). On expressivity and trainability of
    quadratic networks. arXiv:2110.06081.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import QuadraticLinear
    >>> layer, x = QuadraticLinear(4, 2), torch.ones(3, 4)
    >>> layer(x).equal(layer.linear(x))
    True
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features)
        self.linear = nn.Linear(in_features, out_features)
        self.gate = nn.Linear(in_features, out_features)
        self.power = nn.Linear(in_features, out_features)
        for parameter in (self.gate.weight, self.power.weight, self.power.bias):
            nn.init.zeros_(parameter)
        nn.init.ones_(self.gate.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the neurons' outputs for x of shape (..., in_features)."""
        check_width(x, self.linear.in_features, "x")
        return self.linear(x) * self.gate(x) + self.power(x * x)


def relinear_param_groups(
    model: nn.Module, learning_rate: float, quadratic_learning_rate: float
) -> list[dict[str, Any]]:
    """Split a model's parameters so that quadratic parts learn slowly (ReLinear).

    Parameters
    ----------
    model : torch.nn.Module
        Its `QuadraticLinear` layers are found by type, however the model names them.
    learning_rate : float
        Learning rate of everything else, linear parts included.
    quadratic_learning_rate : float
        Learning rate of ``gate`` and ``power``, far below the other (1e-4 of it in the reference).

    Returns
    -------
    list of dict
        Two parameter groups for any torch optimizer; every parameter is in one of them, once.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import QuadraticLinear, relinear_param_groups
    >>> model = torch.nn.Sequential(QuadraticLinear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> optimizer = torch.optim.SGD(relinear_param_groups(model, 0.1, 1e-5))
    >>> [(group["lr"], len(group["params"])) for group in optimizer.param_groups]
    [(0.1, 4), (1e-05, 4)]
    """
    quadratic = {
        id(parameter): parameter
        for module in model.modules()
        if isinstance(module, QuadraticLinear)
        for part in (module.gate, module.power)
        for parameter in part.parameters()
    }
    rest = [parameter for parameter in model.parameters() if id(parameter) not in quadratic]
    return [
        {"params": rest, "lr": learning_rate},
        {"params": list(quadratic.values()), "lr": quadratic_learning_rate},
    ]
