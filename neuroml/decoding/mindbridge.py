"""MindBridge's neural network for several subjects, which takes on a new one."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import Subject, check_cohort
from neuroml._core.estimator import (
    DEVICE,
    RANDOM_STATE,
    Interval,
    StrOptions,
    resolve_device,
)
from neuroml._core.frames import Quantity, long_frame
from neuroml._core.parallel import spawn_generators
from neuroml._core.torch_state import own_torch_state, seeded
from neuroml.decoding._candidate_scores import cosine_scores
from neuroml.decoding._cross_subject_base import CrossSubjectBase
from neuroml.decoding._held_out_folds import held_out_folds
from neuroml.decoding._pooling import pool, unpool
from neuroml.decoding._ridge_path import Voxels, check_penalties
from neuroml.decoding._subjects import unit_labels, voxel_scaling
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from neuroml.decoding._mindbridge_network import CrossSubjectNetwork

__all__ = ["MindBridgeDecoder"]

# The paper adds the mean squared error with weight 1; the released code multiplies it by 1e4. On
# unit vectors in D dimensions it is 2 (1 - cos) / D, so that the weight of 1 - cos is 2e4 / D.
_MSE_WEIGHT = 1e4


class MindBridgeDecoder(CrossSubjectBase):
    r"""Decode embeddings, features or behaviour with the neural network of MindBridge [1]_.

    An embedder and a builder per subject map voxels to a latent space and back; a translator and
    linear heads, the same for all subjects, map latents to targets. The losses are a contrastive
    one between decoded and true targets, their cosine, the reconstruction of the voxels, and a
    cycle from one subject's latents through another one's voxels. The defaults are a smaller
    network; `published` gives the settings of the released code.

    Parameters
    ----------
    heads : dict of str to int or None, default=None
        Blocks of columns of y with losses of their own, such as ``{"image": 512, "text": 256}``.
    target_rank : int or None, default=None
        Fit in the leading principal components of each head's training targets.
    center_targets : bool, default=True
        Subtract the mean of the training targets first, so that a constant scores nothing.
    hidden, n_blocks : int, default=512, 2
        Size of the latent space, and number of residual blocks of the translator.
    adapter_rank : int, default=0
        Size of the bottlenecks beside the voxels; 0 for none.
    dropout, block_dropout : float, default=0.5, 0.15
        Rates after the embedder and in the translator.
    linear_builder : bool, default=True
        Whether builders are one linear map, instead of linear, layer norm, GELU (which cannot go
        clearly below zero) and adapter.
    pooling : {"max", "average"} or None, default=None
        Pool standardized voxels, in the order they come in, to ``n_pool`` values.
    n_pool : int, default=8192
    alpha_clip : float, default=1.0
        Weight of the contrastive loss.
    alpha_cos : float or "mse", default=1.0
        Weight of one minus the cosine; "mse" is :math:`2 \times 10^4 / n_{targets}`, the released
        code's weight on the mean squared error of unit vectors.
    alpha_rec, alpha_cyc : float, default=0.0
        Weights of the reconstruction and of the cycle.
    temperature : float, default=0.05
        Temperature of the contrastive loss.
    noisy_cycle : bool, default=False
        Compare the cycle's latents after dropout.
    max_steps, adapt_steps : int, default=500, 300
        Number of optimizer steps of ``fit`` and of ``adapt``.
    batch_size : int, default=50
        Number of rows of every subject in a step.
    learning_rate, weight_decay : float, default=1e-3, 1e-2
        Peak of the one-cycle schedule, and AdamW's decay.
    warmup : float, default=0.1
        Share of steps in which the learning rate rises.
    decay_norms : bool, default=False
        Decay the weights of layer norms too.
    calibrate : bool, default=True
        Rescale predictions, target by target, on the training rows.
    alphas : array-like of shape (n_alphas,) or None, default=None
        Penalties of the embedder that ``adapt`` fits in closed form; None: twenty around the mean
        eigenvalue of the voxels.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        1 shows a bar over steps, with the time that is left.
    device : str or torch.device, default="auto"
        Where the network is trained; results and the fitted model are on the CPU.

    Attributes
    ----------
    n_voxels_ : dict
        Number of voxels of each subject.
    n_constant_ : dict
        Number of constant voxels of each subject.
    network_ : torch.nn.Module
        The trained module, in eval mode.
    loss_curve_ : ndarray of shape (n_epochs,)
        Mean loss of each pass over the largest subject.
    subjects_ : list
        Names of the subjects, in the order of the network's embedders.
    linear_embedders_ : list of bool
        Whether each subject's embedder was fitted in closed form.
    scaling_ : dict of dict of ndarray
        Mean and scale of each subject's voxels.
    calibration_ : dict of dict of ndarray
        Slope and intercept of each subject's predictions, per coordinate of the targets.
    latent_map_ : dict of ndarray
        Ridge regression from coordinates of the targets to latents.
    target_space_ : dict
        Mean, basis and sizes of the coordinates in which targets are fitted.
    voxel_names_ : dict of (list of str or None)
        Names of the columns of X, by subject; absent where no subject has names.
    target_names_ : list of str
        Names of the columns of y; absent where they have none.
    n_features_in_ : int
        Only if fitted to one 2-D array, which is then subject 0.

    See Also
    --------
    CrossSubjectDecoder : The linear decoder with the same methods.

    Notes
    -----
    ``transform`` gives what the translator takes; ``score_candidates`` gives cosines.

    The network differs from the released code where `published` does not switch it back: rows find
    their subject by index; batches hold as many rows of each subject; the input is one row per
    stimulus (give trials as rows, or their mean).

    References
    ----------
    .. [1] S. Wang et al. (2024). MindBridge: A cross-subject brain decoding framework. CVPR,
       arXiv:2404.07850.

    Examples
    --------
    >>> from neuroml.decoding import MindBridgeDecoder
    >>> from neuroml.simulate import make_cohort
    >>> cohort = make_cohort(2, n_stimuli=60, n_test=10, n_voxels=(80, 100), random_state=0)
    >>> model = MindBridgeDecoder(hidden=32, max_steps=20, random_state=0).fit(cohort.X, cohort.y)
    >>> model.transform(cohort.X_test["s1"], subject="s1").shape
    (10, 32)
    """

    _parameter_constraints = {
        "heads": [dict, None],
        "target_rank": [Interval(Integral, 1, None, closed="left"), None],
        "center_targets": ["boolean"],
        "hidden": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 0, None, closed="left")],
        "adapter_rank": [Interval(Integral, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "block_dropout": [Interval(Real, 0, 1, closed="left")],
        "linear_builder": ["boolean"],
        "pooling": [StrOptions({"max", "average"}), None],
        "n_pool": [Interval(Integral, 1, None, closed="left")],
        "alpha_clip": [Interval(Real, 0, None, closed="left")],
        "alpha_cos": [Interval(Real, 0, None, closed="left"), StrOptions({"mse"})],
        "alpha_rec": [Interval(Real, 0, None, closed="left")],
        "alpha_cyc": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "noisy_cycle": ["boolean"],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "adapt_steps": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "decay_norms": ["boolean"],
        "calibrate": ["boolean"],
        "alphas": ["array-like", None],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
        "device": DEVICE,
    }

    def __init__(  # noqa: PLR0913 - estimator constructors are exempt
        self,
        *,
        heads: dict[str, int] | None = None,
        target_rank: int | None = None,
        center_targets: bool = True,
        hidden: int = 512,
        n_blocks: int = 2,
        adapter_rank: int = 0,
        dropout: float = 0.5,
        block_dropout: float = 0.15,
        linear_builder: bool = True,
        pooling: Literal["max", "average"] | None = None,
        n_pool: int = 8192,
        alpha_clip: float = 1.0,
        alpha_cos: float | Literal["mse"] = 1.0,
        alpha_rec: float = 0.0,
        alpha_cyc: float = 0.0,
        temperature: float = 0.05,
        noisy_cycle: bool = False,
        max_steps: int = 500,
        adapt_steps: int = 300,
        batch_size: int = 50,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        warmup: float = 0.1,
        decay_norms: bool = False,
        calibrate: bool = True,
        alphas: ArrayLike | None = None,
        random_state: Any = None,
        verbose: int = 0,
        device: Any = "auto",
    ) -> None:
        self.heads = heads
        self.target_rank = target_rank
        self.center_targets = center_targets
        self.hidden = hidden
        self.n_blocks = n_blocks
        self.adapter_rank = adapter_rank
        self.dropout = dropout
        self.block_dropout = block_dropout
        self.linear_builder = linear_builder
        self.pooling = pooling
        self.n_pool = n_pool
        self.alpha_clip = alpha_clip
        self.alpha_cos = alpha_cos
        self.alpha_rec = alpha_rec
        self.alpha_cyc = alpha_cyc
        self.temperature = temperature
        self.noisy_cycle = noisy_cycle
        self.max_steps = max_steps
        self.adapt_steps = adapt_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.decay_norms = decay_norms
        self.calibrate = calibrate
        self.alphas = alphas
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def to_frame(self) -> pd.DataFrame:
        """Return what has names beside the network's weights as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``subject``, ``unit`` (name or number of the column of
            X), ``coordinate`` (of the targets), ``epoch``, ``value``. Quantities: "mean" and
            "scale" of each unit, "slope" and "intercept" of each coordinate's calibration, "loss".
        """
        check_is_fitted(self)
        found: list[Quantity] = []
        for subject, scaling in self.scaling_.items():
            units = {"unit": unit_labels(self, subject)}
            for known in (scaling, self.calibration_.get(subject, {})):
                for name, values in known.items():
                    axes = units if known is scaling else {"coordinate": range(len(values))}
                    found.append(Quantity(name, values, axes, fixed={"subject": subject}))
        epochs = {"epoch": range(len(self.loss_curve_))}
        return long_frame([*found, Quantity("loss", self.loss_curve_, epochs)])

    @classmethod
    def published(cls, **overrides: Any) -> MindBridgeDecoder:
        """Return a decoder with the settings of the released code of MindBridge.

        The paper (S. Wang et al., 2024, CVPR) gives the losses and the sizes of the layers;
        everything else is set as its released code has it: four blocks of size 2048, adapters of
        rank 128, voxels max-pooled to 8192, all four losses, and four choices that the defaults
        here do not make, namely builders that cannot go clearly below zero, a cycle between latents
        after dropout, decayed layer norms, and targets that are not centered. The numbers of steps
        are those of four subjects with 8559 rows (13 200) and of 500 rows of a new subject (2000).
        Give ``source=`` to `adapt` for the published reset-tuning.

        The network, its losses and their gradients are those of the release. What differs:

        - Voxels are standardized before they are pooled; the release pools them as they come, so
          that there the most variable voxel of a window stands for it most of the time. With
          voxels of unequal variance, a window correlates with the release's by about .9.
        - The release multiplies its learning rate of 1.5e-4 by the number of processes and steps
          its schedule once in each: with eight, the peak is 1.2e-3 at 1,600 rows a step, the rate
          has decayed by step 1,647 of 13,200, and the rest is idle. Here the schedule lasts for
          ``max_steps`` and the peak is ``learning_rate``, as in the release with one process.
          ``learning_rate=1.2e-3, batch_size=400, max_steps=1647`` comes nearest to eight; each row
          then has 1,599 negatives, there 199.
        - The warm-up is that of pretraining, 2 of 600 epochs; in adaptation the release warms up
          for 2 of 200: ``set_params(warmup=0.01)`` before `adapt` does.
        - With one subject, the release builds no voxels and has no reconstruction loss; here they
          are trained unless ``alpha_rec=0``, which is the release's single subject.
        - The release keeps the last rows of an epoch as a smaller batch, split over subjects in
          equal parts, whosever the rows are; here each step draws ``batch_size`` rows of each, and
          the rows that are too few for a step come in another order in the next epoch.
        - "resize" pooling (interpolation) is left out; in the paper it is the worst of three (CLIP
          94.4, maximum 95.0).

        Parameters
        ----------
        **overrides
            Any parameter of the class.

        Returns
        -------
        MindBridgeDecoder

        Examples
        --------
        >>> from neuroml.decoding import MindBridgeDecoder
        >>> MindBridgeDecoder.published(n_pool=512).hidden
        2048
        """
        settings: dict[str, Any] = {
            "hidden": 2048,
            "n_blocks": 4,
            "adapter_rank": 128,
            "pooling": "max",
            "n_pool": 8192,
            "linear_builder": False,
            "noisy_cycle": True,
            "decay_norms": True,
            "center_targets": False,
            "calibrate": False,
            "alpha_cos": "mse",
            "alpha_rec": 1.0,
            "alpha_cyc": 1.0,
            "temperature": 0.005,
            "max_steps": 13_200,
            "adapt_steps": 2000,
            "learning_rate": 1.5e-4,
            "warmup": 2 / 600,
        }
        return cls(**(settings | overrides))

    def _check_settings(self) -> None:
        resolve_device(self.device)

    @own_torch_state()
    def _fit_subjects(
        self,
        X: dict[Subject, np.ndarray],
        y: dict[Subject, np.ndarray],
        folds: dict[Subject, np.ndarray | None],  # noqa: ARG002
    ) -> None:
        """Train embedders, builders, translator and heads on all subjects."""
        self.subjects_ = list(X)
        self.linear_embedders_ = [False] * len(X)
        self.scaling_ = {s: _scaling(part) for s, part in X.items()}
        # initial weights and training have streams of their own: other sizes, same batches
        weights_rng, rng = spawn_generators(self.random_state, 2)
        with seeded(weights_rng):
            self.network_ = self._build_module()
        inputs = {i: self._inputs(X[s], s) for i, s in enumerate(X)}
        self._train(inputs, dict(enumerate(y.values())), self.max_steps, rng)
        self.calibration_ = {s: self._calibrated(X[s], y[s], s) for s in X}
        self.latent_map_ = self._fit_latent_map(X, y)

    def adapt(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        subject: Subject,
        strategy: Literal["auto", "reset", "full", "ridge"] = "auto",
        source: tuple[Any, Any] | None = None,
        sessions: ArrayLike | None = None,
    ) -> MindBridgeDecoder:
        """Return a new model that also knows another subject, or knows one from other data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
        subject : hashable
        strategy : {"auto", "reset", "full", "ridge"}, default="auto"
            "reset" trains the subject's embedder and builder, from random weights, against the
            frozen rest; "full" trains everything; "ridge" fits a linear embedder in closed form to
            the latents that the frozen network has for such targets; "auto" is "reset" where
            builders are trained or a source is given, otherwise "ridge", which decodes better.
        source : (X, y) of known subjects, optional
            Rows of one of these join every step, as more negatives and for the cycle.
        sessions : array-like of shape (n_samples,), optional
            For the penalty of "ridge".

        Returns
        -------
        MindBridgeDecoder
            This model stays as it is, and the data of its subjects are not needed.

        Raises
        ------
        DataError
            If X and y do not fit together or with the targets of fit, there is no such strategy, or
            a source subject is not known.
        """
        strategies = ("auto", "reset", "full", "ridge")
        extended, voxels, coordinates, folds = self._extended(
            X, y, subject, strategy, strategies, sessions
        )
        trains_builder = self.alpha_rec or self.alpha_cyc or source is not None
        if strategy == "auto":
            strategy = "reset" if trains_builder else "ridge"
        extended._add_subject(voxels, coordinates, subject, strategy, source, folds)
        return extended

    @own_torch_state()
    def _add_subject(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subject: Subject,
        strategy: str,
        source: Any,
        folds: np.ndarray | None,
    ) -> None:
        """Place a subject in a copy of the network and fit it in one of the ways of `adapt`."""
        is_known, linear = subject in self.subjects_, strategy == "ridge"
        self.network_ = copy.deepcopy(self.network_)
        self.subjects_ = self.subjects_ if is_known else [*self.subjects_, subject]
        number = self.subjects_.index(subject)
        # "full" goes on from what is known of a subject; the others forget it
        if strategy != "full" or not is_known:
            self.scaling_ = self.scaling_ | {subject: _scaling(X)}
            others = self.linear_embedders_
            self.linear_embedders_ = [*others[:number], linear, *others[number + 1 :]]
            with seeded(spawn_generators(self.random_state, 4)[2]):
                self.network_.reset_subject(number, self._n_inputs(X.shape[1]), linear=linear)
        if linear:
            self._fit_embedder(X, y, subject, folds)
        else:
            self._tune(number, {subject: X}, {subject: y}, source, frozen=strategy == "reset")
        self.calibration_ = self.calibration_ | {subject: self._calibrated(X, y, subject)}

    def _tune(
        self,
        number: int,
        X: dict[Subject, np.ndarray],
        y: dict[Subject, np.ndarray],
        source: Any,
        *,
        frozen: bool,
    ) -> None:
        """Train on a subject's rows, and those of the sources, with the rest frozen or not."""
        if source is not None:
            source_X, source_y = check_cohort(copy.copy(self), *source, needs_y=True)
            unknown = [s for s in source_X if s not in self.subjects_]
            if unknown:
                raise DataError(
                    "source subjects are not in the model", expected=self.subjects_, found=unknown
                )
            X = source_X | X
            y = {s: self._encode_targets(part) for s, part in source_y.items()} | y
        if frozen:
            self.network_.freeze_others(number)
        numbers = {s: self.subjects_.index(s) for s in X}
        inputs = {numbers[s]: self._inputs(part, s) for s, part in X.items()}
        targets = {numbers[s]: part for s, part in y.items()}
        rng = spawn_generators(self.random_state, 4)[3]
        self._train(inputs, targets, self.adapt_steps, rng, target=number)
        self.network_.requires_grad_(True)

    def _train(
        self,
        inputs: dict[int, np.ndarray],
        targets: dict[int, np.ndarray],
        n_steps: int,
        rng: np.random.Generator,
        target: int | None = None,
    ) -> None:
        """Train what requires gradients, with the losses and the schedule of the parameters."""
        from neuroml.decoding._mindbridge_training import Objective, Schedule, fit_network

        by_mse = self.alpha_cos == "mse"
        objective = Objective(
            clip=self.alpha_clip,
            cosine=1.0 if isinstance(self.alpha_cos, str) else self.alpha_cos,
            cosine_scale=tuple(
                2 * _MSE_WEIGHT / size if by_mse else 1.0 for size in self._space.sizes
            ),
            reconstruction=self.alpha_rec,
            cycle=self.alpha_cyc,
            temperature=self.temperature,
            noisy_cycle=self.noisy_cycle,
        )
        schedule = Schedule(
            n_steps=n_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            decay_norms=self.decay_norms,
            verbose=self.verbose,
        )
        device = resolve_device(self.device)
        done = fit_network(
            self.network_, inputs, targets, objective, schedule, rng, device=device, target=target
        )
        self.loss_curve_ = np.array([entry["loss"] for entry in done.history])

    @own_torch_state()
    def _build_module(self) -> CrossSubjectNetwork:
        """The network of the parameters and subjects, with initial weights; also for the saver."""
        from neuroml.decoding._mindbridge_network import Architecture, CrossSubjectNetwork

        shape = Architecture(
            hidden=self.hidden,
            n_blocks=self.n_blocks,
            adapter_rank=self.adapter_rank,
            dropout=self.dropout,
            block_dropout=self.block_dropout,
            linear_builder=self.linear_builder,
        )
        sizes = [self._n_inputs(len(self.scaling_[s]["mean"])) for s in self.subjects_]
        network = CrossSubjectNetwork(sizes, self.linear_embedders_, self._space.sizes, shape)
        return network.eval()

    def _n_inputs(self, n_voxels: int) -> int:
        return n_voxels if self.pooling is None else self.n_pool

    def _inputs(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        """Standardized and, if asked, pooled voxels."""
        scaling = self.scaling_[subject]
        standard = (X - scaling["mean"]) / scaling["scale"]
        return standard if self.pooling is None else pool(standard, self.n_pool, self.pooling)

    def _run(self, X: np.ndarray, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """Latents and decoded coordinates, before calibration."""
        return self.network_.run(self.subjects_.index(subject), self._inputs(X, subject))

    def _calibrated(self, X: np.ndarray, y: np.ndarray, subject: Subject) -> dict[str, np.ndarray]:
        """Slope and intercept per coordinate: cosine losses leave the scale of the outputs free."""
        _, decoded = self._run(X, subject)
        # least squares of the truth on what is decoded, coordinate by coordinate
        centered = decoded - decoded.mean(axis=0)
        power = (centered**2).sum(axis=0)
        slope = (centered * y).sum(axis=0) / np.where(power > 0, power, 1.0)
        return {"slope": slope, "intercept": y.mean(axis=0) - slope * decoded.mean(axis=0)}

    def _fit_latent_map(
        self, X: dict[Subject, np.ndarray], y: dict[Subject, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The translator, inverted at the targets: ridge from coordinates to latents."""
        latents = np.concatenate([self._transform_subject(part, s) for s, part in X.items()])
        # whole subjects are left out, whose samples follow each other in time
        subjects = np.repeat(np.arange(len(y)), [len(part) for part in y.values()])
        pooled = np.concatenate(list(y.values())).astype(np.float64)
        known = Voxels.of(pooled, held_out_folds("auto", pooled, subjects))
        fitted = known.spectrum.solve(latents)
        coef, intercept = known.affine(fitted.weights, latents.mean(axis=0))
        return {"coef": coef, "intercept": intercept}

    def _fit_embedder(
        self, X: np.ndarray, y: np.ndarray, subject: Subject, folds: np.ndarray | None
    ) -> None:
        """Fit a linear embedder, in closed form, to the latents that belong to the targets."""
        latents = y @ self.latent_map_["coef"] + self.latent_map_["intercept"]
        voxels = Voxels.of(self._inputs(X, subject), folds)
        fitted = voxels.spectrum.solve(latents, check_penalties(self.alphas))
        coef, intercept = voxels.affine(fitted.weights, latents.mean(axis=0))
        self.network_.set_linear_embedder(self.subjects_.index(subject), coef, intercept)

    def _predict_coordinates(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        """Decoded coordinates, on the scale of the training targets if calibrated."""
        _, decoded = self._run(X, subject)
        if not self.calibrate:
            return decoded
        calibration = self.calibration_[subject]
        return decoded * calibration["slope"] + calibration["intercept"]

    def _transform_subject(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        return self._run(X, subject)[0]

    def _build_voxels(self, latents: np.ndarray, subject: Subject) -> np.ndarray:
        """Voxels in their own units; from pooled ones, each is the mean of its windows."""
        number = self.subjects_.index(subject)
        if not (self.alpha_rec or self.alpha_cyc) or self.linear_embedders_[number]:
            raise DataError(
                "the builder of this subject is not trained",
                expected="alpha_rec > 0 or alpha_cyc > 0, and a strategy other than 'ridge'",
                fix="Fit with alpha_rec=1, or use CrossSubjectDecoder.",
                subject=subject,
            )
        built = self.network_.build(number, latents)
        scaling = self.scaling_[subject]
        voxels = built if self.pooling is None else unpool(built, len(scaling["mean"]))
        return voxels * scaling["scale"] + scaling["mean"]

    def _score_coordinates(
        self, X: np.ndarray, gallery: np.ndarray, subject: Subject
    ) -> np.ndarray:
        # the likelihood of the contrastive loss: the softmax of these over all candidates
        return cosine_scores(self._run(X, subject)[1], gallery) / self.temperature

    @property
    def _n_features_out(self) -> int:
        return len(self.latent_map_["intercept"])


def _scaling(X: np.ndarray) -> dict[str, np.ndarray]:
    mean, scale = voxel_scaling(X)
    return {"mean": mean, "scale": scale}
