r"""Linear regression per state with normal noise, of one or several outputs.

The prior of a state's covariance :math:`\Sigma` is worth c observations with the covariance V, a
diagonal of the outputs' variances; that of its weights is normal, in units of the noise:

.. math::
    \log p(W, \Sigma) = -\tfrac12 \big[(c + f) \log|\Sigma|
        + \mathrm{tr}\,\Sigma^{-1}(c V + W \Lambda W^T)\big] + \text{const}

with f penalized inputs. So the M-step has a closed form.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.cluster import kmeans_plusplus

from neuroml._core.dependence import dependent_units
from neuroml.exceptions import DataError
from neuroml.switching._observations.base import Design, Emissions, Family, refuse_targets

__all__ = ["COVARIANCE_TYPES", "Gaussian"]

COVARIANCE_TYPES = ("full", "diagonal", "spherical", "tied")
_JITTER = 1e-10  # relative damping of the Gram matrix, for inputs that a state does not see
# Starts without inputs: bins among which distant ones are sought. k-means++ costs K passes over
# them, and 20,000 bins hold every state that is more frequent than one in a thousand.
_MAX_SEED_BINS = 20_000
# Of a bin's responsibility in such a start, the part that goes to the nearest of the seeds. The
# rest is spread over all states, so that none begins with a singular covariance.
_SEED_CERTAINTY = 0.9


class Gaussian(Family):
    """Any real outputs; the noise is the covariance (K, M, M), the same for all states if tied."""

    def __init__(
        self, ridge: float = 0.0, covariance_type: str = "full", strength: float = 1.0
    ) -> None:
        super().__init__(ridge)
        self.covariance_type = covariance_type
        self.strength = strength

    def without_prior(self) -> Self:
        flat = super().without_prior()
        flat.strength = 0.0
        return flat

    def of_subjects(self) -> Self:
        flat = super().of_subjects()
        flat.strength = 0.0
        return flat

    def pooled_noise(
        self,
        emissions: Emissions,  # noqa: ARG002 - the noise has a closed form
        parts: list[tuple[np.ndarray, Design, np.ndarray]],
        mean: np.ndarray,
        whole: Design,
    ) -> np.ndarray:
        flat = self.of_subjects()
        every = [flat._moments(*part) for part in parts]
        scatters = sum(scatter for scatter, _ in every)
        counts = sum(count for _, count in every) + self.strength + self._n_penalized(whole)
        priors = np.stack([self._prior_scatter(weights, whole) for weights in mean])
        return self._covariances(scatters + priors, np.asarray(counts))

    def curvature(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        seen = ~np.isnan(design.targets)
        gradient = np.empty_like(emissions.weights)
        grams = np.empty((*gradient.shape, gradient.shape[2]))
        inverse = np.linalg.inv(emissions.noise)
        for k, weights in enumerate(emissions.weights):
            residual = np.nan_to_num(design.targets - weights @ design.inputs)
            by_mean = (residual * resp[k]) @ design.inputs.T - weights * self.precision(design)
            gradient[k] = inverse[k] @ by_mean
            for m, known in enumerate(seen):
                grams[k, m] = (design.inputs * (resp[k] * known)) @ design.inputs.T
        return gradient, self._blocks(inverse, grams) + self.ridge_blocks(emissions, design)

    def ridge_blocks(self, emissions: Emissions, design: Design) -> np.ndarray:
        grams = super().ridge_blocks(emissions, design)
        return self._blocks(np.linalg.inv(emissions.noise), grams)

    def _blocks(self, inverse: np.ndarray, grams: np.ndarray) -> np.ndarray:
        """Kronecker products of precisions (K, M, M) and Gram matrices (K, M, F, F)."""
        n_states, m, f, _ = grams.shape
        if self._independent:
            return np.einsum("kmm->km", inverse)[:, :, None, None] * grams
        # outputs that depend on each other are missing together, so that they share their Gram
        blocks = np.einsum("kmn,kfg->kmfng", inverse, grams[:, 0])
        return blocks.reshape(n_states, 1, m * f, m * f)

    def check(self, targets: np.ndarray) -> None:
        refuse_targets("y is infinite", "finite numbers", np.isinf(targets), targets)
        missing = np.isnan(targets)
        partly = missing.any(axis=0) & ~missing.all(axis=0)
        if partly.any() and not self._independent:
            raise DataError(
                "bins are missing in some outputs only",
                expected="all or none of a bin's outputs where outputs are correlated",
                found=f"{int(partly.sum())} such bins, the first is {int(partly.argmax())}",
                fix="Use covariance_type='diagonal', or set the whole bins to NaN.",
                field="y",
            )

    def start(self, design: Design) -> Emissions:
        self._refuse_dependent(design.targets[:, design.observed])
        mean = np.nanmean(design.targets, axis=1)
        weights = np.zeros((1, len(mean), len(design.inputs)))
        if design.has_intercept:
            weights[0, :, -1] = mean
        covariance = self._covariances(np.diag(_variance(design))[None], np.ones((1, len(mean))))
        return Emissions(weights, covariance)

    def _refuse_dependent(self, targets: np.ndarray) -> None:
        """Refuse outputs (M, n_observed) that have no invertible covariance, without a prior."""
        if self.strength > 0 or self._independent:
            return
        outputs = dependent_units(np.atleast_2d(np.cov(targets)))
        if len(outputs):
            raise DataError(
                "outputs depend linearly on each other, so their covariance has no inverse",
                expected="no output that is constant, or a copy or sum of others",
                found=f"outputs {outputs[:10].tolist()}",
                fix="Leave one of them out, or use covariance_prior > 0 or "
                "covariance_type='diagonal'.",
                field="y",
            )

    def random_start(
        self, glm: Emissions, design: Design, n_states: int, rng: np.random.Generator
    ) -> Emissions:
        """Without inputs, distant observations are the means of the states (k-means++)."""
        whole = np.flatnonzero(~np.isnan(design.targets).any(axis=0))
        some = rng.permutation(whole)[:_MAX_SEED_BINS] if len(design.inputs) == 1 else whole[:0]
        if len(some) <= n_states:
            return super().random_start(glm, design, n_states, rng)
        points = (design.targets / self.unit(design)[:, None]).T
        centers, _ = kmeans_plusplus(points[some], n_states, random_state=int(rng.integers(2**31)))
        # Every bin belongs mostly to the nearest center; one M-step makes parameters of that.
        distance = ((np.nan_to_num(points)[:, None] - centers) ** 2).sum(axis=2)
        resp = np.full((n_states, len(points)), (1.0 - _SEED_CERTAINTY) / n_states)
        resp[distance.argmin(axis=1), np.arange(len(points))] += _SEED_CERTAINTY
        emissions = glm.of_states(np.zeros(n_states, dtype=int))
        return self.m_step(emissions, design, resp, self.log_prob(emissions, design))[0]

    def given_noise(self, noise: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
        """Covariances (K, M, M) of this type."""
        n_states, m = weights.shape[:2]
        if noise is None:
            raise DataError(
                "there are no covariances",
                expected=f"shape ({n_states}, {m}, {m})",
                fix="Pass covariances=, as the family 'gaussian' needs them.",
                field="covariances",
            )
        eigenvalues = np.linalg.eigvalsh(noise)
        if not np.allclose(noise, noise.transpose(0, 2, 1)) or eigenvalues.min() <= 0:
            raise DataError(
                "covariances are not covariance matrices",
                expected="symmetric positive definite matrices",
                found=f"smallest eigenvalue {eigenvalues.min():.4g}",
                field="covariances",
            )
        variances = np.einsum("kmm->km", noise)
        alike = {
            "full": noise,
            "tied": np.broadcast_to(noise[:1], noise.shape),
            "diagonal": noise * np.eye(m),
            "spherical": variances[:, :1, None] * np.eye(m),
        }[self.covariance_type]
        if not np.allclose(noise, alike):
            raise DataError(
                f"covariances are not {self.covariance_type}",
                expected=f"covariances of the type covariance_type={self.covariance_type!r}",
                found=noise.tolist(),
                field="covariances",
            )
        return noise

    def unit(self, design: Design) -> np.ndarray:
        return np.sqrt(_variance(design))

    def log_prob(self, emissions: Emissions, design: Design) -> np.ndarray:
        out = np.zeros((len(emissions.weights), design.inputs.shape[1]))
        for k, (weights, covariance) in enumerate(zip(*emissions, strict=True)):
            residual = np.nan_to_num(design.targets - weights @ design.inputs)
            factor = np.linalg.cholesky(covariance)
            z = solve_triangular(factor, residual, lower=True)
            logs = np.log(np.diag(factor)) + 0.5 * np.log(2.0 * np.pi)
            out[k] = -0.5 * (z**2).sum(axis=0) - logs @ ~np.isnan(design.targets)
        return out

    def log_priors(self, emissions: Emissions, design: Design) -> np.ndarray:
        strength = self.strength + self._n_penalized(design)
        out = np.empty(len(emissions.weights))
        for k, (weights, covariance) in enumerate(zip(*emissions, strict=True)):
            scatter = self._prior_scatter(weights, design)
            log_determinant = np.linalg.slogdet(covariance).logabsdet
            trace = np.trace(np.linalg.solve(covariance, scatter))
            out[k] = -0.5 * (strength * log_determinant + trace)
        return out

    def m_step(
        self,
        emissions: Emissions,
        design: Design,
        resp: np.ndarray,
        log_prob: np.ndarray,  # noqa: ARG002 - the best step needs no comparison
    ) -> tuple[Emissions, np.ndarray]:
        weights = np.stack(
            [
                self._regress(design, *of_state)
                for of_state in zip(emissions.weights, resp, strict=True)
            ]
        )
        noise = emissions.noise
        if "noise" not in self.held:
            noise = self._covariances(*self._moments(weights, design, resp))
        updated = Emissions(weights, noise)
        return updated, self.log_prob(updated, design)

    def gradient(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        by_weights = np.empty_like(emissions.weights)
        by_covariance = np.empty_like(emissions.noise)
        scatters, counts = self._moments(emissions.weights, design, resp)
        for k, (weights, covariance) in enumerate(zip(*emissions, strict=True)):
            residual = np.nan_to_num(design.targets - weights @ design.inputs)
            # By the mean through the weights, with the prior; both are in units of the noise.
            unscaled = (residual * resp[k]) @ design.inputs.T - weights * self.precision(design)
            inverse = np.linalg.inv(covariance)
            by_weights[k] = inverse @ unscaled
            # By the covariance: zero where it equals the scatter per observation.
            excess = scatters[k] - counts[k][:, None] * covariance
            by_covariance[k] = 0.5 * inverse @ excess @ inverse
        return by_weights, self._by_free_noise(emissions.noise, by_covariance)

    def free_noise(self, noise: np.ndarray) -> np.ndarray:
        if self._independent:
            diagonals = np.log(np.einsum("kmm->km", noise))
            return diagonals[:, 0] if self.covariance_type == "spherical" else diagonals.ravel()
        factors = np.linalg.cholesky(noise[:1] if self.covariance_type == "tied" else noise)
        diagonals = np.einsum("kmm->km", factors)
        np.log(diagonals, out=diagonals)
        return factors[:, *np.tril_indices(noise.shape[1])].ravel()

    def noise_from_free(self, vector: np.ndarray, like: np.ndarray) -> np.ndarray:
        n_states, n_outputs, _ = like.shape
        if self._independent:
            diagonals = np.exp(vector).reshape(n_states, -1, 1)
            return diagonals * np.eye(n_outputs)
        lower = np.tril_indices(n_outputs)
        factors = np.zeros((len(vector) // len(lower[0]), n_outputs, n_outputs))
        factors[:, *lower] = vector.reshape(len(factors), -1)
        diagonals = np.einsum("kmm->km", factors)
        np.exp(diagonals, out=diagonals)
        return np.broadcast_to(factors @ factors.transpose(0, 2, 1), like.shape).copy()

    def mean(self, emissions: Emissions, design: Design) -> np.ndarray:
        return np.asarray(emissions.weights @ design.inputs)

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        design: Design,
        rng: np.random.Generator,
    ) -> np.ndarray:
        factors = np.linalg.cholesky(emissions.noise)[states]
        noise = rng.normal(size=(len(states), factors.shape[1]))
        mean = np.einsum("tmf,ft->mt", emissions.weights[states], design.inputs)
        return mean + np.einsum("tmn,tn->mt", factors, noise)

    @property
    def _independent(self) -> bool:
        return self.covariance_type in ("diagonal", "spherical")

    def _n_penalized(self, design: Design) -> int:
        return int((self.precision(design) > 0).sum())

    def _prior_scatter(self, weights: np.ndarray, design: Design) -> np.ndarray:
        """The prior's sum of squares (M, M) of one state."""
        shrunk = (weights * self.precision(design)) @ weights.T
        # an output that is missing throughout has no variance to shrink to
        return shrunk + (self.strength * np.diag(_variance(design)) if self.strength else 0.0)

    def _regress(self, design: Design, before: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Weighted least squares (M, F); outputs that miss other bins are solved by themselves.

        Solved for the change of the weights, so that jitter slows but does not bias them.
        """
        seen = ~np.isnan(design.targets)
        residual = np.nan_to_num(design.targets - before @ design.inputs)
        groups = [range(len(seen))] if (seen == seen[0]).all() else [[m] for m in range(len(seen))]
        gradient = (residual * resp) @ design.inputs.T - before * self.precision(design)
        weights = before.copy()
        for group in groups:
            gram = (design.inputs * (resp * seen[group[0]])) @ design.inputs.T
            diagonal = np.einsum("ff->f", gram)
            diagonal += self.precision(design)
            diagonal += _JITTER * (1e-3 + diagonal)
            free, gram = self.free_part(gradient[group], gram, design)
            weights[group] += np.linalg.solve(gram, free.T).T
        return weights

    def _moments(
        self, weights: np.ndarray, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sums of squares (K, M, M) and the number of observations behind them (K, M)."""
        seen = ~np.isnan(design.targets)
        scatters = np.empty((len(weights), len(seen), len(seen)))
        for k, of_state in enumerate(resp):
            residual = np.nan_to_num(design.targets - weights[k] @ design.inputs)
            scatters[k] = (residual * of_state) @ residual.T + self._prior_scatter(
                weights[k], design
            )
        return scatters, resp @ seen.T + self.strength + self._n_penalized(design)

    def _covariances(self, scatters: np.ndarray, counts: np.ndarray) -> np.ndarray:
        counts = np.maximum(counts, 1e-300)
        if not self._independent:
            if self.covariance_type == "tied":
                tied = scatters.sum(axis=0) / counts[:, 0].sum()
                return np.repeat(tied[None], len(scatters), axis=0)
            return scatters / counts[:, :1, None]
        squares = np.einsum("kmm->km", scatters)
        if self.covariance_type == "spherical":
            pooled = squares.sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
            squares = np.repeat(pooled, squares.shape[1], axis=1)
        else:
            squares = squares / counts
        return squares[:, :, None] * np.eye(squares.shape[1])

    def _by_free_noise(self, noise: np.ndarray, by_covariance: np.ndarray) -> np.ndarray:
        """Chain rule from covariances to `free_noise`."""
        if self._independent:
            by_log = np.einsum("kmm,kmm->km", by_covariance, noise)
            return by_log.sum(axis=1) if self.covariance_type == "spherical" else by_log.ravel()
        if self.covariance_type == "tied":
            noise, by_covariance = noise[:1], by_covariance.sum(axis=0, keepdims=True)
        factors = np.linalg.cholesky(noise)
        by_factors = 2.0 * by_covariance @ factors
        np.einsum("kmm->km", by_factors)[:] *= np.einsum("kmm->km", factors)
        return by_factors[:, *np.tril_indices(noise.shape[1])].ravel()


def _variance(design: Design) -> np.ndarray:
    """Variance of each output (M,), or 1 where it is constant."""
    variance = np.nanvar(design.targets, axis=1)
    return np.where(variance > 1e-20, variance, 1.0)
