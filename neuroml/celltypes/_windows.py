"""Cutting a recording into clips with a full history, and into blocks for training and testing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuroml._core.validation import session_slices
from neuroml.exceptions import DataError

__all__ = ["clip_starts", "frames_with_history", "split_blocks"]

Run = tuple[int, int]


def frames_with_history(sessions: np.ndarray, n_lags: int) -> list[Run]:
    """First and last-plus-one frame of each session's stretch with ``n_lags`` frames of stimulus.

    Raises
    ------
    DataError
        If a session is shorter than that.
    """
    runs = [(part.start + n_lags - 1, part.stop) for part in session_slices(sessions)]
    short = [i for i, (start, stop) in enumerate(runs) if start >= stop]
    if short:
        raise DataError(
            "stimuli are shorter than the lag",
            expected=f">= n_lags={n_lags} frames in every session",
            found=f"{runs[short[0]][1] - runs[short[0]][0] + n_lags - 1} in session {short[0]}",
            fix="Lower n_lags, or leave the session out.",
            field="stimuli",
        )
    return runs


def split_blocks(
    runs: Sequence[Run], fraction: float, n_blocks: int, rng: np.random.Generator
) -> tuple[list[Run], list[Run]]:
    """Cut each run into blocks of about equal length and set a share of all of them aside.

    Returns
    -------
    train, held_out : list of (start, stop)
        Neither is empty, unless ``fraction`` is 0 or there is only one frame.
    """
    blocks = [
        (int(part[0]), int(part[-1]) + 1)
        for start, stop in runs
        for part in np.array_split(np.arange(start, stop), min(n_blocks, stop - start))
    ]
    if fraction == 0 or len(blocks) < 2:
        return blocks, []
    n_held_out = min(max(1, round(fraction * len(blocks))), len(blocks) - 1)
    held_out = set(rng.permutation(len(blocks))[:n_held_out].tolist())
    return (
        [block for i, block in enumerate(blocks) if i not in held_out],
        [block for i, block in enumerate(blocks) if i in held_out],
    )


def clip_starts(runs: Sequence[Run], length: int) -> tuple[np.ndarray, int]:
    """Where clips of equal length begin that cover all runs, and that length.

    The last clip of a run overlaps the one before it rather than leave frames out. The length is
    that of the shortest run if this is shorter.
    """
    length = min(length, *(stop - start for start, stop in runs)) if runs else length
    starts = [
        min(first, stop - length) for start, stop in runs for first in range(start, stop, length)
    ]
    return np.array(starts, dtype=int), length
