"""Positions in one or two dimensions as bins, and the random walk between bins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter

from neuroml._core.validation import session_slices
from neuroml.exceptions import DataError

__all__ = ["PositionBins"]

# The Gaussian ends at three standard deviations: 99.7 % of it, and bins beyond stay unreached.
_REACH = 3.0


@dataclass(frozen=True)
class PositionBins:
    """Bins of equal width between the smallest and the largest position of each axis.

    Attributes
    ----------
    edges : ndarray of shape (n_axes, n_bins + 1)
    """

    edges: np.ndarray

    @classmethod
    def between(cls, positions: np.ndarray, n_bins: int) -> PositionBins:
        """Bins of positions (n_samples, n_axes), which must vary along every axis."""
        low, high = positions.min(axis=0), positions.max(axis=0)
        still = ~(high - low > n_bins * np.spacing(np.maximum(np.abs(low), np.abs(high))))
        if positions.shape[1] > 2 or still.any():
            raise DataError(
                "these positions cannot be put into bins",
                expected="(n_samples,) or (n_samples, 1 or 2) floats that vary along every axis",
                found=f"{positions.shape[1]} axes, of which {int(still.sum())} are constant",
                fix="Integers and text are labels.",
                field="y",
            )
        return cls(np.linspace(low, high, n_bins + 1).T)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins along each axis."""
        return (self.edges.shape[1] - 1,) * len(self.edges)

    @property
    def width(self) -> np.ndarray:
        """Width of a bin along each axis, in the units of the positions."""
        return (self.edges[:, -1] - self.edges[:, 0]) / self.shape[0]

    @property
    def centers(self) -> np.ndarray:
        """Centers (n_states, n_axes), the last axis changing fastest."""
        middle = (self.edges[:, 1:] + self.edges[:, :-1]) / 2
        return np.stack(np.meshgrid(*middle, indexing="ij"), axis=-1).reshape(-1, len(self.edges))

    def assign(self, positions: np.ndarray) -> np.ndarray:
        """The bin (n_samples,) of every position (n_samples, n_axes) that lies within the edges."""
        place = ((positions - self.edges[:, 0]) / self.width).astype(int)
        return np.ravel_multi_index(tuple(np.clip(place.T, 0, self.shape[0] - 1)), self.shape)

    def smooth(self, totals: np.ndarray, width: float) -> np.ndarray:
        """Sums over bins (n_states, ...), spread over neighbors by a Gaussian of ``width`` bins."""
        grid = totals.reshape(*self.shape, -1)
        sigma = (width,) * len(self.shape) + (0.0,)
        spread = gaussian_filter(grid, sigma, mode="constant", truncate=_REACH)
        return spread.reshape(totals.shape)

    def random_walk(
        self, positions: np.ndarray, sessions: np.ndarray, reached: np.ndarray
    ) -> np.ndarray:
        """Probabilities (n_states, n_states) of the next bin, given the present one.

        Steps are as long as in the training data, wherever they start: a step of less than a bin
        crosses its edge with the probability that it does from a random place within the bin.

        Parameters
        ----------
        positions : ndarray of shape (n_samples, n_axes)
        sessions : ndarray of int of shape (n_samples,)
        reached : ndarray of bool of shape (n_states,)
            Bins that can be gone to.
        """
        steps = np.concatenate([np.diff(positions[s], axis=0) for s in session_slices(sessions)])
        whole, part = np.divmod(steps / self.width, 1.0)
        furthest = self.shape[0] - 1
        # one step in all to anywhere, so that no path is impossible however it was learned
        counts = np.ones((2 * furthest + 1,) * len(self.shape))
        counts /= counts.size
        for corner in product((0, 1), repeat=len(self.shape)):
            weight = np.prod(np.where(corner, part, 1 - part), axis=1)
            place = np.clip(whole + corner, -furthest, furthest).astype(int) + furthest
            np.add.at(counts, tuple(place.T), weight)
        bins = np.stack(np.unravel_index(np.arange(len(reached)), self.shape))
        moved = bins[:, None, :] - bins[:, :, None] + furthest  # from each bin to each other
        walk = counts[tuple(moved)] * reached
        return walk / walk.sum(axis=1, keepdims=True)
