"""The cohort prior: better than ridge with little data, ridge where nothing is shared."""

import numpy as np
import pytest

from neuroml.decoding import HierarchicalRidgeDecoder, RidgeDecoder, cross_subject_score
from neuroml.decoding._components import explained, shared_components
from neuroml.decoding.metrics import retrieval_accuracy, subject_interval
from neuroml.exceptions import DataError
from neuroml.simulate import make_cohort


def gains(share, seed):
    """Gain in top-1 retrieval over ridge, one value for each new subject (n = 80)."""
    cohort = make_cohort(
        5,
        n_stimuli=300,
        n_test=150,
        n_voxels=(150, 200),
        n_targets=64,
        share=share,
        random_state=seed,
    )
    found = []
    for new in cohort.X:
        source = [s for s in cohort.X if s != new]
        model = HierarchicalRidgeDecoder().fit(
            {s: cohort.X[s] for s in source}, {s: cohort.y[s] for s in source}
        )
        data = cohort.X[new][:80], cohort.y[new][:80]
        accuracy = [
            retrieval_accuracy(
                decoder.adapt(*data, subject=new).predict(cohort.X_test[new], subject=new),
                cohort.y_test,
                5,
            ).forward
            for decoder in (model, RidgeDecoder().fit(*data))
        ]
        found.append(accuracy[0] - accuracy[1])
    return found


@pytest.mark.slow
def test_gain_over_ridge_with_a_shared_code():
    interval = subject_interval([g for seed in range(5) for g in gains(True, seed)], random_state=0)
    assert interval.low > 0


@pytest.mark.slow
def test_no_loss_where_subjects_share_nothing():
    interval = subject_interval(
        [g for seed in range(5) for g in gains(False, seed)], random_state=0
    )
    assert interval.high > -0.01


def test_one_target_and_one_subject_are_plain_ridge():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 20))
    y = X @ rng.standard_normal(20) + rng.standard_normal(50)
    one, other = HierarchicalRidgeDecoder().fit(X, y), RidgeDecoder().fit(X, y)
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=0.05, atol=0.05)


def test_components_are_canonical():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((400, 6)) * [3, 2, 1, 1, 1, 1]
    y -= y.mean(axis=0)
    left_out = y * [0.1, 0.8, 0, 0, 0, 0]
    found = shared_components([y], [explained(y, left_out)], 6, 1e-9)
    assert found.decodability[:2] == pytest.approx([0.8, 0.1], abs=0.03)
    np.testing.assert_allclose(found.encode(y).T @ found.encode(y) / 400, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(found.decode(found.encode(y)), y, atol=1e-6)


def test_cross_subject_score_on_dicts_and_on_rows_with_groups():
    cohort = make_cohort(4, n_stimuli=60, n_test=5, n_voxels=(20, 30), random_state=0)
    table = cross_subject_score(
        HierarchicalRidgeDecoder(), cohort.X, cohort.y, [10, 30], random_state=0
    )
    assert table.groupby("subject").size().eq(2).all() and np.isfinite(table["score"]).all()
    rows = np.empty(240, dtype=object)
    rows[:] = [row for part in cohort.X.values() for row in part]
    again = cross_subject_score(
        HierarchicalRidgeDecoder(),
        rows,
        np.vstack(list(cohort.y.values())),
        [10, 30],
        groups=np.repeat(list(cohort.X), 60),
        random_state=0,
    )
    np.testing.assert_allclose(table["score"], again["score"])
    with pytest.raises(DataError, match="subject s1.*at least 62"):
        cross_subject_score(RidgeDecoder(), cohort.X, cohort.y, 60)


def test_gap_and_order_of_time_series_are_kept():
    data = {s: np.arange(20.0).reshape(-1, 1) for s in "ab"}
    seen = []

    def record(truth, predicted):
        seen.append(truth.ravel().tolist())
        return 0.0

    cross_subject_score(RidgeDecoder(), data, data, [3, 5], shuffle=False, gap=2, scoring=record)
    assert all(rows == list(range(7, 20)) for rows in seen)
