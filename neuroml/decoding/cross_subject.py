"""A linear decoder of several subjects, which takes on a new one from a few minutes of data."""

from __future__ import annotations

from numbers import Integral
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import Subject
from neuroml._core.estimator import Interval, StrOptions
from neuroml._core.frames import Quantity, long_frame
from neuroml.decoding._component_decoder import (
    ComponentDecoder,
    fit_component_decoder,
    pooled_weights,
)
from neuroml.decoding._components import Components, explained, shared_components
from neuroml.decoding._cross_subject_base import CrossSubjectBase
from neuroml.decoding._held_out_folds import CV_OPTIONS
from neuroml.decoding._ridge_path import Voxels, check_penalties
from neuroml.decoding._subjects import affine_quantities, check_correspondence

__all__ = ["CrossSubjectDecoder"]

# Fraction of the targets' mean variance below which a direction counts as noise. Measured:
# `constants` in tests/benchmarks/decoding/cross_subject.py. Top-1 retrieval of a new subject from
# 70 rows is 25.0, 25.5, 25.2, 24.3 and 22.3 % with 1e-4, 1e-3, 1e-2, 0.1 and 1.
_SHRINKAGE = 0.01


class CrossSubjectDecoder(CrossSubjectBase):
    r"""Decode embeddings, features or behaviour linearly, with a prior learned from a cohort.

    Subjects may differ in voxels, rows and stimuli. What they share are directions of the target
    space that brains carry: :math:`M a = \lambda C a` with the covariance C of the targets and the
    part M of it that left-out predictions explain, averaged over subjects. A sample is then a
    noisy measurement of a few dozen components, whose gains and noise can be estimated from few
    rows of a new subject, and a candidate is scored by its likelihood. This is combined with the
    subject's plain ridge regression by weights that left-out predictions decide. Everything
    is in closed form.

    Parameters
    ----------
    n_components : int, default=40
        Maximum number of shared components.
    alphas : array-like of shape (n_alphas,) or None, default=None
        Ridge penalties to choose from; None: twenty around the mean eigenvalue of the voxels.
    heads : dict of str to int or None, default=None
        Blocks of columns of y that are reduced to ``target_rank`` separately, such as
        ``{"image": 512, "text": 256}``.
    target_rank : int or None, default=None
        Fit in the leading principal components of each head's training targets. Needed for many
        thousands of targets, since (n_targets, n_targets) matrices are formed.
    center_targets : bool, default=True
        Subtract the mean of the training targets first, so that a constant scores nothing.
    cv : {"auto", "sessions", "blocks", "loo"}, default="auto"
        What is left out to choose penalties, gains and weights, as in `RidgeDecoder`.
    prior : {"none", "pooled"}, default="none"
        "pooled" where voxels correspond between subjects (an atlas, or a common space): each
        subject's map is also sought around the ridge regression of all other subjects, as near to
        it as left-out samples say. Without it voxels are not compared.

    Attributes
    ----------
    n_voxels_ : dict
        Number of voxels of each subject.
    n_constant_ : dict
        Number of constant voxels of each subject; they get no weight.
    components_ : dict of ndarray
        Mean, axes, patterns and decodability (share of variance that brains explain) of the shared
        components.
    decoders_ : dict of dict of ndarray
        The decoder of each subject. In ``fit`` its prior comes from the other subjects alone.
    maps_ : dict of dict of ndarray
        The map of each subject to the components of all subjects, and back.
    pooled_weights_ : ndarray of shape (n_voxels, n_coordinates)
        With ``prior="pooled"``: one map of all subjects, for standardized voxels.
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
    MindBridgeDecoder : The same methods around a neural network.

    Notes
    -----
    ``transform`` gives posterior means of the shared components under a standard normal prior.
    ``score_candidates`` gives log-likelihoods up to a constant per row.

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
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alphas": ["array-like", None],
        "heads": [dict, None],
        "target_rank": [Interval(Integral, 1, None, closed="left"), None],
        "center_targets": ["boolean"],
        "cv": [StrOptions(set(CV_OPTIONS))],
        "prior": [StrOptions({"none", "pooled"})],
    }
    _former_parameters = {
        "readout": "The network that readout='network' trained is MindBridgeDecoder now.",
    }

    def __init__(
        self,
        n_components: int = 40,
        *,
        alphas: ArrayLike | None = None,
        heads: dict[str, int] | None = None,
        target_rank: int | None = None,
        center_targets: bool = True,
        cv: str = "auto",
        prior: str = "none",
    ) -> None:
        self.n_components = n_components
        self.alphas = alphas
        self.heads = heads
        self.target_rank = target_rank
        self.center_targets = center_targets
        self.cv = cv
        self.prior = prior

    def _fit_subjects(
        self,
        X: dict[Subject, np.ndarray],
        y: dict[Subject, np.ndarray],
        folds: dict[Subject, np.ndarray | None],
    ) -> None:
        """Find the cohort's components, every subject's map to them, and its decoder."""
        alphas = check_penalties(self.alphas)
        voxels = {s: Voxels.of(part, folds[s]) for s, part in X.items()}
        # the part of each subject's targets that its own ridge explains, left-out samples say
        parts = {
            s: explained(y[s], part.spectrum.solve(y[s], alphas).left_out)
            for s, part in voxels.items()
        }
        shared = self._shared_components(y, parts)
        self.components_ = vars(shared)
        self.__dict__.pop("pooled_weights_", None)
        if self.prior == "pooled":
            check_correspondence(self)
            self.pooled_weights_ = pooled_weights(list(voxels.values()), list(y.values()), alphas)
        self.maps_, self.decoders_ = {}, {}
        for s in X:
            own = fit_component_decoder(voxels[s], y[s], shared, alphas, use_cohort=False)
            self.maps_[s] = self.decoders_[s] = vars(own)
            # components look better than they are in the rows that chose them: a subject's prior
            # comes from the others, and one without others is decoded by plain ridge
            if len(X) > 1:
                rest = [other for other in X if other != s]
                others = self._shared_components(
                    {o: y[o] for o in rest}, {o: parts[o] for o in rest}
                )
                pooled = None
                if self.prior == "pooled":
                    pooled = pooled_weights([voxels[o] for o in rest], [y[o] for o in rest], alphas)
                decoder = fit_component_decoder(voxels[s], y[s], others, alphas, pooled=pooled)
                self.decoders_[s] = vars(decoder)

    def _shared_components(
        self, y: dict[Subject, np.ndarray], parts: dict[Subject, np.ndarray]
    ) -> Components:
        """Components of subjects with targets y and explained parts."""
        n_components = min(self.n_components, next(iter(y.values())).shape[1])
        return shared_components(list(y.values()), list(parts.values()), n_components, _SHRINKAGE)

    def adapt(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        subject: Subject,
        strategy: Literal["auto", "ridge"] = "auto",
        sessions: ArrayLike | None = None,
    ) -> CrossSubjectDecoder:
        """Return a new model that also knows another subject, or knows one from other data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
        subject : hashable
        strategy : {"auto", "ridge"}, default="auto"
            "auto" uses the cohort as far as left-out predictions favor it; "ridge" is the
            subject's own ridge regression, the baseline.
        sessions : array-like of shape (n_samples,), optional

        Returns
        -------
        CrossSubjectDecoder
            This model stays as it is, and the data of its subjects are not needed.

        Raises
        ------
        DataError
            If X and y do not fit together or with the targets of fit, or there is no such strategy.
        """
        extended, voxels, coordinates, folds = self._extended(
            X, y, subject, strategy, ("auto", "ridge"), sessions
        )
        if self.prior == "pooled":
            check_correspondence(extended)
        decoder = vars(
            fit_component_decoder(
                Voxels.of(voxels, folds),
                coordinates,
                Components(**self.components_),
                check_penalties(self.alphas),
                use_cohort=strategy == "auto",
                pooled=getattr(self, "pooled_weights_", None),
            )
        )
        extended.maps_ = self.maps_ | {subject: decoder}
        extended.decoders_ = self.decoders_ | {subject: decoder}
        return extended

    def to_frame(self) -> pd.DataFrame:
        """Return the decoders of all subjects as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``subject``, ``unit`` and ``target`` (names of the
            columns of X and y, or their numbers), ``component``, ``value``. Quantities: "weight"
            and "intercept" of `predict`, in the units of X and y, and "decodability" of the shared
            components.
        """
        check_is_fitted(self)
        found: list[Quantity] = []
        for subject, decoder in self.decoders_.items():
            coef, basis = decoder["coef"], self._space.basis
            weights = coef if basis is None else coef @ basis.T
            found += affine_quantities(
                self, subject, weights, self._space.decode(decoder["intercept"])
            )
        shares = self.components_["decodability"]
        return long_frame(
            [*found, Quantity("decodability", shares, {"component": range(len(shares))})]
        )

    def _predict_coordinates(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        return ComponentDecoder(**self.decoders_[subject]).predict(X)

    def _transform_subject(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        return ComponentDecoder(**self.maps_[subject]).transform(X)

    def _build_voxels(self, latents: np.ndarray, subject: Subject) -> np.ndarray:
        return ComponentDecoder(**self.maps_[subject]).build(latents)

    def _score_coordinates(
        self, X: np.ndarray, gallery: np.ndarray, subject: Subject
    ) -> np.ndarray:
        return ComponentDecoder(**self.decoders_[subject]).score_candidates(X, gallery)

    @property
    def _n_features_out(self) -> int:
        return len(next(iter(self.maps_.values()))["latent_mean"])
