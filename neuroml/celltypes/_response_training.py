"""Training of a network on clips of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroml._core.torch_state import as_tensor, seeded
from neuroml._core.training import Checkpoint, Training, train
from neuroml._core.warn import warn_caller
from neuroml.celltypes._recording_blocks import (
    Run,
    clip_starts,
    frames_with_history,
    split_blocks,
)
from neuroml.celltypes._response_network import ResponseNetwork
from neuroml.exceptions import DataError

__all__ = ["TrainingSettings", "response_centers", "train_responses"]

# The share of deviance that is left is rounded to so many digits: smaller gains are within its
# noise and would only put off the end of training.
_DIGITS = 3
# The learning rate is multiplied by this after more than so many epochs without improvement. The
# factor is the customary one of digital twins; their 5 epochs would exceed the default patience.
_FALL, _FALL_AFTER = 0.3, 2
_MIN_RATE = 1e-3  # spikes per frame: the logarithm of a silent cell's mean must be finite
_Batch = tuple[tuple[torch.Tensor, ...], torch.Tensor]
_TINY = 1e-8  # keeps log(rate) finite where softplus underflows in single precision


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained; all as in `ResponseModel`."""

    n_lags: int
    loss: str
    smooth_space: float
    smooth_time: float
    sparsity: float
    weight_decay: float
    validation_fraction: float
    n_blocks: int
    clip_length: int
    batch_size: int
    learning_rate: float
    max_epochs: int
    patience: int
    verbose: int


def train_responses(
    settings: TrainingSettings,
    module: nn.Module,
    stimuli: np.ndarray,
    responses: np.ndarray,
    sessions: np.ndarray,
    streams: Sequence[np.random.Generator],
    *,
    covariates: np.ndarray | None = None,
    checkpoint: tuple[Path, str] | None = None,
) -> tuple[Training, list[Run]]:
    """Train ``module`` in place.

    Parameters
    ----------
    settings : TrainingSettings
    module : Module
        A `ResponseNetwork`, or the user's.
    stimuli : ndarray of shape (n_frames, ...)
    responses : ndarray of shape (n_frames, n_cells)
    sessions : ndarray of shape (n_frames,)
    streams : sequence of four Generators
        For the choice of held-out blocks, the weights, the order of clips, and what the user's
        module draws.
    covariates : ndarray of shape (n_frames, n_covariates), optional
    checkpoint : (path, str), optional
        File that the training goes on from, and what says that it is of this training.

    Returns
    -------
    Training
    held_out : list of (start, stop)
        The blocks that served validation.
    """
    block_rng, weight_rng, batch_rng, module_rng = streams
    runs = frames_with_history(sessions, settings.n_lags)
    blocks, held_out = split_blocks(
        runs, settings.validation_fraction, settings.n_blocks, block_rng
    )
    clips = _Clips(settings, module, stimuli, responses, covariates)
    clips.check_output(blocks[0][0])
    known = np.concatenate([np.arange(*block) for block in blocks])
    constant = _constant_cells(responses[known])
    if isinstance(module, ResponseNetwork):
        _initialize(module, stimuli, responses, known, weight_rng)
    scale = torch.from_numpy(_error_scale(responses[known], settings.loss)).to(clips.responses)
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, settings.learning_rate, weight_decay=settings.weight_decay
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=_FALL, patience=_FALL_AFTER, threshold=0.0
    )
    error = _ERRORS[settings.loss]

    # mean over frames and cells of the error, 1 for predicting the mean, plus penalties
    def loss(batch: _Batch) -> torch.Tensor:
        shown, recorded = batch
        value = (error(module(*shown), recorded) / scale).mean()
        return value + _penalty(settings, module)

    def validate() -> float:
        total, count = 0.0, 0
        for shown, recorded in clips.batches(held_out):
            total += float((error(module(*shown), recorded) / scale).mean()) * len(recorded)
            count += len(recorded)
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
            max_epochs=settings.max_epochs,
            validate=validate if held_out else None,
            patience=settings.patience,
            verbose=settings.verbose,
            checkpoint=checkpoint
            and Checkpoint(*checkpoint, _changing(module, optimizer, plateau, batch_rng)),
        )
    if isinstance(module, ResponseNetwork):
        module.finish(torch.from_numpy(constant))
    return training, held_out


