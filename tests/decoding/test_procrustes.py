"""Hyperalignment: exact rotations recovered, both routes equal, regions kept apart, priors."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from neuroml.decoding import ProcrustesAligner
from neuroml.decoding.metrics import intersubject_correlation
from neuroml.decoding.procrustes import product_polar
from neuroml.exceptions import DataError


def rotated(seed, n=80, v=12, n_subjects=4, noise=0.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, v)) * np.linspace(3, 1, v)
    turns = [np.linalg.qr(rng.standard_normal((v, v)))[0] for _ in range(n_subjects)]
    return {f"s{i}": X @ Q + noise * rng.standard_normal((n, v)) for i, Q in enumerate(turns)}


@pytest.mark.parametrize("seed", range(3))
def test_undoes_rotations(seed):
    X = rotated(seed)
    aligned = ProcrustesAligner(standardize=False).fit(X).transform(X)
    assert intersubject_correlation(aligned).min() > 1 - 1e-6


def test_two_subjects_equal_scipy():
    X = rotated(0, n_subjects=2, noise=0.3)
    model = ProcrustesAligner(scaling=False, standardize=False).fit(X)
    centered = X["s1"] - X["s1"].mean(axis=0)
    expected, _ = orthogonal_procrustes(centered, model.template_)
    np.testing.assert_allclose(model.basis_["s1"], expected, atol=1e-8)
    np.testing.assert_allclose(
        ProcrustesAligner(standardize=False).fit(X).basis_["s1"],
        expected
        * np.vdot(centered @ expected, model.template_)
        / np.vdot(centered @ expected, centered @ expected),
        atol=1e-8,
    )


@pytest.mark.parametrize("sizes", [(30, 40), (40, 30), (30, 30)])
def test_route_by_the_samples_equals_the_direct_one(sizes):
    rng = np.random.default_rng(0)
    X, T = rng.standard_normal((10, sizes[0])), rng.standard_normal((10, sizes[1]))
    left, values, right = np.linalg.svd(X.T @ T, full_matrices=False)
    direct = left[:, :10] @ right[:10]
    assert values[10:].max() < 1e-10
    np.testing.assert_allclose(product_polar(X, T), direct, atol=1e-8)


def test_few_samples_give_the_same_template_norm_and_alignment():
    X = rotated(1, n=10, v=30)
    model = ProcrustesAligner(standardize=False).fit(X)
    assert intersubject_correlation(model.transform(X)).min() > 1 - 1e-6
    assert model.template_.shape == (10, 30)


def test_unequal_voxels_align_to_the_reference():
    rng = np.random.default_rng(2)
    S = rng.standard_normal((200, 5))
    make = lambda v: S @ rng.standard_normal((5, v)) + 0.1 * rng.standard_normal((200, v))  # noqa: E731
    X = {"a": make(20), "b": make(35), "c": make(14)}
    model = ProcrustesAligner(reference="b").fit(X)
    aligned = model.transform(X)
    assert {part.shape for part in aligned.values()} == {(200, 35)}
    assert intersubject_correlation(aligned).mean() > 0.7
    new = make(25)
    model.add_subject(new, subject="d")
    assert model.held_out_r_["d"] > 0.7


def test_regions_are_kept_apart():
    X = rotated(3)
    labels = {s: np.repeat(["v1", "v2"], 6) for s in X}
    model = ProcrustesAligner(parcels=labels).fit(X)
    for basis in model.basis_.values():
        assert np.all(basis[:6, 6:] == 0) and np.all(basis[6:, :6] == 0)
    alone = ProcrustesAligner().fit({s: part[:, :6] for s, part in X.items()})
    np.testing.assert_allclose(model.basis_["s1"][:6, :6], alone.basis_["s1"], atol=1e-8)
    with pytest.raises(DataError, match="subject s0, field parcels.*12 voxels"):
        ProcrustesAligner(parcels=np.zeros(5)).fit(X)
    with pytest.raises(DataError, match="subject s1.*voxels in region v2"):
        ProcrustesAligner(parcels=labels | {"s1": np.repeat("v1", 12)}).fit(X)


def test_prior_leads_from_free_rotation_to_the_identity():
    X = rotated(4, noise=0.3)
    distance = []
    for prior in (0.0, 100.0, 1e6):
        basis = ProcrustesAligner(prior=prior, scaling=False, max_iter=200).fit(X).basis_["s2"]
        distance.append(np.linalg.norm(basis - np.eye(12)))
        np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-10)
    assert distance[0] > distance[1] > distance[2] and distance[2] < 0.01
    with pytest.raises(DataError, match="voxels that correspond"):
        ProcrustesAligner(prior=1.0).fit(X | {"s3": X["s3"][:, :5]})


def test_reference_must_be_a_subject():
    with pytest.raises(DataError, match="found 'nobody'"):
        ProcrustesAligner(reference="nobody").fit(rotated(0))
