"""A model of how cells respond to stimuli, trained on a recording."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import fields
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.covariates import check_covariates, set_covariate_scales
from neuroml._core.estimator import (
    DEVICE,
    RANDOM_STATE,
    Estimator,
    HasMethods,
    Interval,
    StrOptions,
    resolve_device,
    validated_fit,
)
from neuroml._core.frames import Quantity, long_frame, names_or_numbers
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.persistence import fingerprint
from neuroml._core.samples import align_outputs
from neuroml._core.torch_state import as_tensor, own_torch_state
from neuroml._core.validation import (
    as_given,
    as_numbers,
    check_sample_weight,
    check_sessions,
    check_table,
)
from neuroml.celltypes._fit_quality import correlation_to_mean, explained_variance
from neuroml.celltypes._recording_blocks import (
    check_recording,
    frames_with_history,
)
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ResponseModel"]

_MAX_DIMENSIONS = 4
_OF_THE_NETWORK = (
    "readout_weights_",
    "readout_masks_",
    "covariate_weights_",
    "rf_centers_",
    "rf_distance_",
)
_FRAME_AXES = ("", "C", "HW", "HWC")
_CHUNK = 256  # frames that are predicted at once: bounds the memory, changes no prediction


class ResponseModel(MultiOutputMixin, Estimator):
    r"""Predict the responses of many cells to stimuli with a convolutional network.

    All cells share a core of filters over space and the last ``n_lags`` frames. Each cell has a
    place :math:`x_i` on the canvas and weights :math:`w` of the core's features :math:`\phi` there
    [1]_:

    .. math:: r_i(t) = f\Big(b_i + \sum_k w_{ik}\, \phi_k(x_i, t)\Big).

    Training stops when the error on held-out blocks of time no longer falls, and the weights that
    were best there are kept.

    Parameters
    ----------
    core : {"linear", "conv2d", "conv3d"} or torch.nn.Module, default="conv3d"
        "linear": one layer of linear filters, so that cells are linear-nonlinear. "conv2d": filters
        over space with all lags as channels, and a hidden layer; choose it for images. "conv3d":
        the same with filters that are sums of products of space and time. Or a module of your own
        in place of the network, see Notes.
    n_lags : int, default=10
        Frames that a response depends on, the current one included. 1 for images.
    n_filters, n_features : int, default=16, 24
        Number of channels of the first and of the hidden layer.
    kernel_size : int, default=7
        Height and width of the filters in pixels; odd.
    readout : {"gaussian", "point", "factorized"}, default="gaussian"
        How cells read the core. "gaussian": at a place, which each batch draws around its mean
        [1]_; predictions use the mean. "point": at a place that is a parameter. "factorized": under
        a mask :math:`m_i` over the whole canvas, :math:`\sum_x m_i(x)\, \phi_k(x, t)` [2]_, for
        cells that add up over more than one place; it has many more parameters, so use
        ``sparsity``.
    nonlinearity : {"softplus", "exp", "identity"}, default="softplus"
        The function :math:`f`.
    loss : {"poisson", "gaussian"}, default="poisson"
        "poisson": the deviance, for counts and other responses that are never negative.
        "gaussian": the squared error, each cell scaled to variance 1.
    smooth_space, smooth_time : float, default=0.0
        Weight of the squared differences between neighbors in the first layer's filters;
        ``smooth_space`` also between neighboring pixels of masks, relative to their squares.
    sparsity : float, default=0.0
        Weight of the mean absolute readout weight; with masks of the mean of
        :math:`|w_{ik}| \sum_x |m_i(x)|`.
    weight_decay : float, default=0.01
        Weight decay of the AdamW optimizer.
    validation_fraction : float, default=0.2
        Share of the blocks that are held out to decide when training stops; 0 trains for
        ``max_epochs``.
    n_blocks : int, default=10
        Number of contiguous blocks that each session is cut into.
    clip_length : int, default=50
        Number of frames of a training clip.
    batch_size : int, default=8
        Number of clips of a batch (with ``n_lags=1``, ``clip_length`` times as many images).
    learning_rate : float, default=0.01
        The first learning rate; it is multiplied by 0.3 when validation has not improved for more
        than two epochs.
    max_epochs : int, default=100
        Maximum number of epochs.
    patience : int, default=5
        Number of epochs without improvement of validation before training stops.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        1 shows a bar over epochs, with the time that is left.
    device : str or torch.device, default="auto"
        Where to train: "cpu", "cuda", "cuda:1", "mps"; "auto" takes a GPU if there is one. A model
        that was saved is on the CPU when it is loaded: ``model.module_.to("cuda")`` moves it.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network, in eval mode.
    frame_shape_ : tuple of int
        Shape of one frame.
    history_ : list of dict
        Loss and validation (share of the deviance that is left) of each epoch.
    validation_blocks_ : ndarray of shape (n_held_out, 2)
        First and last-plus-one frame of the blocks that were held out.
    stimulus_mean_, stimulus_sd_ : ndarray
        Mean and standard deviation of the stimuli, numbers or one per channel.
    stimulus_range_ : ndarray of shape (2,) or (2, n_channels)
        Lowest and highest value.
    n_cells_ : int
    target_names_ : list of str
        Names of the responses' columns, if they were a table; columns of later tables are put into
        this order.
    rf_centers_ : ndarray of shape (n_cells, 2)
        Row and column of each cell's place; absent for full-field stimuli and modules of your own.
    rf_distance_ : float
        Mean distance of the places from the canvas center, in pixels; absent where
        ``rf_centers_`` is.
    readout_weights_ : ndarray of shape (n_cells, n_features)
        Absent for modules of your own.
    readout_masks_ : ndarray of shape (n_cells, height, width)
        Masks of factorized readouts, whose absolute values have the sum 1; absent with others. Then
        ``rf_centers_`` are the centers of mass of what is above half the maximum.
    covariate_weights_ : ndarray of shape (n_cells, n_covariates)
        What one standard deviation of a covariate adds to the drive; absent without covariates and
        for modules of your own.
    covariate_mean_, covariate_sd_ : ndarray of shape (n_covariates,)
        Absent without covariates.
    covariate_names_ : list of str
        Names of the covariates' columns, if they were a table; later ones are put into this order.
    n_iter_ : int
        Number of epochs.
    converged_ : bool

    See Also
    --------
    MostDiscriminativeStimuli : Cluster the cells of such a model.

    Notes
    -----
    Stimuli are full-field waveforms (n_frames,), several of them (n_frames, n_channels), movies
    (n_frames, height, width) or movies with channels last; with ``n_lags=1``, the first axis counts
    images.

    Covariates :math:`z_j(t)` (running, pupil) are standardized and add
    :math:`\sum_j v_{ij} z_j(t)` to the drive inside :math:`f`: with ``nonlinearity="exp"`` they are
    gains. Only the current frame counts; give delayed copies as columns of their own. Where no
    covariates can be given (`as_module`, `MostDiscriminativeStimuli`), they are at their means.

    A module of your own takes stimuli ``(batch, n_frames, *frame_shape)`` and gives responses
    ``(batch, n_frames - n_lags + 1, n_cells)``; with ``n_lags=1``, images
    ``(batch, *frame_shape)`` and ``(batch, n_cells)``. Covariates, as given, are its second
    argument, ``(batch, n_frames - n_lags + 1, n_covariates)`` or ``(batch, n_covariates)``; it must
    do without where there are none. It is copied, not changed. `centered` needs
    a method ``centered()`` of it that returns a module with all receptive fields at the center.
    After `save`, load the model with ``load(path, module=...)``.

    References
    ----------
    .. [1] K.-K. Lurz, M. Bashiri, K. Willeke, et al. (2021). Generalization in data-driven models
       of primary visual cortex. International Conference on Learning Representations.
    .. [2] D. A. Klindt, A. S. Ecker, T. Euler, M. Bethge (2017). Neural system identification for
       large populations separating "what" and "where". Advances in Neural Information Processing
       Systems 30.

    Examples
    --------
    >>> from neuroml.celltypes import ResponseModel
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_transient", "off_sustained"], n_cells=5, n_frames=1500,
    ...                      random_state=0)
    >>> model = ResponseModel("linear", n_lags=10, n_filters=4, max_epochs=30, patience=3,
    ...                       random_state=0)
    >>> model = model.fit(retina.stimuli, retina.responses)
    >>> feve = model.feve(retina.test_stimuli, retina.test_responses)
    >>> bool(feve.mean() > 0.8)
    True
    """

    _parameter_constraints = {
        "core": [StrOptions({"linear", "conv2d", "conv3d"}), HasMethods("state_dict")],
        "n_lags": [Interval(Integral, 1, None, closed="left")],
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "readout": [StrOptions({"gaussian", "point", "factorized"})],
        "nonlinearity": [StrOptions({"softplus", "exp", "identity"})],
        "loss": [StrOptions({"poisson", "gaussian"})],
        "smooth_space": [Interval(Real, 0, None, closed="left")],
        "smooth_time": [Interval(Real, 0, None, closed="left")],
        "sparsity": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_blocks": [Interval(Integral, 2, None, closed="left")],
        "clip_length": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
        "device": DEVICE,
    }

    def __init__(  # noqa: PLR0913
        self,
        core: Any = "conv3d",
        *,
        n_lags: int = 10,
        n_filters: int = 16,
        n_features: int = 24,
        kernel_size: int = 7,
        readout: str = "gaussian",
        nonlinearity: str = "softplus",
        loss: str = "poisson",
        smooth_space: float = 0.0,
        smooth_time: float = 0.0,
        sparsity: float = 0.0,
        weight_decay: float = 0.01,
        validation_fraction: float = 0.2,
        n_blocks: int = 10,
        clip_length: int = 50,
        batch_size: int = 8,
        learning_rate: float = 0.01,
        max_epochs: int = 100,
        patience: int = 5,
        random_state: RandomState = None,
        verbose: int = 0,
        device: Any = "auto",
    ) -> None:
        self.core = core
        self.n_lags = n_lags
        self.n_filters = n_filters
        self.n_features = n_features
        self.kernel_size = kernel_size
        self.readout = readout
        self.nonlinearity = nonlinearity
        self.loss = loss
        self.smooth_space = smooth_space
        self.smooth_time = smooth_time
        self.sparsity = sparsity
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.n_blocks = n_blocks
        self.clip_length = clip_length
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        return tags

    @validated_fit
    def fit(
        self,
        stimuli: ArrayLike,
        responses: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
        checkpoint: str | Path | None = None,
    ) -> ResponseModel:
        """Train on a recording.

        Parameters
        ----------
        stimuli : array-like of shape (n_frames, ...)
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            See Notes.
        responses : array-like of shape (n_frames, n_cells) or (n_frames,)
        sessions : array-like of shape (n_frames,), optional
            Label of the session each frame belongs to; no clip crosses into another one.
        covariates : array-like of shape (n_frames, n_covariates) or (n_frames,), optional
            What else the responses depend on at each frame, such as running speed and pupil size.
        checkpoint : path-like, optional
            File that keeps the state of training after every epoch, so that a fit that was
            interrupted goes on from there, with the numbers it would have had. With more
            ``max_epochs`` or ``patience``, one that had ended goes on, too. It is not removed.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If ``kernel_size`` is even, the device is not there, shapes do not fit, values are not
            finite, sessions are shorter than ``n_lags``, responses are negative under the Poisson
            loss, a module of your own gives another shape than it should, or the checkpoint is of
            other data or parameters, or ``random_state`` is no integer beside it.

        Warns
        -----
        UserWarning
            If cells never change their response; they are predicted to stay as they are.
        NotConvergedWarning
            If validation was still improving after ``max_epochs``.
        """
        return self._fit(stimuli, responses, sessions, covariates, checkpoint)

    def _fit(
        self,
        stimuli: ArrayLike,
        responses: ArrayLike,
        sessions: ArrayLike | None,
        covariates: ArrayLike | None,
        checkpoint: str | Path | None = None,
        donor: ResponseModel | None = None,
    ) -> ResponseModel:
        """Train all of the network, or its readouts on the core of a ``donor``."""
        from neuroml.celltypes._response_training import TrainingSettings, train_responses

        device = resolve_device(self.device)
        self._check_kernel()
        if donor is not None:
            donor._check_stimuli(stimuli, reset=False)
        X = self._check_stimuli(stimuli, reset=True)
        Y = check_recording(responses, len(X), positive=self.loss == "poisson")
        align_outputs(self, responses, Y, reset=True, field="responses")
        self._single = Y.ndim == 1
        labels = check_sessions(sessions, len(X))
        self.frame_shape_ = X.shape[1:]
        self.n_cells_ = 1 if self._single else Y.shape[1]
        Z = check_covariates(self, covariates, stimuli, len(X), reset=True)
        self._set_scales(X, Z, donor)
        self._is_centered = False
        kept = None if checkpoint is None else (Path(checkpoint), self._identity(X, Y, labels, Z))
        with own_torch_state(device):
            self.module_: Any = self._build_module().to(device)
            if donor is not None:
                core: Any = self.module_.core
                core.load_state_dict(donor.module_.core.state_dict())
                core.requires_grad_(False)
            settings = TrainingSettings(
                **{field.name: getattr(self, field.name) for field in fields(TrainingSettings)}
            )
            training, held_out = train_responses(
                settings,
                self.module_,
                X,
                Y.reshape(len(Y), -1),
                labels,
                self._streams(),
                covariates=Z,
                checkpoint=kept,
            )
        self.validation_blocks_ = np.array(held_out, dtype=int).reshape(-1, 2)
        self.history_ = training.history
        self.n_iter_, self.converged_ = len(training.history), training.converged
        self._describe()
        return self

    def _check_kernel(self) -> None:
        if self.kernel_size % 2 == 0:
            raise DataError(
                "filters have no pixel in the middle",
                expected="an odd number of pixels",
                found=self.kernel_size,
                fix=f"Use {self.kernel_size + 1}.",
                field="kernel_size",
            )

    def _set_scales(self, X: np.ndarray, Z: np.ndarray | None, donor: ResponseModel | None) -> None:
        """What stimuli and covariates are standardized with; a donor's core expects its own."""
        over = tuple(range(X.ndim - 1)) if X.ndim in (2, 4) else None
        mean, sd = X.mean(axis=over), X.std(axis=over)
        known = vars(donor) if donor is not None else {}
        self.stimulus_mean_ = known.get("stimulus_mean_", mean)
        self.stimulus_sd_ = known.get("stimulus_sd_", np.where(sd > 0, sd, 1.0))
        limits = np.array([X.min(axis=over), X.max(axis=over)])
        self.stimulus_range_ = known.get("stimulus_range_", limits)
        set_covariate_scales(self, Z)

    def _identity(self, X: Any, Y: Any, labels: np.ndarray, Z: np.ndarray | None) -> str:
        """What a checkpoint is of: all that changes the numbers of training, not how long it is."""
        if not isinstance(self.random_state, Integral):
            raise DataError(
                "training can go on only where its random numbers can be drawn again",
                expected="an integer random_state beside a checkpoint",
                found=type(self.random_state).__name__,
                fix="Use random_state=0.",
                field="random_state",
            )
        params = self.get_params(deep=False)
        other = ("max_epochs", "patience", "device", "verbose")
        same = {k: v for k, v in params.items() if k not in other}
        return fingerprint({"parameters": same, "data": [X, Y, labels, Z]})

    def _streams(self) -> list[np.random.Generator]:
        return spawn_generators(self.random_state, 4)

    def _describe(self) -> None:
        """Read the cells' weights and places from the network."""
        for name in _OF_THE_NETWORK:
            self.__dict__.pop(name, None)  # those of an earlier fit to other stimuli
        if not isinstance(self.core, str):
            return
        self.readout_weights_ = self.module_.weights.detach().cpu().numpy()
        if self.module_.covariate_weights is not None:
            self.covariate_weights_ = self.module_.covariate_weights.detach().cpu().numpy()
        if self.module_.mask is not None:
            self.readout_masks_ = self.module_.masks().detach().cpu().numpy()
        if len(self.frame_shape_) >= 2:
            self.rf_centers_ = self.module_.places().detach().cpu().numpy()
            middle = np.array(self.frame_shape_[:2]) // 2
            distance = np.linalg.norm(self.rf_centers_ - middle, axis=1)
            self.rf_distance_ = float(distance.mean())

    def _check_stimuli(self, stimuli: ArrayLike, *, reset: bool) -> np.ndarray:
        waveform = self.n_lags > 1 and np.ndim(stimuli) == 1
        X = check_table(  # in one order of memory, on which single precision's sums depend
            self,
            stimuli,
            reset=reset,
            dtype=np.float32,
            order="C",
            ensure_2d=not waveform,
            allow_nd=True,
        )
        if X.ndim > _MAX_DIMENSIONS:
            raise DataError(
                "these are not stimuli",
                expected="(n_frames,) with n_lags > 1, (n_frames, n_channels), (n_frames, height, "
                "width) or (n_frames, height, width, n_channels)",
                found=f"shape {X.shape}, n_lags={self.n_lags}",
                field="stimuli",
            )
        if not reset and X.shape[1:] != self.frame_shape_:
            raise DataError(
                "the stimuli have another shape than those of fit",
                expected=f"(n_frames, {', '.join(map(str, self.frame_shape_))})",
                found=f"shape {X.shape}",
                field="stimuli",
            )
        return X

    @own_torch_state()
    def _build_module(self) -> nn.Module:
        """The network before training, on the CPU; the saver fills it with weights."""
        import torch

        from neuroml.celltypes._response_network import Architecture, ResponseNetwork

        if not isinstance(self.core, str):
            module = deepcopy(self.core)
        else:
            scales = None
            if hasattr(self, "covariate_mean_"):
                mean, sd = (
                    torch.as_tensor(one, dtype=torch.float32)
                    for one in (self.covariate_mean_, self.covariate_sd_)
                )
                scales = (mean, sd)
            module = ResponseNetwork(
                Architecture(
                    self.core,
                    self.n_lags,
                    self.n_filters,
                    self.n_features,
                    self.kernel_size,
                    self.readout,
                    self.nonlinearity,
                    n_covariates=0 if scales is None else len(scales[0]),
                ),
                self.frame_shape_,
                self.n_cells_,
                mean=torch.as_tensor(self.stimulus_mean_, dtype=torch.float32),
                sd=torch.as_tensor(self.stimulus_sd_, dtype=torch.float32),
                centered=self._is_centered,
                covariates=scales,
            )
        return module.eval()

    def predict(
        self,
        stimuli: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> np.ndarray:
        """Predict the responses of all cells at every frame.

        Parameters
        ----------
        stimuli : array-like of shape (n_frames, ...)
        sessions : array-like of shape (n_frames,), optional
        covariates : array-like of shape (n_frames, n_covariates), optional
            Needed if fit had them.

        Returns
        -------
        ndarray of shape (n_frames, n_cells), or (n_frames,) if fitted to one cell without an axis
            NaN for the first ``n_lags - 1`` frames of each session, which lack a full history.

        Raises
        ------
        DataError
            If the stimuli or covariates do not fit or a session is shorter than ``n_lags``.
        """
        import torch

        check_is_fitted(self)
        X = self._check_stimuli(stimuli, reset=False)
        Z = check_covariates(self, covariates, stimuli, len(X), reset=False)
        runs = frames_with_history(check_sessions(sessions, len(X)), self.n_lags)
        like = next(self.module_.parameters())
        result = np.full((len(X), self.n_cells_), np.nan)
        static = self.n_lags == 1 and X.ndim > 1
        with own_torch_state(like.device), torch.no_grad():
            for start, stop in runs:
                for first in range(start, stop, _CHUNK):
                    last = min(first + _CHUNK, stop)
                    shown = [X[first - self.n_lags + 1 : last]]
                    shown += [] if Z is None else [Z[first:last]]
                    given = [as_tensor(part).to(like) for part in shown]
                    found = (
                        self.module_(*given)
                        if static
                        else self.module_(*(part[None] for part in given))[0]
                    )
                    result[first:last] = found.cpu().numpy()
        return result[:, 0] if self._single else result

    def to_frame(self) -> pd.DataFrame:
        """Return training and readouts as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``epoch``, ``cell`` (name of the response's column, or
            its number), ``feature`` (of the core), ``axis``, ``value``. Quantities: "loss" and
            "validation" of each epoch, "readout_weight", and "rf_center" ("row" and "column" of
            each cell's place, in pixels).
        """
        check_is_fitted(self)
        cells = {"cell": names_or_numbers(getattr(self, "target_names_", None), self.n_cells_)}
        epochs = [int(entry["epoch"]) for entry in self.history_]
        found = [
            Quantity(name, [entry[name] for entry in self.history_], {"epoch": epochs})
            for name in self.history_[0]
            if name != "epoch"
        ]
        if hasattr(self, "readout_weights_"):
            weights = self.readout_weights_
            features = {"feature": range(weights.shape[1])}
            found.append(Quantity("readout_weight", weights, {**cells, **features}))
        if hasattr(self, "rf_centers_"):
            axes = {"axis": ["row", "column"]}
            found.append(Quantity("rf_center", self.rf_centers_, {**cells, **axes}))
        return long_frame(found)

    def score(
        self,
        stimuli: ArrayLike,
        responses: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> float:
        r"""Compute the mean over cells of the correlation between prediction and mean response.

        Parameters
        ----------
        stimuli : array-like of shape (n_frames, ...)
        responses : array-like of shape (n_frames, n_cells) or (n_repeats, n_frames, n_cells)
        sessions : array-like of shape (n_frames,), optional
        sample_weight : array-like of shape (n_frames,), optional
            Weights of the frames in the correlation; frames without a full history do not count.
        covariates : array-like of shape (n_frames, n_covariates), optional
            Needed if fit had them; (n_repeats, n_frames, n_covariates) where repeats differ, whose
            predictions are averaged as the responses are.

        Returns
        -------
        float
            Cells that never change their response are left out; a constant prediction counts as
            correlation 0.

        Raises
        ------
        DataError
            If no cell changes its response, shapes do not fit, responses are missing, or the
            weights are not weights.

        Notes
        -----
        It is biased low by the noise that is left in the mean over :math:`R` repeats: the
        expectation is about :math:`\rho \sqrt{S / (S + N / R)}` with :math:`\rho` the correlation
        with the response without noise, :math:`S` the variance of this over frames and :math:`N`
        that of the noise. With four times as much noise as signal, a perfect model has 0.45 with
        one repeat, 0.58 with two, 0.85 with ten. Compare models, not recordings, by it; `feve`
        takes the noise off.
        """
        predicted, observed, known = self._compare(stimuli, responses, sessions, covariates)
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, len(known), known)[known]
        correlation = correlation_to_mean(predicted, observed, weights)
        if np.isnan(correlation).all():
            raise DataError(
                "no cell ever changes its response",
                expected="responses to correlate with",
                found=f"{self.n_cells_} constant cells",
                field="responses",
            )
        return float(np.nanmean(correlation))

    def feve(
        self,
        stimuli: ArrayLike,
        responses: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        min_explainable: float = 0.15,
        covariates: ArrayLike | None = None,
    ) -> np.ndarray:
        r"""Compute the fraction of each cell's explainable variance that is explained.

        Parameters
        ----------
        stimuli : array-like of shape (n_frames, ...)
        responses : array-like of shape (n_repeats, n_frames, n_cells)
            Two repeats or more.
        sessions : array-like of shape (n_frames,), optional
        min_explainable : float
            Minimum share of the variance that must be explainable.
        covariates : array-like of shape (n_frames, n_covariates), optional
            As in `score`. What differs between repeats counts as noise, also where covariates
            explain it.

        Returns
        -------
        ndarray of shape (n_cells,)
            1 at best, negative if worse than the mean; NaN for cells with less to explain than
            ``min_explainable``.

        Raises
        ------
        DataError
            If there are fewer than two repeats, shapes do not fit, or responses are missing.

        Notes
        -----
        :math:`1 - (\mathrm{mse} - \sigma^2) / (\mathrm{var} - \sigma^2)` with the noise variance
        :math:`\sigma^2` the mean over frames of the variance over repeats.
        """
        predicted, observed, _ = self._compare(stimuli, responses, sessions, covariates)
        if len(observed) < 2:
            raise DataError(
                "the noise is not known from a single repeat",
                expected="(n_repeats >= 2, n_frames, n_cells)",
                found=np.shape(responses),
                field="responses",
            )
        return explained_variance(predicted, observed, min_explainable)

    def _compare(
        self,
        stimuli: ArrayLike,
        responses: ArrayLike,
        sessions: ArrayLike | None,
        covariates: ArrayLike | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Prediction (n, n_cells) and repeats (n_repeats, n, n_cells) at the frames ``known``."""
        parts: Any = [covariates]
        if covariates is not None and np.ndim(covariates) == 3:
            parts = as_numbers(as_given(covariates, "covariates"), "covariates")
        predicted = np.mean(
            [self.predict(stimuli, sessions=sessions, covariates=part) for part in parts], axis=0
        ).reshape(-1, self.n_cells_)
        given = as_numbers(as_given(responses, "responses"), "responses").astype(np.float64)
        repeats: Any = align_outputs(self, responses, given, reset=False, field="responses")
        if repeats.ndim < 3:
            repeats = repeats.reshape(1, len(repeats), -1)
        if repeats.shape[1:] != predicted.shape or len(parts) not in (1, len(repeats)):
            raise DataError(
                "the responses do not fit the stimuli",
                expected=f"{predicted.shape} or (n_repeats, {len(predicted)}, {self.n_cells_})"
                + (f" with {len(parts)} repeats, as covariates" if len(parts) > 1 else ""),
                found=np.shape(responses),
                field="responses",
            )
        known = np.isfinite(predicted[:, 0])
        missing = ~np.isfinite(repeats[:, known])
        if missing.any():
            whole = np.flatnonzero(missing.all(axis=(1, 2)))
            raise DataError(
                "responses are missing or not finite",
                expected="every repeat of every cell whole",
                found=f"repeats {whole.tolist()} missing"
                if len(whole)
                else f"{int(missing.sum())} of {missing.size} values",
                fix="Leave out those repeats, cells or frames, whichever are few.",
                field="responses",
            )
        return predicted[known], repeats[:, known], known

    def transfer(
        self,
        stimuli: ArrayLike,
        responses: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> ResponseModel:
        """Train readouts of other cells on the core of this model, which stays as it is.

        A core that was learned on many cells serves a few, or a short recording.

        Parameters
        ----------
        stimuli : array-like of shape (n_frames, ...)
            Frames of the shape of those of `fit`; they are standardized as those were.
        responses : array-like of shape (n_frames, n_cells) or (n_frames,)
        sessions : array-like of shape (n_frames,), optional
        covariates : array-like of shape (n_frames, n_covariates), optional
            They may be others than those of `fit`.

        Returns
        -------
        ResponseModel
            A new one, with this one's parameters; this one stays as it is.

        Raises
        ------
        DataError
            As in `fit`, or if frames have another shape or the network is a module of your own.
        """
        check_is_fitted(self)
        if not isinstance(self.core, str):
            raise DataError(
                "which part of this module is the core is not known",
                expected="core='linear', 'conv2d' or 'conv3d'",
                found=type(self.core).__name__,
                fix="Give a ResponseModel a module whose core has requires_grad_(False).",
                field="core",
            )
        twin = clone(self)
        twin._validate_params()
        return twin._fit(stimuli, responses, sessions, covariates, donor=self)

    @own_torch_state()
    def centered(self) -> ResponseModel:
        """Return the same model with every cell's place at the canvas center.

        It computes only the part of the canvas that these depend on, which is faster. Masks of
        factorized readouts are moved by their centers; what lies beyond the canvas then is lost.

        Returns
        -------
        ResponseModel
            A new one; this one stays as it is.

        Raises
        ------
        DataError
            If a module of your own has no such method.
        """
        check_is_fitted(self)
        if not hasattr(self.module_, "centered"):
            raise DataError(
                "this module cannot be centered",
                expected="a method centered() that returns a module",
                found=type(self.module_).__name__,
                field="core",
            )
        twin = copy(self)
        twin.module_, twin._is_centered = self.module_.centered(), True
        twin._describe()
        return twin

    def as_module(self) -> nn.Module:
        """Return the trained network with the attributes that `MostDiscriminativeStimuli` reads.

        Returns
        -------
        torch.nn.Module
            With the attributes ``stimulus_shape`` (a clip that gives ``clip_length`` responses),
            ``stimulus_axes``, ``stimulus_mean``, ``stimulus_sd`` and ``stimulus_range``.
        """
        check_is_fitted(self)
        module: Any = self.module_
        static = self.n_lags == 1 and len(self.frame_shape_) > 0
        n_frames = () if static else (self.n_lags - 1 + self.clip_length,)
        module.stimulus_shape = (*n_frames, *self.frame_shape_)
        module.stimulus_axes = ("" if static else "T") + _FRAME_AXES[len(self.frame_shape_)]
        module.stimulus_mean, module.stimulus_sd = self.stimulus_mean_, self.stimulus_sd_
        module.stimulus_range = tuple(self.stimulus_range_)
        return module