def _changing(
    module: nn.Module, optimizer: Any, plateau: Any, order: np.random.Generator
) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """What changes in training beside the weights: how to read it and how to put it back."""
    device = next(module.parameters()).device

    def put_order(state: dict[str, Any]) -> None:
        order.bit_generator.state = state

    parts: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "optimizer": (optimizer.state_dict, optimizer.load_state_dict),
        "plateau": (plateau.state_dict, plateau.load_state_dict),
        "order": (lambda: order.bit_generator.state, put_order),
    }
    if isinstance(module, ResponseNetwork):
        assert module.generator is not None  # drawn by `initialize`
        parts["places"] = (module.generator.get_state, module.generator.set_state)
        return parts
    # the user's module draws from torch's own streams
    parts["cpu"] = (torch.default_generator.get_state, torch.default_generator.set_state)
    if device.type == "cuda":
        parts["cuda"] = (
            lambda: torch.cuda.get_rng_state(device),
            lambda state: torch.cuda.set_rng_state(state, device),
        )
    return parts


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
        self,
        settings: TrainingSettings,
        module: nn.Module,
        stimuli: np.ndarray,
        responses: np.ndarray,
        covariates: np.ndarray | None,
    ) -> None:
        like = next(module.parameters())
        self.module, self.n_lags = module, settings.n_lags
        self.static = settings.n_lags == 1 and stimuli.ndim > 1
        self.length = 1 if self.static else settings.clip_length
        self.batch = settings.batch_size * (settings.clip_length if self.static else 1)
        self.stimuli = as_tensor(stimuli).to(like)
        self.responses = as_tensor(responses).to(like)
        self.covariates = None if covariates is None else as_tensor(covariates).to(like)

    def batches(
        self, runs: Sequence[Run], rng: np.random.Generator | None = None
    ) -> Iterator[_Batch]:
        """Yield what the module takes and the responses; in random order with ``rng``.

        Random clips begin anywhere within the first clip length of their run, so that every epoch
        cuts differently.
        """
        shift = 0 if rng is None or self.static else int(rng.integers(self.length))
        moved = [(min(start + shift, max(start, stop - self.length)), stop) for start, stop in runs]
        starts, length = clip_starts(moved, self.length)
        order = np.arange(len(starts)) if rng is None else rng.permutation(len(starts))
        for part in torch.from_numpy(starts[order]).split(self.batch):
            if self.static:
                yield self._shown(part, part), self.responses[part]
                continue
            frames = part[:, None] + torch.arange(length, device=part.device)
            # the first response of a clip depends on the n_lags - 1 frames before it, too
            history = part[:, None] + torch.arange(1 - self.n_lags, length, device=part.device)
            yield self._shown(history, frames), self.responses[frames]

    def _shown(self, history: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Stimuli with their history, and covariates at the frames of the responses, if any."""
        if self.covariates is None:
            return (self.stimuli[history],)
        return self.stimuli[history], self.covariates[frames]

    def check_output(self, first: int) -> None:
        """Pass one clip through the module, which may be the user's, and check the shape."""
        shown, recorded = next(self.batches([(first, first + 1)]))
        with torch.no_grad():
            found: Any = self.module(*shown)
        if getattr(found, "shape", None) != recorded.shape:
            raise DataError(
                "the module's output has the wrong shape",
                expected=f"{tuple(recorded.shape)} for stimuli of shape {tuple(shown[0].shape)}",
                found=tuple(getattr(found, "shape", ())),
                field="core",
            )


def _initialize(
    module: ResponseNetwork,
    stimuli: np.ndarray,
    responses: np.ndarray,
    known: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Start from biases that give the mean responses and places where the responses come from."""
    device = next(module.parameters()).device
    # f(bias) = mean response
    bias = _INVERSES[module.architecture.nonlinearity](responses[known].mean(axis=0))
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    place = None
    if len(module.frame_shape) >= 2:
        centers = response_centers(stimuli[known], responses[known], module.architecture.n_lags)
        # pixels 0 ... n - 1 to -1 ... 1
        half = np.maximum((np.array(module.canvas) - 1) / 2, 0.5)
        place = torch.from_numpy(centers / half - 1)
    module.initialize(torch.from_numpy(bias).to(device), place, generator)


def response_centers(stimuli: np.ndarray, responses: np.ndarray, n_lags: int) -> np.ndarray:
    """Row and column of the center of each cell's response (n_cells, 2), in pixels.

    The center of mass, over pixels, of the squared correlation of the responses with the stimulus
    and with its square (for cells that respond to contrast of either sign), summed over lags and
    channels, above half its largest value.

    Parameters
    ----------
    stimuli : ndarray of shape (n_frames, height, width) or (n_frames, height, width, n_channels)
    responses : ndarray of shape (n_frames, n_cells)
    n_lags : int
    """
    n_frames, height, width = stimuli.shape[:3]
    pixels = stimuli.reshape(n_frames, -1)
    scores = _standardized(responses)
    # squared correlations (n_pixels, n_cells), summed over lags, of the stimulus and its square
    energy = np.zeros((pixels.shape[1], responses.shape[1]))
    for stimulus in (_standardized(pixels), _standardized(pixels**2)):
        for lag in range(n_lags):
            energy += (stimulus[: n_frames - lag].T @ scores[lag:] / n_frames) ** 2
    # ... and over channels; what is below half the maximum is mostly chance and would pull every
    # center of mass to the middle of the canvas
    energy = energy.reshape(height, width, -1, responses.shape[1]).sum(axis=2)
    weights = np.maximum(energy - energy.max(axis=(0, 1)) / 2, 0)
    total = weights.sum(axis=(0, 1))
    # center of mass of each cell, the middle for a cell that never responds
    grid = np.mgrid[:height, :width]
    middle = np.array([[height // 2], [width // 2]]).repeat(len(total), axis=1)
    mass = np.tensordot(grid, weights, axes=([1, 2], [0, 1]))
    return np.where(total > 0, mass / np.where(total > 0, total, 1), middle).T


def _standardized(values: np.ndarray) -> np.ndarray:
    centered = values - values.mean(axis=0)
    return centered / np.maximum(centered.std(axis=0), 1e-12)


def _error_scale(responses: np.ndarray, loss: str) -> np.ndarray:
    """Divisor of each cell's error (n_cells,), so that predicting the mean has the mean error 1.

    For the Poisson loss it is one number for all cells: the mean deviance of their mean responses.
    """
    if loss == "gaussian":
        variance = responses.var(axis=0)
        return np.where(variance > 0, variance, 1.0)
    constant = torch.from_numpy(np.broadcast_to(responses.mean(axis=0), responses.shape).copy())
    deviance = _poisson(constant, torch.from_numpy(responses)).mean().item()
    return np.full(responses.shape[1], deviance if deviance > 0 else 1.0)


def _poisson(rate: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Half the Poisson deviance: rate - n log(rate) - n + n log(n), zero where they are equal."""
    fitted = rate - torch.xlogy(count, rate + _TINY)
    return fitted + torch.xlogy(count, count) - count


_ERRORS = {"poisson": _poisson, "gaussian": lambda rate, value: (rate - value) ** 2}


def _softplus_inverse(rate: np.ndarray) -> np.ndarray:
    """log(exp(rate) - 1), written so that large rates do not overflow."""
    rate = np.maximum(rate, _MIN_RATE)
    return rate + np.log(-np.expm1(-rate))


_INVERSES = {
    "softplus": _softplus_inverse,
    "exp": lambda rate: np.log(np.maximum(rate, _MIN_RATE)),
    "identity": lambda rate: rate,
}


def _penalty(settings: TrainingSettings, module: nn.Module) -> torch.Tensor | float:
    """Roughness of the first filters and size of the readout weights."""
    if not isinstance(module, ResponseNetwork):
        return 0.0
    filters = [layer.weight for layer in module.core if isinstance(layer, nn.Conv3d)]
    # the first layer of "conv3d" is two: filters over space, then over time
    first = filters[:2] if module.architecture.core == "conv3d" else filters[:1]
    penalty: torch.Tensor | float = 0.0
    # squared differences between neighbors along time, rows and columns, per filter
    space = settings.smooth_space
    for axis, weight in ((2, settings.smooth_time), (3, space), (4, space)):
        if weight > 0:
            penalty = penalty + weight * sum(
                kernel.diff(dim=axis).square().sum() / kernel.shape[0] for kernel in first
            )
    if module.mask is not None and space > 0:
        penalty = penalty + space * module.roughness()
    if settings.sparsity > 0:
        penalty = penalty + settings.sparsity * module.readout_size()
    return penalty
