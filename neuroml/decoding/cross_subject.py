"""One decoder for many brains, which takes on a new one from a few minutes of data."""

from __future__ import annotations

import copy
import importlib
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import (
    Subject,
    align_targets,
    check_cohort,
    check_known,
    check_subject,
    map_subjects,
)
from neuroml._core.estimator import (
    DEVICE,
    RANDOM_STATE,
    Estimator,
    Interval,
    StrOptions,
    TableOutputMixin,
    resolve_device,
    validated_fit,
)
from neuroml._core.validation import one_array
from neuroml.decoding._ridge_path import check_penalties
from neuroml.decoding._subjects import CohortRegressorMixin, warn_constant
from neuroml.decoding._targets import TargetSpace, fit_target_space, head_sizes
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CrossSubjectDecoder"]

Strategy = Literal["auto", "reset", "full", "ridge"]
_PATHS = {
    "linear": "neuroml.decoding._linear_path",
    "network": "neuroml.decoding._network_path",
}


class CrossSubjectDecoder(
    CohortRegressorMixin, ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator
):
    r"""Decode embeddings, features or behaviour from subjects with voxels of their own.

    Subjects may differ in voxels, rows and stimuli. With ``readout="linear"``, the default, a
    subject's ridge regression leans on what the cohort shares: the directions of the target space
    that brains carry, :math:`M a = \lambda C a` with the covariance C of the targets and the part M
    of it that leave-one-out predictions explain, averaged over subjects. A sample is then a noisy
    measurement of a few dozen components whose gains and noise a new subject's few rows suffice to
    estimate, and a candidate is scored by its likelihood. Weights chosen on leave-one-out
    predictions combine this with plain ridge. Everything is in closed form.

    With ``readout="network"``, the network of MindBridge [1]_ is trained: an embedder and a builder
    per subject, a translator and heads for all; see `mindbridge` for the published settings.

    Parameters
    ----------
    readout : {"linear", "network"}, default="linear"
    n_components : int, default=40
        Linear: the most shared components.
    alphas : array-like of shape (n_alphas,) or None, default=None
        Ridge penalties to choose from; None: twenty around the mean eigenvalue of the voxels.
    heads : dict of str to int or None, default=None
        Blocks of columns of y with losses of their own, such as ``{"image": 512, "text": 256}``.
    target_rank : int or None, default=None
        Fit in the leading principal components of each head's training targets. Needed for many
        thousands of targets: the linear readout forms (n_targets, n_targets) matrices.
    center_targets : bool, default=True
        Subtract the mean of the training targets first, so that a constant scores nothing.
    hidden, n_blocks : int, default=512, 2
        Network: size of the latent space, residual blocks of the translator.
    adapter_rank : int, default=0
        Bottlenecks beside the voxels; 0 for none.
    dropout, block_dropout : float, default=0.5, 0.15
        After the embedder, and in the translator.
    linear_builder : bool, default=True
    pooling : {"max", "average"} or None, default=None
        Pool standardized voxels, in the order they come in, to ``n_pool`` values.
    n_pool : int, default=8192
    alpha_clip : float, default=1.0
        Weight of the contrastive loss.
    alpha_cos : float or "mse", default=1.0
        Weight of one minus the cosine; "mse" is :math:`2 \times 10^4 / n_{targets}`, the released
        code's weight on the mean squared error of unit vectors.
    alpha_rec, alpha_cyc : float, default=0.0
        Weights of reconstruction, and of the cycle from one subject's latents through another's
        voxels.
    tau : float, default=0.05
        Temperature of the contrastive loss.
    noisy_cycle : bool, default=False
        Compare the cycle's latents after dropout.
    max_steps, adapt_steps : int, default=500, 300
        Optimiser steps of fit and of adapt.
    batch_size : int, default=50
        Rows of every subject in a step.
    lr, weight_decay : float, default=1e-3, 1e-2
        Peak of the one-cycle schedule, and AdamW's decay.
    warmup : float, default=0.1
        Share of steps in which the learning rate rises.
    decay_norms : bool, default=False
        Decay the weights of layer norms too.
    calibrate : bool, default=True
        Rescale the network's predictions, target by target, on the training rows.
    random_state : int, RandomState, Generator or None, default=None
    device : str or torch.device, default="auto"
        Where the network is trained; results and the fitted model are on the CPU.

    Attributes
    ----------
    n_voxels_ : dict
        Voxels of each subject.
    n_constant_ : dict
        Constant voxels of each subject; they get no weight.
    components_ : dict of ndarray
        Linear: mean, axes, patterns and decodability (share of variance that brains explain) of the
        shared components.
    decoders_ : dict of dict of ndarray
        Linear: the decoder of each subject, which leans on components of the other ones.
    maps_ : dict of dict of ndarray
        Linear: the way of each subject to the components of all, and back.
    network_ : torch.nn.Module
        Network: the trained module, in eval mode.
    loss_curve_ : ndarray of shape (n_epochs,)
        Network: mean loss of each pass over the largest subject.
    voxel_names_ : dict of (list of str or None)
        Of the columns of X, by subject; absent where no subject has names.
    target_names_ : list of str
        Of the columns of y; absent where they have no names.
    n_features_in_ : int
        Only if fitted to one 2-D array, which is then subject 0.

    Notes
    -----
    The network differs from the released code where `mindbridge` does not switch it back: rows find
    their subject by index; batches hold as many rows of each subject; the input is one row per
    stimulus (give trials as rows, or their mean).

    References
    ----------
    .. [1] S. Wang et al. (2024). MindBridge: A cross-subject brain decoding framework. CVPR,
       arXiv:2404.07850.

    Examples
    --------
    >>> from neuroml.decoding import CrossSubjectDecoder
    >>> from neuroml.simulate import make_cohort
    >>> cohort = make_cohort(3, n_stimuli=150, n_test=40, n_voxels=(80, 100), random_state=0)
    >>> new = cohort.X.pop("s3"), cohort.y.pop("s3")
    >>> model = CrossSubjectDecoder().fit(cohort.X, cohort.y)
    >>> adapted = model.adapt(new[0][:50], new[1][:50], subject="s3")
    >>> adapted.retrieve(cohort.X_test["s3"], cohort.y_test, subject="s3", k=5).shape
    (40, 5)
    """

    _parameter_constraints = {
        "readout": [StrOptions(set(_PATHS))],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alphas": ["array-like", None],
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
        "tau": [Interval(Real, 0, None, closed="neither")],
        "noisy_cycle": ["boolean"],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "adapt_steps": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "decay_norms": ["boolean"],
        "calibrate": ["boolean"],
        "random_state": RANDOM_STATE,
        "device": DEVICE,
    }

    def __init__(  # noqa: PLR0913 - estimator constructors are exempt
        self,
        readout: Literal["linear", "network"] = "linear",
        *,
        n_components: int = 40,
        alphas: ArrayLike | None = None,
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
        tau: float = 0.05,
        noisy_cycle: bool = False,
        max_steps: int = 500,
        adapt_steps: int = 300,
        batch_size: int = 50,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        warmup: float = 0.1,
        decay_norms: bool = False,
        calibrate: bool = True,
        random_state: Any = None,
        device: Any = "auto",
    ) -> None:
        self.readout = readout
        self.n_components = n_components
        self.alphas = alphas
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
        self.tau = tau
        self.noisy_cycle = noisy_cycle
        self.max_steps = max_steps
        self.adapt_steps = adapt_steps
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.decay_norms = decay_norms
        self.calibrate = calibrate
        self.random_state = random_state
        self.device = device

    @classmethod
    def mindbridge(cls, **overrides: Any) -> CrossSubjectDecoder:
        """The published model and training, as the released code has them.

        Four blocks of 2048, adapters of rank 128, voxels max-pooled to 8192, all four losses, and
        what the code does though it helps nobody, each a switch: a builder that cannot go below
        zero, a cycle between latents after dropout, decayed layer norms, targets that are not
        centered. Steps are those of four subjects with 8559 rows (13 200) and of 500 rows of a new
        one (2000). Give ``source=`` to `adapt` for the published reset-tuning.

        Parameters
        ----------
        **overrides
            Any parameter of the class.

        Examples
        --------
        >>> from neuroml.decoding import CrossSubjectDecoder
        >>> CrossSubjectDecoder.mindbridge(n_pool=512).hidden
        2048
        """
        published: dict[str, Any] = {
            "readout": "network",
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
            "tau": 0.005,
            "max_steps": 13_200,
            "adapt_steps": 2000,
            "lr": 1.5e-4,
            "warmup": 0.01,
        }
        return cls(**(published | overrides))

    @validated_fit
    def fit(self, X: Any, y: Any, *, groups: ArrayLike | None = None) -> CrossSubjectDecoder:
        """Fit what subjects share, and every subject's own part.

        Parameters
        ----------
        X : dict, list, 2-D array or object array of rows
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
            ``{subject: (n_samples_s, n_voxels_s)}``; the subjects of a list are 0, 1, ..., one
            array is the subject 0, or has several with ``groups``.
        y : like X
            Targets (n_samples_s, n_targets) or (n_samples_s,).
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If subjects, rows or values of X and y do not fit together.

        Warns
        -----
        UserWarning
            If voxels are constant.
        """
        if self.device != "auto":  # the linear readout does without torch
            resolve_device(self.device)
        data, targets = check_cohort(self, X, y, groups=groups, needs_y=True)
        self.n_constant_ = warn_constant(data)
        columns = {s: part.reshape(len(part), -1) for s, part in targets.items()}
        pooled = np.concatenate(list(columns.values())).astype(np.float64, copy=False)
        self.target_ndim_ = next(iter(targets.values())).ndim
        space = fit_target_space(
            pooled,
            head_sizes(self.heads, pooled.shape[1]),
            self.target_rank,
            center=self.center_targets,
        )
        self.target_space_ = vars(space)
        self._path.fit(self, data, {s: space.encode(part) for s, part in columns.items()})
        return self

    def adapt(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        subject: Subject,
        strategy: Strategy = "auto",
        source: tuple[Any, Any] | None = None,
    ) -> CrossSubjectDecoder:
        """Return a new model that also knows another subject, or knows one from other data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
        subject : hashable
        strategy : {"auto", "reset", "full", "ridge"}, default="auto"
            Linear readout: "auto" (or "reset": nothing but the subject's own part is ever fitted)
            leans on the cohort as far as leave-one-out predictions say; "ridge" is the subject's
            own ridge, the baseline; there is no "full". Network: "reset" trains the subject's
            embedder and builder, from random weights, against the frozen rest; "full" trains
            everything; "ridge" fits a linear embedder in closed form to the latents that the frozen
            network has for such targets; "auto" is "reset" where builders are trained or a source
            is given, otherwise "ridge", which decodes better.
        source : (X, y) of known subjects, optional
            Network: rows of one of these join every step, as more negatives and for the cycle.

        Returns
        -------
        CrossSubjectDecoder
            This model stays as it is, and the data of its subjects are not needed.

        Raises
        ------
        DataError
            If X and y do not fit together or with the targets of fit.
        ValueError
            If the readout does not have the strategy.
        """
        check_is_fitted(self)
        if strategy not in self._path.STRATEGIES:
            raise ValueError(
                f"strategy must be one of {sorted(self._path.STRATEGIES)} with readout="
                f"{self.readout!r}, got {strategy!r}."
            )
        extended = copy.copy(self)
        data, targets = check_cohort(
            extended, {subject: X}, {subject: y}, needs_y=True, extend=True
        )
        extended.n_constant_ = self.n_constant_ | warn_constant(data)
        coordinates = self._encode_targets(targets[subject])
        self._path.adapt(extended, data[subject], coordinates, subject, strategy, source)
        return extended

    def predict(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Expected targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels), or dict, or rows with groups
        subject : hashable, optional
            Whose data one array is; not needed if the model knows only one.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        ndarray of shape (n_samples, n_targets) or (n_samples,), or a dict of such

        Raises
        ------
        DataError
            If the subject is not known (the message names those that are) or has other voxels.
        """

        def one(s: Subject, part: np.ndarray) -> np.ndarray:
            decoded = self._space.decode(self._path.predict(self, s, part))
            return decoded if self.target_ndim_ == 2 else decoded[:, 0]

        return map_subjects(self, X, one, subject=subject, groups=groups)

    def transform(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Shared latents.

        Parameters
        ----------
        X, subject, groups
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_latents), or a dict of such
            Linear: posterior means of the shared components. Network: what the translator takes.
        """
        return map_subjects(
            self,
            X,
            lambda s, part: self._path.transform(self, s, part),
            subject=subject,
            groups=groups,
        )

    @property
    def _n_features_out(self) -> int:
        if self.readout == "network":
            return len(self.latent_map_["intercept"])
        return len(next(iter(self.maps_.values()))["latent_mean"])

    def inverse_transform(self, latents: ArrayLike, *, subject: Subject) -> np.ndarray:
        """Expected voxels of a subject.

        Parameters
        ----------
        latents : array-like of shape (n_samples, n_latents)
            From `transform`.
        subject : hashable

        Returns
        -------
        ndarray of shape (n_samples, n_voxels)
            In the units of the subject's training data.

        Raises
        ------
        DataError
            If the subject is not known or its builder was not trained.
        """
        check_is_fitted(self)
        known = check_known(self.n_voxels_, subject)
        return self._path.build(self, known, check_array(one_array(latents, "latents")))

    def synthesize(self, X: ArrayLike, *, source: Subject, target: Subject) -> np.ndarray:
        """What the target's voxels would have been where the source's were X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels_of_source)
        source, target : hashable

        Returns
        -------
        ndarray of shape (n_samples, n_voxels_of_target)
        """
        return self.inverse_transform(self.transform(X, subject=source), subject=target)

    def score_candidates(
        self, X: ArrayLike, gallery: ArrayLike, *, subject: Subject | None = None
    ) -> np.ndarray:
        """How well each candidate fits each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        gallery : array-like of shape (n_candidates, n_targets)
        subject : hashable, optional

        Returns
        -------
        ndarray of shape (n_samples, n_candidates)
            Linear: log-likelihoods up to a constant per row. Network: cosines.
        """
        known, checked = check_subject(self, X, subject)
        given = one_array(align_targets(self, gallery, field="gallery"), "gallery")
        candidates = self._encode_targets(check_array(given, ensure_2d=self.target_ndim_ == 2))
        return self._path.score_candidates(self, known, checked, candidates)

    def retrieve(
        self, X: ArrayLike, gallery: ArrayLike, *, subject: Subject | None = None, k: int = 1
    ) -> np.ndarray:
        """The k best candidates of each sample, best first.

        Parameters
        ----------
        X, gallery, subject
            As in `score_candidates`.
        k : int, default=1

        Returns
        -------
        ndarray of int of shape (n_samples, k)
            Rows of the gallery.
        """
        scores = self.score_candidates(X, gallery, subject=subject)
        if not 1 <= k <= scores.shape[1]:
            raise ValueError(f"k must lie between 1 and the {scores.shape[1]} candidates, got {k}.")
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]

    def _encode_targets(self, targets: np.ndarray) -> np.ndarray:
        """Coordinates of targets, which must have the columns of fit."""
        columns = targets.reshape(len(targets), -1)
        if columns.shape[1] != len(self._space.mean):
            raise DataError(
                "other targets than in fit",
                expected=f"{len(self._space.mean)} columns",
                found=columns.shape[1],
                field="y",
            )
        return self._space.encode(columns)

    @property
    def _space(self) -> TargetSpace:
        return TargetSpace(**self.target_space_)

    @property
    def _path(self) -> Any:
        """The functions of the readout; torch is imported only where it is used."""
        return importlib.import_module(_PATHS[self.readout])

    def _penalties(self) -> np.ndarray | None:
        return None if self.alphas is None else check_penalties(self.alphas)

    def _build_module(self) -> nn.Module:
        """A module for the saver to fill with weights."""
        return self._path.build_module(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
