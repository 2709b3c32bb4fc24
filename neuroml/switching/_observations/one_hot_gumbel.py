r"""The one-hot prior as its authors fit it, to compare with the one that sums signs out.

Signs are relaxed to points of a simplex and drawn afresh in every step of Adam:

.. math::
    w_{kij} = (a^+_{kij} - a^-_{kij}) \log(1 + e^{r_{kij}}), \qquad
    a_{kij} \sim \mathrm{GumbelSoftmax}(\lambda_{kij}, \tau)

and the softmax of :math:`\lambda_{kij}` has a Gumbel-softmax density around logits that all states
share (Li et al. 2024; Maddison et al. 2017, ICLR, for the density). That density is unbounded at
the corners of the simplex, so points are kept a little inside; and the log-likelihood may fall from
one iteration to the next: the best iterate is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.distributions import RelaxedOneHotCategorical
from torch.nn.functional import softplus

from neuroml._core.iteration import FitTrace, best_restart
from neuroml._core.torch_state import own_torch_state
from neuroml._core.training import train
from neuroml.switching._chain import update_chain
from neuroml.switching._em import EMState, Model, Problem, assess
from neuroml.switching._kernels.links import LIKELIHOODS
from neuroml.switching._observations.one_hot import one_hot_prior

__all__ = ["fit_relaxed"]

# Temperature, steps of Adam between E-steps, and learning rate are the authors' (a comment in their
# code asks for a temperature of at least 0.5).
_TEMPERATURE = 0.5
_STEPS = 50
_LEARNING_RATE = 1e-2
# Likelihoods of successive iterates scatter by the Gumbel noise; ten without a new best are a
# plateau.
_PATIENCE = 10
# The density is unbounded at the corners of the simplex: points are kept this far inside.
_SMALLEST_COORDINATE = 1e-8
# Signs of the start are no more certain than this, so that Adam can still turn them.
_LEAST_CERTAIN = 0.05


class _RelaxedSigns(nn.Module):
    """Logits of signs per state (K, N, N, 3) and shared (N, N, 3), strengths, and intercepts."""

    def __init__(self, coefficients: np.ndarray, scale: float, *, shared_intercept: bool) -> None:
        super().__init__()
        weights, intercept = coefficients[:, :, 1:], coefficients[:, :, 0]
        signs = np.asarray(one_hot_prior(weights, np.full(3, 1 / 3), scale).sign_probabilities)
        logits = torch.from_numpy(np.log(np.maximum(signs, _LEAST_CERTAIN))).float()
        strengths = np.maximum(np.abs(weights), 0.1 * scale)
        self.shared = nn.Parameter(logits)
        self.logits = nn.Parameter(logits.repeat(len(weights), 1, 1, 1))
        self.raw_strengths = nn.Parameter(torch.from_numpy(np.log(np.expm1(strengths))).float())
        own = intercept[:1] if shared_intercept else intercept
        self.intercept = nn.Parameter(torch.from_numpy(own).float())

    def weights(self, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Weights (K, N, N) for one draw of noise, or of the mean signs."""
        logits = self.logits if noise is None else (self.logits + noise) / _TEMPERATURE
        inhibitory, _, excitatory = logits.softmax(dim=-1).unbind(dim=-1)
        return (excitatory - inhibitory) * softplus(self.raw_strengths)

    def log_density(self) -> torch.Tensor:
        """Log-density of the signs of all states around the shared ones."""
        around = RelaxedOneHotCategorical(
            self.shared.new_tensor(_TEMPERATURE), logits=self.shared, validate_args=False
        )
        return around.log_prob(self.logits.softmax(dim=-1).clamp(min=_SMALLEST_COORDINATE)).sum()

    def coefficients(self) -> np.ndarray:
        """Intercepts and mean weights, as `Couplings` holds them."""
        weights = self.weights().detach().double().numpy()
        intercept = self.intercept.detach().double().numpy()
        intercept = np.broadcast_to(intercept, weights.shape[:2])
        return np.concatenate([intercept[:, :, None], weights], axis=2)


