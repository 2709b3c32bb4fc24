"""Simulated cohorts of subjects that see pictures, with known shared and individual parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.utils import Bunch

from neuroml._core.parallel import RandomState, spawn_generators

__all__ = ["make_cohort"]

# Fewer latent dimensions than features and targets, so that both are redundant as in recordings;
# 200 waves approximate a Gaussian kernel with an error of about 1 / sqrt(200) of its variance.
_N_LATENT, _N_CLUSTERS, _N_FEATURES, _N_ABSENT, _N_WAVES = 24, 60, 60, 12, 200
_PER_SUBJECT = (
    *("X", "trials", "features", "y", "stimuli", "positions"),
    *("X_test", "trials_test", "features_test"),
)


def make_cohort(  # noqa: PLR0913 - the knobs are the point
    n_subjects: int = 5,
    *,
    n_stimuli: int | Sequence[int] = 1200,
    n_test: int = 300,
    n_repeats: int = 3,
    n_voxels: tuple[int, int] | Sequence[int] = (900, 1300),
    n_targets: int = 128,
    snr: float | Sequence[float] = 1.0,
    nonlinearity: float = 0.5,
    own: float = 0.5,
    smoothness: float = 0.04,
    overlap: float = 0.0,
    share: bool = True,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate a cohort: unequal voxels, disjoint training stimuli, shared test stimuli.

    A stimulus is a point in a latent space of 24 dimensions around one of 60 cluster centers. A
    brain represents 60 features of it, linear and rectified, with a power-law spectrum; a voxel has
    weights of the features that depend on its place on a cortical sheet. The target (such as the
    embedding of a vision model) is another function of the same point, with a component that no
    brain represents.

    Parameters
    ----------
    n_subjects : int, default=5
    n_stimuli : int or sequence of int, default=1200
        Number of training stimuli, for all subjects or for each.
    n_test : int, default=300
        Number of test stimuli, the same for all subjects.
    n_repeats : int, default=3
        Number of trials of every stimulus.
    n_voxels : (int, int) or sequence of n_subjects int, default=(900, 1300)
        Range to draw from, or the number for each subject (a pair is a range unless there are two
        subjects and it falls).
    n_targets : int, default=128
    snr : float or sequence of float, default=1.0
        Factor on the signal's standard deviation, for all or for each subject; 1 gives single-trial
        reliabilities with a median of about 0.03.
    nonlinearity : float in [0, 1], default=0.5
        Share of the targets' variance that is rectified; with 0 a linear decoder is nearly optimal.
    own : float in [0, 1], default=0.5
        Share of a voxel's signal variance that follows the subject's own fine topography; the rest
        follows the shared coarse one, spatially warped.
    smoothness : float, default=0.04
        Length scale of the own topography, in widths of the sheet; the shared one's is three times
        that.
    overlap : float in [0, 1], default=0.0
        Share of the training stimuli that are shown to all subjects.
    share : bool, default=True
        With False every brain represents its own random directions of the space of the targets,
        and has a topography of its own: brains have nothing in common but the stimuli.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    sklearn.utils.Bunch
        Dicts keyed by subject ``"s1", "s2", ...``: ``X (n_stimuli, n_voxels)``, the mean of the
        trials, and ``trials (n_stimuli, n_repeats, n_voxels)``, both float32; ``y (n_stimuli,
        n_targets)``, unit vectors; ``features (n_stimuli, 60)``, what the brain represents;
        ``stimuli (n_stimuli,)``, their identity across subjects; ``positions (n_voxels, 2)``;
        ``X_test``, ``trials_test`` and ``features_test``. For all subjects: ``y_test (n_test,
        n_targets)``. Voxels are in the order of stripes over the sheet, so that neighbors in the
        array are mostly neighbors in space.

    Examples
    --------
    >>> from neuroml.simulate import make_cohort
    >>> cohort = make_cohort(2, n_stimuli=[20, 30], n_test=10, n_voxels=(50, 60), random_state=0)
    >>> [x.shape[0] for x in cohort.X.values()], cohort.y["s1"].shape
    ([20, 30], (20, 128))
    """
    rng, *subject_rngs = spawn_generators(random_state, n_subjects + 1)
    world = _World.draw(rng, n_targets, nonlinearity, 3 * smoothness)
    counts: list[int] = np.broadcast_to(n_stimuli, n_subjects).tolist()
    snrs = np.broadcast_to(snr, n_subjects)
    sizes = _voxel_counts(n_voxels, n_subjects, rng)
    seen_by_all = world.stimuli(rng, n_test)
    common = world.stimuli(rng, round(overlap * min(counts)))
    cohort = Bunch(**{name: {} for name in _PER_SUBJECT}, y_test=world.targets(seen_by_all))
    common_code, n_seen = world.code(rng), len(common)
    for i, (count, size, own_rng) in enumerate(zip(counts, sizes, subject_rngs, strict=True)):
        subject = f"s{i + 1}"
        mine = world.stimuli(own_rng, count - len(common))
        stimuli = np.concatenate([common, mine])
        code = common_code if share else world.private_code(own_rng)
        brain = _Brain.draw(own_rng, code.topography, size, own, smoothness)
        for suffix, shown in (("", stimuli), ("_test", seen_by_all)):
            features = code.features(shown)
            trials = brain.respond(own_rng, features, snrs[i], n_repeats)
            cohort["features" + suffix][subject] = features
            cohort["trials" + suffix][subject] = trials
            cohort["X" + suffix][subject] = trials.mean(axis=1)
        cohort.y[subject] = world.targets(stimuli)
        cohort.stimuli[subject] = np.r_[: len(common), n_seen : n_seen + len(mine)]
        n_seen += len(mine)
        cohort.positions[subject] = brain.positions
    return cohort


