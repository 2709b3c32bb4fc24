r"""How uncertain subjects' weights are where the variances between subjects are uncertain too.

One coefficient in one state, with the others at their learned variances: subject s has data of the
information :math:`i_s` (a Schur complement) and the estimate :math:`r_s`, relative to the cohort's
weight, from them alone. With :math:`a_s(v) = i_s / (1 + v i_s)`, the variance v has the density

.. math::
    p(v | y) \propto p(v) \prod_s a_s^{1/2} \Big(\sum_s a_s\Big)^{-1/2}
        \exp\Big(-\tfrac12 \sum_s a_s (r_s - m)^2\Big), \qquad m = \sum_s a_s r_s / \sum_s a_s

in which the cohort's weight is integrated out. Given v, a subject's weight has the mean
:math:`m + \kappa_s (r_s - m)` and the variance :math:`\kappa_s / i_s + (1 - \kappa_s)^2 / \sum a`
with :math:`\kappa_s = v a_s`. Empirical Bayes stops here with the most probable v, which few
subjects put near zero by chance: intervals of five subjects then hold .88 in place of .95. So the
squared error of the weights at the most probable v is averaged over v.
"""

from __future__ import annotations

import numpy as np

__all__ = ["mean_squared_error"]

# Points on the logarithm of the variance, in units: steps of a factor of 1.06, as the density has a
# relative width of sqrt(2 / n_subjects) at least, which is .06 for 500 subjects.
_GRID = np.logspace(-6, 4, 401)
# The prior of the deviation between subjects is half-Cauchy (Gelman 2006, Bayesian Analysis 1:515),
# with the scale that is usual for logistic weights (Gelman et al. 2008, Ann. Appl. Stat. 2:1360).
# With 1, or a flat prior, normal means of 5 subjects are covered within .01 of this one.
_SCALE = 2.5
_LEAST_INFORMATION = 1e-12  # of the cohort's weight, in units: its variance stays finite
_LEAST_SHRUNK = 1e-9  # share of its data in a weight, below which they say nothing


def mean_squared_error(
    deviation: np.ndarray, covariance: np.ndarray, variance: np.ndarray, unit: np.ndarray
) -> np.ndarray:
    """Posterior mean of the squared error of subjects' weights (S, n).

    Parameters
    ----------
    deviation : ndarray of shape (n_subjects, n)
        Weights less the cohort's, under the learned variances.
    covariance : ndarray of shape (n_subjects, n)
        Their posterior variances under these, the cohort's weights given.
    variance : ndarray of shape (n,)
        The learned variances.
    unit : ndarray of shape (n,)
        Squares of the weights that move the predictor by one.
    """
    information = np.maximum(1.0 / covariance - 1.0 / variance, 0.0)
    kept = covariance * information
    known = kept > _LEAST_SHRUNK
    alone = np.divide(deviation, kept, out=np.zeros_like(deviation), where=known)
    v = _GRID[:, None, None] * unit  # (G, 1, n), and what follows (G, S, n) or (G, n)
    a = information / (1.0 + v * information)
    # a state that no one visits says nothing of the cohort's weights there
    total = np.maximum(a.sum(axis=1, keepdims=True), _LEAST_INFORMATION / unit)
    m = (a * alone).sum(axis=1, keepdims=True) / total
    log_density = -0.5 * np.log1p(v * information).sum(axis=1)
    log_density -= 0.5 * np.log(total[:, 0]) + 0.5 * (a * (alone - m) ** 2).sum(axis=1)
    # the half-Cauchy density of the deviation, on the logarithm of the variance
    log_density += 0.5 * np.log(_GRID)[:, None] - np.log1p(_GRID / _SCALE**2)[:, None]
    density = np.exp(log_density - log_density.max(axis=0))
    density /= density.sum(axis=0)
    shrunk = v * a
    mean = m + shrunk * (alone - m)
    spread = v * (1.0 - shrunk) + (1.0 - shrunk) ** 2 / total
    return np.einsum("gn,gsn->sn", density, spread + (mean - deviation) ** 2)
