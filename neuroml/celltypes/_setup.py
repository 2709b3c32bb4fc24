"""What `MostDiscriminativeStimuli` works with, from its parameters and a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neuroml.celltypes._ascent import Climber
from neuroml.celltypes._clustering import Search
from neuroml.celltypes._matching import standardize
from neuroml.celltypes._responses import ModelView, Range
from neuroml.celltypes._space import StimulusSpace, smoothing_kernels

if TYPE_CHECKING:
    from neuroml.celltypes.most_discriminative_stimuli import MostDiscriminativeStimuli

__all__ = ["build_search", "build_space", "pixel_limits"]


def pixel_limits(pixel_range: Any, view: ModelView) -> Range | None:
    """Lowest and highest pixel value, as arrays that broadcast against stimuli."""
    if pixel_range is None:
        return None
    if isinstance(pixel_range, str):
        return view.trained_range
    return view.as_range(pixel_range)


def build_space(parameters: Any, view: ModelView, reference: torch.Tensor) -> StimulusSpace:
    """The constraints that ``norm``, ``pixel_range`` and the two widths stand for."""
    norm = parameters.norm
    if norm == "reference":
        norm = float(reference.flatten(1).norm(dim=1).mean())
    return StimulusSpace(
        view.shape,
        norm,
        view.as_bounds(pixel_limits(parameters.pixel_range, view)),
        smoothing_kernels(
            view.shape, view.axes, parameters.smooth_time, parameters.smooth_space, view.like
        ),
    )


def build_search(
    parameters: MostDiscriminativeStimuli,
    view: ModelView,
    reference: torch.Tensor,
    recorded: np.ndarray,
    responding: np.ndarray,
) -> Search:
    """What stays the same over all starts."""
    scale = np.where(responding & parameters.normalize, recorded.std(axis=0), 1.0)
    free = parameters.optimizer == "scale-free"
    return Search(
        respond=view.respond,
        scale=scale,
        baseline=recorded.mean(axis=0) / scale,
        fingerprints=standardize(recorded),
        space=build_space(parameters, view, reference),
        climber=Climber(
            parameters.n_steps,
            parameters.learning_rate,
            momentum=0.9 if free else 0.0,
            scale_free=free,
            keep_best=free,
        ),
        temperature=parameters.temperature,
        rule=parameters.assign,
        max_iter=parameters.max_iter,
        warm_start=parameters.warm_start_stimuli,
        min_cluster_size=parameters.min_cluster_size,
        like=view.like,
    )
