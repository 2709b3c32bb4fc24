"""Training of a network on clips of a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from neuroml._core.torch_state import as_tensor, seeded
from neuroml._core.training import Training, train
from neuroml._core.warn import warn_caller
from neuroml.celltypes._networks import ResponseNetwork
from neuroml.celltypes._receptive_fields import response_centers
from neuroml.celltypes._windows import Run, clip_starts, frames_with_history, split_blocks
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from neuroml.celltypes.response_model import ResponseModel

__all__ = ["train_responses"]

_DIGITS = 3  # of the share of deviance that is left: smaller gains do not count
_FALL, _FALL_AFTER = 0.3, 2


def train_responses(
    model: ResponseModel,
    module: nn.Module,
    stimuli: np.ndarray,
    responses: np.ndarray,
    sessions: np.ndarray,
    streams: Sequence[np.random.Generator],
) -> tuple[Training, list[Run]]:
    """Train ``module`` in place with the parameters of ``model``.

    Returns
    -------
    Training
    held_out : list of (start, stop)
        The blocks that served validation.
    """
    block_rng, weight_rng, batch_rng, module_rng = streams
    runs = frames_with_history(sessions, model.n_lags)
    blocks, held_out = split_blocks(runs, model.validation_fraction, model.n_blocks, block_rng)
    clips = _Clips(model, module, stimuli, responses)
    clips.check_output(blocks[0][0])
    known = np.concatenate([np.arange(*block) for block in blocks])
    constant = _constant_cells(responses[known])
    if isinstance(module, ResponseNetwork):
        _start(module, stimuli, responses, known, weight_rng)
    scale = torch.from_numpy(_error_scale(responses[known], model.loss)).to(clips.responses)
    wanted = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(wanted, model.learning_rate, weight_decay=model.weight_decay)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=_FALL, patience=_FALL_AFTER, threshold=0.0
    )
    error = _ERRORS[model.loss]

    def loss(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        seen, answers = batch
        value = (error(module(seen), answers) / scale).mean()
        return value + _penalty(model, module)

    def validate() -> float:
        total, count = 0.0, 0
        for seen, answers in clips.batches(held_out):
            total += float((error(module(seen), answers) / scale).mean()) * len(answers)
            count += len(answers)
        left = round(total / count, _DIGITS)
        plateau.step(left)
        return left

    # a module of the user's may draw (dropout) from torch's own stream
    with seeded(module_rng, next(module.parameters()).device):
        training = train(
            module,
            loss,
            lambda epoch: clips.batches(blocks, batch_rng),
            optimizer,
            max_epochs=model.max_epochs,
            validate=validate if held_out else None,
            patience=model.patience,
        )
    if isinstance(module, ResponseNetwork):
        module.generator = None  # it cannot be copied or pickled
        with torch.no_grad():
            module.weights[torch.from_numpy(constant).to(module.weights.device)] = 0.0
    return training, held_out


def _constant_cells(responses: np.ndarray) -> np.ndarray:
    """Which cells (n_cells,) never change their response, with a warning."""
    constant = np.ptp(responses, axis=0) == 0
    if constant.any():
        warn_caller(
            f"{constant.sum()} of {len(constant)} cells never change their response: "
            f"{np.flatnonzero(constant)[:10].tolist()}",
            UserWarning,
        )
    return constant


class _Clips:
    """Batches of clips from a recording that lies on the device as a whole."""

    def __init__(
        self, model: ResponseModel, module: nn.Module, stimuli: np.ndarray, responses: np.ndarray
    ) -> None:
        like = next(module.parameters())
        self.module, self.n_lags = module, model.n_lags
        self.static = model.n_lags == 1 and stimuli.ndim > 1
        self.length = 1 if self.static else model.clip_length
        self.batch = model.batch_size * (model.clip_length if self.static else 1)
        self.stimuli = as_tensor(stimuli).to(like)
        self.responses = as_tensor(responses).to(like)

    def batches(
        self, runs: Sequence[Run], rng: np.random.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Stimuli with the history they need, and responses; in random order if there is ``rng``.

        Random clips begin anywhere within the first clip length of their run, so that every epoch
        cuts differently.
        """
        shift = 0 if rng is None or self.static else int(rng.integers(self.length))
        moved = [(min(start + shift, max(start, stop - self.length)), stop) for start, stop in runs]
        starts, length = clip_starts(moved, self.length)
        order = np.arange(len(starts)) if rng is None else rng.permutation(len(starts))
        for part in torch.from_numpy(starts[order]).split(self.batch):
            if self.static:
                yield self.stimuli[part], self.responses[part]
                continue
            answered = part[:, None] + torch.arange(length, device=part.device)
            seen = part[:, None] + torch.arange(1 - self.n_lags, length, device=part.device)
            yield self.stimuli[seen], self.responses[answered]

    def check_output(self, first: int) -> None:
        """One clip through the module, which may be the user's."""
        seen, answers = next(self.batches([(first, first + 1)]))
        with torch.no_grad():
            found: Any = self.module(seen)
        if getattr(found, "shape", None) != answers.shape:
            raise DataError(
                "the module's output has the wrong shape",
                expected=f"{tuple(answers.shape)} for stimuli of shape {tuple(seen.shape)}",
                found=tuple(getattr(found, "shape", ())),
                field="core",
            )


