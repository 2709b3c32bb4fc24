"""What `CrossSubjectDecoder` does with ``readout="network"``: the network of MindBridge."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from neuroml._core.cohort import Subject, check_cohort
from neuroml._core.estimator import resolve_device
from neuroml._core.parallel import spawn_generators
from neuroml._core.torch_state import as_tensor, own_torch_state, seeded
from neuroml.decoding._linear_cohort import Voxels
from neuroml.decoding._network import (
    Architecture,
    Builder,
    CrossSubjectNetwork,
    Embedder,
    flat_embedder,
)
from neuroml.decoding._network_fit import Objective, Schedule, fit_network
from neuroml.decoding._pooling import pool, unpool
from neuroml.decoding._readouts import cosine_scores
from neuroml.decoding._subjects import voxel_scaling
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from neuroml.decoding.cross_subject import CrossSubjectDecoder

__all__ = ["adapt", "build", "build_module", "fit", "predict", "score_candidates", "transform"]

STRATEGIES = ("auto", "full", "reset", "ridge")
_MSE_WEIGHT = 1e4


@own_torch_state()
def fit(
    model: CrossSubjectDecoder, X: dict[Subject, np.ndarray], y: dict[Subject, np.ndarray]
) -> None:
    """Train embedders, translator and heads on all subjects."""
    resolve_device(model.device)
    model.subjects_ = list(X)
    model.linear_embedders_ = [False] * len(X)
    model.scaling_ = {s: _scaling(part) for s, part in X.items()}
    weights_rng, rng = spawn_generators(model.random_state, 2)
    with seeded(weights_rng):
        model.network_ = build_module(model)
    inputs = {i: _inputs(model, s, X[s]) for i, s in enumerate(X)}
    targets = dict(enumerate(y.values()))
    _train(model, inputs, targets, model.max_steps, rng)
    model.calibration_ = {s: _calibration(model, s, X[s], y[s]) for s in X}
    model.latent_map_ = _latent_map(model, X, y)


@own_torch_state()
def adapt(
    model: CrossSubjectDecoder,
    X: np.ndarray,
    y: np.ndarray,
    subject: Subject,
    strategy: str,
    source: Any,
) -> None:
    """Give the network a new subject: trained alone, with everything, or in closed form."""
    resolve_device(model.device)
    trains_builder = model.alpha_rec or model.alpha_cyc or source is not None
    kind = ("reset" if trains_builder else "ridge") if strategy == "auto" else strategy
    fresh = subject not in model.subjects_ or kind != "full"
    number = _place(model, X, subject, flat=kind == "ridge", fresh=fresh)
    if kind == "ridge":
        _fit_embedder(model, number, X, y)
    else:
        _tune(model, number, {subject: X}, {subject: y}, source, frozen=kind == "reset")
    model.calibration_ = model.calibration_ | {subject: _calibration(model, subject, X, y)}


def _place(
    model: CrossSubjectDecoder, X: np.ndarray, subject: Subject, *, flat: bool, fresh: bool
) -> int:
    """A copy of the network with an embedder and builder for the subject; the subject's number."""
    model.network_ = copy.deepcopy(model.network_)
    model.subjects_, model.linear_embedders_ = [*model.subjects_], [*model.linear_embedders_]
    if subject not in model.subjects_:
        model.subjects_.append(subject)
        model.linear_embedders_.append(flat)
        for modules in (model.network_.embedders, model.network_.builders):
            modules.append(nn.Identity())
    number = model.subjects_.index(subject)
    if fresh:
        model.scaling_ = model.scaling_ | {subject: _scaling(X)}
        model.linear_embedders_[number] = flat
        size, shape = _n_inputs(model, X.shape[1]), model.network_.shape
        with seeded(spawn_generators(model.random_state, 4)[2]):
            model.network_.embedders[number] = (
                flat_embedder(size, shape) if flat else Embedder(size, shape)
            )
            model.network_.builders[number] = Builder(size, shape)
    return number


