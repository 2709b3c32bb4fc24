"""ProSparse: an L1 penalty on activations that grows in smooth stages, then a raised threshold.

References
----------
C. Song et al. (2024). ProSparse: introducing and enhancing intrinsic activation sparsity within
large language models. arXiv:2402.13516.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroml.dendrites._counts import check_counts
from neuroml.dendrites.layers._checks import mean_or_zero
from neuroml.exceptions import DataError

__all__ = ["ActivationL1", "FATReLU", "SineStageSchedule"]


class FATReLU(nn.Module):
    """ReLU with a raised threshold: x where x >= threshold, else zero.

    Parameters
    ----------
    threshold : float, default=0.0
        Threshold, zero or positive.

    Raises
    ------
    DataError
        If the threshold is negative or NaN.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import FATReLU
    >>> FATReLU(0.5)(torch.tensor([-1.0, 0.2, 0.5, 2.0]))
    tensor([0.0000, 0.0000, 0.5000, 2.0000])
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        if not threshold >= 0:
            raise DataError(
                "the threshold is not valid", expected=">= 0", found=threshold, field="threshold"
            )
        self.threshold = threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x of any shape with zeros below the threshold."""
        # the other way round, NaN would become zero
        return torch.where(x < self.threshold, 0.0, x)

    def extra_repr(self) -> str:
        """Return the argument."""
        return f"{self.threshold}"


class SineStageSchedule:
    r"""Factor of the penalty over training: constant first, then half a sine wave per stage.

    .. math:: \lambda(t) = \lambda_{i-1} + \tfrac{1}{2}
       \left[\sin\left(-\tfrac{\pi}{2} + \pi \frac{t - T_{i-1}}{T_i - T_{i-1}}\right) + 1\right]
       (\lambda_i - \lambda_{i-1}), \qquad T_{i-1} < t \le T_i

    Parameters
    ----------
    peaks : sequence of float
        :math:`\lambda_1, \lambda_2, \ldots`, not negative; the first holds up to ``steps[0]``, the
        last from ``steps[-1]`` on.
    steps : sequence of int
        :math:`T_1 < T_2 < \ldots`, where each peak is reached.

    Raises
    ------
    DataError
        If there is not one step per peak, steps do not increase, or a peak is negative.

    Examples
    --------
    >>> from neuroml.dendrites.layers import SineStageSchedule
    >>> schedule = SineStageSchedule(peaks=[1.0, 3.0], steps=[10, 20])
    >>> [round(schedule(t), 3) for t in (0, 10, 15, 20, 99)]
    [1.0, 1.0, 2.0, 3.0, 3.0]
    """

    def __init__(self, peaks: Sequence[float], steps: Sequence[int]) -> None:
        ends = check_counts(steps=list(steps))[0]
        increasing = bool((np.diff(ends) > 0).all())
        if len(peaks) != len(ends) or not increasing or not all(peak >= 0 for peak in peaks):
            raise DataError(
                "no schedule follows from these stages",
                expected="as many increasing steps as peaks, all peaks >= 0",
                found=f"peaks {list(peaks)}, steps {list(steps)}",
            )
        self.peaks, self.steps = [float(peak) for peak in peaks], [int(end) for end in ends]

    def __call__(self, t: int) -> float:
        """Return the factor at training step t."""
        if t <= self.steps[0]:
            return self.peaks[0]
        for i in range(1, len(self.steps)):
            start, end = self.steps[i - 1], self.steps[i]
            if t <= end:
                risen = (math.sin(-math.pi / 2 + math.pi * (t - start) / (end - start)) + 1) / 2
                return self.peaks[i - 1] + risen * (self.peaks[i] - self.peaks[i - 1])
        return self.peaks[-1]


class ActivationL1:
    """L1 norm of the outputs of some layers, with its gradient.

    Use it as a context manager around the forward pass, so that the hooks do not stay.

    Parameters
    ----------
    layers : iterable of torch.nn.Module
        Their outputs have the units on the last axis.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neuroml.dendrites.layers import ActivationL1
    >>> model = nn.Sequential(nn.Identity(), nn.ReLU())
    >>> with ActivationL1([model[1]]) as norm:
    ...     _ = model(torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 2.0]]))
    >>> norm.value
    tensor(3.)
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self._layers = list(layers)
        self.value: Any = 0.0

    def __enter__(self) -> ActivationL1:
        """Start with zero and watch the layers."""
        self.value = 0.0
        self._hooks = [layer.register_forward_hook(self._add) for layer in self._layers]
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the hooks; ``value`` stays."""
        for hook in self._hooks:
            hook.remove()

    def _add(self, _layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        self.value = self.value + mean_or_zero(output.abs().sum(dim=-1))
