"""Functional cell types and the stimuli that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClusterMixin
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.iteration import fit_from_starts, select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.warn import warn_caller
from neuroml.celltypes._cluster_frame import cluster_frame
from neuroml.celltypes._matching import (
    check_responses,
    cluster_templates,
    confusion,
    probabilities_by_correlation,
    residual_variance,
    standardize,
)
from neuroml.celltypes._type_likelihood import TypeModel

if TYPE_CHECKING:
    from torch import Tensor

    from neuroml.celltypes._cluster_search import Clustering, ClusterSearch
    from neuroml.celltypes._model_adapter import ModelAdapter

__all__ = ["MostDiscriminativeStimuli"]

# Mutual confusion from which two clusters count as one type: with it, twice as many clusters as
# types are merged to the types of the simulated retinas (tests/benchmarks/celltypes).
_CONFUSED = 0.4
# Share of the bound log C above which J is at its bound: its gradient then nearly vanishes, however
# weakly the stimuli drive their cells.
_SATURATED = 0.98


class MostDiscriminativeStimuli(ClusterMixin, Estimator):
    r"""Cluster the cells of a response model by the stimuli that tell them apart.

    Two steps alternate until no cell moves [1]_. For each cluster :math:`c` a stimulus is optimized
    that drives its cells and not the others: it maximizes

    .. math::
        J_c(s_c) = \frac{\bar r_c(s_c)}{\tau}
                   - \log \frac{1}{C} \sum_{k=1}^{C} \exp \frac{\bar r_k(s_c)}{\tau} \le \log C

    with :math:`\bar r_k(s)` the mean response of cluster :math:`k` and :math:`C` the number of
    clusters. Then each cell moves to the cluster whose responses to all the stimuli are most like
    its own. All stimuli are optimized in one batch, which gives what one by one would give and is
    several times faster.

    Beyond clustering, the stimuli show what a type responds to, and a few seconds of them suffice
    to tell the type of new cells (`predict`), without a model of these cells.

    Parameters
    ----------
    n_clusters : int, default=10
        Number of clusters to start with. J has no sharp optimum over it: start with two or three
        times as many as expected, and merge (``merge_threshold``).
    stimulus_shape : sequence of int, optional
        Shape of one stimulus, e.g. ``(n_frames, height, width)``; the model's own if not given.
    stimulus_axes : str, optional
        One of the letters T (time), H, W, C (channels) for each axis of a stimulus; the model's own
        if not given, or else "T", "HW", "THW" or "THWC".
    window : int, optional
        Number of last frames of the model's output, if this has frames, over which the response
        is averaged; all by default.
    rotate : bool, default=False
        Take as a cell's response to a stimulus its largest response to the stimulus turned by 0,
        90, 180 and 270 degrees about the middle of the canvas, so that cells that differ only in
        orientation or direction are of one type; show new cells all four and take the largest, too.
        Frames must be square. Computing takes four times as long.
    temperature : float, default=5.0
        :math:`\tau`, in standard deviations of a cell's response (see ``normalize``). If it is
        low, J reaches its bound with stimuli that drive cells weakly, and a warning says so.
    normalize : bool or {"zscore", "max"}, default=True
        Divide the response of each cell by its standard deviation over the reference stimuli; with
        "zscore" also subtract its mean over them; with "max" divide by its maximum over them.
    scale_floor : float, default=0.0
        Responses are divided by at least this much, so that cells that hardly respond do not count
        as much as others; 0.1 in the authors' code.
    init : {"kmeans", "random"} or array-like of int of shape (n_cells,), default="kmeans"
        k-means on the responses to the reference stimuli, clusters of equal size at random, or
        given labels.
    assign : {"fingerprint", "argmax"}, default="fingerprint"
        "fingerprint": the cluster whose mean response vector over all stimuli, standardized,
        correlates best with the cell's. "argmax": the cluster whose stimulus drives the cell most,
        as in the paper; this loses a type whose cells respond more to another type's stimulus
        than to their own.
    typing : {"likelihood", "correlation"}, default="likelihood"
        How `predict` and `predict_proba` type cells, and those held out. "likelihood": by the mean
        and the covariance of the responses of each cluster's cells, with a gain for each cell, and
        noise as the repeats show it. "correlation": by the rule of ``assign``. On simulated
        retinas the two agree where cells of a type are alike; where their filters differ by 25 %
        and clusters are found, not given, the likelihood is right a little more often.
    offset : {"free", "none"}, default="free"
        What the likelihood takes 0 for. "free": the responses of a cell are known up to a shift, as
        fluorescence and z-scores are, and only their differences between stimuli matter. "none": 0
        is no response, as for rates and spike counts; then a cell's level tells of its type, too.
    n_init : int, default=1
        Number of starts; the one with the highest mean objective is kept.
    max_iter : int, default=20
        Maximum number of iterations.
    optimizer : {"scale-free", "gradient"}, default="scale-free"
        "scale-free": steps of ``learning_rate`` times the stimulus's norm along the gradient, with
        momentum 0.9; the best stimulus of all steps is kept. "gradient": steps of
        ``learning_rate`` times the gradient; the last stimulus is kept.
    learning_rate : float, default=0.03
    n_steps : int, default=40
        Number of steps of a stimulus in every iteration.
    warm_start_stimuli : bool, default=True
        Optimize from the stimuli of the iteration before rather than from noise.
    norm : float or None or "reference", default="reference"
        Euclidean norm of a stimulus's deviation from the mean stimulus: a number; None for no
        constraint; or the mean norm of the reference stimuli.
    pixel_range : tuple or None or "model", default="model"
        (lowest, highest) pixel value, numbers or one per channel; None for no limits; or the range
        that the model was trained on, where it knows that. Stimuli are clipped after scaling to
        the norm.
    smooth_time, smooth_space : float, default=0.0
        Width in frames and pixels of the Gaussian that smooths the gradient.
    laplace : float, default=0.0
        Weight of the mean squared Laplacian over rows and columns, which is subtracted from J while
        stimuli are optimized; ``objective_`` is without it.
    split_gain : float, optional
        Cut a cluster in two if that raises the mean objective by this share of the rise of its
        bound, :math:`\log((C + 1) / C)`, and the two are not confused (see ``merge_threshold``;
        0.4 if that is not given). A cut into indistinguishable halves is expected to have a
        negative gain: with C perfect clusters, 1 - 2 log 2 / ((C + 1) log(1 + 1 / C)) of the
        bound's rise, -0.14 for two clusters, -0.32 for ten, -0.39 in the limit of many. One into
        two types as different as the others has a gain of up to 1.
    split_confused : bool, default=False
        Also cut where the halves are confused, if the gain suffices. With ``split_gain=0.0`` this
        is the criterion of the authors' code, the mean objective alone; the gain of a redundant cut
        is then not far from the noise of the optimization where clusters are many.
    merge_threshold : float, optional
        In the end, merge clusters whose mutual confusion is at least this, the worst first. The
        mutual confusion is the share of the response to the own stimulus with which each of two
        clusters responds to the other's as well (both above the mean response to the reference
        stimuli). 0.4 tells types of simulated retinas apart.
    n_final_steps : int, optional
        In the end, optimize the stimuli of the clusters found anew from noise with this many steps;
        if not given, they are those of the last iteration.
    min_cluster_size : int, default=1
        Smaller clusters are dissolved.
    holdout : float, default=0.0
        Share of the cells that stimuli are not optimized on; they are labeled as new cells are.
    n_reference : int, default=200
        Number of random clips (1/f statistics) that serve as reference stimuli, if none are given
        to `fit`.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        1 shows a bar over starts, with the time that is left.

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_cells,)
        Cluster of each cell; -1 for cells that do not respond.
    stimuli_ : ndarray of shape (n_clusters, ...)
        Stimulus of each cluster, as it is shown.
    responses_ : ndarray of shape (n_clusters, n_cells)
        Mean response of each cell to each stimulus, in the model's units.
    objective_ : ndarray of shape (n_clusters,)
        :math:`J_c` on the cells that the stimuli were optimized on.
    holdout_objective_ : ndarray of shape (n_clusters,)
        The same on the other cells; NaN without any.
    confusion_ : ndarray of shape (n_clusters, n_clusters)
        Mean response to each stimulus (row) of each cluster's cells (column), in standard
        deviations above the mean response to the reference stimuli. If there are cells held out,
        the mean is over these.
    templates_ : ndarray of shape (n_clusters, n_clusters)
        The standardized response vector (columns: stimuli) that a cell is compared with for each
        cluster (row).
    template_variance_ : float
        Mean squared difference between standardized responses and templates, per stimulus.
    type_means_ : ndarray of shape (n_clusters, n_clusters)
        Mean response to each stimulus (column) of each cluster's cells (row), each cell's divided
        by its root mean square over stimuli; about its mean over stimuli with ``offset="free"``.
    type_covariances_ : ndarray of shape (n_clusters, n_clusters, n_clusters)
        Covariance over stimuli of a new cell about ``type_means_``, for each cluster (first axis).
    initial_labels_ : ndarray of int of shape (n_cells,)
        The labels from which the kept start began; -1 for cells that stimuli are not optimized on.
    train_mask_ : ndarray of bool of shape (n_cells,)
        Cells that the stimuli were optimized on.
    n_clusters_ : int
        Number of clusters in the end.
    n_dropped_ : int
        Number of cells that do not respond.
    response_shift_, response_scale_ : ndarray of shape (n_cells,)
        What is subtracted from responses (0 unless ``normalize="zscore"``), and what they are then
        divided by.
    objective_trace_ : ndarray
        Mean objective at the start and after every iteration of the kept start.
    restart_objectives_ : ndarray of shape (n_init,)
        Mean objective of each start in the end; higher is better.
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
    extend in space, all receptive fields must be at the same place (`ResponseModel.centered`);
    otherwise cells are grouped by place.

    On the simulated retina, k-means on many noiseless responses finds the types just as well: the
    method is no better at clustering. Compare it with the baselines of `compare_clusterings`.

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
        "rotate": ["boolean"],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "normalize": ["boolean", StrOptions({"zscore", "max"})],
        "scale_floor": [Interval(Real, 0, None, closed="left")],
        "init": [StrOptions({"kmeans", "random"}), "array-like"],
        "assign": [StrOptions({"fingerprint", "argmax"})],
        "typing": [StrOptions({"likelihood", "correlation"})],
        "offset": [StrOptions({"free", "none"})],
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
        "laplace": [Interval(Real, 0, None, closed="left")],
        "split_gain": [Interval(Real, None, None, closed="neither"), None],
        "split_confused": ["boolean"],
        "merge_threshold": [Interval(Real, 0, 1, closed="both"), None],
        "n_final_steps": [Interval(Integral, 1, None, closed="left"), None],
        "min_cluster_size": [Interval(Integral, 1, None, closed="left")],
        "holdout": [Interval(Real, 0, 1, closed="left")],
        "n_reference": [Interval(Integral, 2, None, closed="left")],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    }

    def __init__(  # noqa: PLR0913
        self,
        n_clusters: int = 10,
        *,
        stimulus_shape: Sequence[int] | None = None,
        stimulus_axes: str | None = None,
        window: int | None = None,
        rotate: bool = False,
        temperature: float = 5.0,
        normalize: bool | str = True,
        scale_floor: float = 0.0,
        init: str | ArrayLike = "kmeans",
        assign: str = "fingerprint",
        typing: str = "likelihood",
        offset: str = "free",
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
        laplace: float = 0.0,
        split_gain: float | None = None,
        split_confused: bool = False,
        merge_threshold: float | None = None,
        n_final_steps: int | None = None,
        min_cluster_size: int = 1,
        holdout: float = 0.0,
        n_reference: int = 200,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.stimulus_shape = stimulus_shape
        self.stimulus_axes = stimulus_axes
        self.window = window
        self.rotate = rotate
        self.temperature = temperature
        self.normalize = normalize
        self.scale_floor = scale_floor
        self.init = init
        self.assign = assign
        self.typing = typing
        self.offset = offset
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
        self.laplace = laplace
        self.split_gain = split_gain
        self.split_confused = split_confused
        self.merge_threshold = merge_threshold
        self.n_final_steps = n_final_steps
        self.min_cluster_size = min_cluster_size
        self.holdout = holdout
        self.n_reference = n_reference
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def published(cls, **overrides: Any) -> MostDiscriminativeStimuli:
        """Make the estimator with the settings of the example in Burg et al.'s (2024) code.

        Random clusters to start with, assignment by the strongest response, responses that are not
        normalized, no constraint on stimuli, and plain gradient ascent that keeps the last
        stimulus; a temperature of 1.6, a learning rate of 100, 50 steps and 10 iterations; clusters
        are split where the mean objective rises; in the end, 20 steps from noise and 100 more. On
        the example's model of ON and OFF cells the mean objective is theirs, 0.675. A learning rate
        fits the gradients of one model only. The stimuli for the mouse retina had ``norm=30`` and a
        ``pixel_range`` per color channel.

        Splits are judged as there, by the mean objective alone, but over three pairs of starts
        rather than one; they are proposed by k-means in two, not by the method itself on one
        cluster's cells. ``split_confused=False`` keeps the noise of the optimization from splitting
        equal cells. Their maximum over rotations (``rotate``) is in none of their examples, and the
        code that turns stimuli was not released.

        Parameters
        ----------
        **overrides
            Any parameter of the class.

        Examples
        --------
        >>> from neuroml.celltypes import MostDiscriminativeStimuli
        >>> MostDiscriminativeStimuli.published(n_clusters=5, norm=30.0).temperature
        1.6
        """
        settings: dict[str, Any] = {
            "temperature": 1.6,
            "normalize": False,
            "init": "random",
            "assign": "argmax",
            "typing": "correlation",
            "optimizer": "gradient",
            "learning_rate": 100.0,
            "n_steps": 50,
            "max_iter": 10,
            "norm": None,
            "pixel_range": None,
            "split_gain": 0.0,
            "split_confused": True,
            "n_final_steps": 120,
        }
        return cls(**(settings | overrides))

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
            Stimuli that the scale of responses, the norm of stimuli and k-means are based on: an
            array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.

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
        from neuroml.celltypes._cluster_search import initial_labels, responding_cells
        from neuroml.celltypes._model_adapter import ModelAdapter

        self._warn_if_not_centered(model)
        split_rng, reference_rng, *rngs = spawn_generators(self.random_state, self.n_init + 2)
        with ModelAdapter.adapt(
            model,
            stimulus_shape=self.stimulus_shape,
            stimulus_axes=self.stimulus_axes,
            window=self.window,
            rotate=self.rotate,
        ) as adapter:
            reference = (
                adapter.clips(self.n_reference, reference_rng)
                if reference_stimuli is None
                else adapter.deviations(reference_stimuli)
            )
            recorded = adapter.record(reference)
            responding = responding_cells(recorded)
            train = responding & (split_rng.random(adapter.n_cells) >= self.holdout)
            starts = [
                initial_labels(self.init, self.n_clusters, recorded, train, rng) for rng in rngs
            ]
            search = self._search(adapter, reference, recorded, responding)
            run = partial(
                search.run,
                split_gain=self.split_gain,
                merge_threshold=self.merge_threshold,
                max_confusion=self._max_confusion(),
                n_final_steps=self.n_final_steps,
            )
            fits = fit_from_starts(
                run,
                zip(starts, rngs, strict=True),
                name=type(self).__name__,
                verbose=self.verbose,
            )
            best, every = select_restart(fits, name=type(self).__name__)
            self.stimuli_ = adapter.as_shown(best.state.stimuli)
            limits = adapter.pixel_limits(self.pixel_range)
            self.display_range_ = limits or (self.stimuli_.min(), self.stimuli_.max())
        self.stimulus_axes_, self.train_mask_ = adapter.axes, train
        self.n_dropped_ = int((~responding).sum())
        self.response_shift_, self.response_scale_ = search.shift, search.scale
        self.initial_labels_ = next(s for s, f in zip(starts, fits, strict=True) if f is best)
        self._describe(best.state, search.baseline, responding)
        self.objective_trace_ = np.array(best.trace)
        self.restart_objectives_ = np.array([one.objective for one in every])
        self.n_iter_, self.converged_ = best.n_iter, best.converged
        return self

    def _max_confusion(self) -> float:
        """Halves of a cut may be confused less than this."""
        if self.split_confused:
            return np.inf
        return _CONFUSED if self.merge_threshold is None else self.merge_threshold

    def _warn_if_not_centered(self, model: Any) -> None:
        distance = getattr(model, "rf_distance_", None)  # of a ResponseModel with places
        if distance is not None and distance > 1:
            warn_caller(
                f"Receptive fields are {distance:.1f} pixels from the center on average, so cells "
                "may be grouped by place rather than type: fit to model.centered().",
                UserWarning,
            )

    def _search(
        self, adapter: ModelAdapter, reference: Tensor, recorded: np.ndarray, responding: np.ndarray
    ) -> ClusterSearch:
        """What stays the same over all starts, from the parameters and the reference stimuli."""
        from neuroml.celltypes._cluster_search import ClusterSearch, normalization
        from neuroml.celltypes._stimulus_optimizer import OptimizerSettings, build_space

        shift, scale = normalization(recorded, responding, self.normalize, self.scale_floor)
        scale_free = self.optimizer == "scale-free"
        return ClusterSearch(
            respond=adapter.respond,
            shift=shift,
            scale=scale,
            baseline=(recorded.mean(axis=0) - shift) / scale,
            fingerprints=standardize(recorded),
            space=build_space(
                adapter,
                reference,
                norm=self.norm,
                pixel_range=self.pixel_range,
                smooth_time=self.smooth_time,
                smooth_space=self.smooth_space,
                laplace=self.laplace,
            ),
            optimizer=OptimizerSettings(
                self.n_steps,
                self.learning_rate,
                momentum=0.9 if scale_free else 0.0,
                scale_free=scale_free,
                keep_best=scale_free,
            ),
            temperature=self.temperature,
            rule=self.assign,
            max_iter=self.max_iter,
            warm_start=self.warm_start_stimuli,
            min_cluster_size=self.min_cluster_size,
            like=adapter.like,
        )

    def _describe(self, state: Clustering, baseline: np.ndarray, responding: np.ndarray) -> None:
        """Set everything that follows from the clusters of the training cells."""
        from neuroml.celltypes._objective import objective_of

        self.n_clusters_ = n_clusters = state.n_clusters
        scores = standardize(state.responses)
        self.templates_ = cluster_templates(scores, state.labels, n_clusters, self.assign)
        self.template_variance_ = residual_variance(scores, self.templates_, state.labels)
        # types are of responses that are scaled but not shifted: 0 may stand for no response
        scaled = state.responses + self.response_shift_ / self.response_scale_
        types = TypeModel.estimate(scaled, state.labels, n_clusters, self.offset)
        self.type_means_, self.type_covariances_ = types.means, types.covariances
        # cells held out are labeled as `predict` would label them; one with the same response to
        # all stimuli is as likely of any type, and gets the first
        held_out = responding & ~self.train_mask_
        probabilities = np.nan_to_num(self._probabilities(scaled[None]))
        self.labels_ = np.where(held_out, probabilities.argmax(axis=1), state.labels)
        self.responses_ = state.responses * self.response_scale_ + self.response_shift_
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

    def to_frame(self) -> pd.DataFrame:
        """Return clusters and responses as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``cluster``, ``stimulus`` (the number of the cluster
            that it was made for), ``cell``, ``value``. Quantities: "cluster" of each cell (-1: it
            does not respond), "response" of each cell to each stimulus, in the model's units,
            "objective" and "holdout_objective" of each cluster, and "confusion", the standardized
            response of each cluster's cells to each stimulus.
        """
        return cluster_frame(self)

    def predict(self, responses: ArrayLike) -> np.ndarray:
        """Predict the type of cells, also of other recordings, from responses to ``stimuli_``.

        Parameters
        ----------
        responses : array-like of shape (n_clusters, n_cells) or (n_repeats, n_clusters, n_cells)
            Responses to the stimuli in their order, like ``responses_``, in any unit: a cell's
            gain does not matter, nor, unless ``offset="none"``, a shift of all its responses. NaN
            marks what was not shown.

        Returns
        -------
        ndarray of int of shape (n_cells,)
            -1, with a warning, for cells with the same response to all stimuli they were shown.

        Raises
        ------
        DataError
            If the shape does not fit, or there are infinite values.
        """
        probabilities = self.predict_proba(responses)
        known = np.isfinite(probabilities[:, 0])
        if not known.all():
            warn_caller(
                f"{(~known).sum()} of {len(known)} cells give the same response to all stimuli "
                "they were shown and cannot be typed (label -1).",
                UserWarning,
            )
        return np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1)

    def predict_proba(self, responses: ArrayLike) -> np.ndarray:
        r"""Predict the probability of each cluster for each cell.

        Parameters
        ----------
        responses : array-like
            As for `predict`. Give repeats rather than their mean: they tell of the noise, which a
            single response leaves open, so that probabilities are cautious.

        Returns
        -------
        ndarray of shape (n_cells, n_clusters)
            NaN for cells with the same response to all stimuli they were shown.

        Notes
        -----
        Clusters are equally likely beforehand. With ``typing="likelihood"``, a cell of cluster
        :math:`k` responds to stimulus :math:`j` in the mean over :math:`c_j` repeats with

        .. math:: y_j = g\,(\mu_{kj} + \delta_j) + b + \epsilon_j,
                  \quad \delta \sim N(0, \Sigma_k), \quad \epsilon_j \sim N(0, \sigma^2 / c_j)

        with ``type_means_`` and ``type_covariances_``; the gain :math:`g > 0`, the offset :math:`b`
        and the noise :math:`\sigma^2`, which is the same for all stimuli, are integrated out.
        Clusters are taken for the types: a cluster that holds two makes the probabilities of both
        too certain.

        With ``typing="correlation"``, :math:`p_k \propto \exp(n \rho_k / \sigma^2)` with
        :math:`\rho_k` the correlation with the cluster's template over the :math:`n` stimuli shown,
        and :math:`\sigma^2` the sum of ``template_variance_`` and the variance of the mean over
        repeats. This holds if standardized responses scatter alike in all clusters and for all
        stimuli; where cells of a type differ, the probabilities are too certain.
        """
        check_is_fitted(self)
        return self._probabilities(check_responses(responses, self.n_clusters_))

    def _probabilities(self, repeats: np.ndarray) -> np.ndarray:
        """Probabilities (n_cells, n_clusters) from responses (n_repeats, n_clusters, n_cells)."""
        if self.typing == "likelihood":
            types = TypeModel(self.type_means_, self.type_covariances_, self.offset)
            return types.probabilities(repeats)
        return probabilities_by_correlation(repeats, self.templates_, self.template_variance_)

    def respond(self, model: Any) -> np.ndarray:
        """Compute the responses of a model's cells to ``stimuli_``, as `predict` takes them.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module
            The model of `fit`, or one of other cells.

        Returns
        -------
        ndarray of shape (n_clusters, n_cells)
        """
        check_is_fitted(self)
        return self._record(model, self.stimuli_)

    def stimuli_to_uint8(self, model: Any = None) -> Bunch:
        """Convert stimuli to 8-bit images for a display.

        Parameters
        ----------
        model : ResponseModel or torch.nn.Module, optional
            The model of `fit`, to compute the objective of the rounded stimuli with.

        Returns
        -------
        sklearn.utils.Bunch
            ``stimuli``, ndarray of uint8 shaped like ``stimuli_``; ``low`` and ``high``, what 0 and
            255 stand for; ``objective`` (n_clusters,) of the rounded stimuli if there is a model.
        """
        from neuroml.celltypes._objective import objective_of

        check_is_fitted(self)
        low, high = self.display_range_
        levels = np.rint((self.stimuli_ - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
        result = Bunch(stimuli=levels, low=low, high=high)
        if model is not None:
            rounded = low + levels / 255 * (high - low)
            shift = getattr(self, "response_shift_", 0.0)  # files before it was kept have none
            responses = (self._record(model, rounded) - shift) / self.response_scale_
            labels = np.where(self.train_mask_, self.labels_, -1)
            result.objective = objective_of(responses, labels, self.temperature)
        return result

    def _record(self, model: Any, stimuli: np.ndarray) -> np.ndarray:
        """Responses (n_stimuli, n_cells) of a model's cells."""
        from neuroml.celltypes._model_adapter import ModelAdapter

        with ModelAdapter.adapt(
            model,
            stimulus_shape=stimuli.shape[1:],
            stimulus_axes=self.stimulus_axes_,
            window=self.window,
            rotate=self.rotate,
        ) as adapter:
            return adapter.record(adapter.deviations(stimuli))
