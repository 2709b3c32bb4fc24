"""The linear cross-subject decoder: what a cohort is good for, and what it must not do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score

from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    RidgeDecoder,
    cross_subject_score,
)
from neuroml.decoding.metrics import retrieval_accuracy, retrieval_from_scores
from neuroml.exceptions import DataError
from neuroml.simulate import make_cohort


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(
        3, n_stimuli=[90, 120, 70], n_test=40, n_voxels=(60, 80), n_targets=20, random_state=0
    )


def sources(cohort, target="s3"):
    return tuple({s: d[s] for s in d if s != target} for d in (cohort.X, cohort.y))


def world(seed, **changes):
    settings = {"n_stimuli": 500, "n_test": 150, "n_voxels": (250, 350), "snr": 1.5}
    cohort = make_cohort(4, **(settings | changes), random_state=seed)
    model = CrossSubjectDecoder().fit(*sources(cohort, "s4"))
    return cohort, model


def top_1(model, cohort):
    scores = model.score_candidates(cohort.X_test["s4"], cohort.y_test, subject="s4")
    return retrieval_from_scores(scores).forward


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_cohort_more_than_doubles_what_a_few_rows_can_do(seed):
    cohort, model = world(seed)
    few = cohort.X["s4"][:60], cohort.y["s4"][:60]
    adapted = model.adapt(*few, subject="s4")
    ridge = RidgeDecoder().fit({"s4": few[0]}, {"s4": few[1]})
    decoded = ridge.predict(cohort.X_test["s4"], subject="s4")
    assert top_1(adapted, cohort) > 1.5 * retrieval_accuracy(decoded, cohort.y_test).forward
    assert adapted.score(cohort.X_test["s4"], cohort.y_test, subject="s4") > ridge.score(
        {"s4": cohort.X_test["s4"]}, {"s4": cohort.y_test}
    )


def test_predictions_of_few_rows_gain_from_a_cohort_not_only_scores_of_candidates():
    """By the cosine of what `predict` gives, and R2: the readout is that of ridge."""
    rows = []
    for seed in range(4):
        # components of the others have to be well known: 400 rows at a high signal
        cohort, model = world(seed, n_stimuli=400, n_voxels=(120, 150), n_targets=32, snr=3.0)
        few, test = (cohort.X["s4"][:60], cohort.y["s4"][:60]), cohort.X_test["s4"]
        found = []
        for strategy in ("auto", "ridge"):
            decoded = model.adapt(*few, subject="s4", strategy=strategy).predict(test, subject="s4")
            top = retrieval_accuracy(decoded, cohort.y_test).forward
            found.append((top, r2_score(cohort.y_test, decoded)))
        rows.append(np.subtract(*found))
    gain = np.array(rows)
    error = gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    assert (gain.mean(axis=0) > 2 * error).all(), gain


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_cohort_that_shares_nothing_does_no_harm(seed):
    cohort, model = world(seed, share=False)
    few = cohort.X["s4"][:60], cohort.y["s4"][:60]
    adapted = model.adapt(*few, subject="s4")
    ridge = model.adapt(*few, subject="s4", strategy="ridge")
    assert top_1(adapted, cohort) > top_1(ridge, cohort) - 0.02


def test_known_subjects_use_the_others_as_prior_and_a_subject_alone_is_ridge():
    cohort, _ = world(0)
    rows = {s: slice(0, 80) for s in cohort.X}
    X, y = ({s: d[s][rows[s]] for s in rows} for d in (cohort.X, cohort.y))
    together = CrossSubjectDecoder().fit(X, y)
    others = CrossSubjectDecoder().fit(*({s: d[s] for s in d if s != "s4"} for d in (X, y)))
    expected = others.adapt(X["s4"], y["s4"], subject="s4")
    gallery = cohort.y_test
    scores = [
        model.score_candidates(cohort.X_test["s4"], gallery, subject="s4")
        for model in (together, expected)
    ]
    centered = [s - s.mean(axis=1, keepdims=True) for s in scores]
    assert np.corrcoef(centered[0].ravel(), centered[1].ravel())[0, 1] > 0.999
    alone = CrossSubjectDecoder().fit({"s4": X["s4"]}, {"s4": y["s4"]})
    ridge = RidgeDecoder().fit({"s4": X["s4"]}, {"s4": y["s4"]})
    np.testing.assert_allclose(
        alone.predict(cohort.X_test["s4"], subject="s4"),
        ridge.predict(cohort.X_test["s4"], subject="s4"),
        atol=1e-6,
    )


def test_voxels_synthesized_for_another_brain_are_like_its_own(cohort):
    cohort, _ = world(3)
    model = CrossSubjectDecoder().fit(cohort.X, cohort.y)
    made = model.synthesize(cohort.X_test["s1"], source="s1", target="s2")
    real = cohort.X_test["s2"]
    matched = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made.T, real.T, strict=True)])
    shuffled = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made.T, real[::-1].T, strict=True)])
    assert matched > 0.1 > abs(shuffled) + 0.05


def test_scored_like_any_other_decoder(cohort):
    table = cross_subject_score(CrossSubjectDecoder(), cohort.X, cohort.y, 40, random_state=0)
    assert list(table.subject) == ["s1", "s2", "s3"] and np.isfinite(table.score).all()


def _named_cohort():
    rng = np.random.default_rng(0)
    X = {s: pd.DataFrame(rng.standard_normal((40, 3)), columns=list("abc")) for s in "xyz"}
    y = {s: pd.DataFrame({"p": x["a"] + x["b"], "q": x["c"] - x["b"]}) for s, x in X.items()}
    return X, y


@pytest.mark.parametrize(
    "model", [CrossSubjectDecoder(), HierarchicalRidgeDecoder(), RidgeDecoder()]
)
def test_scores_pair_targets_by_name(model):
    X, y = _named_cohort()
    model = clone(model).fit(X, y)
    other = {s: one[["q", "p"]] for s, one in y.items()}
    assert model.score(X, other) == pytest.approx(model.score(X, y), abs=1e-12)
    with pytest.raises(DataError, match="field y: the columns have other names"):
        model.score(X, {s: one.rename(columns={"q": "r"}) for s, one in y.items()})


def test_candidates_are_paired_by_name():
    X, y = _named_cohort()
    model = CrossSubjectDecoder().fit(X, y)
    found = [model.score_candidates(X["x"], g, subject="x") for g in (y["x"], y["x"][["q", "p"]])]
    np.testing.assert_allclose(*found)


@pytest.mark.parametrize("scoring", [None, r2_score])
def test_held_out_subjects_keep_their_names(scoring):
    """Tables score as their arrays do, with the columns of one subject in another order."""
    X, y = _named_cohort()
    options = {"n_adapt": 10, "random_state": 0, "scoring": scoring}
    arrays = [{s: one.to_numpy() for s, one in part.items()} for part in (X, y)]
    wanted = cross_subject_score(CrossSubjectDecoder(), *arrays, **options)
    found = cross_subject_score(CrossSubjectDecoder(), X, y | {"z": y["z"][["q", "p"]]}, **options)
    np.testing.assert_allclose(found["score"], wanted["score"], rtol=1e-6)