def _tune(
    model: CrossSubjectDecoder,
    number: int,
    X: dict[Subject, np.ndarray],
    y: dict[Subject, np.ndarray],
    source: Any,
    *,
    frozen: bool,
) -> None:
    network = model.network_
    network.requires_grad_(not frozen)
    network.embedders[number].requires_grad_(True)
    network.builders[number].requires_grad_(True)
    if source is not None:
        more_X, more_y = check_cohort(copy.copy(model), *source, needs_y=True)
        unknown = [s for s in more_X if s not in model.subjects_]
        if unknown:
            raise DataError(
                "source subjects are not in the model", expected=model.subjects_, found=unknown
            )
        X = more_X | X
        y = {s: model._encode_targets(part) for s, part in more_y.items()} | y
    numbers = {s: model.subjects_.index(s) for s in X}
    inputs = {numbers[s]: _inputs(model, s, part) for s, part in X.items()}
    targets = {numbers[s]: part for s, part in y.items()}
    rng = spawn_generators(model.random_state, 4)[3]
    _train(model, inputs, targets, model.adapt_steps, rng, target=number)
    network.requires_grad_(True)


def _train(
    model: CrossSubjectDecoder,
    inputs: dict[int, np.ndarray],
    targets: dict[int, np.ndarray],
    n_steps: int,
    rng: np.random.Generator,
    target: int | None = None,
) -> None:
    sizes = model.target_space_["sizes"]
    by_mse = model.alpha_cos == "mse"
    objective = Objective(
        clip=model.alpha_clip,
        cosine=1.0 if isinstance(model.alpha_cos, str) else model.alpha_cos,
        cosine_scale=tuple(2 * _MSE_WEIGHT / size if by_mse else 1.0 for size in sizes),
        reconstruction=model.alpha_rec,
        cycle=model.alpha_cyc,
        temperature=model.tau,
        noisy_cycle=model.noisy_cycle,
    )
    schedule = Schedule(
        n_steps=n_steps,
        batch_size=model.batch_size,
        lr=model.lr,
        weight_decay=model.weight_decay,
        warmup=model.warmup,
        decay_norms=model.decay_norms,
    )
    done = fit_network(
        model.network_,
        inputs,
        targets,
        objective,
        schedule,
        rng,
        device=resolve_device(model.device),
        target=target,
    )
    model.loss_curve_ = np.array([entry["loss"] for entry in done.history])


@own_torch_state()
def build_module(model: CrossSubjectDecoder) -> CrossSubjectNetwork:
    """The network of the model's parameters and subjects, with initial weights."""
    shape = Architecture(
        hidden=model.hidden,
        n_blocks=model.n_blocks,
        adapter_rank=model.adapter_rank,
        dropout=model.dropout,
        block_dropout=model.block_dropout,
        linear_builder=model.linear_builder,
    )
    sizes = [_n_inputs(model, len(model.scaling_[s]["mean"])) for s in model.subjects_]
    network = CrossSubjectNetwork(
        sizes, model.linear_embedders_, model.target_space_["sizes"], shape
    )
    return network.eval()


def _n_inputs(model: CrossSubjectDecoder, n_voxels: int) -> int:
    return n_voxels if model.pooling is None else model.n_pool


def _scaling(X: np.ndarray) -> dict[str, np.ndarray]:
    mean, scale = voxel_scaling(X)
    return {"mean": mean, "scale": scale}


