r"""Forward-backward as an associative scan: for devices that do many small products at once.

The elements are the logarithms of :math:`M_t = A\,\mathrm{diag}(b_t)`. Products of neighbors are
associative, so all prefixes and all suffixes take :math:`\log_2 T` rounds of batched products
(Särkkä and García-Fernández 2021, IEEE Trans. Autom. Control 66:299-306). An element that opens a
session drops whatever stands before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from neuroml._core.torch_state import as_tensor, own_torch_state

__all__ = ["smooth_by_scan"]


class _Element(NamedTuple):
    """Batched: log of a matrix whose largest entry is one, log of its scale, opens a session."""

    matrix: torch.Tensor
    scale: torch.Tensor
    opens: torch.Tensor

    def at(self, rows: slice) -> _Element:
        return _Element(self.matrix[rows], self.scale[rows], self.opens[rows])


def _scaled(matrix: torch.Tensor, scale: torch.Tensor, opens: torch.Tensor) -> _Element:
    top = matrix.amax(dim=(1, 2))
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    return _Element(matrix - top[:, None, None], scale + top, opens)


def _joined(left: _Element, right: _Element) -> _Element:
    product = torch.logsumexp(left.matrix[:, :, :, None] + right.matrix[:, None, :, :], dim=2)
    joined = _scaled(product, left.scale + right.scale, left.opens | right.opens)
    alone = right.opens
    return _Element(
        torch.where(alone[:, None, None], right.matrix, joined.matrix),
        torch.where(alone, right.scale, joined.scale),
        joined.opens,
    )


def _scan(elements: _Element) -> _Element:
    """All prefixes: of neighboring pairs first, and from them of the elements between."""
    n = len(elements.scale)
    if n == 1:
        return elements
    odd = _scan(_joined(elements.at(slice(0, n - 1, 2)), elements.at(slice(1, n, 2))))
    even = _joined(odd.at(slice(0, (n - 1) // 2)), elements.at(slice(2, n, 2)))
    prefixes = _Element(*(torch.empty_like(part) for part in elements))
    for whole, first, at_odd, at_even in zip(prefixes, elements, odd, even, strict=True):
        whole[0], whole[1::2], whole[2::2] = first[0], at_odd, at_even
    return prefixes


@own_torch_state()
def smooth_by_scan(
    log_emissions: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    *,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return posterior (T, K), expected transitions (1, K, K) and session log-likelihoods (S,).

    Parameters
    ----------
    log_emissions, transition, initial, starts
        As in `forward_backward`.
    device : torch.device
        One that computes in float64.
    """
    n_bins, n_states = log_emissions.shape
    log_b, onward, first, bounds = (
        as_tensor(array, device=device) for array in (log_emissions, transition, initial, starts)
    )
    tops = log_b.amax(dim=1, keepdim=True)
    log_b = log_b - tops
    opens = torch.zeros(n_bins, dtype=torch.bool, device=log_b.device)
    opens[bounds[:-1]] = True
    moves = onward.log().expand(n_bins - 1, -1, -1) + log_b[1:, None, :]
    forward = torch.empty((n_bins, n_states, n_states), dtype=log_b.dtype, device=log_b.device)
    forward[1:] = moves
    forward[opens] = (first.log() + log_b[opens])[:, None, :]
    closes = opens.roll(-1)
    backward = torch.empty_like(forward)
    backward[:-1] = moves
    backward[closes] = torch.eye(n_states, dtype=log_b.dtype, device=log_b.device).log()

    nothing = torch.zeros_like(tops[:, 0])
    prefixes = _scan(_scaled(forward, nothing, opens))
    suffixes = _scan(_scaled(backward.flip(0).transpose(1, 2), nothing, closes.flip(0)))
    alpha = prefixes.matrix[:, 0, :]
    beta = torch.logsumexp(suffixes.matrix, dim=1).flip(0)
    joint = alpha[:-1, :, None] + moves + beta[1:, None, :]
    expected = torch.softmax(joint.flatten(start_dim=1), dim=1)[~opens[1:]].sum(dim=0)
    totals = torch.cumsum(torch.cat([nothing[:1], tops[:, 0]]), dim=0)[bounds].diff()
    totals = totals + (prefixes.scale + torch.logsumexp(alpha, dim=1))[closes]
    posterior = torch.softmax(alpha + beta, dim=1)
    return (
        posterior.cpu().numpy(),
        expected.reshape(1, n_states, n_states).cpu().numpy(),
        totals.cpu().numpy(),
    )
