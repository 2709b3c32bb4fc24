"""Gradient ascent on a batch of stimuli at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from neuroml.celltypes._space import StimulusSpace

__all__ = ["Ascent", "Climber", "ascend"]


@dataclass(frozen=True)
class Climber:
    """How stimuli are changed.

    Attributes
    ----------
    n_steps : int
    learning_rate, momentum : float
    scale_free : bool
        Steps of ``learning_rate`` times the stimulus's own norm along the gradient, whatever its
        length; otherwise ``learning_rate`` times the gradient.
    keep_best : bool
        Return the best stimulus on the way rather than the last one.
    """

    n_steps: int = 40
    learning_rate: float = 0.03
    momentum: float = 0.9
    scale_free: bool = True
    keep_best: bool = True


@dataclass(frozen=True)
class Ascent:
    """Stimuli (n, *shape), the responses (n, n_cells) to them, and their objective (n,)."""

    stimuli: torch.Tensor
    responses: torch.Tensor
    objective: torch.Tensor


def ascend(
    respond: Callable[[torch.Tensor], torch.Tensor],
    objective: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    space: StimulusSpace,
    climber: Climber,
) -> Ascent:
    """Improve stimuli, all in one batch.

    Parameters
    ----------
    respond : callable
        Stimuli (n, *shape) to responses (n, n_cells), each row depending on its stimulus alone.
    objective : callable
        Responses (n, n_cells) to (n,), each entry depending on its row alone: so the batch climbs
        as each stimulus would by itself.
    start : Tensor of shape (n, *shape)
        Stimuli that fulfil the constraints.
    space : StimulusSpace
        The constraints, which stimuli are put back into after every step.
    climber : Climber
    """
    current = start.detach()
    velocity = torch.zeros_like(current)
    best: Ascent | None = None
    for step in range(climber.n_steps + 1):
        current.requires_grad_(step < climber.n_steps)
        responses = respond(current)
        value = objective(responses)
        best = _better(best, Ascent(current.detach(), responses.detach(), value.detach()), climber)
        if step == climber.n_steps:
            break
        (gradient,) = torch.autograd.grad(value.sum(), current)
        gradient = space.smooth(gradient)
        with torch.no_grad():
            if climber.scale_free:
                gradient = gradient / _norm(gradient)
            velocity = climber.momentum * velocity + gradient
            move = climber.learning_rate * velocity
            if climber.scale_free:
                move = move * (_norm(current) / _norm(velocity))
            current = space.project(current.detach() + move)
    assert best is not None
    return best


def _norm(stimuli: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of each stimulus, never zero, with the axes kept."""
    norm = stimuli.flatten(start_dim=1).norm(dim=1)
    return norm.clamp_min(1e-12).reshape(-1, *[1] * (stimuli.ndim - 1))


def _better(best: Ascent | None, now: Ascent, climber: Climber) -> Ascent:
    """Row by row the better of two, or the newer one if the last is to be kept."""
    if best is None or not climber.keep_best:
        return now
    improved = now.objective > best.objective
    rows = improved.reshape(-1, *[1] * (now.stimuli.ndim - 1))
    return Ascent(
        torch.where(rows, now.stimuli, best.stimuli),
        torch.where(improved[:, None], now.responses, best.responses),
        torch.where(improved, now.objective, best.objective),
    )
