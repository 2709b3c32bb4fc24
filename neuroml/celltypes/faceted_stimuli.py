"""The different stimuli that one cell responds to."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.frames import Quantity, long_frame
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from neuroml.celltypes._model_adapter import ModelAdapter

__all__ = ["FacetedStimuli"]

# Mean cosine between gradients above which a cell has one facet: on simulated retinas it is 0.93 to
# 1 for cells with one facet and 0.01 to 0.04 for cells with several.
_ONE_FACET = 0.5
# The smallest number of facets with at least this share of the highest silhouette is taken, since
# silhouettes of neighboring numbers differ by chance.
_GOOD_ENOUGH = 0.9
_MAX_FACETS = 5


class FacetedStimuli(Estimator):
    """Find the kinds of stimuli that drive one cell, and an optimal stimulus of each kind.

    The clips that drive the cell most are grouped by the gradient of its response to them, which
    shows what in a clip the cell responds to; gradient ascent starts from the mean of each group
    [1]_. A cell that responds to light going on as well as off has two such facets; a single
    optimal stimulus shows only one of them.

    Parameters
    ----------
    n_facets : int or "auto", default="auto"
        "auto": one if the facet index is above 0.5, otherwise the smallest number from 2 to 5 with
        a silhouette of at least 0.9 times the highest one.
    n_reference : int, default=1000
        Number of random clips (1/f statistics) to choose from, if none are given to `fit`.
    n_seeds : int, default=100
        Number of clips that are grouped: those that drive the cell most.
    decrease : bool, default=False
        Look for stimuli that lower the response instead, for cells that are suppressed.
    stimulus_shape, stimulus_axes, window, norm, pixel_range, smooth_time, smooth_space
        As for `MostDiscriminativeStimuli`.
    learning_rate : float, default=0.03
        Length of a step as a share of the stimulus's norm.
    n_steps : int, default=40
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    facets_ : ndarray of shape (n_facets, ...)
        One stimulus per facet, the facet with most seeds first.
    responses_ : ndarray of shape (n_facets,)
        The cell's response to each, in the model's units.
    facet_index_ : float
        Mean cosine between the gradients at two seeds: near 1 for a cell with one facet, near 0 or
        below for one with several.
    facet_similarity_ : ndarray of shape (n_facets, n_facets)
        Cosine between the optimized stimuli, as deviations from the mean stimulus.
    labels_ : ndarray of int of shape (n_seeds,)
        The facet of each seed.
    seeds_ : ndarray of int of shape (n_seeds,)
        Indices of the reference clips that served as seeds, the one that drives the cell most
        first.
    n_facets_ : int
    stimulus_axes_ : str

    References
    ----------
    .. [1] A. Nguyen, J. Yosinski, J. Clune (2016). Multifaceted feature visualization. ICML
       Workshop on Visualization for Deep Learning. It groups network features of natural images;
       gradients need no second network and tell opposite polarities apart.

    Examples
    --------
    >>> from neuroml.celltypes import FacetedStimuli
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_sustained", "on_off"], n_cells=1, n_frames=50, random_state=0)
    >>> on_off = FacetedStimuli(random_state=0).fit(retina.module, cell=1)
    >>> on_off.n_facets_, bool(on_off.facet_similarity_[0, 1] < -0.5)
    (2, True)
    >>> FacetedStimuli(random_state=0).fit(retina.module, cell=0).n_facets_
    1
    """

    _parameter_constraints = {
        "n_facets": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_reference": [Interval(Integral, 2, None, closed="left")],
        "n_seeds": [Interval(Integral, 2, None, closed="left")],
        "decrease": ["boolean"],
        "stimulus_shape": ["array-like", None],
        "stimulus_axes": [str, None],
        "window": [Interval(Integral, 1, None, closed="left"), None],
        "norm": [Interval(Real, 0, None, closed="neither"), None, StrOptions({"reference"})],
        "pixel_range": ["array-like", None, StrOptions({"model"})],
        "smooth_time": [Interval(Real, 0, None, closed="left")],
        "smooth_space": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __init__(  # noqa: PLR0913
        self,
        n_facets: int | str = "auto",
        *,
        n_reference: int = 1000,
        n_seeds: int = 100,
        decrease: bool = False,
        stimulus_shape: Any = None,
        stimulus_axes: str | None = None,
        window: int | None = None,
        norm: float | str | None = "reference",
        pixel_range: Any = "model",
        smooth_time: float = 0.0,
        smooth_space: float = 0.0,
        learning_rate: float = 0.03,
        n_steps: int = 40,
        random_state: RandomState = None,
    ) -> None:
        self.n_facets = n_facets
        self.n_reference = n_reference
        self.n_seeds = n_seeds
        self.decrease = decrease
        self.stimulus_shape = stimulus_shape
        self.stimulus_axes = stimulus_axes
        self.window = window
        self.norm = norm
        self.pixel_range = pixel_range
        self.smooth_time = smooth_time
        self.smooth_space = smooth_space
        self.learning_rate = learning_rate
        self.n_steps = n_steps
        self.random_state = random_state

    @validated_fit
    def fit(
        self,
        model: Any,
        y: Any = None,
        *,
        cell: int = 0,
        reference_stimuli: ArrayLike | None = None,
    ) -> FacetedStimuli:
        """Find the facets of one cell.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module
            As for `MostDiscriminativeStimuli`.
        y : ignored
        cell : int
            Index of the cell in the model.
        reference_stimuli : array-like of shape (n_stimuli, ...), optional
            Clips to choose seeds from: an array, DataFrame, DataArray, recording or torch tensor;
            masked entries are NaN.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is no such cell, its response never changes, the model or the clips do not
            fit, or there are fewer clips than facets.
        """
        from neuroml.celltypes._model_adapter import ModelAdapter

        reference_rng, group_rng = spawn_generators(self.random_state, 2)
        with ModelAdapter.adapt(
            model,
            stimulus_shape=self.stimulus_shape,
            stimulus_axes=self.stimulus_axes,
            window=self.window,
        ) as adapter:
            if not 0 <= cell < adapter.n_cells:
                raise DataError(
                    "there is no such cell",
                    expected=f"0 to {adapter.n_cells - 1}",
                    found=cell,
                    field="cell",
                )
            reference = (
                adapter.clips(self.n_reference, reference_rng)
                if reference_stimuli is None
                else adapter.deviations(reference_stimuli)
            )
            self.seeds_ = self._choose_seeds(adapter, reference, cell)
            seeds = reference[self.seeds_]
            gradients = self._gradients(adapter, seeds, cell)
            self.facet_index_ = _mean_cosine(gradients)
            self.labels_ = _group(gradients, self.n_facets, self.facet_index_, group_rng)
            self.n_facets_ = int(self.labels_.max()) + 1
            self._optimize(adapter, reference, seeds, cell)
        self.stimulus_axes_ = adapter.axes
        return self

    def _choose_seeds(self, adapter: ModelAdapter, reference: Tensor, cell: int) -> np.ndarray:
        """Indices of the clips that drive the cell most, in falling order."""
        recorded = adapter.record(reference)[:, cell]
        # what is below 1e-6 of the largest response is rounding of single precision
        if recorded.std() <= 1e-6 * np.abs(recorded).max():
            raise DataError(
                "the cell gives the same response to all reference stimuli",
                found=f"cell {cell}",
                field="cell",
            )
        return np.argsort(recorded if self.decrease else -recorded)[: self.n_seeds]

    def _gradients(self, adapter: ModelAdapter, seeds: Tensor, cell: int) -> np.ndarray:
        """Direction (n_seeds, n_pixels) in which each seed would have to change."""
        import torch

        seeds = seeds.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(adapter.respond(seeds)[:, cell].sum(), seeds)
        flat = gradient.flatten(start_dim=1).double().cpu().numpy()
        return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)

    def _optimize(self, adapter: ModelAdapter, reference: Tensor, seeds: Tensor, cell: int) -> None:
        """Optimize one stimulus per facet from the mean of its group, all at once."""
        import torch

        from neuroml.celltypes._stimulus_optimizer import (
            OptimizerSettings,
            build_space,
            optimize_stimuli,
        )

        space = build_space(
            adapter,
            reference,
            norm=self.norm,
            pixel_range=self.pixel_range,
            smooth_time=self.smooth_time,
            smooth_space=self.smooth_space,
        )
        members = [
            torch.from_numpy(np.flatnonzero(self.labels_ == k)) for k in range(self.n_facets_)
        ]
        start = space.project(torch.stack([seeds[rows].mean(dim=0) for rows in members]))
        sign = -1.0 if self.decrease else 1.0
        found = optimize_stimuli(
            adapter.respond,
            lambda responses: sign * responses[:, cell],
            start,
            space,
            OptimizerSettings(self.n_steps, self.learning_rate),
        )
        self.facets_ = adapter.as_shown(found.stimuli)
        self.responses_ = found.responses[:, cell].double().cpu().numpy()
        flat = found.stimuli.flatten(start_dim=1).double().cpu().numpy()
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        self.facet_similarity_ = flat @ flat.T

    def to_frame(self) -> pd.DataFrame:
        """Return facets as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``facet`` and ``to_facet``, ``seed`` (number of the
            reference clip), ``value``. Quantities: "response" of the cell to each facet, in the
            model's units, "similarity" of each pair of facets, "facet" of each seed, and
            "facet_index".
        """
        check_is_fitted(self)
        facets = range(self.n_facets_)
        both = {"facet": facets, "to_facet": facets}
        return long_frame(
            [
                Quantity("response", self.responses_, {"facet": facets}),
                Quantity("similarity", self.facet_similarity_, both),
                Quantity("facet", self.labels_, {"seed": self.seeds_}),
                Quantity("facet_index", self.facet_index_),
            ]
        )


def _mean_cosine(directions: np.ndarray) -> float:
    """Mean cosine between two different rows of unit norm.

    |sum_i u_i|^2 = n + sum over i != j of u_i . u_j, and there are n (n - 1) such pairs.
    """
    n = len(directions)
    return float((np.square(directions.sum(axis=0)).sum() - n) / (n * (n - 1)))


def _group(
    directions: np.ndarray, n_facets: int | str, index: float, rng: np.random.Generator
) -> np.ndarray:
    """Facet of each seed, the largest one first."""
    if n_facets != "auto" and int(n_facets) > len(directions):
        raise DataError(
            "there are fewer clips than facets",
            expected=f">= n_facets={n_facets} clips",
            found=len(directions),
            fix="Lower n_facets, or raise n_seeds and the number of reference stimuli.",
            field="n_facets",
        )
    if n_facets == "auto" and index > _ONE_FACET:
        return np.zeros(len(directions), dtype=int)
    numbers = (
        range(2, min(_MAX_FACETS, len(directions) - 1) + 1) if n_facets == "auto" else [n_facets]
    )
    seed = int(rng.integers(2**31))
    found = [KMeans(int(n), n_init=10, random_state=seed).fit_predict(directions) for n in numbers]
    scores = np.array([silhouette_score(directions, one) if len(found) > 1 else 1 for one in found])
    labels = found[int(np.argmax(scores >= _GOOD_ENOUGH * scores.max()))]
    order = np.argsort(-np.bincount(labels), kind="stable")
    return np.argsort(order)[labels]
