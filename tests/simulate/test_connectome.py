"""What the simulated cohorts say of themselves is what their traces show."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.simulate import make_dynamic_communities


def coupling(truth, k, subject, frames):
    """Mean correlation between the members of a community in a subject, in some frames."""
    who = truth.members[k] & ~np.isnan(truth.X[subject]).any(axis=0)
    corr = np.corrcoef(truth.X[subject][frames][:, who].T)
    return corr[np.triu_indices(len(corr), 1)].mean()


def test_members_are_coupled_in_their_interval_and_subjects_only():
    inside, before, elsewhere = [], [], []
    for seed in range(4):
        truth = make_dynamic_communities(random_state=seed)
        for k in range(4):
            for subject in range(12):
                on, active = truth.active_subjects[k, subject], truth.active_frames[k]
                (inside if on else elsewhere).append(coupling(truth, k, subject, active))
                before.append(coupling(truth, k, subject, ~active))
    assert np.mean(inside) > 0.6
    assert abs(np.mean(elsewhere)) < 0.05
    assert abs(np.mean(before)) < 0.05


def test_shapes_and_shares():
    truth = make_dynamic_communities(25, 9, 80, n_communities=3, unseen=0.5, random_state=1)
    assert truth.X.shape == (9, 80, 25)
    gone = np.isnan(truth.X)
    assert (gone.all(axis=1) == gone.any(axis=1)).all()
    assert not gone.all(axis=(0, 1)).any()
    assert 0.35 < gone.mean() < 0.65
    np.testing.assert_array_equal(truth.members.sum(axis=1), [6, 6, 6])
    np.testing.assert_array_equal(truth.active_subjects.sum(axis=1), [7, 7, 7])
    np.testing.assert_array_equal(truth.active_frames.sum(axis=1), np.diff(truth.intervals)[:, 0])


def test_controls():
    static = make_dynamic_communities(schedule="static", random_state=0)
    assert static.active_frames.all() and static.active_subjects.all()
    null = make_dynamic_communities(schedule="null", random_state=0)
    assert not null.active_frames.any() and not null.active_subjects.any()
    same = [coupling(null, k, 0, np.arange(240)) for k in range(4)]
    assert np.abs(np.mean(same)) < 0.1


def test_background_and_drift_do_what_they_say():
    null = {"schedule": "null", "unseen": 0.0, "noise": 0.0, "random_state": 0}
    common = make_dynamic_communities(**null, background=2.0).X[0]
    assert np.corrcoef(common.T).min() > 0.8
    drifting = make_dynamic_communities(400, 1, n_active_subjects=1, **null, own=0.0, drift=3.0).X[
        0
    ]
    assert drifting[-1].std() == pytest.approx(3.0, rel=0.15)


def test_the_seed_decides():
    one, same, other = (make_dynamic_communities(random_state=s).X for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(np.nan_to_num(one), np.nan_to_num(other))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("schedule", "often"), ("unseen", 1.5), ("n_active_subjects", 30), ("n_units", 4)],
)
def test_refuses(argument, value):
    with pytest.raises(DataError, match=argument):
        make_dynamic_communities(**{argument: value})


def test_unknown_details_are_named():
    with pytest.raises(TypeError, match="smothness"):
        make_dynamic_communities(smothness=3.0)
