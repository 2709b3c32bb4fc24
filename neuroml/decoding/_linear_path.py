"""What `CrossSubjectDecoder` does with ``readout="linear"``: closed forms, no training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroml._core.cohort import Subject
from neuroml.decoding._components import Components, explained, shared_components
from neuroml.decoding._linear_cohort import LinearDecoder, Voxels, fit_linear_decoder

if TYPE_CHECKING:
    from neuroml.decoding.cross_subject import CrossSubjectDecoder

__all__ = ["adapt", "build", "fit", "predict", "score_candidates", "transform"]

STRATEGIES = {"auto": True, "reset": True, "ridge": False}
_SHRINKAGE = 0.01


def fit(
    model: CrossSubjectDecoder, X: dict[Subject, np.ndarray], y: dict[Subject, np.ndarray]
) -> None:
    """Find the cohort's components, a map of every subject to them, and its decoder.

    A decoder leans on what the others share, since components look better than they are in the rows
    that chose them; without others it is plain ridge.
    """
    alphas = model._penalties()
    voxels = {s: Voxels.of(part) for s, part in X.items()}
    parts = {}
    for s, part in voxels.items():
        penalties = part.spectrum.default_alphas() if alphas is None else alphas
        parts[s] = explained(y[s], part.spectrum.solve(y[s], penalties).left_out)
    shared = _shared(model, y, parts)
    model.components_ = vars(shared)
    model.maps_, model.decoders_ = {}, {}
    for s in X:
        own = fit_linear_decoder(voxels[s], y[s], shared, alphas, lean=False)
        model.maps_[s] = model.decoders_[s] = vars(own)
        if len(X) > 1:
            rest = [other for other in X if other != s]
            others = _shared(model, {o: y[o] for o in rest}, {o: parts[o] for o in rest})
            model.decoders_[s] = vars(fit_linear_decoder(voxels[s], y[s], others, alphas))


def _shared(
    model: CrossSubjectDecoder, y: dict[Subject, np.ndarray], parts: dict[Subject, np.ndarray]
) -> Components:
    """Components of subjects with targets y and explained parts."""
    n_components = min(model.n_components, next(iter(y.values())).shape[1])
    return shared_components(list(y.values()), list(parts.values()), n_components, _SHRINKAGE)


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
    decoder = vars(fit_linear_decoder(Voxels.of(X), y, shared, model._penalties(), lean=lean))
    model.maps_ = model.maps_ | {subject: decoder}
    model.decoders_ = model.decoders_ | {subject: decoder}


def predict(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Expected coordinates of the targets."""
    return LinearDecoder(**model.decoders_[subject]).predict(X)


def transform(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Posterior mean of the shared components."""
    return LinearDecoder(**model.maps_[subject]).transform(X)


def build(model: CrossSubjectDecoder, subject: Subject, latents: np.ndarray) -> np.ndarray:
    """Expected voxels given shared components."""
    return LinearDecoder(**model.maps_[subject]).build(latents)


def score_candidates(
    model: CrossSubjectDecoder, subject: Subject, X: np.ndarray, gallery: np.ndarray
) -> np.ndarray:
    """Log-likelihoods of candidates."""
    return LinearDecoder(**model.decoders_[subject]).score_candidates(X, gallery)
