r"""A linear decoder that leans on the cohort: what brains carry, learned from others.

A subject's ridge regression gives two measurements of a sample: its targets and its shared
components (`_components`). Leave-one-out predictions, exact and in closed form, tell how good each
is. For the components, :math:`\hat c = g c + \epsilon`, :math:`\epsilon \sim N(0, N)`: gains are
pulled towards the cohort's, in the proportions of its decodability, with the weight of some tens of
samples, so that a few rows of a new subject suffice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuroml.decoding._components import Components
from neuroml.decoding._readouts import (
    cosine_scores,
    gains,
    measurement_scores,
    mix_predictions,
    mix_scores,
)
from neuroml.decoding._ridge_path import RidgeFit, Spectrum, decompose
from neuroml.decoding._subjects import voxel_scaling

__all__ = ["LinearDecoder", "Voxels", "fit_linear_decoder"]

_PRIOR_ROWS = 30.0
_DIAGONAL = 0.6
_MIXING_ROWS = 1000


@dataclass(frozen=True)
class LinearDecoder:
    """One subject's decoder; voxels enter in their own units.

    Attributes
    ----------
    coef : ndarray of shape (n_voxels, n_targets)
    intercept : ndarray of shape (n_targets,)
        Expected targets, stacked from ridge and the cohort's components.
    latent_coef : ndarray of shape (n_voxels, n_components)
    latent_intercept : ndarray of shape (n_components,)
        Decoded components, zero for the mean of the training data.
    latent_mean : ndarray of shape (n_components,)
        Mean of the true components in the training data.
    gain : ndarray of shape (n_components,)
    target_mean : ndarray of shape (n_targets,)
    axes : ndarray of shape (n_targets, n_components)
        From centered targets to components.
    whitener : ndarray of shape (n_components, n_components)
        ``whitener @ whitener.T`` is the precision of the noise of the decoded components.
    weights : ndarray of shape (2,)
        Of the cosine with the expected targets, and of the log-likelihood of the components.
    builder : ndarray of shape (n_components, n_voxels)
    builder_mean : ndarray of shape (n_voxels,)
        Expected voxels given components.
    """

    coef: np.ndarray
    intercept: np.ndarray
    latent_coef: np.ndarray
    latent_intercept: np.ndarray
    latent_mean: np.ndarray
    gain: np.ndarray
    target_mean: np.ndarray
    axes: np.ndarray
    whitener: np.ndarray
    weights: np.ndarray
    builder: np.ndarray
    builder_mean: np.ndarray

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected targets (n_samples, n_targets)."""
        return X @ self.coef + self.intercept

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Posterior mean of the components under a standard normal prior."""
        weighted = self.gain[:, None] * self.whitener
        posterior = np.linalg.inv(np.eye(len(self.gain)) + weighted @ weighted.T)
        decoded = X @ self.latent_coef + self.latent_intercept
        return self.latent_mean + decoded @ self.whitener @ weighted.T @ posterior

    def build(self, components: np.ndarray) -> np.ndarray:
        """Expected voxels (n_samples, n_voxels) given components."""
        return (components - self.latent_mean) @ self.builder + self.builder_mean

    def score_candidates(self, X: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Log-likelihood of candidates up to a constant per row (n_samples, n_candidates).

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_voxels)
        gallery : ndarray of shape (n_candidates, n_targets)
        """
        decoded = (X @ self.latent_coef + self.latent_intercept) @ self.whitener
        components = (gallery - self.target_mean) @ self.axes
        expected = ((components - self.latent_mean) * self.gain) @ self.whitener
        by_target = cosine_scores(self.predict(X), gallery)
        by_component = measurement_scores(decoded, expected)
        return self.weights[0] * by_target + self.weights[1] * by_component


