"""Where on the canvas a cell responds to, from correlations with the stimulus."""

from __future__ import annotations

import numpy as np

__all__ = ["response_centers"]


def response_centers(stimuli: np.ndarray, responses: np.ndarray, n_lags: int) -> np.ndarray:
    """Row and column of the center of each cell's response (n_cells, 2), in pixels.

    The center of mass, over pixels, of the squared correlation of the responses with the stimulus
    and with its square (for cells that answer to contrast of either sign), summed over lags and
    channels, above half its largest value.

    Parameters
    ----------
    stimuli : ndarray of shape (n_frames, height, width) or (n_frames, height, width, n_channels)
    responses : ndarray of shape (n_frames, n_cells)
    n_lags : int
    """
    n_frames, height, width = stimuli.shape[:3]
    pixels = stimuli.reshape(n_frames, -1)
    answers = _standardized(responses)
    energy = np.zeros((pixels.shape[1], responses.shape[1]))
    for seen in (_standardized(pixels), _standardized(pixels**2)):
        for lag in range(n_lags):
            energy += (seen[: n_frames - lag].T @ answers[lag:] / n_frames) ** 2
    energy = energy.reshape(height, width, -1, responses.shape[1]).sum(axis=2)
    weights = np.maximum(energy - energy.max(axis=(0, 1)) / 2, 0)
    total = weights.sum(axis=(0, 1))
    grid = np.mgrid[:height, :width]
    middle = np.array([[height // 2], [width // 2]]).repeat(len(total), axis=1)
    mass = np.tensordot(grid, weights, axes=([1, 2], [0, 1]))
    return np.where(total > 0, mass / np.where(total > 0, total, 1), middle).T


def _standardized(values: np.ndarray) -> np.ndarray:
    centered = values - values.mean(axis=0)
    return centered / np.maximum(centered.std(axis=0), 1e-12)
