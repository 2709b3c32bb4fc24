"""Functional cell types and the stimuli that tell them apart."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.cluster import KMeans
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from neuroml._core.em import Climb, best_climb
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.celltypes._matching import (
    check_responses,
    cluster_templates,
    confusion,
    correlate,
    mean_and_noise,
    posterior,
    residual_variance,
    standardise,
)
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from neuroml.celltypes._clustering import Clustering, Search
    from neuroml.celltypes._responses import ModelView

__all__ = ["PAPER_PRESET", "MostDiscriminativeStimuli"]

_CONFUSED, _SATURATED = 0.4, 0.98

PAPER_PRESET: dict[str, Any] = {
    "temperature": 1.6,
    "normalize": False,
    "init": "random",
    "assign": "argmax",
    "optimizer": "gradient",
    "learning_rate": 100.0,
    "n_steps": 50,
    "max_iter": 10,
}
"""Parameters under which `MostDiscriminativeStimuli` is the algorithm of Burg et al. (2024), with
the learning rate, steps and temperature of its authors' example. Their stimuli for the mouse retina
have ``norm=30`` and a ``pixel_range`` per colour channel."""


class MostDiscriminativeStimuli(ClusterMixin, BaseEstimator):
    r"""Cluster the cells of a response model by the stimuli that tell them apart.

    Two steps alternate until no cell moves [1]_. For each cluster :math:`c` a stimulus is optimised
    that drives its cells and not the others: it maximises

    .. math::
        J_c(s_c) = \frac{\bar r_c(s_c)}{\tau}
                   - \log \frac{1}{C} \sum_{k=1}^{C} \exp \frac{\bar r_k(s_c)}{\tau} \le \log C

    with :math:`\bar r_k(s)` the mean response of cluster :math:`k`. Then each cell moves to the
    cluster whose responses to all the stimuli its own are like. All stimuli are optimised in one
    batch, which is the same as one by one and several times faster.

    The stimuli are what this gives beyond clustering: they say what a type is, and a few seconds of
    them tell the type of new cells (`predict`), without a model of these.

    Parameters
    ----------
    n_clusters : int, default=10
        Clusters to start with. With ``merge_threshold``, start with two or three times as many as
        expected.
    stimulus_shape : sequence of int, optional
        Shape of one stimulus, e.g. ``(n_frames, height, width)``; the model's own if not given.
    stimulus_axes : str, optional
        One of the letters T (time), H, W, C (channels) for each axis of a stimulus; by default
        "T", "HW", "THW" or "THWC".
    window : int, optional
        The response is the mean over that many last frames of the model's output, if this has
        frames; over all by default.
    temperature : float, default=5.0
        :math:`\tau`, in standard deviations of a cell's response (see ``normalize``). If it is
        low, J reaches its bound with stimuli that drive cells weakly, and a warning says so.
    normalize : bool, default=True
        Divide the response of each cell by its standard deviation over the reference stimuli.
    init : {"kmeans", "random"} or array-like of int of shape (n_cells,), default="kmeans"
        k-means on the responses to the reference stimuli, clusters of equal size at random, or
        given labels.
    assign : {"fingerprint", "argmax"}, default="fingerprint"
        "fingerprint": the cluster whose mean response vector over all stimuli, standardised,
        correlates best with the cell's. "argmax": the cluster whose stimulus drives the cell most,
        as in the paper; it loses types whose stimulus is a weaker one for its own cells than
        another type's.
    n_init : int, default=1
        Starts; the one with the highest mean objective is kept.
    max_iter : int, default=20
    optimizer : {"scale-free", "gradient"}, default="scale-free"
        Steps of ``learning_rate`` times the stimulus's norm along the gradient, with momentum 0.9,
        keeping the best stimulus on the way; or ``learning_rate`` times the gradient, keeping the
        last one.
    learning_rate : float, default=0.03
    n_steps : int, default=40
        Steps of a stimulus in every iteration.
    warm_start_stimuli : bool, default=True
        Go on from the stimuli of the iteration before rather than from noise.
    norm : float or None or "reference", default="reference"
        Euclidean norm of a stimulus's deviation from the mean stimulus: a number, no constraint, or
        the mean norm of the reference stimuli.
    pixel_range : tuple or None or "model", default="model"
        (lowest, highest) pixel value, numbers or one per channel; no limits; or the range that the
        model was trained on, where it knows that. Clipped after scaling to the norm.
    smooth_time, smooth_space : float, default=0.0
        Width in frames and pixels of the Gaussian that smooths the gradient.
    split_gain : float, optional
        Cut a cluster in two if that raises the mean objective by this share of the most that one
        more cluster can bring, and the two are not confused (see ``merge_threshold``; 0.4 if that
        is not given). A cut into indistinguishable halves has an expected gain of -0.39, one into
        two types as different as the others up to 1.
    merge_threshold : float, optional
        In the end, merge clusters whose mutual confusion is at least this, the worst first: each
        cluster answers to the other's stimulus with this share of the response to its own (both
        above the mean response to the reference stimuli). 0.4 is a good value.
    min_cluster_size : int, default=1
        Smaller clusters are dissolved.
    holdout : float, default=0.0
        Share of the cells that stimuli are not optimised on; they are labelled as new cells are.
    n_reference : int, default=200
        Random clips (1/f statistics) as reference stimuli, if none are given to `fit`.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_cells,)
        -1 for cells that do not respond.
    stimuli_ : ndarray of shape (n_clusters_, *stimulus_shape)
    responses_ : ndarray of shape (n_clusters_, n_cells)
        Mean response of each cell to each stimulus, in the model's units.
    objective_ : ndarray of shape (n_clusters_,)
        :math:`J_c` on the cells that the stimuli were optimised on.
    holdout_objective_ : ndarray of shape (n_clusters_,)
        The same on the other cells; NaN without any.
    confusion_ : ndarray of shape (n_clusters_, n_clusters_)
        Mean response to each stimulus (row) of each cluster's cells (column), of those held out if
        there are any, in standard deviations above the mean response to the reference stimuli.
    templates_ : ndarray of shape (n_clusters_, n_clusters_)
        The standardised response vector (columns: stimuli) that cells of a cluster are compared
        with.
    template_variance_ : float
        Mean squared difference between standardised responses and templates, per stimulus.
    initial_labels_ : ndarray of int of shape (n_cells,)
        What the kept start began with; -1 for cells without a part in it.
    train_mask_ : ndarray of bool of shape (n_cells,)
        Cells that the stimuli were optimised on.
    n_clusters_, n_dropped_ : int
        Clusters in the end; cells that do not respond.
    response_scale_ : ndarray of shape (n_cells,)
        What responses are divided by.
    objective_path_ : ndarray
        Mean objective at the start and after every iteration of the kept start.
    restart_objectives_ : ndarray of shape (n_init,)
    stimulus_axes_ : str
    display_range_ : tuple
        Lowest and highest pixel value that a display must show, numbers or one per channel.
    n_iter_ : int
    converged_ : bool

    See Also
    --------
    ResponseModel : A model of responses to train on a recording.
    FacetedStimuli : The different stimuli that one cell responds to.

    Notes
    -----
    A model is a fitted `ResponseModel` or a :class:`torch.nn.Module` that maps stimuli
    ``(batch, *stimulus_shape)`` to responses ``(batch, n_cells)`` or
    ``(batch, n_frames, n_cells)``, each row by itself. It is used in eval mode with frozen
    parameters and left as it was found. It may have the attributes ``stimulus_shape``,
    ``stimulus_mean``, ``stimulus_sd`` and ``stimulus_range``. Where stimuli extend in space, all
    receptive fields must be at the same place (`ResponseModel.centred`), or cells are grouped by
    place.

    On the simulated retina, k-means on many noiseless responses finds the types as well: the method
    is no better at clustering. Compare with the baselines of `compare_clusterings`.

    The number of clusters has no sharp optimum in J; start with too many and merge.

    References
    ----------
    .. [1] M. F. Burg, T. Zenkel, M. Vystrčilová, et al. (2024). Most discriminative stimuli for
       functional cell type clustering. International Conference on Learning Representations.

    Examples
    --------
    >>> from sklearn.metrics import adjusted_rand_score
    >>> from neuroml.celltypes import MostDiscriminativeStimuli
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_transient", "off_sustained", "ds_right"], n_cells=6,
    ...                      n_frames=50, random_state=0)
    >>> mds = MostDiscriminativeStimuli(n_clusters=3, n_steps=10, random_state=0)
    >>> mds = mds.fit(retina.module)
    >>> mds.stimuli_.shape, mds.responses_.shape
    ((3, 24, 10, 10), (3, 18))
    >>> adjusted_rand_score(retina.types, mds.labels_)
    1.0
    """

    _parameter_constraints = {
        "n_clusters": [Interval(Integral, 2, None, closed="left")],
        "stimulus_shape": ["array-like", None],
        "stimulus_axes": [str, None],
        "window": [Interval(Integral, 1, None, closed="left"), None],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "normalize": ["boolean"],
        "init": [StrOptions({"kmeans", "random"}), "array-like"],
        "assign": [StrOptions({"fingerprint", "argmax"})],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"scale-free", "gradient"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "warm_start_stimuli": ["boolean"],
        "norm": [Interval(Real, 0, None, closed="neither"), None, StrOptions({"reference"})],
        "pixel_range": ["array-like", None, StrOptions({"model"})],
        "smooth_time": [Interval(Real, 0, None, closed="left")],
        "smooth_space": [Interval(Real, 0, None, closed="left")],
        "split_gain": [Interval(Real, None, None, closed="neither"), None],
        "merge_threshold": [Interval(Real, 0, 1, closed="both"), None],
        "min_cluster_size": [Interval(Integral, 1, None, closed="left")],
        "holdout": [Interval(Real, 0, 1, closed="left")],
        "n_reference": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state", np.random.Generator],
    }

    def __init__(  # noqa: PLR0913
        self,
        n_clusters: int = 10,
        *,
        stimulus_shape: Sequence[int] | None = None,
        stimulus_axes: str | None = None,
        window: int | None = None,
        temperature: float = 5.0,
        normalize: bool = True,
        init: str | ArrayLike = "kmeans",
        assign: str = "fingerprint",
        n_init: int = 1,
        max_iter: int = 20,
        optimizer: str = "scale-free",
        learning_rate: float = 0.03,
        n_steps: int = 40,
        warm_start_stimuli: bool = True,
        norm: float | str | None = "reference",
        pixel_range: Any = "model",
        smooth_time: float = 0.0,
        smooth_space: float = 0.0,
        split_gain: float | None = None,
        merge_threshold: float | None = None,
        min_cluster_size: int = 1,
        holdout: float = 0.0,
        n_reference: int = 200,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.stimulus_shape = stimulus_shape
        self.stimulus_axes = stimulus_axes
        self.window = window
        self.temperature = temperature
        self.normalize = normalize
        self.init = init
        self.assign = assign
        self.n_init = n_init
        self.max_iter = max_iter
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.n_steps = n_steps
        self.warm_start_stimuli = warm_start_stimuli
        self.norm = norm
        self.pixel_range = pixel_range
        self.smooth_time = smooth_time
        self.smooth_space = smooth_space
        self.split_gain = split_gain
        self.merge_threshold = merge_threshold
        self.min_cluster_size = min_cluster_size
        self.holdout = holdout
        self.n_reference = n_reference
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, model: Any, y: Any = None, *, reference_stimuli: ArrayLike | None = None
    ) -> MostDiscriminativeStimuli:
        """Find clusters and their stimuli.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module
            See Notes.
        y : ignored
        reference_stimuli : array-like of shape (n_stimuli, *stimulus_shape), optional
            What the scale of responses, the norm of stimuli and k-means are based on.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the model does not do what Notes say, there are fewer responding cells than clusters,
            or the initial labels or reference stimuli do not fit.

        Warns
        -----
        UserWarning
            If cells do not respond (they are left out and counted in ``n_dropped_``), if J is at
            its bound for all clusters, or if the readouts of a `ResponseModel` are not centred.
        NotConvergedWarning
            If cells were still moving after ``max_iter`` iterations.
        """
        from neuroml.celltypes._responses import opened

        self._warn_if_apart(model)
        split_rng, reference_rng, *rngs = spawn_generators(self.random_state, self.n_init + 2)
        with opened(
            model,
            stimulus_shape=self.stimulus_shape,
            stimulus_axes=self.stimulus_axes,
            window=self.window,
        ) as view:
            reference = (
                view.clips(self.n_reference, reference_rng)
                if reference_stimuli is None
                else view.deviations(reference_stimuli)
            )
            recorded = view.record(reference)
            responding = self._responding(recorded)
            train = responding & (split_rng.random(view.n_cells) >= self.holdout)
            starts = [self._initial_labels(recorded, train, rng) for rng in rngs]
            search = self._search(view, reference, recorded, responding)
            climbs = [self._run(search, *pair) for pair in zip(starts, rngs, strict=True)]
            best, every = best_climb(climbs, name=type(self).__name__)
            self.stimuli_ = view.shown(best.state.stimuli)
            limits = self._limits(view)
            self.display_range_ = limits or (self.stimuli_.min(), self.stimuli_.max())
        self.stimulus_axes_ = view.axes
        self.train_mask_ = train
        self.n_dropped_ = int((~responding).sum())
        self.response_scale_ = search.scale
        self.initial_labels_ = next(s for s, c in zip(starts, climbs, strict=True) if c is best)
        self._describe(best.state, search.baseline, responding)
        self.objective_path_ = np.array(best.trace)
        self.restart_objectives_ = np.array([one.objective for one in every])
        self.n_iter_, self.converged_ = best.n_iter, best.converged
        return self

    def _warn_if_apart(self, model: Any) -> None:
        distance = getattr(model, "rf_distance_", 0.0)
        if distance > 1:
            warnings.warn(
                f"The receptive fields of this model are up to {distance:.1f} pixels away from the "
                "centre, so cells may be grouped by place rather than type: fit to "
                "model.centred().",
                UserWarning,
                stacklevel=3,
            )

    def _responding(self, recorded: np.ndarray) -> np.ndarray:
        """Which cells respond differently to different reference stimuli, with a warning."""
        if not np.isfinite(recorded).all():
            raise DataError(
                "the model's responses to the reference stimuli are not finite",
                found=f"cells {np.flatnonzero(~np.isfinite(recorded).all(axis=0))[:10].tolist()}",
                field="model",
            )
        constant = recorded.std(axis=0) <= 1e-6 * np.abs(recorded).max(axis=0)
        if constant.any():
            warnings.warn(
                f"{constant.sum()} of {len(constant)} cells answer alike to all reference stimuli "
                f"and are left out (label -1): {np.flatnonzero(constant)[:10].tolist()}",
                UserWarning,
                stacklevel=3,
            )
        return ~constant

    def _initial_labels(
        self, recorded: np.ndarray, train: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Cluster (n_cells,) of each training cell, 0, 1, ... without gaps, and -1 for others."""
        n_cells, n_train = len(train), int(train.sum())
        if not isinstance(self.init, str):
            given = np.asarray(self.init)
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
        elif n_train < self.n_clusters:
            raise DataError(
                "there are fewer cells than clusters",
                expected=f">= n_clusters={self.n_clusters} responding cells to optimise on",
                found=f"{n_train} of {n_cells}",
                fix="Lower n_clusters or holdout.",
                field="n_clusters",
            )
        elif self.init == "random":
            found = rng.permutation(np.arange(n_train) % self.n_clusters)
        else:
            scores = standardise(recorded[:, train]).T
            kmeans = KMeans(self.n_clusters, n_init=10, random_state=int(rng.integers(2**31)))
            found = np.unique(kmeans.fit_predict(scores), return_inverse=True)[1]
        labels = np.full(n_cells, -1)
        labels[train] = found
        return labels

    def _limits(self, view: ModelView) -> tuple[np.ndarray, np.ndarray] | None:
        """Lowest and highest pixel value, as arrays that broadcast against stimuli."""
        if self.pixel_range is None or isinstance(self.pixel_range, str):
            return view.trained_range if self.pixel_range == "model" else None
        return view.as_range(self.pixel_range)

    def _search(
        self, view: ModelView, reference: Tensor, recorded: np.ndarray, responding: np.ndarray
    ) -> Search:
        """What stays the same over all starts."""
        from neuroml.celltypes._ascent import Climber
        from neuroml.celltypes._clustering import Search
        from neuroml.celltypes._space import StimulusSpace, smoothing_kernels

        scale = np.where(responding & self.normalize, recorded.std(axis=0), 1.0)
        norm = (
            float(reference.flatten(1).norm(dim=1).mean())
            if self.norm == "reference"
            else self.norm
        )
        free = self.optimizer == "scale-free"
        return Search(
            respond=view.respond,
            scale=scale,
            baseline=recorded.mean(axis=0) / scale,
            space=StimulusSpace(
                view.shape,
                norm,
                view.as_bounds(self._limits(view)),
                smoothing_kernels(
                    view.shape, view.axes, self.smooth_time, self.smooth_space, view.like
                ),
            ),
            climber=Climber(
                self.n_steps,
                self.learning_rate,
                momentum=0.9 if free else 0.0,
                scale_free=free,
                keep_best=free,
            ),
            temperature=self.temperature,
            rule=self.assign,
            max_iter=self.max_iter,
            warm_start=self.warm_start_stimuli,
            min_cluster_size=self.min_cluster_size,
            like=view.like,
        )

    def _run(
        self, search: Search, labels: np.ndarray, rng: np.random.Generator
    ) -> Climb[Clustering]:
        """One start: settle, then split, then merge, as far as asked for."""
        climbed = search.settle(search.begin(labels, rng), rng)
        if self.split_gain is not None:
            threshold = _CONFUSED if self.merge_threshold is None else self.merge_threshold
            climbed = search.split(climbed, self.split_gain, threshold, rng)
        if self.merge_threshold is not None:
            climbed = search.merge(climbed, self.merge_threshold, rng)
        return climbed

    def _describe(self, state: Clustering, baseline: np.ndarray, responding: np.ndarray) -> None:
        """Everything that follows from the clusters of the training cells."""
        from neuroml.celltypes._objective import objective_of

        n_clusters = state.n_clusters
        scores = standardise(state.responses)
        self.templates_ = cluster_templates(scores, state.labels, n_clusters, self.assign)
        match = correlate(scores, self.templates_)
        self.template_variance_ = residual_variance(match, state.labels)
        held_out = responding & ~self.train_mask_
        self.labels_ = np.where(held_out, match.argmax(axis=0), state.labels)
        self.n_clusters_ = n_clusters
        self.responses_ = state.responses * self.response_scale_
        self.objective_ = state.objective
        tested = np.where(held_out, self.labels_, -1)
        self.holdout_objective_ = objective_of(state.responses, tested, self.temperature)
        shown = tested if held_out.any() else self.labels_
        self.confusion_ = confusion(state.responses - baseline, shown)
        bound = np.log(n_clusters)
        if n_clusters > 1 and (self.objective_ > _SATURATED * bound).all():
            warnings.warn(
                f"J is at its bound of log({n_clusters}) = {bound:.3f} for every cluster, so "
                "stimuli may drive their cells weakly: raise temperature.",
                UserWarning,
                stacklevel=3,
            )

    def predict(self, responses: ArrayLike) -> np.ndarray:
        """Type cells, which need not be those of the model, by responses to ``stimuli_``.

        Parameters
        ----------
        responses : array-like of shape (n_clusters_, n_cells) or (n_repeats, n_clusters_, n_cells)
            Responses to the stimuli in their order, like ``responses_``, in any unit: cells are
            compared after standardising over stimuli. NaN marks what was not shown.

        Returns
        -------
        ndarray of int of shape (n_cells,)
            -1, with a warning, for cells that answer alike to all stimuli they were shown.

        Raises
        ------
        DataError
            If the shape does not fit, or there are infinite values.
        """
        probabilities = self.predict_proba(responses)
        known = np.isfinite(probabilities[:, 0])
        if not known.all():
            warnings.warn(
                f"{(~known).sum()} of {len(known)} cells answer alike to all stimuli they were "
                "shown and cannot be typed (label -1).",
                UserWarning,
                stacklevel=2,
            )
        return np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1)

    def predict_proba(self, responses: ArrayLike) -> np.ndarray:
        r"""Probability of each cluster for each cell.

        Parameters
        ----------
        responses : array-like
            As for `predict`. From several repeats, the noise of a cell's mean response counts.

        Returns
        -------
        ndarray of shape (n_cells, n_clusters_)
            NaN for cells that answer alike to all stimuli they were shown.

        Notes
        -----
        If a cell's standardised response vector scatters around its cluster's template with the
        variance :math:`\sigma^2` per stimulus, and clusters are equally likely,
        :math:`p_k \propto \exp(n \rho_k / \sigma^2)` with :math:`\rho_k` the correlation over the
        :math:`n` stimuli shown. :math:`\sigma^2` is ``template_variance_`` plus the variance of
        the mean over repeats; with a single repeat the noise is not known and the probabilities are
        too confident.
        """
        check_is_fitted(self)
        repeats = check_responses(responses, self.n_clusters_)
        mean, noise = mean_and_noise(repeats)
        scores = standardise(mean)
        shown = np.isfinite(scores).sum(axis=0)
        result = posterior(
            correlate(scores, self.templates_), shown, self.template_variance_ + noise
        )
        result[shown == 0] = np.nan
        return result

    def respond(self, model: Any) -> np.ndarray:
        """Responses of a model's cells to ``stimuli_``, as `predict` takes them.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module
            Of these or of other cells.

        Returns
        -------
        ndarray of shape (n_clusters_, n_cells)
        """
        from neuroml.celltypes._responses import opened

        check_is_fitted(self)
        shape = self.stimuli_.shape[1:]
        with opened(
            model, stimulus_shape=shape, stimulus_axes=self.stimulus_axes_, window=self.window
        ) as view:
            return view.record(view.deviations(self.stimuli_))

    def stimuli_to_uint8(self, model: Any = None) -> Bunch:
        """Stimuli as 8-bit images for a display.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module, optional
            The model of `fit`: says what is left of the objective after rounding.

        Returns
        -------
        sklearn.utils.Bunch
            ``stimuli``, ndarray of uint8 shaped like ``stimuli_``; ``low`` and ``high``, what 0 and
            255 stand for; ``objective`` (n_clusters_,) of the rounded stimuli if there is a model.
        """
        from neuroml.celltypes._objective import objective_of

        check_is_fitted(self)
        low, high = self.display_range_
        levels = np.rint((self.stimuli_ - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
        result = Bunch(stimuli=levels, low=low, high=high)
        if model is not None:
            rounded = copy(self)
            rounded.stimuli_ = low + levels / 255 * (high - low)
            responses = rounded.respond(model) / self.response_scale_
            labels = np.where(self.train_mask_, self.labels_, -1)
            result.objective = objective_of(responses, labels, self.temperature)
        return result