def _start(
    module: ResponseNetwork,
    stimuli: np.ndarray,
    responses: np.ndarray,
    known: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Biases that give the mean responses, places where the responses come from."""
    mean = responses[known].mean(axis=0)
    bias = _INVERSES[module.architecture.nonlinearity](mean)
    seed = int(rng.integers(2**62))
    device = next(module.parameters()).device
    module.start(torch.from_numpy(bias).to(device), torch.Generator(device).manual_seed(seed))
    if len(module.frame_shape) >= 2:
        centers = response_centers(stimuli[known], responses[known], module.architecture.n_lags)
        half = np.maximum((np.array(module.canvas) - 1) / 2, 0.5)
        with torch.no_grad():
            module.place.copy_(torch.from_numpy(centers / half - 1))


def _error_scale(responses: np.ndarray, loss: str) -> np.ndarray:
    """What makes the error of always predicting the mean 1, on average over cells (n_cells,)."""
    if loss == "gaussian":
        variance = responses.var(axis=0)
        return np.where(variance > 0, variance, 1.0)
    constant = torch.from_numpy(np.broadcast_to(responses.mean(axis=0), responses.shape).copy())
    deviance = _poisson(constant, torch.from_numpy(responses)).mean().item()
    return np.full(responses.shape[1], deviance if deviance > 0 else 1.0)


def _poisson(rate: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Half the Poisson deviance."""
    fitted = rate - torch.xlogy(count, rate + 1e-8)
    return fitted + torch.xlogy(count, count) - count


_ERRORS = {"poisson": _poisson, "gaussian": lambda rate, value: (rate - value) ** 2}


def _softplus_inverse(rate: np.ndarray) -> np.ndarray:
    rate = np.maximum(rate, 1e-3)
    return rate + np.log(-np.expm1(-rate))


_INVERSES = {
    "softplus": _softplus_inverse,
    "exp": lambda rate: np.log(np.maximum(rate, 1e-3)),
    "identity": lambda rate: rate,
}


def _penalty(model: ResponseModel, module: nn.Module) -> torch.Tensor | float:
    """Roughness of the first filters and size of the readout weights."""
    if not isinstance(module, ResponseNetwork):
        return 0.0
    filters = [layer.weight for layer in module.core if isinstance(layer, nn.Conv3d)]
    first = filters[:2] if model.core == "conv3d" else filters[:1]
    penalty: torch.Tensor | float = 0.0
    for axis, weight in ((2, model.smooth_time), (3, model.smooth_space), (4, model.smooth_space)):
        if weight > 0:
            penalty = penalty + weight * sum(
                kernel.diff(dim=axis).square().sum() / kernel.shape[0] for kernel in first
            )
    if model.sparsity > 0:
        penalty = penalty + model.sparsity * module.weights.abs().mean()
    return penalty
