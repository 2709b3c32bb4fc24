"""Every decoder of the family scores candidates by likelihood and by cosine."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.preprocessing import normalize

from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    MindBridgeDecoder,
    RidgeDecoder,
)
from neuroml.decoding.metrics import retrieval_from_scores
from neuroml.exceptions import DataError
from neuroml.simulate import make_cohort

MODELS = [
    RidgeDecoder(),
    RidgeDecoder(rank=5),
    HierarchicalRidgeDecoder(),
    CrossSubjectDecoder(),
    MindBridgeDecoder(hidden=8, max_steps=4, random_state=0),
]


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(2, n_stimuli=150, n_test=60, n_voxels=(60, 80), n_targets=24, random_state=0)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_both_readouts_of_every_decoder(model, cohort):
    fitted = model.fit(cohort.X, cohort.y)
    X, gallery = cohort.X_test["s1"], cohort.y_test
    for by in ("likelihood", "cosine"):
        scores = fitted.score_candidates(X, gallery, subject="s1", by=by)
        assert scores.shape == (60, 60) and np.isfinite(scores).all()
        best = fitted.retrieve(X, gallery, subject="s1", k=3, by=by)
        np.testing.assert_array_equal(best, np.argsort(-scores, axis=1, kind="stable")[:, :3])
    center = np.vstack(list(cohort.y.values())).mean(axis=0)
    if isinstance(model, RidgeDecoder):
        center = cohort.y["s1"].mean(axis=0)  # a ridge decoder knows its own subject only
    predicted = normalize(fitted.predict(X, subject="s1") - center)
    np.testing.assert_allclose(scores, predicted @ normalize(gallery - center).T, atol=1e-5)
    with pytest.raises(DataError, match="field by.*'likelihood' or 'cosine'"):
        fitted.retrieve(X, gallery, subject="s1", by="distance")
    with pytest.raises(DataError, match="field gallery.*other targets.*24 columns"):
        fitted.retrieve(X, gallery[:, :5], subject="s1")
    with pytest.raises(ValueError, match="between 1 and the 60"):
        fitted.retrieve(X, gallery, subject="s1", k=61)


def test_scores_of_ridge_are_gaussian_log_likelihoods_up_to_a_constant_per_row(cohort):
    model = RidgeDecoder().fit(cohort.X, cohort.y)
    X, gallery, own = cohort.X_test["s1"][:5], cohort.y_test[:7], model.readouts_["s1"]
    decoded = (model.predict(X, subject="s1") - own["mean"]) @ own["axes"]
    expected = (gallery - own["mean"]) @ own["axes"] * own["gain"]
    noise = np.linalg.inv(own["whitener"] @ own["whitener"].T)
    truth = np.array([[multivariate_normal.logpdf(d, e, noise) for e in expected] for d in decoded])
    found = model.score_candidates(X, gallery, subject="s1")
    np.testing.assert_allclose(
        found - found[:, :1], truth - truth[:, :1], atol=1e-8 * np.abs(truth).max()
    )


def test_likelihood_finds_more_than_the_cosine():
    """With components that brains carry to different degrees, the noise tells which to trust."""
    gains = []
    for seed in range(4):
        cohort = make_cohort(
            1, n_stimuli=300, n_test=150, n_voxels=(150, 160), n_targets=48, random_state=seed
        )
        model = RidgeDecoder().fit(cohort.X["s1"], cohort.y["s1"])
        given = cohort.X_test["s1"], cohort.y_test
        gains.append(
            retrieval_from_scores(model.score_candidates(*given)).forward
            - retrieval_from_scores(model.score_candidates(*given, by="cosine")).forward
        )
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / 2  # two standard errors of four


@pytest.mark.parametrize("model", [RidgeDecoder(), CrossSubjectDecoder()], ids=repr)
def test_one_target_is_retrieved_too(model, cohort):
    X, y = cohort.X["s1"], cohort.y["s1"][:, 0]
    found = model.fit(X, y).retrieve(X, y[:10], k=2)
    assert found.shape == (150, 2)
