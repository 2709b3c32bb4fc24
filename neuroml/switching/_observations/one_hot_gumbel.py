r"""The one-hot prior as its authors fit it, to compare with the one that sums signs out.

Signs are relaxed to points of a simplex and drawn afresh in every step of Adam:

.. math::
    w_{kij} = (a^+_{kij} - a^-_{kij}) \log(1 + e^{r_{kij}}), \qquad
    a_{kij} \sim \mathrm{GumbelSoftmax}(\lambda_{kij}, \tau)

and the softmax of :math:`\lambda_{kij}` has a Gumbel-softmax density around logits that all states
share (Li et al. 2024; Maddison et al. 2017, ICLR, for the density). Sessions are taken one by one:
the posterior of a session, the transition matrix from this session alone, fifty steps of Adam on
its expected log-likelihood and the density of all signs, which so counts once for every session.
In the end signs are the most probable ones.

The authors' code hands the shared probabilities to the density where it takes their logarithms;
here it has the logarithms, as the formula does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import RelaxedOneHotCategorical
from torch.nn.functional import log_softmax, softplus

from neuroml._core.iteration import FitTrace
from neuroml._core.torch_state import own_torch_state
from neuroml._core.training import train
from neuroml.switching._chain import Chain, start_chain
from neuroml.switching._em import Model, Problem, assess, smooth_model
from neuroml.switching._kernels.links import LIKELIHOODS
from neuroml.switching._ridge import take_bins

__all__ = ["fit_relaxed"]

# All constants are the authors', from the demonstration in their repository (JerrySoybean/
# onehot-hmmglm): temperature of signs and of their density, steps of Adam per session, learning
# rate, probability of staying at the start, and what is added to rates before their logarithm.
_TEMPERATURE = 0.2
_STEPS = 50
_LEARNING_RATE = 1e-2
_STAY = 0.98
_LEAST_RATE = 1e-8
# The density is unbounded at the corners of the simplex: logits of a sign less probable than
# exp(-20) are halved.
_RAREST_SIGN = -20.0
_RAREST_TRANSITION = -8.0  # logarithm, at which transitions are cut before they are normalized


class _RelaxedSigns(nn.Module):
    """Logits of signs per state (K, N, N, 3) and shared (N, N, 3), strengths, and intercepts."""

    def __init__(self, n_states: int, mean_counts: np.ndarray, *, shared_intercept: bool) -> None:
        super().__init__()
        n_units = len(mean_counts)
        self.shared = nn.Parameter(torch.zeros(n_units, n_units, 3, dtype=torch.float32))
        self.logits = nn.Parameter(torch.zeros(n_states, n_units, n_units, 3, dtype=torch.float32))
        strengths = torch.zeros(n_states, n_units, n_units, dtype=torch.float32)
        self.raw_strengths = nn.Parameter(strengths)
        # the mean count itself is where the authors start, whatever the link
        own = torch.from_numpy(mean_counts).float().repeat(1 if shared_intercept else n_states, 1)
        self.intercept = nn.Parameter(own)

    def weights(self, signs: torch.Tensor) -> torch.Tensor:
        """Weights (K, N, N) of points on the simplex."""
        return (signs[..., 2] - signs[..., 0]) * softplus(self.raw_strengths)

    def mean_signs(self) -> torch.Tensor:
        """Points on the simplex without noise."""
        return self.logits.softmax(dim=-1)

    def probable_signs(self) -> torch.Tensor:
        """Corners of the simplex."""
        return nn.functional.one_hot(self.logits.argmax(dim=-1), 3).float()

    def log_density(self) -> torch.Tensor:
        """Log-density of the signs of all states around the shared ones."""
        around = RelaxedOneHotCategorical(
            self.shared.new_tensor(_TEMPERATURE), logits=self.shared, validate_args=False
        )
        return around.log_prob(self.mean_signs()).sum()

    @torch.no_grad()
    def leave_corners(self) -> None:
        """Halve the logits of signs that come too near to a corner of the simplex."""
        for logits in (self.logits, self.shared):
            near = (log_softmax(logits, dim=-1) < _RAREST_SIGN).any(dim=-1, keepdim=True)
            logits.mul_(torch.where(near, 0.5, 1.0))

    @torch.no_grad()
    def coefficients(self, signs: torch.Tensor) -> np.ndarray:
        """Intercepts and weights, as `Couplings` holds them."""
        weights = self.weights(signs).double().numpy()
        intercept = np.broadcast_to(self.intercept.double().numpy(), weights.shape[:2])
        return np.concatenate([intercept[:, :, None], weights], axis=2)


def _rates(likelihood: int, eta: torch.Tensor) -> torch.Tensor:
    if likelihood == LIKELIHOODS["poisson exp"]:
        return eta.exp()
    return eta.sigmoid() if likelihood == LIKELIHOODS["poisson sigmoid"] else softplus(eta)


def _chain_of_session(chain: Chain, expected: np.ndarray) -> Chain:
    """The chain with a matrix from expected transitions (K, K); rows without any stay."""
    totals = expected.sum(axis=1, keepdims=True)
    shares = np.divide(expected, totals, out=chain.matrix.copy(), where=totals > 0)
    cut = np.maximum(shares, np.exp(_RAREST_TRANSITION))
    return chain._replace(matrix=cut / cut.sum(axis=1, keepdims=True))


@own_torch_state()
def fit_relaxed(
    problem: Problem, glm: Any, n_states: int, rng: np.random.Generator, n_epochs: int
) -> tuple[FitTrace[Model], np.ndarray]:
    """Fit with relaxed signs, from zero; an epoch takes every session once.

    Parameters
    ----------
    problem : Problem
        With `PopulationCounts` as its observations.
    glm : Couplings
        The one-state model, whose filters are kept.
    n_states : int
    rng : Generator
    n_epochs : int

    Returns
    -------
    fit : FitTrace
        Log-likelihoods, with the most probable signs, at the start and after every epoch. The
        schedule is the criterion: a completed one counts as converged.
    signs : ndarray of shape (n_units, n_units, 3)
        Probabilities of the signs that states share.
    """
    observations: Any = problem.observations  # of `PopulationCounts`
    plain = problem._replace(observations=observations.without_prior(ridge=0.0))
    module = _RelaxedSigns(
        n_states,
        problem.design.counts.mean(axis=1, dtype=np.float64),
        shared_intercept=observations.shared_intercept,
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    sessions = np.repeat(np.arange(len(problem.starts) - 1), np.diff(problem.starts))
    parts = [take_bins(plain, sessions == s) for s in range(len(problem.starts) - 1)]
    tensors = [
        (torch.from_numpy(np.ascontiguousarray(part.design.counts.T)).float()[:, None],
         torch.from_numpy(part.design.features(glm.filters)[:, 1:]).float())
        for part in parts
    ]  # fmt: skip
    chain = start_chain(n_states, stay=_STAY)

    def model(signs: torch.Tensor) -> Model:
        return Model(glm._replace(coefficients=module.coefficients(signs)), chain)

    def batches(epoch: int) -> Iterator[tuple[torch.Tensor, ...]]:  # noqa: ARG001 - the loop's
        nonlocal chain
        for part, (counts, histories) in zip(parts, tensors, strict=True):
            module.leave_corners()
            smoothed = smooth_model(part, model(module.mean_signs()))
            chain = _chain_of_session(chain, smoothed.expected_transitions[0])
            posterior = torch.from_numpy(smoothed.posterior).float()
            yield from repeat((counts, histories, posterior), _STEPS)

    def loss(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        counts, histories, posterior = batch
        module.leave_corners()
        # A Gumbel draw for every sign: -log(-log u), with u kept off 0 and 1.
        drawn = torch.rand(module.logits.shape, generator=generator, dtype=module.logits.dtype)
        noise = -(-drawn.clamp(1e-20, 1.0 - 1e-7).log()).log()
        weights = module.weights(((module.logits + noise) / _TEMPERATURE).softmax(dim=-1))
        eta = torch.einsum("tj,kij->tki", histories, weights) + module.intercept
        rates = _rates(observations.likelihood, eta)
        by_bin = (counts * (rates + _LEAST_RATE).log() - rates).sum(dim=-1)
        return -(posterior * by_bin).sum() - module.log_density()

    trace = [assess(plain, model(module.probable_signs()))[1]]
    training = train(
        module,
        loss,
        batches,
        torch.optim.Adam(module.parameters(), lr=_LEARNING_RATE),
        max_epochs=n_epochs,
        callback=lambda _: trace.append(assess(plain, model(module.probable_signs()))[1]),
    )
    signs = module.shared.detach().double().softmax(dim=-1).numpy()
    kept = model(module.probable_signs())
    return FitTrace(kept, tuple(trace), training.converged, training.stop_reason), signs
