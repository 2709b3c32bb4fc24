"""A simulated retina, as a torch module: cells with known filters."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from neuroml._core.torch_state import own_torch_state

__all__ = ["RetinaModule"]


class RetinaModule(nn.Module):
    r"""Cells that sum products of two separable filters.

    With :math:`u_p(t)` the stimulus filtered by the :math:`p`-th part, a filter over space times a
    filter over the last frames, and :math:`u_0 = 1`, the rate of cell :math:`i` is

    .. math::
        r_i(t) = g_i \log(1 + \exp(b_i + \sum_{k \in i} w_k\, u_{p(k)}(t)\, u_{q(k)}(t)))

    which covers linear-nonlinear cells (:math:`q = 0`), cells that respond to contrast of either
    sign (:math:`q = p`) and motion energy (quadrature pairs).

    Parameters
    ----------
    space : ndarray of shape (n_parts, height, width, n_channels)
    time : ndarray of shape (n_parts, n_lags)
        The weight of the current frame comes last.
    terms : ndarray of int of shape (n_terms, 3)
        Cell, first and second part of every product; parts count from 1.
    weights : ndarray of shape (n_terms,)
    bias, gain : ndarray of shape (n_cells,)
    stimulus_shape : sequence of int
        ``(n_frames, height, width)``, and the number of channels if there is more than one.
    at_center : RetinaModule, optional
        The same cells with every receptive field at the center of the canvas.
    """

    space: torch.Tensor
    time: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor
    gain: torch.Tensor
    cell: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor

    def __init__(
        self,
        space: np.ndarray,
        time: np.ndarray,
        terms: np.ndarray,
        weights: np.ndarray,
        bias: np.ndarray,
        gain: np.ndarray,
        stimulus_shape: Sequence[int],
        at_center: RetinaModule | None = None,
    ) -> None:
        super().__init__()
        arrays = {
            "space": space.reshape(len(space), -1),
            "time": time[:, None],
            "weights": weights[:, None],
            "bias": bias[:, None],
            "gain": gain,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32))
        for name, index in zip(("cell", "first", "second"), terms.T, strict=True):
            self.register_buffer(name, torch.tensor(index, dtype=torch.int64))
        self.stimulus_shape = tuple(stimulus_shape)
        self.n_lags = time.shape[1]
        self.n_cells = len(gain)
        self._at_center = [at_center]  # in a list, so that it is no submodule

    def drive(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Argument of the rates' softplus, (n_stimuli, n_cells, n_frames - n_lags + 1)."""
        # one product for all stimuli: several times faster than a batch of them
        parts = (self.space @ stimuli.flatten(0, 1).flatten(start_dim=1).T).unflatten(
            1, stimuli.shape[:2]
        )
        # ... over space; then each part's filter over time, and u_0 = 1 as the first part
        parts = functional.conv1d(parts.transpose(0, 1), self.time, groups=len(self.time))
        parts = functional.pad(parts, (0, 0, 1, 0), value=1.0)
        terms = (
            self.weights * parts.index_select(1, self.first) * parts.index_select(1, self.second)
        )
        drive = self.bias.expand(len(stimuli), -1, terms.shape[-1])
        return drive.index_add(1, self.cell, terms)

    def frames(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Rates (n_stimuli, n_frames - n_lags + 1, n_cells) of stimuli (n_stimuli, n_frames, ...).

        The first rate is the one at frame ``n_lags - 1``, the first with a full history.
        """
        return self.gain * functional.softplus(self.drive(stimuli)).transpose(1, 2)

    def forward(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Mean rates (n_stimuli, n_cells) of stimuli (n_stimuli, *stimulus_shape)."""
        return self.gain * functional.softplus(self.drive(stimuli)).mean(dim=-1)

    @own_torch_state()
    def rates(self, movie: np.ndarray) -> np.ndarray:
        """Rates (n_frames, n_cells) over a movie (n_frames, ...) that follows a gray screen."""
        gray = np.zeros((self.n_lags - 1, *movie.shape[1:]), dtype=movie.dtype)
        with torch.no_grad():
            return self.frames(torch.from_numpy(np.concatenate([gray, movie])[None]))[0].numpy()

    def centered(self) -> RetinaModule:
        """The same cells with every receptive field at the center of the canvas."""
        return copy.deepcopy(self._at_center[0] or self)
