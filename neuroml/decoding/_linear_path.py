"""What `CrossSubjectDecoder` does with ``readout="linear"``: closed forms, no training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroml.decoding._components import Components, explained, shared_components
from neuroml.decoding._linear_cohort import LinearDecoder, Voxels, fit_linear_decoder
from neuroml.decoding._subjects import Subject

if TYPE_CHECKING:
    from neuroml.decoding.cross_subject import CrossSubjectDecoder

__all__ = ["adapt", "build", "fit", "predict", "score_candidates", "transform"]

STRATEGIES = {"auto": True, "ridge": False}
_SHRINKAGE = 0.01


def fit(
    model: CrossSubjectDecoder, X: dict[Subject, np.ndarray], y: dict[Subject, np.ndarray]
) -> None:
    """Find the cohort's components, then fit every subject's decoder given them."""
    alphas = model._penalties()
    voxels = {s: Voxels.of(part) for s, part in X.items()}
    parts = []
    for s, part in voxels.items():
        penalties = part.spectrum.default_alphas() if alphas is None else alphas
        parts.append(explained(y[s], part.spectrum.solve(y[s], penalties).left_out))
    n_components = min(model.n_components, y[next(iter(y))].shape[1])
    shared = shared_components(list(y.values()), parts, n_components, _SHRINKAGE)
    model.components_ = vars(shared)
    model.decoders_ = {s: vars(fit_linear_decoder(voxels[s], y[s], shared, alphas)) for s in X}


def adapt(
    model: CrossSubjectDecoder,
    X: np.ndarray,
    y: np.ndarray,
    subject: Subject,
    strategy: str,
    _source: Any,
) -> None:
    """Fit the decoder of a new subject given the cohort's components."""
    shared = Components(**model.components_)
    lean = STRATEGIES[strategy]
    decoder = fit_linear_decoder(Voxels.of(X), y, shared, model._penalties(), lean=lean)
    model.decoders_ = model.decoders_ | {subject: vars(decoder)}


def _decoder(model: CrossSubjectDecoder, subject: Subject) -> LinearDecoder:
    return LinearDecoder(**model.decoders_[subject])


def predict(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Expected coordinates of the targets."""
    return _decoder(model, subject).predict(X)


def transform(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Posterior mean of the shared components."""
    return _decoder(model, subject).transform(X)


def build(model: CrossSubjectDecoder, subject: Subject, latents: np.ndarray) -> np.ndarray:
    """Expected voxels given shared components."""
    return _decoder(model, subject).build(latents)


def score_candidates(
    model: CrossSubjectDecoder, subject: Subject, X: np.ndarray, gallery: np.ndarray
) -> np.ndarray:
    """Log-likelihoods of candidates."""
    components = Components(**model.components_).encode(gallery)
    return _decoder(model, subject).score_candidates(X, gallery, components)
