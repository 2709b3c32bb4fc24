"""The search for clusters: where it starts, its two alternating steps, splitting and merging."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans

from neuroml._core.iteration import FitTrace, iterate
from neuroml._core.warn import warn_caller
from neuroml.celltypes._matching import (
    cluster_templates,
    confusion,
    correlate,
    mutual_confusion,
    standardize,
)
from neuroml.celltypes._objective import discriminability, membership, objective_of
from neuroml.celltypes._stimulus_optimizer import (
    OptimizerSettings,
    StimulusSpace,
    optimize_stimuli,
)
from neuroml.exceptions import DataError

__all__ = [
    "ClusterSearch",
    "Clustering",
    "initial_labels",
    "normalization",
    "responding_cells",
]

# Pairs of fits by which a split is judged. The gain of a split is of the order of its spread
# between random stimuli to start from; the mean of three pairs with equal starts is steadier.
_N_PAIRED_STARTS = 3
# A cell whose standard deviation over the reference stimuli is below this share of its largest
# response does not respond to them: the rest is rounding of float32.
_CONSTANT = 1e-6


def responding_cells(recorded: np.ndarray) -> np.ndarray:
    """Tell which cells (n_cells,) respond differently to different reference stimuli.

    Parameters
    ----------
    recorded : ndarray of shape (n_reference, n_cells)

    Raises
    ------
    DataError
        If responses are not finite.

    Warns
    -----
    UserWarning
        If some cells give the same response to all.
    """
    if not np.isfinite(recorded).all():
        raise DataError(
            "the model's responses to the reference stimuli are not finite",
            found=f"cells {np.flatnonzero(~np.isfinite(recorded).all(axis=0))[:10].tolist()}",
            field="model",
        )
    constant = recorded.std(axis=0) <= _CONSTANT * np.abs(recorded).max(axis=0)
    if constant.any():
        warn_caller(
            f"{constant.sum()} of {len(constant)} cells give the same response to all reference "
            f"stimuli and are left out (label -1): {np.flatnonzero(constant)[:10].tolist()}",
            UserWarning,
        )
    return ~constant


def normalization(
    recorded: np.ndarray, responding: np.ndarray, normalize: bool | str, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale (n_cells,) of each cell's responses; 0 and 1 for those that do not respond.

    Parameters
    ----------
    recorded : ndarray of shape (n_reference, n_cells)
    responding : ndarray of bool of shape (n_cells,)
    normalize, floor : bool or str, float
        As in `MostDiscriminativeStimuli`.

    Raises
    ------
    DataError
        If a maximum to divide by is not positive.
    """
    shift, scale = np.zeros(len(responding)), np.ones(len(responding))
    if not normalize:
        return shift, scale
    size = recorded.max(axis=0) if normalize == "max" else recorded.std(axis=0)
    size = np.maximum(size, floor)
    if (size[responding] <= 0).any():
        cells = np.flatnonzero(responding & (size <= 0))[:10].tolist()
        raise DataError(
            "responses cannot be divided by their maximum",
            expected="normalize='max' with responses above 0 to some reference stimulus",
            found=f"none in cells {cells}",
            fix="Use normalize=True, which divides by the standard deviation.",
            field="normalize",
        )
    if normalize == "zscore":
        shift = np.where(responding, recorded.mean(axis=0), shift)
    return shift, np.where(responding, size, scale)