def _log_probabilities(likelihood: int, y: torch.Tensor, eta: torch.Tensor) -> torch.Tensor:
    """Poisson log-likelihoods without constants."""
    if likelihood == LIKELIHOODS["poisson exp"]:
        return y * eta - eta.exp()
    if likelihood == LIKELIHOODS["poisson sigmoid"]:
        return y * nn.functional.logsigmoid(eta) - eta.sigmoid()
    rate = softplus(eta)
    return y * rate.clamp(min=1e-30).log() - rate


@own_torch_state()
def fit_relaxed(
    problem: Problem, start: Model, rng: np.random.Generator, max_iter: int
) -> tuple[FitTrace[Model], np.ndarray]:
    """Fit with relaxed signs from ``start``; an iteration is an E-step and 50 steps of Adam.

    Parameters
    ----------
    problem : Problem
        With `PopulationCounts` as its observations.
    start : Model
    rng : Generator
    max_iter : int

    Returns
    -------
    fit : FitTrace
        The iterate with the highest likelihood; converged if ten more brought none higher.
    signs : ndarray of shape (n_units, n_units, 3)
        Probabilities of the signs that its states share.

    Warns
    -----
    NotConvergedWarning
        If likelihoods still rose at ``max_iter``.
    """
    observations: Any = problem.observations  # of `PopulationCounts`
    data = problem.design
    # The density of the signs has no place in an E-step: iterates are compared by likelihood.
    likelihood = problem._replace(observations=observations.without_prior())
    module = _RelaxedSigns(
        start.emissions.coefficients,
        observations.scale,
        shared_intercept=observations.shared_intercept,
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    counts = torch.from_numpy(np.ascontiguousarray(data.counts.T)).float()[:, None]
    features = data.features(start.emissions.filters)
    histories = torch.from_numpy(features[:, 1:]).float()
    reached = [_at(likelihood, module, start)]

    def batches(epoch: int) -> Iterator[torch.Tensor]:  # noqa: ARG001 - the loop's signature
        return repeat(torch.from_numpy(reached[-1].state.smoothed.posterior).float(), _STEPS)

    def loss(posterior: torch.Tensor) -> torch.Tensor:
        # A Gumbel draw for every sign: -log(-log u), with u kept off 0 and 1.
        drawn = torch.rand(module.logits.shape, generator=generator, dtype=module.logits.dtype)
        uniform = drawn.clamp(1e-20, 1.0 - 1e-7)
        weights = module.weights(-(-uniform.log()).log())
        # Expected log-likelihood under the posterior, ridge and density of the signs, per bin.
        eta = torch.einsum("tj,kij->tki", histories, weights) + module.intercept
        by_bin = _log_probabilities(observations.likelihood, counts, eta).sum(dim=-1)
        penalty = 0.5 * observations.ridge * (weights**2).sum()
        return (penalty - (posterior * by_bin).sum() - module.log_density()) / data.n_observed

    def validate() -> float:
        before = reached[-1].state
        chain = update_chain(
            before.model.chain,
            before.smoothed,
            problem.transition_inputs,
            problem.starts,
            problem.prior,
        )
        reached.append(_at(likelihood, module, before.model._replace(chain=chain)))
        return -reached[-1].objective

    optimizer = torch.optim.Adam(module.parameters(), lr=_LEARNING_RATE)
    training = train(
        module,
        loss,
        batches,
        optimizer,
        max_epochs=max_iter,
        validate=validate,
        patience=_PATIENCE,
    )
    best = best_restart(reached, name="SwitchingPopulationGLM")
    trace = tuple(one.objective for one in reached[: best + 1])
    kept = reached[best]
    fit = FitTrace(kept.state.model, trace, training.converged, training.stop_reason)
    return fit, kept.signs


class _Iterate(NamedTuple):
    state: EMState
    objective: float
    signs: np.ndarray


def _at(problem: Problem, module: _RelaxedSigns, model: Model) -> _Iterate:
    """The E-step at the module's mean weights and the model's chain."""
    emissions = model.emissions._replace(coefficients=module.coefficients())
    signs = module.shared.detach().double().softmax(dim=-1).numpy()
    return _Iterate(*assess(problem, model._replace(emissions=emissions)), signs)
