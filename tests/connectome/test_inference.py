"""Nulls keep what they promise, tests are calibrated and find what was planted."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from neuroml.connectome import (
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
    association,
    reliability,
    surrogate,
    surrogate_test,
)
from neuroml.exceptions import DataError
from neuroml.simulate import make_dynamic_communities

SMALL = {
    "n_units": 30,
    "n_subjects": 8,
    "n_frames": 160,
    "n_communities": 2,
    "n_active_subjects": 5,
}


@pytest.fixture(scope="module")
def fitted():
    X = make_dynamic_communities(**SMALL, random_state=0).X
    return X, DynamicConnectome(2, random_state=0).fit(X)


def traces(n=61, units=4):
    return np.random.default_rng(0).normal(size=(n, units)).cumsum(axis=0)


@pytest.mark.parametrize("n", [60, 61])
def test_phases_keep_the_spectrum_and_shifts_the_circle(n):
    X = traces(n)
    phases, shifted = (surrogate(X, kind, random_state=0) for kind in ("phase", "shift"))
    for made in (phases, shifted):
        expected = np.abs(np.fft.rfft(X, axis=0))
        np.testing.assert_allclose(np.abs(np.fft.rfft(made, axis=0)), expected, atol=1e-9)
        assert not np.allclose(made, X)
    for x, y in zip(X.T, shifted.T, strict=True):
        assert any(np.array_equal(np.roll(x, k), y) for k in range(n))


@pytest.mark.parametrize("kind", ["phase", "shift"])
def test_surrogates_keep_sessions_apart_and_unseen_units_unseen(kind):
    X = traces()
    X[:30, 1] = np.nan
    sessions = np.repeat([0, 1], [30, 31])
    made = surrogate(X, kind, sessions=sessions, random_state=0)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(X))
    changed = np.where(sessions[:, None] == 1, 7.0, X)
    again = surrogate(changed, kind, sessions=sessions, random_state=0)
    np.testing.assert_array_equal(again[:30], made[:30])


@pytest.mark.parametrize("kind", ["phase", "shift"])
def test_surrogates_take_correlation_away(kind):
    common = traces(400, 1)
    X = common + 0.1 * np.random.default_rng(1).normal(size=(400, 30))
    left = [np.corrcoef(surrogate(X, kind, random_state=s).T)[0, 1:].mean() for s in range(20)]
    assert abs(np.mean(left)) < 0.2 < 0.9 < np.corrcoef(X.T)[0, 1:].mean()


@pytest.mark.slow
def test_planted_communities_stand_out_and_absent_ones_do_not(fitted):
    X, model = fitted
    found = surrogate_test(model, X, n_surrogates=19, random_state=0)
    assert (found["contrast_p"] == 0.05).all()
    nothing = make_dynamic_communities(**SMALL, schedule="null", random_state=0).X
    empty = DynamicConnectome(2, random_state=0).fit(nothing)
    assert (
        surrogate_test(empty, nothing, n_surrogates=9, random_state=0)["contrast_p"] > 0.1
    ).all()


def test_association_is_calibrated_and_finds_an_event():
    rng = np.random.default_rng(0)
    event = np.repeat(rng.integers(2, size=30), 20)
    hits = []
    for seed in range(200):
        smooth = np.repeat(np.random.default_rng(seed).normal(size=(60, 1)), 10, axis=0)
        table = association(smooth, event, block=60, n_permutations=39, random_state=seed)
        hits.append(table["p"][0] <= 0.05)
    assert binom.ppf(0.001, 200, 0.05) <= sum(hits) <= binom.ppf(0.999, 200, 0.05)
    courses = np.column_stack([smooth[:, 0], event + rng.normal(size=600), -event])
    table = association(courses, event, block=60, n_permutations=199, random_state=0)
    assert (table["p_corrected"][1:] < 0.05).all() and table["p_corrected"][0] > 0.05
    assert table["correlation"][2] == pytest.approx(-1)
    assert (table["p"] <= table["p_corrected"]).all()


def test_blocks_change_places_within_their_session_only():
    sessions = np.repeat([0, 1], 50)
    target = np.where(sessions == 1, 1.0, 0.0)
    found = association(target[:, None], target, block=10, sessions=sessions, random_state=0)
    assert found["p"][0] == 1


@pytest.mark.parametrize("scheme", ["leave_one_out", "split_half"])
def test_components_come_back_where_they_were_planted(fitted, scheme):
    X, model = fitted
    nothing = make_dynamic_communities(**SMALL, schedule="null", random_state=0).X
    empty = DynamicConnectome(2, random_state=0).fit(nothing)
    planted, absent = (
        reliability(m, x, scheme=scheme, n_splits=3, random_state=0)
        for m, x in ((model, X), (empty, nothing))
    )
    assert planted["motif"].mean() > absent["motif"].mean() + 0.3
    assert planted["time_course"].mean() > absent["time_course"].mean() + 0.1
    assert len(planted) == 2 * planted["split"].nunique()
    assert planted["held_out"].between(0, 1).all()


def test_leaving_out_an_subject_is_the_fit_without_it(fitted):
    X, model = fitted
    rows = reliability(model, X)
    others = DynamicConnectome(2, random_state=0).fit(X[1:])
    assert rows["held_out"][0] == pytest.approx(-others.score(X[:1]))
    assert rows["left_out"].unique().tolist() == [str(k) for k in range(8)]


def test_bad_input(fitted):
    X, model = fitted
    courses = np.ones((20, 1))
    with pytest.raises(ValueError, match="kind has no such option"):
        surrogate(traces(), "bootstrap")
    with pytest.raises(ValueError, match="scheme has no such option"):
        reliability(model, X, scheme="jackknife")
    with pytest.raises(DataError, match="too few subjects.*>= 3 subjects; found 2"):
        reliability(model, X[:2])
    with pytest.raises(DataError, match="nothing can be associated"):
        association(courses, np.ones(20), block=2)
    with pytest.raises(DataError, match="no session has two blocks"):
        association(courses, np.arange(20), block=11)


def test_matched_covariance_keeps_what_units_share_and_nothing_that_switches():
    X = traces(400, 1) + np.random.default_rng(1).normal(size=(400, 5))
    made = surrogate(X, "matched-covariance", random_state=0)
    np.testing.assert_allclose(np.cov(made.T), np.cov(X.T), rtol=1e-9, atol=1e-9)
    assert not np.allclose(made, X)


def test_a_pipelines_components_are_tested_like_a_cohorts():
    """A group of units that comes and goes is more than chance, what is left over is not."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8))
    for start in (50, 150):
        X[start : start + 50, :4] += 2 * rng.normal(size=(50, 1))
    windows = SlidingWindowConnectivity(20, 10, negative="zero", covariance="empirical")
    model = make_pipeline(windows, NonnegativeCP(2, n_init=1, random_state=0)).fit(X)
    found = surrogate_test(model, X, n_surrogates=19, random_state=0)
    assert found.loc[0, ["weight_p", "contrast_p"]].tolist() == [0.05, 0.05]
    assert (found.loc[1, ["weight_p", "contrast_p"]] > 0.05).all()
    # whole matrices hold the same group
    matrices = clone(windows).set_params(vectorize=False, discard_diagonal=True)
    whole = make_pipeline(matrices, clone(model[-1])).fit(X)
    again = surrogate_test(whole, X, n_surrogates=1, random_state=0)
    assert again["contrast"].max() > 0.7
    with pytest.raises(DataError, match="no components .* found NonnegativeCP"):
        surrogate_test(model[-1], X)
