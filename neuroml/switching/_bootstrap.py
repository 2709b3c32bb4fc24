"""A bootstrap over sessions: refits from the fitted model, with states in its order.

Sessions are drawn with replacement, as they are what is independent. A refit starts at the fitted
model, so that it stays at the maximum whose uncertainty is asked for; its states are then matched
by what both models say about the original data, since states may still trade places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from neuroml._core.files import atomic_path, atomic_write, remove_partial
from neuroml._core.frames import Quantity, long_frame
from neuroml._core.parallel import run_parallel
from neuroml.exceptions import DataError
from neuroml.switching._chain import Chain
from neuroml.switching._em import Model, Problem, fit_em, smooth_model
from neuroml.switching._observations.base import Design, Emissions
from neuroml.switching.matching import match_states

__all__ = ["AXES", "Refit", "fingerprint", "open_folder", "refits", "resample", "tidy"]

# What the axes of each parameter stand for, in the columns of the frame.
AXES = {
    "weights": ("state", "output", "feature"),
    "intercept": ("state", "output"),
    "covariances": ("state", "output", "to_output"),
    "dispersions": ("state", "output"),
    "initial_proba": ("state",),
    "transition_matrix": ("state", "to_state"),
    "transition_weights": ("feature", "state", "to_state"),
}
_FIELDS = ("weights", "noise", "initial", "matrix", "chain_weights", "converged")
_KEY = "bootstrap.sha256"


class Refit(NamedTuple):
    """The model of one resample, with states in the fitted model's order."""

    model: Model
    converged: bool


def resample(problem: Problem, drawn: np.ndarray) -> Problem:
    """The sessions of these numbers, in this order; one that is drawn twice is two sessions."""
    starts = problem.starts
    rows = np.concatenate([np.arange(starts[s], starts[s + 1]) for s in drawn])
    design: Design = problem.design
    return problem._replace(
        design=Design(
            np.ascontiguousarray(design.inputs[:, rows]),
            np.ascontiguousarray(design.targets[:, rows]),
            design.has_intercept,
        ),
        transition_inputs=problem.transition_inputs[rows],
        weights=None if problem.weights is None else problem.weights[rows],
        starts=np.append(0, np.cumsum(np.diff(starts)[drawn])).astype(np.int64),
    )


def refits(
    problem: Problem,
    model: Model,
    rngs: list[np.random.Generator],
    *,
    max_iter: int,
    tol: float,
    n_jobs: int | None,
    folder: Path | None,
) -> Iterator[Refit]:
    """The refits in order, as they come; each is kept in the folder as soon as it is done.

    Parameters
    ----------
    problem, model : Problem, Model
        All sessions, and the model that was fitted to them.
    rngs : list of Generator
        One for each resample.
    max_iter, tol : int, float
        Of every refit.
    n_jobs : int or None
    folder : Path or None
        From `open_folder`; refits that it holds are read.
    """
    reference = smooth_model(problem, model).posterior
    paths = [None if folder is None else folder / f"{i}.npz" for i in range(len(rngs))]
    tasks = [
        (problem, model, reference, rng, max_iter, tol, path)
        for rng, path in zip(rngs, paths, strict=True)
    ]
    return run_parallel(_refit, tasks, n_jobs=n_jobs)


def _refit(
    problem: Problem,
    model: Model,
    reference: np.ndarray,
    rng: np.random.Generator,
    max_iter: int,
    tol: float,
    path: Path | None,
) -> Refit:
    # kept by the process that fits: an interruption then loses only what is not done
    if path is not None and path.exists():
        return _read(path)
    n_sessions = len(problem.starts) - 1
    drawn = rng.integers(n_sessions, size=n_sessions)
    fit = fit_em(resample(problem, drawn), model, max_iter, tol)
    order = match_states(reference, smooth_model(problem, fit.state).posterior)
    found = Refit(fit.state.of_states(order), fit.converged)
    if path is not None:
        _write(path, found)
    return found


def _write(path: Path, refit: Refit) -> None:
    emissions, chain = refit.model
    with atomic_path(path) as temporary:
        np.savez(
            temporary, **dict(zip(_FIELDS, (*emissions, *chain, refit.converged), strict=True))
        )


def _read(path: Path) -> Refit:
    with np.load(path, allow_pickle=False) as kept:
        weights, noise, initial, matrix, chain_weights, converged = (kept[f] for f in _FIELDS)
    model = Model(Emissions(weights, noise), Chain(initial, matrix, chain_weights))
    return Refit(model, bool(converged))


def fingerprint(problem: Problem, model: Model, settings: dict[str, Any]) -> str:
    """What a resample depends on: data, fitted model and settings, the seed among them."""
    design: Design = problem.design
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for array in (
        design.inputs, design.targets, problem.transition_inputs, problem.starts,
        *model.emissions, *model.chain, *([] if problem.weights is None else [problem.weights]),
    ):  # fmt: skip
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def open_folder(folder: Path, key: str) -> Path:
    """Make the folder of a bootstrap, or check that what it holds is of this one.

    Raises
    ------
    DataError
        If it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError("this is no folder", expected="a folder", found=str(folder), field="resume")
    known = folder / _KEY
    if not known.exists():
        if folder.exists() and any(folder.iterdir()):
            raise DataError(
                "the folder holds something else",
                expected="a new or empty folder, or that of the same bootstrap",
                found=sorted(path.name for path in folder.iterdir())[0],
                file=folder,
                field="resume",
            )
        atomic_write(known, key)
    elif known.read_text(encoding="utf-8") != key:
        raise DataError(
            "the folder holds the resamples of another bootstrap",
            expected="the same data, fitted model, settings and random_state",
            found="others",
            fix="Give another folder, or delete this one.",
            file=folder,
            field="resume",
        )
    remove_partial(folder)
    return folder


def tidy(
    resamples: list[dict[str, np.ndarray]], labels: dict[str, dict[str, list[Any]]]
) -> pd.DataFrame:
    """One row per resample and parameter.

    Parameters
    ----------
    resamples : list of dict of str to ndarray
        Parameters by their names in `AXES`.
    labels : dict of str to dict of str to list
        Of each parameter, what its outputs and features are called; states are numbers.
    """
    found = []
    for name in resamples[0]:
        values = np.stack([one[name] for one in resamples])
        axes = {
            axis: labels[name].get(axis, range(n))
            for axis, n in zip(("resample", *AXES[name]), values.shape, strict=True)
        }
        found.append(Quantity(name, values, axes))
    table = long_frame(found).rename(columns={"quantity": "parameter"})
    columns = ["resample", "parameter", "state", "to_state", "output", "to_output", "feature"]
    table = table[[*(column for column in columns if column in table), "value"]]
    return table.sort_values("resample", kind="stable", ignore_index=True)
