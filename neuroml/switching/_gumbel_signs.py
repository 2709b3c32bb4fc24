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
from dataclasses import replace
from itertools import repeat

import numpy as np
import torch
from torch import nn
from torch.distributions import RelaxedOneHotCategorical
from torch.nn.functional import softplus

from neuroml._core.iteration import FitTrace, best_restart
from neuroml._core.torch_state import own_torch_state
from neuroml._core.training import train
from neuroml.switching._chain import update_chain
from neuroml.switching._one_hot import one_hot_prior
from neuroml.switching._pointwise import KINDS
from neuroml.switching._population_em import Problem, State, evaluate, log_emissions_of

__all__ = ["climb_relaxed"]

_TEMPERATURE = 0.5
_STEPS = 50
_LEARNING_RATE = 1e-2
_PATIENCE = 10
_LEAST_SHARE = 1e-8
_NO_INPUTS = np.zeros((0, 0))


class _RelaxedSigns(nn.Module):
    """Logits of signs per state (K, N, N, 3) and shared (N, N, 3), strengths, and baselines."""

    def __init__(self, coefficients: np.ndarray, scale: float, *, shared_intercept: bool) -> None:
        super().__init__()
        weights, baseline = coefficients[:, :, 1:], coefficients[:, :, 0]
        signs = np.asarray(one_hot_prior(weights, np.full(3, 1 / 3), scale).sign_probabilities)
        logits = torch.from_numpy(np.log(np.maximum(signs, 0.05))).float()
        strengths = np.maximum(np.abs(weights), 0.1 * scale)
        self.shared = nn.Parameter(logits)
        self.logits = nn.Parameter(logits.repeat(len(weights), 1, 1, 1))
        self.raw_strengths = nn.Parameter(torch.from_numpy(np.log(np.expm1(strengths))).float())
        own = baseline[:1] if shared_intercept else baseline
        self.baseline = nn.Parameter(torch.from_numpy(own).float())

    def weights(self, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Weights (K, N, N) for one draw of noise, or of the mean signs."""
        logits = self.logits if noise is None else (self.logits + noise) / _TEMPERATURE
        inhibitory, _, excitatory = logits.softmax(dim=-1).unbind(dim=-1)
        return (excitatory - inhibitory) * softplus(self.raw_strengths)

    def log_density(self) -> torch.Tensor:
        """Of the signs of all states around the shared ones."""
        around = RelaxedOneHotCategorical(
            self.shared.new_tensor(_TEMPERATURE), logits=self.shared, validate_args=False
        )
        return around.log_prob(self.logits.softmax(dim=-1).clamp(min=_LEAST_SHARE)).sum()

    def coefficients(self) -> np.ndarray:
        """As ``Parameters`` holds them."""
        weights = self.weights().detach().double().numpy()
        baseline = self.baseline.detach().double().numpy()
        baseline = np.broadcast_to(baseline, weights.shape[:2])
        return np.concatenate([baseline[:, :, None], weights], axis=2)


def _log_probabilities(kind: int, y: torch.Tensor, eta: torch.Tensor) -> torch.Tensor:
    """Poisson log-likelihoods without constants."""
    if kind == KINDS["poisson exp"]:
        return y * eta - eta.exp()
    if kind == KINDS["poisson sigmoid"]:
        return y * nn.functional.logsigmoid(eta) - eta.sigmoid()
    rate = softplus(eta)
    return y * rate.clamp(min=1e-30).log() - rate


@own_torch_state()
def climb_relaxed(
    problem: Problem, start: State, rng: np.random.Generator, max_iter: int
) -> FitTrace[State]:
    """Fit with relaxed signs from ``start``; an iteration is an E-step and 50 steps of Adam.

    Returns
    -------
    FitTrace
        The iterate with the highest likelihood; converged if ten more brought none higher.

    Warns
    -----
    NotConvergedWarning
        If likelihoods still rose at ``max_iter``.
    """
    likelihood = replace(problem, prior="none")
    module = _RelaxedSigns(
        start.parameters.coefficients, problem.scale, shared_intercept=problem.shared_intercept
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    counts = torch.from_numpy(np.ascontiguousarray(problem.counts.T)).float()[:, None]
    histories = torch.from_numpy(start.design.features[:, 1:]).float()
    reached = [_at(likelihood, module, start)]

    def batches(epoch: int) -> Iterator[torch.Tensor]:  # noqa: ARG001 - the loop's signature
        return repeat(torch.from_numpy(reached[-1].smoothed.posterior).float(), _STEPS)

    def loss(posterior: torch.Tensor) -> torch.Tensor:
        drawn = torch.rand(module.logits.shape, generator=generator, dtype=module.logits.dtype)
        uniform = drawn.clamp(1e-20, 1.0 - 1e-7)
        weights = module.weights(-(-uniform.log()).log())
        eta = torch.einsum("tj,kij->tki", histories, weights) + module.baseline
        expected = (posterior * _log_probabilities(problem.kind, counts, eta).sum(dim=-1)).sum()
        penalty = 0.5 * problem.ridge * (weights**2).sum()
        return (penalty - expected - module.log_density()) / problem.n_bins

    def validate() -> float:
        before = reached[-1]
        chain = update_chain(
            before.parameters.chain,
            before.smoothed,
            _NO_INPUTS,
            problem.starts,
            problem.chain_prior,
        )
        moved = replace(before, parameters=replace(before.parameters, chain=chain))
        reached.append(_at(likelihood, module, moved))
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
    trace = tuple(state.objective for state in reached[: best + 1])
    return FitTrace(reached[best], trace, training.converged, training.stop_reason)


def _at(problem: Problem, module: _RelaxedSigns, state: State) -> State:
    """The E-step at the module's mean weights and the state's chain."""
    parameters = replace(state.parameters, coefficients=module.coefficients())
    log_emissions = log_emissions_of(problem, parameters.coefficients, parameters.filters)
    found = evaluate(problem, parameters, state.design, log_emissions)
    signs = module.shared.detach().double().softmax(dim=-1).numpy()
    return replace(found, prior=found.prior._replace(sign_probabilities=signs))
