r"""The likelihood of cells' responses under types with a mean, a covariance, and a gain per cell.

A cell of type :math:`k` with the gain :math:`g > 0` and the offset :math:`b` has in :math:`c_j`
repeats of stimulus :math:`j` the mean response

.. math:: y_j = g\,(\mu_{kj} + \delta_j) + b + \epsilon_j,
          \quad \delta \sim N(0, \Sigma_k), \quad \epsilon_j \sim N(0, \sigma^2 / c_j).

Gain and offset have flat priors and are integrated out, so that neither the unit of a cell's
responses nor its zero changes a probability. The noise is integrated out over a grid: where there
are repeats, their scatter is a second measurement of :math:`\sigma^2`, chi-squared distributed;
where there are none, what no type explains is all that tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space
from scipy.special import expit, log_expit, log_ndtr, logsumexp, softmax

from neuroml.celltypes._matching import mean_and_noise, mean_and_sd, standardize

__all__ = ["Repeats", "TypeModel", "repeats_of"]

# Noise as a share of the power of a cell's responses: from 1e-4, which keeps variances positive
# where cells equal their type's mean, to .98. The prior is uniform in the share.
_LOGITS = np.linspace(-9.0, 4.0, 27)
_SHARES = expit(_LOGITS)
_LOG_PRIOR = log_expit(_LOGITS) + log_expit(-_LOGITS)


@dataclass(frozen=True)
class Repeats:
    """What repeats say of each cell.

    Attributes
    ----------
    mean : ndarray of shape (n_stimuli, n_cells)
        Over repeats; 0 where a stimulus was not shown.
    count : ndarray of int of shape (n_stimuli, n_cells)
        Number of repeats.
    scatter : ndarray of shape (n_cells,)
        Sum of the squared deviations from the mean over repeats.
    """

    mean: np.ndarray
    count: np.ndarray
    scatter: np.ndarray

    @property
    def n_free(self) -> np.ndarray:
        """Degrees of freedom (n_cells,) of the scatter."""
        return np.maximum(self.count - 1, 0).sum(axis=0)


def repeats_of(responses: np.ndarray) -> Repeats:
    """Sum up responses (n_repeats, n_stimuli, n_cells), NaN where a stimulus was not shown."""
    mean, sd = mean_and_sd(responses)
    count = np.isfinite(responses).sum(axis=0)
    return Repeats(mean, count, (count * sd**2).sum(axis=0))


@dataclass(frozen=True)
class TypeModel:
    """Types of cells by their responses to the same stimuli.

    Attributes
    ----------
    means : ndarray of shape (n_types, n_stimuli)
        Mean responses, each cell's divided by its own size.
    covariances : ndarray of shape (n_types, n_stimuli, n_stimuli)
    offset : {"free", "none"}
        Whether cells have offsets; without, 0 means no response.
    """

    means: np.ndarray
    covariances: np.ndarray
    offset: str

    @classmethod
    def estimate(
        cls, responses: np.ndarray, labels: np.ndarray, n_types: int, offset: str
    ) -> TypeModel:
        """Estimate the types from responses (n_stimuli, n_cells) without noise.

        The covariance of a type is shrunk to that within all types, with the weight of as many
        cells as there are stimuli, below which it would be singular.

        Parameters
        ----------
        responses : ndarray of shape (n_stimuli, n_cells)
        labels : ndarray of int of shape (n_cells,)
            -1 for cells that are not to be used.
        n_types : int
        offset : {"free", "none"}
        """
        members = labels == np.arange(n_types)[:, None]
        if offset == "free":
            responses = responses - responses.mean(axis=0)
        size = np.sqrt((responses**2).mean(axis=0))
        scaled = np.divide(responses, size, out=np.zeros_like(responses), where=size > 0)
        n_members = members.sum(axis=1)[:, None]
        means = members @ scaled.T / np.maximum(n_members, 1)
        apart = np.where(labels < 0, 0.0, scaled - means[labels].T)
        squares = np.einsum("kc,ic,jc->kij", members, apart, apart, optimize=True)
        within = squares.sum(axis=0) / max(members.sum() - n_types, 1)
        weight, n_members = len(responses), n_members[:, None]
        shrunk = (squares + weight * within) / (np.maximum(n_members - 1, 0) + weight)
        # of a new cell about a mean that is itself estimated
        return cls(means, shrunk * (1 + 1 / np.maximum(n_members, 1)), offset)

    def probabilities(self, responses: np.ndarray) -> np.ndarray:
        """Probability (n_cells, n_types) of each type, NaN for cells without variation.

        Parameters
        ----------
        responses : ndarray of shape (n_repeats, n_stimuli, n_cells)
            NaN where a stimulus was not shown.
        """
        varies = np.isfinite(standardize(mean_and_noise(responses)[0])).any(axis=0)
        result = np.full((len(varies), len(self.means)), np.nan)
        value = self.log_likelihood(repeats_of(responses[:, :, varies]))
        result[varies] = softmax(value, axis=1)
        return result

    def log_likelihood(self, repeats: Repeats) -> np.ndarray:
        """Log likelihood (n_cells, n_types), up to a constant for each cell, which must respond."""
        result = np.empty((repeats.mean.shape[1], len(self.means)))
        patterns, of_cell = np.unique(repeats.count.T, axis=0, return_inverse=True)
        for i, count in enumerate(patterns):
            cells = np.flatnonzero(of_cell.reshape(-1) == i)
            # times sqrt(c_j), so that the noise has the same variance for every stimulus shown;
            # the directions without an offset, which is then along sqrt(c), if there is one
            root = np.sqrt(count[count > 0])
            free = null_space(root[None]) if self.offset == "free" else np.eye(len(root))
            basis = np.zeros((len(count), free.shape[1]))
            basis[count > 0] = root[:, None] * free
            result[cells] = self._integrate(
                repeats.mean[:, cells].T @ basis,
                repeats.scatter[cells],
                repeats.n_free[cells],
                self.means @ basis,
                basis.T @ self.covariances @ basis,
            )
        return result

    @staticmethod
    def _integrate(
        responses: np.ndarray,
        scatter: np.ndarray,
        n_free: np.ndarray,
        means: np.ndarray,
        covariances: np.ndarray,
    ) -> np.ndarray:
        """Integrate gain and noise out of responses (n_cells, n) with noise of equal variance."""
        power = (responses**2).mean(axis=1)
        variances, axes = np.linalg.eigh(covariances)
        variances = np.maximum(variances, 0.0)[:, None]  # 0 up to rounding
        y = responses @ axes  # (n_types, n_cells, n), in each type's principal axes
        mean = np.matmul(means[:, None], axes)
        level, terms = (means**2).mean() or 1.0, []
        for share, log_prior in zip(_SHARES, _LOG_PRIOR, strict=True):
            noise = share * power
            # V = g^2 Sigma + sigma^2, with g^2 what remains of the power over that of the means
            squared_gain = (1 - share) * power / level
            v = squared_gain[:, None] * variances + noise[:, None]
            # int_0^inf N(y; g mu, V) dg, with a = mu' V^-1 mu and b = mu' V^-1 y
            a = np.maximum((mean**2 / v).sum(axis=2), np.finfo(float).tiny)
            b = (mean * y / v).sum(axis=2)
            misfit = (y**2 / v).sum(axis=2) - b**2 / a
            value = -(misfit + np.log(v).sum(axis=2) + np.log(a)) / 2 + log_ndtr(b / np.sqrt(a))
            # scatter ~ sigma^2 chi^2
            terms.append(value - (n_free * np.log(noise) + scatter / noise) / 2 + log_prior)
        return logsumexp(terms, axis=0).T