@dataclass(frozen=True)
class Voxels:
    """Standardised voxels, decomposed, and what standardized them.

    Attributes
    ----------
    spectrum : Spectrum
    mean, scale : ndarray of shape (n_voxels,)
    """

    spectrum: Spectrum
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> Voxels:
        """Standardise and decompose (n_samples, n_voxels)."""
        mean, scale = voxel_scaling(X)
        return cls(decompose((X - mean) / scale), mean, scale)

    def affine(self, weights: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients and intercept in the voxels' own units."""
        coef = weights / self.scale[:, None]
        return coef, center - self.mean @ coef


def fit_linear_decoder(
    voxels: Voxels,
    y: np.ndarray,
    components: Components,
    alphas: np.ndarray | None = None,
    *,
    lean: bool = True,
) -> LinearDecoder:
    """Fit a subject's decoder given the cohort's components.

    Parameters
    ----------
    voxels : Voxels
    y : ndarray of shape (n_samples, n_targets)
    components : Components
        To lean on, they must be found without these rows: in rows that chose them, components look
        better than they are.
    alphas : ndarray of shape (n_alphas,), optional
        Penalties to choose from; see `Spectrum.default_alphas`.
    lean : bool
        Whether predictions and scores lean on the cohort; if not, they are plain ridge.
    """
    spectrum = voxels.spectrum
    penalties = spectrum.default_alphas() if alphas is None else alphas
    truth = components.encode(y)
    latent_mean = truth.mean(axis=0)
    priority = np.sqrt(components.decodability)
    direct = spectrum.solve(y, penalties)
    latent = _rescaled(spectrum.solve(truth * priority, penalties), priority)
    left_out = latent.left_out - latent_mean
    gain, whitener = _measurement(left_out, truth - latent_mean, components.decodability)
    expert = left_out @ components.patterns.T
    own = direct.left_out - y.mean(axis=0)
    share = mix_predictions([own, expert], y - y.mean(axis=0)) if lean else np.zeros(2)
    share = share if share.any() else np.array([1.0, 0.0])  # ridge where nothing can be predicted
    stacked = share[0] * direct.weights + share[1] * latent.weights @ components.patterns.T
    guess = y.mean(axis=0) + share[0] * own + share[1] * expert
    weights = np.array([1.0, 0.0])
    if lean:
        expected = ((truth - latent_mean) * gain) @ whitener
        weights = _score_weights(guess, y, left_out @ whitener, expected)
    back = decompose(truth - latent_mean)
    builder = back.solve(spectrum.X, back.default_alphas()).weights * voxels.scale
    coef, intercept = voxels.affine(stacked, y.mean(axis=0))
    latent_coef, latent_intercept = voxels.affine(latent.weights, np.zeros(len(gain)))
    return LinearDecoder(
        coef=coef,
        intercept=intercept,
        latent_coef=latent_coef,
        latent_intercept=latent_intercept,
        latent_mean=latent_mean,
        gain=gain,
        target_mean=components.mean,
        axes=components.axes,
        whitener=whitener,
        weights=weights,
        builder=builder,
        builder_mean=voxels.mean,
    )


def _rescaled(fit: RidgeFit, priority: np.ndarray) -> RidgeFit:
    """Undo the weighting of targets by which the penalty was chosen."""
    return RidgeFit(fit.weights / priority, fit.alpha, fit.errors, fit.left_out / priority)


def _measurement(
    left_out: np.ndarray, truth: np.ndarray, decodability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gains, pulled towards the cohort's profile, and the whitener of the noise."""
    own = gains(left_out, truth)
    profile = decodability * (own @ decodability) / (decodability @ decodability)
    power = (truth**2).sum(axis=0)
    gain = (power * own + _PRIOR_ROWS * profile) / (power + _PRIOR_ROWS)
    residual = left_out - gain * truth
    noise = residual.T @ residual / len(truth)
    level = np.diag(np.maximum(np.diag(noise), 1e-6 * np.diag(noise).max() + 1e-12))
    shrunk = (1 - _DIAGONAL) * noise + _DIAGONAL * level
    return gain, np.linalg.cholesky(np.linalg.inv(shrunk))


def _score_weights(
    guess: np.ndarray, y: np.ndarray, decoded: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Weights of the two scores by which rows would be told apart that were left out.

    The prior is the cosine alone at its best temperature. Its weight stays above zero, so that
    candidates are still ordered where nothing could be learned.
    """
    rows = np.unique(np.linspace(0, len(y) - 1, _MIXING_ROWS).astype(int))
    own = np.arange(len(rows))
    cosine = cosine_scores(guess[rows], y[rows])
    likelihood = measurement_scores(decoded[rows], expected[rows])
    sharpness = float(mix_scores([cosine], own, np.array([5.0]), 1e-3)[0])
    mixed = mix_scores([cosine * sharpness, likelihood], own, np.array([1.0, 0.0]), 1.0)
    return np.maximum(mixed * [sharpness, 1.0], [1e-3, 0.0])
