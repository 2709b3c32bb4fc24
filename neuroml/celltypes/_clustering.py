"""Alternate between the clusters' stimuli and the clusters' cells; split and merge clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.cluster import KMeans

from neuroml._core.iteration import FitTrace, iterate
from neuroml.celltypes._ascent import Climber, ascend
from neuroml.celltypes._matching import (
    cluster_templates,
    confusion,
    correlate,
    mutual_confusion,
    standardize,
)
from neuroml.celltypes._objective import discriminability, membership, objective_of
from neuroml.celltypes._space import StimulusSpace

__all__ = ["Clustering", "Search"]

_PAIRED_STARTS = 3


@dataclass(frozen=True)
class Clustering:
    """Cells in clusters, and one stimulus for each cluster.

    Attributes
    ----------
    labels : ndarray of int of shape (n_cells,)
        -1 for cells that take no part.
    stimuli : Tensor of shape (n_clusters, *shape)
    responses : ndarray of shape (n_clusters, n_cells)
        To the stimuli, in units of each cell's scale.
    objective : ndarray of shape (n_clusters,)
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
        """Only some clusters, with new labels."""
        return Clustering(
            labels, self.stimuli[clusters], self.responses[clusters], self.objective[clusters]
        )


@dataclass(frozen=True)
class Search:
    """Everything that stays the same while clusters change.

    Attributes
    ----------
    respond : callable
        Stimuli (n, *shape) to responses (n, n_cells).
    scale : ndarray of shape (n_cells,)
        What responses are divided by.
    baseline : ndarray of shape (n_cells,)
        Mean response to the reference stimuli, in the same units.
    fingerprints : ndarray of shape (n_reference, n_cells)
        Responses to the reference stimuli, standardized over these.
    space : StimulusSpace
    climber : Climber
    temperature : float
    rule : {"fingerprint", "argmax"}
    max_iter : int
    warm_start : bool
    min_cluster_size : int
    like : Tensor
    """

    respond: Callable[[torch.Tensor], torch.Tensor]
    scale: np.ndarray
    baseline: np.ndarray
    fingerprints: np.ndarray
    space: StimulusSpace
    climber: Climber
    temperature: float
    rule: str
    max_iter: int
    warm_start: bool
    min_cluster_size: int
    like: torch.Tensor

    def random(self, n_stimuli: int, rng: np.random.Generator) -> torch.Tensor:
        """Stimuli to start from."""
        return self.space.random(n_stimuli, rng, like=self.like)

    def optimize(self, labels: np.ndarray, start: torch.Tensor) -> Clustering:
        """The clusters' stimuli, from the given ones on."""
        members = membership(labels, len(start), like=self.like)
        scale = torch.from_numpy(self.scale).to(self.like)
        found = ascend(
            lambda stimuli: self.respond(stimuli) / scale,
            lambda responses: discriminability(responses, members, self.temperature),
            start,
            self.space,
            self.climber,
        )
        responses = found.responses.double().cpu().numpy()
        objective = objective_of(responses, labels, self.temperature)
        return Clustering(labels, found.stimuli, responses, objective)

    def assign(self, clustering: Clustering) -> Clustering:
        """Move every cell to the cluster it matches best; clusters that become too small go."""
        before, n_clusters = clustering.labels, clustering.n_clusters
        scores = standardize(clustering.responses)
        match = correlate(scores, cluster_templates(scores, before, n_clusters, self.rule))
        # a cell that answers to all stimuli alike stays where it is
        match[before, np.arange(len(before))] += np.isnan(scores[0])
        alive = np.arange(n_clusters)
        while True:
            labels = np.where(before < 0, -1, match[alive].argmax(axis=0))
            sizes = np.bincount(labels[labels >= 0], minlength=len(alive))
            if sizes.min() >= self.min_cluster_size or len(alive) == 1:
                return clustering.keep(alive, labels)
            alive = np.delete(alive, sizes.argmin())

    def settle(self, start: Clustering, rng: np.random.Generator) -> FitTrace[Clustering]:
        """Optimise stimuli and reassign cells in turn until no cell moves."""

        def step(state: Clustering) -> tuple[Clustering, float]:
            first = state.stimuli if self.warm_start else self.random(state.n_clusters, rng)
            better = self.optimize(state.labels, first)
            return self.assign(better), float(better.objective.mean())

        return iterate(
            step,
            start,
            float(start.objective.mean()),
            max_iter=self.max_iter,
            tol=0.0,
            monotone=False,
            settled=lambda old, new: np.array_equal(old.labels, new.labels),
        )

    def begin(self, labels: np.ndarray, rng: np.random.Generator) -> Clustering:
        """The given clusters with random stimuli."""
        only_look = replace(self, climber=replace(self.climber, n_steps=0))
        return only_look.optimize(labels, self.random(int(labels.max()) + 1, rng))

    def merge(
        self, climbed: FitTrace[Clustering], threshold: float, rng: np.random.Generator
    ) -> FitTrace[Clustering]:
        """Join the two clusters that are confused most, settle, and again while any are."""
        while climbed.state.n_clusters > 1:
            state = climbed.state
            means = confusion(state.responses - self.baseline, state.labels)
            both = mutual_confusion(means)
            if both.max() < threshold:
                break
            first, second = sorted(np.unravel_index(both.argmax(), both.shape))
            labels = np.where(state.labels == second, first, state.labels)
            labels = labels - (labels > second)
            kept = np.delete(np.arange(state.n_clusters), second)
            climbed = _joined(climbed, self.settle(state.keep(kept, labels), rng))
        return climbed

    def split(
        self,
        climbed: FitTrace[Clustering],
        min_gain: float,
        threshold: float,
        rng: np.random.Generator,
    ) -> FitTrace[Clustering]:
        """Cut every cluster in two where that pays, settle, and again while any cut does."""
        tried: set[bytes] = set()
        while True:
            state = climbed.state
            for cluster in range(state.n_clusters):
                cells = np.flatnonzero(state.labels == cluster)
                if cells.tobytes() in tried:
                    continue
                tried.add(cells.tobytes())
                halves = self._halve(state, cells, rng)
                if halves is not None and self._pays(state, halves, min_gain, threshold, rng):
                    start = self.optimize(halves, torch.cat([state.stimuli, self.random(1, rng)]))
                    climbed = _joined(climbed, self.settle(start, rng))
                    break
            else:
                return climbed

    def _halve(
        self, state: Clustering, cells: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        """New labels with one cluster cut in two by how its cells answer to reference stimuli."""
        if len(cells) < 2:
            return None
        kmeans = KMeans(2, n_init=5, random_state=int(rng.integers(2**31)))
        half = kmeans.fit_predict(self.fingerprints[:, cells].T)
        if np.bincount(half, minlength=2).min() < self.min_cluster_size:
            return None
        labels = state.labels.copy()
        labels[cells[half == 1]] = state.n_clusters
        return labels

    def _pays(
        self,
        state: Clustering,
        halves: np.ndarray,
        min_gain: float,
        threshold: float,
        rng: np.random.Generator,
    ) -> bool:
        """Whether a cut gains enough and leaves two clusters that are not confused.

        Both ways start from the same random stimuli, several times: the gain is small against the
        spread between starts. It is the gain of the mean objective, as a share of the most that one
        more cluster can bring.
        """
        gains, confused = [], []
        cluster = state.labels[halves == state.n_clusters][0]
        for _ in range(_PAIRED_STARTS):
            start = self.random(state.n_clusters + 1, rng)
            without = self.optimize(state.labels, start[:-1])
            cut = self.optimize(halves, start)
            gains.append(cut.objective.mean() - without.objective.mean())
            both = mutual_confusion(confusion(cut.responses - self.baseline, halves))
            confused.append(both[cluster, -1])
        most = math.log((state.n_clusters + 1) / state.n_clusters)
        return bool(np.mean(gains) >= min_gain * most and np.mean(confused) < threshold)


def _joined(first: FitTrace[Clustering], second: FitTrace[Clustering]) -> FitTrace[Clustering]:
    """One climb after another; only the last one says whether it ended well."""
    return replace(second, trace=first.trace + second.trace)