def initial_labels(
    init: str | ArrayLike,
    n_clusters: int,
    recorded: np.ndarray,
    train: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cluster (n_cells,) that each cell starts in: 0, 1, ... without gaps, -1 for cells left out.

    Parameters
    ----------
    init : {"kmeans", "random"} or array-like of shape (n_cells,)
    n_clusters : int
    recorded : ndarray of shape (n_reference, n_cells)
        Responses to the reference stimuli, which k-means groups.
    train : ndarray of bool of shape (n_cells,)
        Cells that take part.
    rng : numpy.random.Generator

    Raises
    ------
    DataError
        If given labels do not fit, or there are fewer cells than clusters.
    """
    n_cells, n_train = len(train), int(train.sum())
    if not isinstance(init, str):
        given = np.asarray(init)
        if given.shape != (n_cells,):
            raise DataError(
                "the initial labels do not match the model",
                expected=f"one label for each of {n_cells} cells",
                found=f"shape {given.shape}",
                field="init",
            )
        found = np.unique(given[train], return_inverse=True)[1]
        if len(found) == 0 or found.max() < 1:
            raise DataError(
                "the initial labels name fewer than two clusters",
                expected="two or more different labels among the responding cells",
                found=f"{np.unique(given[train]).tolist()}",
                field="init",
            )
    elif n_train < n_clusters:
        raise DataError(
            "there are fewer cells than clusters",
            expected=f">= n_clusters={n_clusters} responding cells to optimize on",
            found=f"{n_train} of {n_cells}",
            fix="Lower n_clusters or holdout.",
            field="n_clusters",
        )
    elif init == "random":
        # equal sizes up to one cell: draws without balance would leave some clusters empty
        found = rng.permutation(np.arange(n_train) % n_clusters)
    else:
        scores = standardize(recorded[:, train]).T
        kmeans = KMeans(n_clusters, n_init=10, random_state=int(rng.integers(2**31)))
        found = np.unique(kmeans.fit_predict(scores), return_inverse=True)[1]
    labels = np.full(n_cells, -1)
    labels[train] = found
    return labels


@dataclass(frozen=True)
class Clustering:
    """Cells in clusters, and one stimulus for each cluster.

    Attributes
    ----------
    labels : ndarray of int of shape (n_cells,)
        Cluster of each cell; -1 for cells that take no part.
    stimuli : Tensor of shape (n_clusters, *shape)
        Deviations from the mean stimulus.
    responses : ndarray of shape (n_clusters, n_cells)
        Responses to the stimuli, in each cell's own unit (shift and scale).
    objective : ndarray of shape (n_clusters,)
        :math:`J_c` of each stimulus.
    """

    labels: np.ndarray
    stimuli: torch.Tensor
    responses: np.ndarray
    objective: np.ndarray

    @property
    def n_clusters(self) -> int:
        """The number of clusters."""
        return len(self.stimuli)

    def keep(self, clusters: np.ndarray, labels: np.ndarray) -> Clustering:
        """Keep the stimuli of some clusters, with new labels."""
        return Clustering(
            labels, self.stimuli[clusters], self.responses[clusters], self.objective[clusters]
        )


@dataclass(frozen=True)
class ClusterSearch:
    """Everything that stays the same while clusters change.

    Attributes
    ----------
    respond : callable
        Stimuli (n, *shape) to responses (n, n_cells).
    shift, scale : ndarray of shape (n_cells,)
        What is subtracted from responses, and what they are then divided by.
    baseline : ndarray of shape (n_cells,)
        Mean response to the reference stimuli, shifted and scaled.
    fingerprints : ndarray of shape (n_reference, n_cells)
        Responses to the reference stimuli, standardized over these.
    space : StimulusSpace
    optimizer : OptimizerSettings
    temperature : float
    rule : {"fingerprint", "argmax"}
        How cells are assigned, see `cluster_templates`.
    max_iter : int
    warm_start : bool
        Whether stimuli are optimized from those of the iteration before or from noise.
    min_cluster_size : int
    like : Tensor
        Has the type and the device that the model computes with.
    """

    respond: Callable[[torch.Tensor], torch.Tensor]
    shift: np.ndarray
    scale: np.ndarray
    baseline: np.ndarray
    fingerprints: np.ndarray
    space: StimulusSpace
    optimizer: OptimizerSettings
    temperature: float
    rule: str
    max_iter: int
    warm_start: bool
    min_cluster_size: int
    like: torch.Tensor

    def run(
        self,
        labels: np.ndarray,
        rng: np.random.Generator,
        *,
        split_gain: float | None,
        merge_threshold: float | None,
        max_confusion: float,
        n_final_steps: int | None,
    ) -> FitTrace[Clustering]:
        """Search from given labels: alternate, then split, then merge, as far as asked for.

        Parameters
        ----------
        labels : ndarray of int of shape (n_cells,)
        rng : numpy.random.Generator
        split_gain, merge_threshold : float or None
            As in `MostDiscriminativeStimuli`; None leaves the step out.
        max_confusion : float
            Two halves of a split may be confused less than this.
        n_final_steps : int or None
            As in `MostDiscriminativeStimuli`.
        """
        first = self._with_random_stimuli(labels, rng)
        result = self._alternate(first, rng)
        if split_gain is not None:
            result = self._split(result, split_gain, max_confusion, rng)
        if merge_threshold is not None:
            result = self._merge(result, merge_threshold, rng)
        return result if n_final_steps is None else self._optimize_anew(result, n_final_steps, rng)

    def _optimize_anew(
        self, result: FitTrace[Clustering], n_steps: int, rng: np.random.Generator
    ) -> FitTrace[Clustering]:
        """The same clusters with stimuli optimized from noise."""
        state = result.state
        longer = replace(self, optimizer=replace(self.optimizer, n_steps=n_steps))
        found = longer._optimize(state.labels, self._random_stimuli(state.n_clusters, rng))
        value = float(found.objective.mean())
        return replace(result, state=found, trace=(*result.trace, value))

    def _random_stimuli(self, n_stimuli: int, rng: np.random.Generator) -> torch.Tensor:
        return self.space.random(n_stimuli, rng, like=self.like)

    def _with_random_stimuli(self, labels: np.ndarray, rng: np.random.Generator) -> Clustering:
        """The given clusters with random stimuli, which are not optimized yet."""
        stimuli = self._random_stimuli(int(labels.max()) + 1, rng)
        unchanged = replace(self, optimizer=replace(self.optimizer, n_steps=0))
        return unchanged._optimize(labels, stimuli)

    def _alternate(self, start: Clustering, rng: np.random.Generator) -> FitTrace[Clustering]:
        """Optimize stimuli and assign cells in turn until no cell moves."""

        def step(state: Clustering) -> tuple[Clustering, float]:
            stimuli = (
                state.stimuli if self.warm_start else self._random_stimuli(state.n_clusters, rng)
            )
            better = self._optimize(state.labels, stimuli)
            return self._assign(better), float(better.objective.mean())

        return iterate(
            step,
            start,
            float(start.objective.mean()),
            max_iter=self.max_iter,
            tol=0.0,
            monotone=False,  # cells move to the cluster that they match, not the one that raises J
            settled=lambda old, new: np.array_equal(old.labels, new.labels),
        )

    def _optimize(self, labels: np.ndarray, start: torch.Tensor) -> Clustering:
        """First step: maximize the objective of every cluster's stimulus, cells being fixed."""
        members = membership(labels, len(start), like=self.like)
        shift, scale = (torch.from_numpy(n).to(self.like) for n in (self.shift, self.scale))
        found = optimize_stimuli(
            lambda stimuli: (self.respond(stimuli) - shift) / scale,
            lambda responses: discriminability(responses, members, self.temperature),
            start,
            self.space,
            self.optimizer,
        )
        # in double precision, so that what is compared between starts does not depend on the batch
        responses = found.responses.double().cpu().numpy()
        objective = objective_of(responses, labels, self.temperature)
        return Clustering(labels, found.stimuli, responses, objective)

    def _assign(self, clustering: Clustering) -> Clustering:
        """Second step: move every cell to the cluster that it matches best, stimuli being fixed."""
        before, n_clusters = clustering.labels, clustering.n_clusters
        # correlation (n_clusters, n_cells) of each cell with each cluster's template
        scores = standardize(clustering.responses)
        match = correlate(scores, cluster_templates(scores, before, n_clusters, self.rule))
        # a cell with the same response to all stimuli matches nothing and stays where it is
        match[before, np.arange(len(before))] += np.isnan(scores[0])
        # Clusters that become too small are dissolved one at a time, the smallest first: its cells
        # may fill the next one up.
        kept = np.arange(n_clusters)
        while True:
            labels = np.where(before < 0, -1, match[kept].argmax(axis=0))
            sizes = np.bincount(labels[labels >= 0], minlength=len(kept))
            if sizes.min() >= self.min_cluster_size or len(kept) == 1:
                return clustering.keep(kept, labels)
            kept = np.delete(kept, sizes.argmin())

    def _merge(
        self, result: FitTrace[Clustering], threshold: float, rng: np.random.Generator
    ) -> FitTrace[Clustering]:
        """Join the two clusters that are confused most and alternate, again while any are."""
        while result.state.n_clusters > 1:
            state = result.state
            both = mutual_confusion(confusion(state.responses - self.baseline, state.labels))
            if both.max() < threshold:
                break
            # the second one's cells join the first; later clusters move up by one
            first, second = sorted(np.unravel_index(both.argmax(), both.shape))
            labels = np.where(state.labels == second, first, state.labels)
            labels = labels - (labels > second)
            kept = np.delete(np.arange(state.n_clusters), second)
            result = _concatenate(result, self._alternate(state.keep(kept, labels), rng))
        return result

    def _split(
        self,
        result: FitTrace[Clustering],
        min_gain: float,
        max_confusion: float,
        rng: np.random.Generator,
    ) -> FitTrace[Clustering]:
        """Cut every cluster in two where that is worthwhile and alternate, again while any is."""
        tried: set[bytes] = set()  # sets of cells that need not be tried again
        while True:
            state = result.state
            for cluster in range(state.n_clusters):
                cells = np.flatnonzero(state.labels == cluster)
                if cells.tobytes() in tried:
                    continue
                tried.add(cells.tobytes())
                halves = self._bisect(state, cells, rng)
                if halves is not None and self._is_worthwhile(
                    state, halves, min_gain, max_confusion, rng
                ):
                    stimuli = torch.cat([state.stimuli, self._random_stimuli(1, rng)])
                    start = self._optimize(halves, stimuli)
                    result = _concatenate(result, self._alternate(start, rng))
                    break
            else:
                return result

    def _bisect(
        self, state: Clustering, cells: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        """New labels with one cluster cut in two by its cells' responses to reference stimuli."""
        if len(np.unique(self.fingerprints[:, cells], axis=1).T) < 2:
            return None
        kmeans = KMeans(2, n_init=5, random_state=int(rng.integers(2**31)))
        half = kmeans.fit_predict(self.fingerprints[:, cells].T)
        if np.bincount(half, minlength=2).min() < self.min_cluster_size:
            return None
        labels = state.labels.copy()
        labels[cells[half == 1]] = state.n_clusters
        return labels

    def _is_worthwhile(
        self,
        state: Clustering,
        halves: np.ndarray,
        min_gain: float,
        max_confusion: float,
        rng: np.random.Generator,
    ) -> bool:
        r"""Decide whether a cut gains enough and leaves two clusters that are not confused.

        Both clusterings are optimized from the same random stimuli, several times: the gain is
        small against the differences between starts. It is the gain of the mean objective, as a
        share of :math:`\log((C + 1) / C)`, the rise of the bound :math:`\log C` by one cluster.
        """
        gains, confused = [], []
        cluster = state.labels[halves == state.n_clusters][0]
        for _ in range(_N_PAIRED_STARTS):
            start = self._random_stimuli(state.n_clusters + 1, rng)
            whole = self._optimize(state.labels, start[:-1])
            cut = self._optimize(halves, start)
            gains.append(cut.objective.mean() - whole.objective.mean())
            both = mutual_confusion(confusion(cut.responses - self.baseline, halves))
            confused.append(both[cluster, -1])
        bound = math.log((state.n_clusters + 1) / state.n_clusters)
        return bool(np.mean(gains) >= min_gain * bound and np.mean(confused) < max_confusion)


def _concatenate(first: FitTrace[Clustering], second: FitTrace[Clustering]) -> FitTrace[Clustering]:
    """One trace after another; only the last one says whether it converged."""
    return replace(second, trace=first.trace + second.trace)
