"""Check the responses of a recording, and cut its frames into blocks and clips with full history.

Blocks are contiguous in time: neighboring frames share stimulus and noise, so that held-out frames
drawn one by one would not be independent of those that are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.validation import as_given, as_numbers, session_slices
from neuroml.exceptions import DataError

__all__ = [
    "check_recording",
    "clip_starts",
    "frames_with_history",
    "split_blocks",
]

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
    """Starts of clips of equal length that cover all runs, and that length.

    The last clip of a run overlaps the one before it rather than leave frames out. The length is
    that of the shortest run if this is shorter.
    """
    length = min(length, *(stop - start for start, stop in runs)) if runs else length
    starts = [
        min(first, stop - length) for start, stop in runs for first in range(start, stop, length)
    ]
    return np.array(starts, dtype=int), length


def check_recording(responses: ArrayLike, n_frames: int, *, positive: bool) -> np.ndarray:
    """Responses of a recording, checked: (n_frames,) or (n_frames, n_cells)."""
    if responses is None:
        raise DataError(
            "there are no responses: requires y to be passed, but the target y is None",
            field="responses",
        )
    Y = as_numbers(as_given(responses, "responses"), "responses").astype(np.float64)
    if Y.ndim not in (1, 2) or len(Y) != n_frames or Y.size == 0:
        raise DataError(
            "the responses do not fit the stimuli",
            expected=f"shape ({n_frames}, n_cells): one row per frame",
            found=f"shape {Y.shape}",
            field="responses",
        )
    if not np.isfinite(Y).all():
        raise DataError(
            "the responses hold NaN or infinity",
            expected="finite numbers",
            found=f"{int((~np.isfinite(Y)).sum())} of {Y.size} values",
            fix="Leave those frames out, and mark the gaps with sessions=.",
            field="responses",
        )
    if positive and Y.min() < 0:
        raise DataError(
            "responses are negative",
            expected=">= 0 with loss='poisson'",
            found=float(Y.min()),
            fix="Use loss='gaussian' (and nonlinearity='identity').",
            field="responses",
        )
    return Y
