"""Functional cell types and the stimuli that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClusterMixin

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.iteration import FitTrace, fit_from_starts, select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.warn import warn_caller
from neuroml.celltypes._matching import (
    cluster_templates,
    confusion,
    correlate,
    residual_variance,
    standardize,
)
from neuroml.celltypes._start import initial_labels, responding_cells
from neuroml.celltypes._typing_by_stimuli import TypingByStimuli

if TYPE_CHECKING:
    from neuroml.celltypes._clustering import Clustering, Search

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
have ``norm=30`` and a ``pixel_range`` per color channel."""


class MostDiscriminativeStimuli(TypingByStimuli, ClusterMixin, Estimator):
    r"""Cluster the cells of a response model by the stimuli that tell them apart.

    Two steps alternate until no cell moves [1]_. For each cluster :math:`c` a stimulus is optimized
    that drives its cells and not the others: it maximizes

    .. math::
        J_c(s_c) = \frac{\bar r_c(s_c)}{\tau}
                   - \log \frac{1}{C} \sum_{k=1}^{C} \exp \frac{\bar r_k(s_c)}{\tau} \le \log C

    with :math:`\bar r_k(s)` the mean response of cluster :math:`k`. Then each cell moves to the
    cluster whose responses to all the stimuli its own are like. All stimuli are optimized in one
    batch, which is the same as one by one and several times faster.

    The stimuli are what this gives beyond clustering: they say what a type is, and a few seconds of
    them tell the type of new cells (`predict`), without a model of these.

    Parameters
    ----------
    n_clusters : int, default=10
        Clusters to start with. J has no sharp optimum over their number: start with two or three
        times as many as expected, and merge (``merge_threshold``).
    stimulus_shape : sequence of int, optional
        Shape of one stimulus, e.g. ``(n_frames, height, width)``; the model's own if not given.
    stimulus_axes : str, optional
        One of the letters T (time), H, W, C (channels) for each axis of a stimulus; the model's own
        if not given, or else "T", "HW", "THW" or "THWC".
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
        "fingerprint": the cluster whose mean response vector over all stimuli, standardized,
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
        Share of the cells that stimuli are not optimized on; they are labeled as new cells are.
    n_reference : int, default=200
        Random clips (1/f statistics) as reference stimuli, if none are given to `fit`.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_cells,)
        -1 for cells that do not respond.
    stimuli_ : ndarray of shape (n_clusters, ...)
    responses_ : ndarray of shape (n_clusters, n_cells)
        Mean response of each cell to each stimulus, in the model's units.
    objective_ : ndarray of shape (n_clusters,)
        :math:`J_c` on the cells that the stimuli were optimized on.
    holdout_objective_ : ndarray of shape (n_clusters,)
        The same on the other cells; NaN without any.
    confusion_ : ndarray of shape (n_clusters, n_clusters)
        Mean response to each stimulus (row) of each cluster's cells (column), of those held out if
        there are any, in standard deviations above the mean response to the reference stimuli.
    templates_ : ndarray of shape (n_clusters, n_clusters)
        The standardized response vector (columns: stimuli) that cells of a cluster are compared
        with.
    template_variance_ : float
        Mean squared difference between standardized responses and templates, per stimulus.
    initial_labels_ : ndarray of int of shape (n_cells,)
        What the kept start began with; -1 for cells without a part in it.
    train_mask_ : ndarray of bool of shape (n_cells,)
        Cells that the stimuli were optimized on.
    n_clusters_, n_dropped_ : int
        Clusters in the end; cells that do not respond.
    response_scale_ : ndarray of shape (n_cells,)
        What responses are divided by.
    objective_trace_ : ndarray
        Mean objective at the start and after every iteration of the kept start.
    restart_objectives_ : ndarray of shape (n_init,)
    stimulus_axes_ : str
    display_range_ : tuple
        Lowest and highest pixel value that a display must show, numbers or one per channel.
    n_iter_, converged_ : int, bool

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
    ``stimulus_axes``, ``stimulus_mean``, ``stimulus_sd`` and ``stimulus_range``. Where stimuli
    extend in space, all receptive fields must be at the same place (`ResponseModel.centered`), or
    cells are grouped by place.

    On the simulated retina, k-means on many noiseless responses finds the types as well: the method
    is no better at clustering. Compare with the baselines of `compare_clusterings`.

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
        "random_state": RANDOM_STATE,
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

    @validated_fit
    def fit(
        self, model: Any, y: Any = None, *, reference_stimuli: ArrayLike | None = None
    ) -> MostDiscriminativeStimuli:
        """Find clusters and their stimuli.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module
            See Notes.
        y : ignored
        reference_stimuli : array-like of shape (n_stimuli, ...), optional
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
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
            its bound for all clusters, if only one cluster is left, or if the readouts of a
            `ResponseModel` are not centered.
        NotConvergedWarning
            If cells were still moving after ``max_iter`` iterations.
        """
        from neuroml.celltypes._responses import opened
        from neuroml.celltypes._setup import build_search, pixel_limits

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
            responding = responding_cells(recorded)
            train = responding & (split_rng.random(view.n_cells) >= self.holdout)
            starts = [
                initial_labels(self.init, self.n_clusters, recorded, train, rng) for rng in rngs
            ]
            search = build_search(self, view, reference, recorded, responding)
            name = type(self).__name__
            tasks = [(search, *pair) for pair in zip(starts, rngs, strict=True)]
            climbs = fit_from_starts(self._run, tasks, name=name)
            best, every = select_restart(climbs, name=name)
            self.stimuli_ = view.shown(best.state.stimuli)
            limits = pixel_limits(self.pixel_range, view)
            self.display_range_ = limits or (self.stimuli_.min(), self.stimuli_.max())
        self.stimulus_axes_ = view.axes
        self.train_mask_ = train
        self.n_dropped_ = int((~responding).sum())
        self.response_scale_ = search.scale
        self.initial_labels_ = next(s for s, c in zip(starts, climbs, strict=True) if c is best)
        self._describe(best.state, search.baseline, responding)
        self.objective_trace_ = np.array(best.trace)
        self.restart_objectives_ = np.array([one.objective for one in every])
        self.n_iter_, self.converged_ = best.n_iter, best.converged
        return self

    def _warn_if_apart(self, model: Any) -> None:
        distance = getattr(model, "rf_distance_", None)  # where cells have places
        if distance is not None and distance > 1:
            warn_caller(
                f"Receptive fields are {distance:.1f} pixels from the center on average, so cells "
                "may be grouped by place rather than type: fit to model.centered().",
                UserWarning,
            )

    def _run(
        self, search: Search, labels: np.ndarray, rng: np.random.Generator
    ) -> FitTrace[Clustering]:
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
        scores = standardize(state.responses)
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
        if n_clusters == 1:
            warn_caller(
                "All cells ended in one cluster, which leaves nothing to tell apart: raise "
                "merge_threshold or lower min_cluster_size.",
                UserWarning,
            )
        elif (self.objective_ > _SATURATED * bound).all():
            warn_caller(
                f"J is at its bound of log({n_clusters}) = {bound:.3f} for every cluster, so "
                "stimuli may drive their cells weakly: raise temperature.",
                UserWarning,
            )