def _inputs(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Standardised and, if asked, pooled voxels."""
    scaling = model.scaling_[subject]
    standard = (X - scaling["mean"]) / scaling["scale"]
    return standard if model.pooling is None else pool(standard, model.n_pool, model.pooling)


@own_torch_state()
def _run(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> tuple[Any, Any]:
    """Latents and decoded coordinates of the trained network, as float64."""
    number = model.subjects_.index(subject)
    with torch.no_grad():
        x = as_tensor(_inputs(model, subject, X), dtype=torch.float32)
        latent = model.network_.embedders[number](x)
        decoded = torch.cat(model.network_.decode(latent), dim=1)
    return latent.numpy().astype(np.float64), decoded.numpy().astype(np.float64)


def predict(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Decoded coordinates, on the scale of the training targets if calibrated."""
    _, decoded = _run(model, subject, X)
    if not model.calibrate:
        return decoded
    calibration = model.calibration_[subject]
    return decoded * calibration["slope"] + calibration["intercept"]


def _calibration(
    model: CrossSubjectDecoder, subject: Subject, X: np.ndarray, y: np.ndarray
) -> dict[str, np.ndarray]:
    """Slope and intercept per coordinate: cosine losses leave the scale of the outputs free."""
    _, decoded = _run(model, subject, X)
    centered = decoded - decoded.mean(axis=0)
    power = (centered**2).sum(axis=0)
    slope = (centered * y).sum(axis=0) / np.where(power > 0, power, 1.0)
    return {"slope": slope, "intercept": y.mean(axis=0) - slope * decoded.mean(axis=0)}


def transform(model: CrossSubjectDecoder, subject: Subject, X: np.ndarray) -> np.ndarray:
    """Latents that the translator takes."""
    return _run(model, subject, X)[0]


@own_torch_state()
def build(model: CrossSubjectDecoder, subject: Subject, latents: np.ndarray) -> np.ndarray:
    """Voxels in their own units; from pooled ones, each is the mean of its windows."""
    number = model.subjects_.index(subject)
    if not (model.alpha_rec or model.alpha_cyc) or model.linear_embedders_[number]:
        raise DataError(
            "the builder of this subject is not trained",
            expected="alpha_rec > 0 or alpha_cyc > 0, and a strategy other than 'ridge'",
            fix="Fit with alpha_rec=1, or use readout='linear'.",
            subject=subject,
        )
    with torch.no_grad():
        x = as_tensor(latents, dtype=torch.float32)
        built = model.network_.builders[number](x).numpy().astype(np.float64)
    scaling = model.scaling_[subject]
    voxels = built if model.pooling is None else unpool(built, len(scaling["mean"]))
    return voxels * scaling["scale"] + scaling["mean"]


def score_candidates(
    model: CrossSubjectDecoder, subject: Subject, X: np.ndarray, gallery: np.ndarray
) -> np.ndarray:
    """Cosines of decoded coordinates with candidates."""
    return cosine_scores(_run(model, subject, X)[1], gallery)


def _latent_map(
    model: CrossSubjectDecoder, X: Mapping[Subject, np.ndarray], y: Mapping[Subject, np.ndarray]
) -> dict[str, np.ndarray]:
    """The translator, inverted at the targets: ridge from coordinates to the sources' latents."""
    latents = np.concatenate([transform(model, s, part) for s, part in X.items()])
    targets = np.concatenate(list(y.values())).astype(np.float64)
    known = Voxels.of(targets)
    fitted = known.spectrum.solve(latents, known.spectrum.default_alphas())
    coef, intercept = known.affine(fitted.weights, latents.mean(axis=0))
    return {"coef": coef, "intercept": intercept}


def _fit_embedder(model: CrossSubjectDecoder, number: int, X: np.ndarray, y: np.ndarray) -> None:
    """A linear embedder, in closed form, to the latents that belong to the targets."""
    latents = y @ model.latent_map_["coef"] + model.latent_map_["intercept"]
    voxels = Voxels.of(_inputs(model, model.subjects_[number], X))
    penalties = model._penalties()
    alphas = voxels.spectrum.default_alphas() if penalties is None else penalties
    fitted = voxels.spectrum.solve(latents, alphas)
    coef, intercept = voxels.affine(fitted.weights, latents.mean(axis=0))
    embedder = model.network_.embedders[number]
    with torch.no_grad():
        embedder.weight.copy_(as_tensor(coef.T))
        embedder.bias.copy_(as_tensor(intercept))
