"""Every pair of a map and its inverse gives back what it took, with every setting."""

from itertools import product

import numpy as np
import pytest

from neuroml.connectome import FiberTensor
from neuroml.decoding import ProcrustesAligner, SharedResponseModel
from neuroml.decoding._cross_subject_base import fit_target_space
from neuroml.decoding._pooling import pool, unpool

SIZES = {"equal": (20, 20, 20), "unequal": (12, 40, 25)}


def cohort(sizes, n=90, seed=0):
    rng = np.random.default_rng(seed)
    S = rng.standard_normal((n, 8))
    return {
        f"s{i}": S @ rng.standard_normal((8, v)) + 0.3 * rng.standard_normal((n, v)) + 5.0 * i
        for i, v in enumerate(sizes)
    }


def regions(X):
    return {s: np.arange(part.shape[1]) % 3 for s, part in X.items()}


PROCRUSTES = [
    (sizes, dict(scaling=scaling, standardize=standardize, prior=prior), parcels)
    for sizes, scaling, standardize, prior, parcels in product(
        SIZES, (True, False), (True, False), (0.0, 30.0), (False, True)
    )
    if not (prior and sizes == "unequal")
]


def check_inverse(model, X, added):
    """Back and forth on new responses: the same in the common space, and once more in voxels."""
    model.add_subject(added, subject="new")
    for subject, part in {**X, "new": added}.items():
        Z = model.transform(part, subject=subject)
        back = model.inverse_transform(Z, subject=subject)
        scale = np.abs(Z).max()
        np.testing.assert_allclose(
            model.transform(back, subject=subject), Z, rtol=0, atol=1e-8 * scale
        )
        # of a full-rank map with no more columns than outputs, all of the voxels come back
        if np.linalg.matrix_rank(model.basis_[subject]) == part.shape[1]:
            np.testing.assert_allclose(back, part, rtol=0, atol=1e-8 * np.abs(part).max())


@pytest.mark.filterwarnings("ignore:subject 'new'")  # ten samples tell it little
@pytest.mark.parametrize("n_samples", [90, 10])
@pytest.mark.parametrize(("sizes", "settings", "parcels"), PROCRUSTES)
def test_procrustes(sizes, settings, parcels, n_samples):
    X = cohort((*SIZES[sizes], 20), n=n_samples)
    added = X.pop("s3")
    if parcels:
        settings = settings | {"parcels": regions({**X, "new": added})}
    check_inverse(ProcrustesAligner(max_iter=200, **settings).fit(X), X, added)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("method", ["probabilistic", "deterministic", "robust"])
@pytest.mark.parametrize("sizes", SIZES)
def test_shared_response(sizes, method, standardize):
    X = cohort((*SIZES[sizes], 20))
    added = X.pop("s3")
    model = SharedResponseModel(
        5, method, standardize=standardize, max_iter=2000, tol=1e-5, random_state=0
    ).fit(X)
    if method == "robust":  # what a subject has alone is taken out first, so start in the model
        shared = model.shared_response_
        X = {s: model.inverse_transform(shared, subject=s) for s in X}
        for s, part in X.items():
            np.testing.assert_allclose(model.transform(part, subject=s), shared, atol=1e-8)
    else:
        check_inverse(model, X, added)


@pytest.mark.parametrize("model", [ProcrustesAligner(), SharedResponseModel(5, random_state=0)])
@pytest.mark.parametrize(
    "Z", [np.ones((3, 4)), np.full((3, 20), np.nan), np.ones(20)], ids=["columns", "NaN", "1-D"]
)
def test_inverse_refuses_what_transform_cannot_have_given(model, Z):
    fitted = model.fit(cohort(SIZES["equal"]))
    with pytest.raises(ValueError, match=r"columns|NaN|2D array"):
        fitted.inverse_transform(Z, subject="s0")


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("rank", [None, 2, 9])
@pytest.mark.parametrize("sizes", [[6], [2, 4]])
def test_target_space(sizes, rank, center):
    y = np.random.default_rng(0).standard_normal((30, 6)) + 3.0
    space = fit_target_space(y, sizes, rank, center=center)
    coordinates = space.encode(y)
    np.testing.assert_allclose(space.encode(space.decode(coordinates)), coordinates, atol=1e-12)
    if rank != 2:
        np.testing.assert_allclose(space.decode(coordinates), y, atol=1e-12)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_to_as_many_windows_as_voxels(kind):
    X = np.random.default_rng(0).standard_normal((4, 11))
    np.testing.assert_allclose(unpool(pool(X, 11, kind), 11), X, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, bool])
@pytest.mark.parametrize("missing", [False, True])
def test_fiber_tensor(dtype, missing):
    dense = np.random.default_rng(0).integers(0, 2, (3, 4, 5)).astype(dtype)
    if missing:
        dense = dense.astype(np.result_type(dtype, np.float32))
        dense[1, 2], dense[0, 0, 1] = np.nan, np.nan
    found = FiberTensor.from_dense(dense).to_dense()
    np.testing.assert_array_equal(found, dense)
