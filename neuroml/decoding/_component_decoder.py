r"""A subject's linear decoder with a cohort prior: ridge, stacked with shared components.

A subject's ridge regression gives two measurements of a sample: its targets and its shared
components (`_components`). Exact left-out predictions, in closed form, tell how good each is.
The decoded components are modelled as :math:`\hat c = g c + \epsilon`, :math:`\epsilon \sim
N(0, N)`. The gains are shrunk towards the cohort's, in the proportions of its decodability, with
the weight of some tens of samples, so that a few rows of a new subject suffice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neuroml.decoding._candidate_scores import (
    cosine_scores,
    measurement_model,
    measurement_scores,
    mixing_weights,
)
from neuroml.decoding._components import Components
from neuroml.decoding._ridge_path import RidgeFit, Spectrum, Voxels, decompose, stacking_weights

__all__ = ["ComponentDecoder", "fit_component_decoder", "pooled_weights"]

# Measured: `constants` in tests/benchmarks/decoding/cross_subject.py (worlds 1234 and 1235, small).
# Two weights need few rows; the scores of 1000 rows for 1000 candidates take 8 MB each.
_MIXING_ROWS = 1000
# The cosine's inverse temperature is searched from 5, under a prior so flat that going to 50 costs
# one nat in all (1e-3 / 2 x 45^2). The problem is concave: with 1 or 25, or a precision of 1e-5 or
# 0.1, top-1 is the same within 0.1 points.
_INVERSE_TEMPERATURE = 5.0
_FLAT_PRECISION = 1e-3
# Only breaks ties where nothing was learned; 0 gives the same top-1 within 0.1 points.
_LEAST_COSINE_WEIGHT = 1e-3


@dataclass(frozen=True)
class ComponentDecoder:
    """One subject's decoder; voxels enter in their own units.

    Attributes
    ----------
    coef : ndarray of shape (n_voxels, n_targets)
    intercept : ndarray of shape (n_targets,)
        Give the expected targets: ridge, stacked with the posterior mean of the components.
    latent_coef : ndarray of shape (n_voxels, n_components)
    latent_intercept : ndarray of shape (n_components,)
        Give the decoded components, which are zero for the mean of the training data.
    latent_mean : ndarray of shape (n_components,)
        Mean of the true components in the training data.
    gain : ndarray of shape (n_components,)
        Ratio of decoded to true components.
    target_mean : ndarray of shape (n_targets,)
    axes : ndarray of shape (n_targets, n_components)
        Map centered targets to components.
    whitener : ndarray of shape (n_components, n_components)
        ``whitener @ whitener.T`` is the precision of the noise of the decoded components.
    weights : ndarray of shape (2,)
        Weights of the cosine with the expected targets and of the components' log-likelihood.
    builder : ndarray of shape (n_components, n_voxels)
    builder_mean : ndarray of shape (n_voxels,)
        Give the expected voxels of components.
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
        decoded = X @ self.latent_coef + self.latent_intercept
        return self.latent_mean + decoded @ _posterior(self.gain, self.whitener)

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
        # decoded and true components in units of the noise, so that its covariance is the identity
        decoded = (X @ self.latent_coef + self.latent_intercept) @ self.whitener
        components = (gallery - self.target_mean) @ self.axes
        expected = ((components - self.latent_mean) * self.gain) @ self.whitener
        by_target = cosine_scores(self.predict(X), gallery)
        by_component = measurement_scores(decoded, expected)
        return self.weights[0] * by_target + self.weights[1] * by_component


def _posterior(gain: np.ndarray, whitener: np.ndarray) -> np.ndarray:
    """Map (n_components, n_components) of decoded components to the mean of the true ones."""
    # with the gains G and the noise's precision P = L L^T, the posterior's covariance is
    # (I + G P G)^-1, and its mean is d P G (I + G P G)^-1 for the decoded components d
    weighted = gain[:, None] * whitener  # G L
    return whitener @ weighted.T @ np.linalg.inv(np.eye(len(gain)) + weighted @ weighted.T)


