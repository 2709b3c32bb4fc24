"""Only the most strongly driven units stay active."""

from __future__ import annotations

import torch
from torch import nn

from neuroml.dendrites.layers._checks import check_sizes, check_width
from neuroml.exceptions import DataError

__all__ = ["KWinners"]


class KWinners(nn.Module):
    r"""Keep the ``k`` largest units of every sample and silence the others.

    Boosting helps units that win seldom: with :math:`f_j = \exp(\beta (k / n - d_j))` and the duty
    cycle :math:`d_j`, units are ranked by :math:`f_j x_j` where :math:`x_j > 0` and by
    :math:`x_j / f_j` elsewhere, which favors the rarely active unit for either sign; the values
    themselves pass unchanged. Ties are broken, so exactly ``k`` units win.

    Parameters
    ----------
    n_units : int
        Length of the last axis.
    k : int
        Number of winners in training.
    k_evaluation : int, optional
        Number of winners in evaluation; ``k`` if not given.
    boost : float, default=0.0
        :math:`\beta`. Kept in the state as a buffer: ``layer.boost *= 0.85`` lets it decay.
    period : int, default=1000
        Number of samples over which the duty cycle is a running mean.

    Attributes
    ----------
    duty_cycle : Tensor of shape (n_units,)
        Share of the training samples in which each unit won, always in [0, 1].
    n_seen : Tensor of int64
        Number of training samples so far.

    Raises
    ------
    DataError
        If a size is no positive integer, there are more winners than units, boost is negative, or
        the input has another width.

    References
    ----------
    S. Ahmad, L. Scheinkman (2019). How can we be so dense? arXiv:1903.11257.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import KWinners
    >>> KWinners(5, k=2)(torch.tensor([[3.0, -1.0, 2.0, 0.0, 1.0]]))
    tensor([[3., 0., 2., 0., 0.]])
    """

    boost: torch.Tensor
    duty_cycle: torch.Tensor
    n_seen: torch.Tensor

    def __init__(
        self,
        n_units: int,
        k: int,
        *,
        k_evaluation: int | None = None,
        boost: float = 0.0,
        period: int = 1000,
    ) -> None:
        super().__init__()
        k_evaluation = k if k_evaluation is None else k_evaluation
        check_sizes(n_units=n_units, k=k, k_evaluation=k_evaluation, period=period)
        if max(k, k_evaluation) > n_units:
            raise DataError(
                "more winners than units",
                expected=f"k <= n_units = {n_units}",
                found=max(k, k_evaluation),
                field="k",
            )
        if not boost >= 0:
            raise DataError("boost is negative", expected="boost >= 0", found=boost, field="boost")
        self.n_units, self.k, self.k_evaluation, self.period = n_units, k, k_evaluation, period
        self.register_buffer("boost", torch.tensor(float(boost)))
        self.register_buffer("duty_cycle", torch.zeros(n_units))
        self.register_buffer("n_seen", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x of shape (..., n_units) with zeros where a unit did not win."""
        check_width(x, self.n_units, "x")
        k = self.k if self.training else self.k_evaluation
        winners = self._score(x.detach()).topk(k, dim=-1, sorted=False).indices
        if self.training:
            self._count(winners)
        return torch.zeros_like(x).scatter(-1, winners, x.gather(-1, winners))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.n_units}, k={self.k}, k_evaluation={self.k_evaluation}"

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        if self.boost == 0:
            return x
        factor = torch.exp(self.boost * (self.k / self.n_units - self.duty_cycle))
        return x * torch.where(x > 0, factor, 1 / factor)

    def _count(self, winners: torch.Tensor) -> None:
        n_samples = winners.numel() // winners.shape[-1]
        if n_samples == 0:
            return
        # running mean over the latest `period` samples: the first batch has weight 1, later ones
        # batch / period, never above 1
        share = torch.bincount(winners.reshape(-1), minlength=self.n_units) / n_samples
        self.n_seen += n_samples
        weight = min(1.0, n_samples / min(self.period, int(self.n_seen)))
        self.duty_cycle.lerp_(share.to(self.duty_cycle.dtype), weight)
