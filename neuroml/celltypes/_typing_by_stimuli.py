"""What a fitted set of stimuli is used for: typing new cells, and showing it on a display."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from neuroml._core.warn import warn_caller
from neuroml.celltypes._matching import (
    check_responses,
    correlate,
    mean_and_noise,
    posterior,
    standardize,
)

__all__ = ["TypingByStimuli"]


class TypingByStimuli:
    """Methods of `MostDiscriminativeStimuli` that work on its fitted attributes alone."""

    labels_: np.ndarray
    n_clusters_: int
    stimuli_: np.ndarray
    stimulus_axes_: str
    templates_: np.ndarray
    template_variance_: float
    train_mask_: np.ndarray
    response_scale_: np.ndarray
    display_range_: tuple[Any, Any]
    temperature: float
    window: int | None

    def predict(self, responses: ArrayLike) -> np.ndarray:
        """Type cells, which need not be those of the model, by responses to ``stimuli_``.

        Parameters
        ----------
        responses : array-like of shape (n_clusters_, n_cells) or (n_repeats, n_clusters_, n_cells)
            Responses to the stimuli in their order, like ``responses_``, in any unit: cells are
            compared after standardizing over stimuli. NaN marks what was not shown.

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
            warn_caller(
                f"{(~known).sum()} of {len(known)} cells answer alike to all stimuli they were "
                "shown and cannot be typed (label -1).",
                UserWarning,
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
        ndarray of shape (n_cells, n_clusters)
            NaN for cells that answer alike to all stimuli they were shown.

        Notes
        -----
        If a cell's standardized response vector scatters around its cluster's template with the
        variance :math:`\sigma^2` per stimulus, and clusters are equally likely,
        :math:`p_k \propto \exp(n \rho_k / \sigma^2)` with :math:`\rho_k` the correlation over the
        :math:`n` stimuli shown. :math:`\sigma^2` is ``template_variance_`` plus the variance of
        the mean over repeats; with a single repeat the noise is not known and the probabilities are
        too confident.
        """
        check_is_fitted(self)
        repeats = check_responses(responses, self.n_clusters_)
        mean, noise = mean_and_noise(repeats)
        scores = standardize(mean)
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
        ndarray of shape (n_clusters, n_cells)
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