def fit_component_decoder(
    voxels: Voxels,
    y: np.ndarray,
    components: Components,
    alphas: np.ndarray | None = None,
    *,
    use_cohort: bool = True,
    pooled: np.ndarray | None = None,
) -> ComponentDecoder:
    """Fit a subject's decoder given the cohort's components.

    Parameters
    ----------
    voxels : Voxels
    y : ndarray of shape (n_samples, n_targets)
    components : Components
        With ``use_cohort``, they must be found without these rows: components look better than they
        are in the rows that chose them.
    alphas : ndarray of shape (n_alphas,), optional
        Penalties to choose from; see `Spectrum.default_alphas`.
    use_cohort : bool
        Whether predictions and scores use the cohort's components; without it they are plain ridge.
    pooled : ndarray of shape (n_voxels, n_targets), optional
        What `pooled_weights` of other subjects gave, where voxels correspond.
    """
    spectrum = voxels.spectrum
    truth = components.encode(y)
    latent_mean = truth.mean(axis=0)

    # two ridge regressions: to the targets, and to the components; weighted by the root of their
    # decodability, the components that brains carry best decide which penalty the latter has
    priority = np.sqrt(components.decodability)
    direct = spectrum.solve(y, alphas)
    latent = _unweighted(spectrum.solve(truth * priority, alphas), priority)

    # gains and noise of the decoded components, from left-out predictions
    left_out = latent.left_out - latent_mean
    gain, whitener = measurement_model(left_out, truth - latent_mean, components.decodability)

    # expected targets: the regressions, stacked by their left-out predictions
    found = [(direct.left_out - y.mean(axis=0), direct.weights)]
    if use_cohort:
        back = _posterior(gain, whitener) @ components.patterns.T
        found.append((left_out @ back, latent.weights @ back))
    around = pooled if use_cohort else None
    expected_y, weights = _stacked(found, spectrum, y - y.mean(axis=0), around, alphas)
    predicted = y.mean(axis=0) + expected_y

    # how candidates are scored: by the cosine with what is expected, and by the components
    score_weights = np.array([1.0, 0.0])
    if use_cohort:
        expected = ((truth - latent_mean) * gain) @ whitener
        score_weights = _score_weights(predicted, y, left_out @ whitener, expected)

    # the way back: ridge from components to voxels
    back_fit = replace(decompose(truth - latent_mean), folds=spectrum.folds)
    builder = back_fit.solve(spectrum.X).weights * voxels.scale

    coef, intercept = voxels.affine(weights, y.mean(axis=0))
    latent_coef, latent_intercept = voxels.affine(latent.weights, np.zeros(len(gain)))
    return ComponentDecoder(
        coef=coef,
        intercept=intercept,
        latent_coef=latent_coef,
        latent_intercept=latent_intercept,
        latent_mean=latent_mean,
        gain=gain,
        target_mean=components.mean,
        axes=components.axes,
        whitener=whitener,
        weights=score_weights,
        builder=builder,
        builder_mean=voxels.mean,
    )


def _stacked(
    found: list[tuple[np.ndarray, np.ndarray]],
    spectrum: Spectrum,
    centered: np.ndarray,
    pooled: np.ndarray | None,
    alphas: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Stack regressions, given as left-out predictions and weights: the same of the result.

    The first is taken alone where nothing can be predicted.
    """
    prior = None
    if pooled is not None:
        # ridge around the cohort's map, and that map alone, which is what no data would leave
        offset = spectrum.X @ pooled
        rest = spectrum.solve(centered - offset, alphas)
        found = [*found, (offset + rest.left_out, pooled + rest.weights), (offset, pooled)]
        prior = np.eye(len(found))[-1]
    share = np.eye(len(found))[0]
    if len(found) > 1:
        stacked = stacking_weights([one for one, _ in found], centered, prior)
        share = stacked if stacked.any() else share
    predictions, weights = (
        sum(s * part for s, part in zip(share, parts, strict=True))
        for parts in zip(*found, strict=True)
    )
    return np.asarray(predictions), np.asarray(weights)


def pooled_weights(
    parts: list[Voxels], targets: list[np.ndarray], alphas: np.ndarray | None = None
) -> np.ndarray:
    """One ridge regression for all subjects, whose voxels correspond.

    Each subject's voxels are standardized, and its targets centered, by its own means; the penalty
    is the one that is best for subjects that are left out.

    Parameters
    ----------
    parts : list of Voxels
    targets : list of ndarray of shape (n_samples_s, n_targets)

    Returns
    -------
    ndarray of shape (n_voxels, n_targets)
        For standardized voxels.
    """
    X = np.concatenate([part.spectrum.X for part in parts])
    y = np.concatenate([part - part.mean(axis=0) for part in targets])
    folds = np.repeat(np.arange(len(parts)), [len(part) for part in targets])
    return decompose(X, folds if len(parts) > 1 else None).solve(y, alphas).weights


def _unweighted(fit: RidgeFit, priority: np.ndarray) -> RidgeFit:
    """Undo the weighting of targets by which the penalty was chosen."""
    return replace(fit, weights=fit.weights / priority, left_out=fit.left_out / priority)


def _score_weights(
    predicted: np.ndarray, y: np.ndarray, decoded: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Weights of the two scores, from how well left-out predictions pick their own targets.

    Parameters
    ----------
    predicted, y : ndarray of shape (n_samples, n_targets)
        Leave-one-out predictions and the truth.
    decoded, expected : ndarray of shape (n_samples, n_components)
        Leave-one-out predictions and noiseless measurements of the truth, in units of the noise.
    """
    rows = np.unique(np.linspace(0, len(y) - 1, _MIXING_ROWS).astype(int))
    own = np.arange(len(rows))
    cosine = cosine_scores(predicted[rows], y[rows])
    likelihood = measurement_scores(decoded[rows], expected[rows])
    # the inverse temperature at which the cosine alone is best
    start = np.array([_INVERSE_TEMPERATURE])
    sharpness = float(mixing_weights([cosine], own, start, _FLAT_PRECISION)[0])
    # both together, with the cosine alone as the prior, of unit precision: each score is now in
    # log-likelihoods, in which weights of about 1 are natural
    prior = np.array([1.0, 0.0])
    mixed = mixing_weights([cosine * sharpness, likelihood], own, prior, 1.0)
    # the cosine's weight stays above zero: candidates are ordered where nothing could be learned
    return np.maximum(mixed * [sharpness, 1.0], [_LEAST_COSINE_WEIGHT, 0.0])
