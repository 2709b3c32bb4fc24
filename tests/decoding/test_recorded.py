"""Decoding and alignment of real recordings, on parts that were not fitted."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, cross_val_predict

from neuroml.data import clean, load_dataset
from neuroml.decoding import ProcrustesAligner, PrototypeClassifier, RidgeDecoder
from neuroml.decoding.metrics import (
    feature_correlation,
    permutation_test,
    subject_interval,
    time_segment_matching,
)

pytestmark = pytest.mark.usefixtures("shared_data")


def standard(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.mark.filterwarnings("ignore:subject")  # half of 3.75 minutes says little of some people
def test_held_out_minutes_of_left_out_subjects_are_matched_better_with_a_prior():
    recordings = load_dataset("pieman_htfa").recordings
    data = {r.attrs["subject"]: r["signal"].values.astype(float) for r in recordings}
    out = list(data)[::6]

    def accuracy(prior):
        model = ProcrustesAligner(prior=prior).fit(
            {s: X[:150] for s, X in data.items() if s not in out}
        )
        for s in out:
            model.add_subject(data[s][:150], subject=s)
        aligned = model.transform({s: X[150:] for s, X in data.items()})
        mean = np.mean([X for s, X in aligned.items() if s not in out], axis=0)
        return [time_segment_matching([aligned[s], mean], 10).accuracy[0] for s in out]

    free, guided = np.array(accuracy(0.0)), np.array(accuracy(300.0))
    chance = 1 / 122
    assert free.mean() > 5 * chance
    assert subject_interval(guided - free, random_state=0).low > 0


@pytest.mark.slow
def test_what_a_person_saw_is_told_in_runs_left_out():
    recording = load_dataset("haxby_slices").recordings[0]
    cleaned = clean(recording, detrend=True, confounds=True)["signal"].values.astype(float)
    runs, labels = recording["segment"].values, recording["label"].values.astype(str)
    X, y = np.empty_like(cleaned), labels.copy()
    for run in np.unique(runs):
        here = np.flatnonzero(runs == run)
        X[here] = standard(cleaned[here])
        y[here] = np.r_[["rest"] * 2, labels[here][:-2]]  # 5 s for the response
    X, y, runs = (part[y != "rest"] for part in (X, y, runs))
    found = cross_val_predict(PrototypeClassifier(), X, y, groups=runs, cv=GroupKFold(4))
    assert np.mean(found == y) > 0.3  # of eight classes


@pytest.mark.slow
def test_others_tell_what_a_left_out_person_hears_in_a_left_out_part_of_the_story():
    X, y = {}, {}
    for recording in load_dataset("alice_fmri").recordings:
        cleaned = clean(recording, detrend=True, high_pass_hz=0.01, confounds=True)
        X[recording.attrs["subject"]] = standard(cleaned["signal"].values.astype(float))
        y[recording.attrs["subject"]] = standard(cleaned["covariates"].values[:, :12])
    n, predicted, truth = 362, {}, {}
    for i, test in enumerate(np.array_split(np.arange(n), 4)):
        train = np.r_[0 : max(test[0] - 8, 0), test[-1] + 9 : n]  # 16 s between
        for s in X:
            rest = [other for other in X if other != s]
            model = RidgeDecoder().fit(
                np.vstack([X[o][train] for o in rest]), np.vstack([y[o][train] for o in rest])
            )
            predicted[s, i], truth[s, i] = model.predict(X[s][test]), y[s][test]
    found = permutation_test(
        lambda p, t: feature_correlation(p, t).mean(),
        predicted,
        truth,
        scheme="shift",
        n_permutations=39,
        random_state=0,
    )
    assert found.p_value == 1 / 40
