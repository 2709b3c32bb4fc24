"""Exponentials and logarithms of compiled loops, beside numpy's in a higher precision."""

import numba
import numpy as np
import pytest

from neuroml.switching._kernels import elementary
from neuroml.switching._kernels.links import LIKELIHOODS, count_kernels


def _compiled(name):
    function = getattr(elementary, name)

    @numba.njit
    def each(x):
        values = np.empty_like(x)
        for i in range(len(x)):
            values[i] = function(x[i])
        return values

    return each


def _arguments(name, largest):
    rng = np.random.default_rng(0)
    exponents = rng.uniform(-largest, largest, 20_000)
    if name == "exp":
        return np.concatenate([exponents, rng.uniform(-1.0, 1.0, 20_000), [0.0]])
    if name == "log":
        near = np.concatenate([rng.uniform(0.5, 2.0, 20_000), [np.sqrt(0.5), 1.0, np.sqrt(2.0)]])
        return np.concatenate([np.exp(exponents), near])
    return np.concatenate([rng.uniform(0.0, 1.0, 20_000), np.exp(-abs(exponents)), [0.0, 1.0]])


@pytest.mark.parametrize(
    ("precision", "higher", "largest"),
    [("float32", np.float64, 86.0), ("float64", np.longdouble, 700.0)],
    ids=["float32", "float64"],
)
@pytest.mark.parametrize("name", ["exp", "log", "log1p_unit"])
def test_values_have_the_precision_of_their_argument(name, precision, higher, largest):
    if np.finfo(higher).eps >= np.finfo(precision).eps:
        pytest.skip("this processor has no higher precision")
    x = _arguments(name, largest).astype(precision)
    found = _compiled(name)(x)
    exact = {"exp": np.exp, "log": np.log, "log1p_unit": np.log1p}[name](x.astype(higher))
    plain = np.array([getattr(elementary, name)(one) for one in x[:100]])
    assert found.dtype == plain.dtype == precision
    np.testing.assert_allclose(plain, found[:100], rtol=4 * np.finfo(precision).eps)
    units = abs(found - exact) / (np.finfo(precision).eps * abs(exact) + np.finfo(precision).tiny)
    assert units.max() < 4.0


@pytest.mark.parametrize("link", ["exp", "softplus", "sigmoid"])
def test_float32_predictors_far_from_zero_stay_finite(link):
    eta = [[-1e4, -200.0, -90.0, 60.0] + ([] if link == "exp" else [200.0, 1e4])]
    eta = np.array(eta, dtype=np.float32)
    loops = count_kernels(LIKELIHOODS[f"poisson {link}"])
    for count in (0.0, 1.0, 1000.0):
        y = np.full_like(eta, count)
        weights, sums = np.ones(eta.shape), np.zeros((1, 1))
        loops.add_values(y, eta.copy(), weights, np.zeros(eta.shape), sums)
        assert np.isfinite(sums).all()
        gradients, hessians = np.empty_like(eta), np.empty_like(eta)
        loops.add_derivatives(y, eta.copy(), np.ones_like(y[0]), gradients, hessians, np.zeros(1))
        assert np.isfinite(gradients).all()
        assert (np.isfinite(hessians) & (hessians >= 0.0)).all()