def _voxel_counts(
    n_voxels: tuple[int, int] | Sequence[int], n_subjects: int, rng: np.random.Generator
) -> list[int]:
    values = [int(v) for v in n_voxels]
    if len(values) == 2 and values[0] <= values[1]:
        return rng.integers(values[0], values[1] + 1, size=n_subjects).tolist()
    if len(values) != n_subjects:
        raise ValueError(f"n_voxels has {len(values)} entries for {n_subjects} subjects.")
    return values


@dataclass(frozen=True)
class _Field:
    """Smooth random functions on the sheet: random Fourier features of a Gaussian kernel."""

    frequencies: np.ndarray
    phases: np.ndarray
    weights: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, scale: float, n: int) -> _Field:
        return cls(
            rng.standard_normal((2, _N_WAVES)) / scale,
            rng.uniform(0, 2 * np.pi, _N_WAVES),
            rng.standard_normal((_N_WAVES, n)) * np.sqrt(2 / _N_WAVES),
        )

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Values (n_positions, n) with unit variance over draws."""
        return np.cos(positions @ self.frequencies + self.phases) @ self.weights


@dataclass(frozen=True)
class _Code:
    """Which features of a stimulus a brain represents, and where on the sheet."""

    view: Callable[[np.ndarray], np.ndarray]
    readout: np.ndarray
    scale: np.ndarray
    topography: _Field

    @classmethod
    def draw(
        cls, rng: np.random.Generator, view: Callable[[np.ndarray], np.ndarray], scale: float
    ) -> _Code:
        power_law = np.arange(1, _N_FEATURES + 1) ** -0.5
        return cls(
            view,
            rng.standard_normal((_N_LATENT, _N_FEATURES)) / np.sqrt(_N_LATENT),
            power_law / np.linalg.norm(power_law),
            _Field.draw(rng, scale, _N_FEATURES),
        )

    def features(self, stimuli: np.ndarray) -> np.ndarray:
        """What the brain represents (n, 60), unit variance in all: every second one rectified."""
        drive = self.view(stimuli) @ self.readout
        drive[:, 1::2] = _rectify(drive[:, 1::2])
        return drive * self.scale


@dataclass(frozen=True)
class _World:
    """Distribution of stimuli, the targets, and the part of the stimuli that brains represent."""

    centers: np.ndarray
    hidden: np.ndarray
    out: np.ndarray
    out_hidden: np.ndarray
    out_absent: np.ndarray
    nonlinearity: float
    scale: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, n_targets: int, nonlinearity: float, scale: float
    ) -> _World:
        normal = rng.standard_normal
        n_hidden = 4 * _N_LATENT
        return cls(
            centers=normal((_N_CLUSTERS, _N_LATENT)),
            hidden=normal((_N_LATENT, n_hidden)) / np.sqrt(_N_LATENT),
            out=normal((_N_LATENT, n_targets)) / np.sqrt(_N_LATENT),
            out_hidden=normal((n_hidden, n_targets)) / np.sqrt(n_hidden),
            out_absent=normal((_N_ABSENT, n_targets)) / np.sqrt(_N_ABSENT),
            nonlinearity=nonlinearity,
            scale=scale,
        )

    def stimuli(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Points (n, 36): 24 dimensions that brains represent, in clusters, and 12 others."""
        cluster = rng.integers(_N_CLUSTERS, size=n)
        around = rng.standard_normal((n, _N_LATENT))
        visible = np.sqrt(0.7) * self.centers[cluster] + np.sqrt(0.3) * around
        return np.hstack([visible, rng.standard_normal((n, _N_ABSENT))])

    def targets(self, stimuli: np.ndarray) -> np.ndarray:
        """Unit vectors (n, n_targets)."""
        visible, absent = np.split(stimuli, [_N_LATENT], axis=1)
        linear = visible @ self.out
        curved = _rectify(visible @ self.hidden) @ self.out_hidden
        seen = np.sqrt(1 - self.nonlinearity) * linear + np.sqrt(self.nonlinearity) * curved
        y = seen + 0.4 * absent @ self.out_absent
        return y / np.linalg.norm(y, axis=1, keepdims=True)

    def code(self, rng: np.random.Generator) -> _Code:
        """A code of the 24 visible dimensions of the stimuli."""
        return _Code.draw(rng, lambda stimuli: stimuli[:, :_N_LATENT], self.scale)

    def private_code(self, rng: np.random.Generator) -> _Code:
        """A code of 24 random directions among all that the targets have, at unit variance."""
        bank = self.targets(self.stimuli(rng, 20 * self.out.shape[1]))
        _, spread, axes = np.linalg.svd(bank - bank.mean(axis=0), full_matrices=False)
        mixing = np.linalg.qr(rng.standard_normal((len(axes), len(axes))))[0][:, :_N_LATENT]
        basis = np.sqrt(len(bank)) * (axes.T / spread) @ mixing
        return _Code.draw(
            rng, lambda stimuli: (self.targets(stimuli) - bank.mean(axis=0)) @ basis, self.scale
        )


