"""Subjects with units of their own as one tensor, and its factors taken apart by subject.

Fibers run along the shared axis. Each subject's units and trials have places of their own along the
other modes, and there are fibers only where both are of the same subject: to the factorization the
rest of the tensor is missing, so that nothing couples the subjects but the time courses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tensorly.cp_tensor import CPTensor

from neuroml._core.cohort import Subject
from neuroml.connectome.tensors import FiberTensor

__all__ = ["Coupled", "full_norm", "model_of", "stack_subjects", "take_apart"]


@dataclass(frozen=True)
class Coupled:
    """Factors in normal form: columns of unit norm, and loadings that carry the scale.

    Attributes
    ----------
    time_courses : ndarray of shape (n_samples, n_components)
    units, trials : dict of ndarray of shape (n_units or n_trials, n_components)
        By subject; NaN at trials that were not observed.
    loadings : ndarray of shape (n_subjects, n_components)
    """

    time_courses: np.ndarray
    units: dict[Subject, np.ndarray]
    trials: dict[Subject, np.ndarray]
    loadings: np.ndarray

    def as_cp(self) -> CPTensor:
        """All subjects' factors as one decomposition, for `factor_match`."""
        pairs = zip(self.loadings, self.units.values(), strict=True)
        units = np.concatenate([loading * own for loading, own in pairs])
        trials = np.nan_to_num(np.concatenate(list(self.trials.values())))
        return CPTensor((None, [units, trials, self.time_courses]))


def full_norm(part: np.ndarray) -> float:
    """Norm of data if what is missing were as large as the rest, on average."""
    return float(np.sqrt(np.nanmean(part**2) * part.size))


def stack_subjects(data: Mapping[Subject, np.ndarray]) -> FiberTensor:
    """Put data of shape (n_trials_s, n_samples, n_units_s) into one tensor.

    Returns
    -------
    FiberTensor of shape (units of all, trials of all, n_samples)
        Without the mode of trials where no subject has more than one.
    """
    values, index, n_units, n_trials = [], [], 0, 0
    for part in data.values():
        trials, length, units = part.shape
        values.append(part.transpose(2, 0, 1).reshape(-1, length))
        places = np.indices((units, trials)).reshape(2, -1).T
        index.append(places + np.array([n_units, n_trials]))
        n_units, n_trials = n_units + units, n_trials + trials
    fibers, places = np.concatenate(values), np.concatenate(index)
    if n_trials == len(data):
        return FiberTensor(fibers, places[:, :1], (n_units, length))
    return FiberTensor(fibers, places, (n_units, n_trials, length))


def take_apart(
    factors: Sequence[np.ndarray], data: Mapping[Subject, np.ndarray], *, in_order: bool = True
) -> Coupled:
    """Bring the factors of `stack_subjects` to normal form, components by falling loadings.

    Parameters
    ----------
    factors : sequence of ndarray
        Of units, trials and samples.
    data : dict of ndarray
        What was stacked.
    in_order : bool
        False keeps the order of the components.
    """
    units, *middle, courses = factors
    trials = middle[0] if middle else np.ones((len(data), courses.shape[1]))
    own_units, own_trials, loadings = {}, {}, []
    unit = trial = 0
    for subject, part in data.items():
        u, d = units[unit : unit + part.shape[2]], trials[trial : trial + part.shape[0]]
        unit, trial = unit + len(u), trial + len(d)
        # what a factor holds for a trial that was not observed is where it started
        seen = ~np.isnan(part).all(axis=(1, 2))
        sizes = np.linalg.norm(u, axis=0), np.linalg.norm(d[seen], axis=0)
        u, d = (
            one / np.where(size > 0, size, 1.0) for one, size in zip((u, d), sizes, strict=True)
        )
        own_units[subject], own_trials[subject] = u, np.where(seen[:, None], d, np.nan)
        loadings.append(sizes[0] * sizes[1])
    size = np.linalg.norm(courses, axis=0)
    scaled = np.array(loadings) * size
    strength = (scaled**2).mean(axis=0) * in_order
    order = np.argsort(-strength, kind="stable")
    return Coupled(
        (courses / np.where(size > 0, size, 1.0))[:, order],
        {s: one[:, order] for s, one in own_units.items()},
        {s: one[:, order] for s, one in own_trials.items()},
        scaled[:, order],
    )


def model_of(units: np.ndarray, trials: np.ndarray, courses: np.ndarray) -> np.ndarray:
    """Sum of the components (n_trials, n_samples, n_units), given one factor that has the scale."""
    return np.einsum("kr,tr,ur->ktu", trials, courses, units, optimize=True)
