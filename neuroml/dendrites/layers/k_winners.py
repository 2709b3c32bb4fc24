"""Only the most strongly driven units stay active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from neuroml.dendrites.layers._checks import check_share, check_sizes, check_width
from neuroml.exceptions import DataError

__all__ = ["KWinners", "KWinners2d"]


class _Boosted(nn.Module):
    """Units, or channels of them, that are ranked by their drive and by how seldom they won."""

    boost: torch.Tensor
    duty_cycle: torch.Tensor
    n_seen: torch.Tensor

    def __init__(self, n_counted: int, boost: float, period: int) -> None:
        super().__init__()
        check_sizes(period=period)
        if not boost >= 0:
            raise DataError("boost is negative", expected="boost >= 0", found=boost, field="boost")
        self.period = period
        self.register_buffer("boost", torch.tensor(float(boost)))
        self.register_buffer("duty_cycle", torch.zeros(n_counted))
        self.register_buffer("n_seen", torch.tensor(0))

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> _Boosted:
        # In half precision the running mean loses the small steps of single batches: it and the
        # boost keep their precision where a model is cast to less than 32 bits.
        before = {name: getattr(self, name) for name in ("boost", "duty_cycle")}
        super()._apply(fn, recurse)
        for name, value in before.items():
            cast = getattr(self, name)
            if cast.dtype.itemsize < torch.float32.itemsize:
                setattr(self, name, value.to(cast.device))
        return self

    def _score(self, x: torch.Tensor, target: float, shape: tuple[int, ...]) -> torch.Tensor:
        """Drives as they are ranked, for a duty cycle that should be ``target``."""
        if self.boost == 0:
            return x
        factor = torch.exp(self.boost * (target - self.duty_cycle)).view(shape)
        return x * torch.where(x > 0, factor, 1 / factor)

    def _count(self, share: torch.Tensor, n_samples: int) -> None:
        """Update the duty cycle by the share of a batch that each won."""
        # running mean over the latest `period` samples: the first batch has weight 1, later ones
        # batch / period, never above 1
        self.n_seen += n_samples
        weight = min(1.0, n_samples / min(self.period, int(self.n_seen)))
        self.duty_cycle.lerp_(share.to(self.duty_cycle.dtype), weight)


class KWinners(_Boosted):
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

    def __init__(
        self,
        n_units: int,
        k: int,
        *,
        k_evaluation: int | None = None,
        boost: float = 0.0,
        period: int = 1000,
    ) -> None:
        k_evaluation = k if k_evaluation is None else k_evaluation
        check_sizes(n_units=n_units, k=k, k_evaluation=k_evaluation)
        if max(k, k_evaluation) > n_units:
            raise DataError(
                "more winners than units",
                expected=f"k <= n_units = {n_units}",
                found=max(k, k_evaluation),
                field="k",
            )
        super().__init__(n_units, boost, period)
        self.n_units, self.k, self.k_evaluation = n_units, k, k_evaluation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x of shape (..., n_units) with zeros where a unit did not win."""
        check_width(x, self.n_units, "x")
        k = self.k if self.training else self.k_evaluation
        score = self._score(x.detach(), self.k / self.n_units, (self.n_units,))
        winners = score.topk(k, dim=-1, sorted=False).indices
        n_samples = winners.numel() // k
        if self.training and n_samples:
            won = torch.bincount(winners.reshape(-1), minlength=self.n_units)
            self._count(won / n_samples, n_samples)
        return torch.zeros_like(x).scatter(-1, winners, x.gather(-1, winners))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.n_units}, k={self.k}, k_evaluation={self.k_evaluation}"


class KWinners2d(_Boosted):
    r"""Keep the most strongly driven units of an image with channels, and silence the others.

    As `KWinners`, for the output of a convolution. Winners are drawn from all channels and
    positions of an image together; with ``local=True``, from the channels at each position [1]_.
    A channel has one duty cycle, the share of its positions that won, since its units share their
    weights.

    Parameters
    ----------
    n_channels : int
    share : float
        Share of the units that win in training, at least one.
    share_evaluation : float, optional
        In evaluation; ``share`` if not given.
    local : bool, default=False
    boost : float, default=0.0
        As in `KWinners`.
    period : int, default=1000
        Number of images over which the duty cycle is a running mean.

    Attributes
    ----------
    duty_cycle : Tensor of shape (n_channels,)
    n_seen : Tensor of int64
        Number of training images so far.

    Raises
    ------
    DataError
        If a size is no positive integer, a share not in (0, 1], boost is negative, or the input has
        another number of channels.

    References
    ----------
    .. [1] S. Ahmad, L. Scheinkman (2019). How can we be so dense? arXiv:1903.11257.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import KWinners2d
    >>> image = torch.arange(8.0).view(1, 2, 2, 2)
    >>> KWinners2d(2, share=0.25)(image)[0, 1]
    tensor([[0., 0.],
            [6., 7.]])
    """

    def __init__(
        self,
        n_channels: int,
        share: float,
        *,
        share_evaluation: float | None = None,
        local: bool = False,
        boost: float = 0.0,
        period: int = 1000,
    ) -> None:
        share_evaluation = share if share_evaluation is None else share_evaluation
        check_sizes(n_channels=n_channels)
        check_share(share, "share")
        check_share(share_evaluation, "share_evaluation")
        super().__init__(n_channels, boost, period)
        self.n_channels, self.local = n_channels, local
        self.share, self.share_evaluation = share, share_evaluation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x of shape (n_images, n_channels, height, width), zero where a unit lost."""
        if x.ndim != 4 or x.shape[1] != self.n_channels:
            raise DataError(
                "this is no batch of images with channels",
                expected=f"shape (n_images, {self.n_channels}, height, width)",
                found=tuple(x.shape),
                field="x",
            )
        score = self._score(x.detach(), self.share, (-1, 1, 1))
        if not self.local:
            score = score.flatten(1)
        share = self.share if self.training else self.share_evaluation
        k = max(1, round(share * score.shape[1]))
        winners = score.topk(k, dim=1, sorted=False).indices
        won = torch.zeros_like(score, dtype=x.dtype).scatter_(1, winners, 1.0).view_as(x)
        if self.training and x.numel():
            self._count(won.mean(dim=(0, 2, 3), dtype=self.duty_cycle.dtype), len(x))
        return x * won

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.n_channels}, share={self.share}, local={self.local}"