def _rectify(x: np.ndarray) -> np.ndarray:
    """max(x, 0), centered and scaled to unit variance for standard normal x."""
    # the mean 1 / sqrt(2 pi) and the standard deviation sqrt(1/2 - 1 / (2 pi)) of max(x, 0)
    return (np.maximum(x, 0.0) - 0.3989) / 0.5838


@dataclass(frozen=True)
class _Brain:
    """One subject's voxels: place on the sheet, weights of the features, noise."""

    positions: np.ndarray
    weights: np.ndarray
    noise_local: np.ndarray
    noise_global: np.ndarray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        topography: _Field,
        n_voxels: int,
        own: float,
        smoothness: float,
    ) -> _Brain:
        positions = rng.uniform(size=(n_voxels, 2))
        stripe = np.floor(positions[:, 0] * np.sqrt(n_voxels) / 2)
        positions = positions[np.lexsort((positions[:, 1], stripe))]
        warp = _Field.draw(rng, 0.3, 2).at(positions)
        shared = topography.at(positions + 0.05 * warp)
        private = _Field.draw(rng, smoothness, _N_FEATURES).at(positions)
        tuning = np.sqrt(1 - own) * shared + np.sqrt(own) * private
        gain = rng.gamma(2.0, 0.5, size=(n_voxels, 1))
        local = _Field.draw(rng, smoothness, _N_WAVES)
        return cls(
            positions,
            gain * tuning,
            np.cos(positions @ local.frequencies + local.phases) * np.sqrt(2 / _N_WAVES),
            _Field.draw(rng, 0.5, 8).at(positions) / np.sqrt(8),
        )

    def respond(
        self, rng: np.random.Generator, features: np.ndarray, snr: float, n_repeats: int
    ) -> np.ndarray:
        """Trials (n_stimuli, n_repeats, n_voxels): signal, noise in feature space, voxel noise."""
        n_trials = len(features) * n_repeats
        scale = np.sqrt((features**2).mean(axis=0))
        shaken = np.repeat(features, n_repeats, axis=0)
        shaken = shaken + 0.5 * scale * rng.standard_normal(shaken.shape)
        # 0.21 gives a median single-trial reliability of 0.03 at snr=1; the noise's variances
        # 0.2 (local), 0.1 (global) and 0.7 (voxel) add up to one
        trials = 0.21 * snr * shaken @ self.weights.T
        for basis, share in ((self.noise_local, 0.2), (self.noise_global, 0.1)):
            trials += np.sqrt(share) * rng.standard_normal((n_trials, basis.shape[1])) @ basis.T
        trials += np.sqrt(0.7) * rng.standard_normal(trials.shape)
        return trials.astype(np.float32).reshape(len(features), n_repeats, -1)
