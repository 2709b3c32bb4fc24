from collections import Counter

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from neuroml.data import align_units, load_dataset, stack


@pytest.fixture(scope="module")
def worms(shared_data):
    return load_dataset("celegans_neuropal", data_dir=shared_data)


def named(worm):
    return [str(unit) for unit in worm.unit.values if "#" not in unit]


def test_shapes_and_names(worms):
    assert [worm.signal.shape[1] for worm in worms.recordings] == [
        146,
        141,
        145,
        135,
        140,
        130,
        139,
    ]
    assert {worm.signal.shape[0] for worm in worms.recordings} == {800}
    names = Counter(name for worm in worms.recordings for name in named(worm))
    assert sum(count == 7 for count in names.values()) == 40
    assert sum(count >= 4 for count in names.values()) == 102
    assert not any("?" in name for name in names)


def test_units_without_a_sure_name_are_shared_by_no_two_worms(worms):
    unnamed = [u for worm in worms.recordings for u in worm.unit.values if "#" in u]
    assert len(set(unnamed)) == len(unnamed)
    fourth = worms.recordings[3].set_index(unit="label").sel(unit="URADL")
    assert fourth["confidence"].values.tolist() == [5.0, 3.0]  # columns 7 and 46 of the file
    assert "URADL" in named(worms.recordings[3])
    assert "name URADL of column 46: given twice" in worms.recordings[3].attrs["dropped"]


def test_names_stand_at_the_right_traces(worms, shared_data):
    folder = shared_data / "celegans_neuropal"
    table = pd.read_csv(folder / "neuron_labels.csv")
    for worm in worms.recordings:
        subject = worm.attrs["subject"]
        with h5py.File(folder / f"data/swf702_with_id/{subject}-data.h5") as file:
            traces = file["gcamp/trace_array"][:]
        sure = table[(table["worm"] == subject) & (table["label"].isin(named(worm)))]
        for row in sure.drop_duplicates("label").itertuples():
            ours = worm.signal.sel(unit=row.label)
            assert np.array_equal(ours, traces[:, row.trace_index_1based - 1])


def test_left_and_right_of_a_pair_go_together(worms):
    for worm in worms.recordings:
        names = set(named(worm))
        pairs = [(n, n[:-1] + "R") for n in names if n[-1] == "L" and n[:-1] + "R" in names]
        z = worm.signal
        together = [np.corrcoef(z.sel(unit=a), z.sel(unit=b))[0, 1] for a, b in pairs]
        everyone = np.corrcoef(z.sel(unit=sorted(names)).T)[np.triu_indices(len(names), k=1)]
        assert len(pairs) >= 25
        assert np.mean(together) > 0.4
        assert everyone.mean() < 0.25


def test_time_and_behaviour(worms):
    for worm, events in zip(worms.recordings, worms.events, strict=True):
        assert worm.time.values[0] == 0
        assert worm.time.values[-1] == pytest.approx(799 * 0.6, abs=1.5)
        behaviour = worm.covariates.to_dataset("feature")
        assert np.isfinite(worm.covariates).all()
        back = behaviour["reversal"].values == 1
        assert (
            behaviour["velocity"].values[back].mean()
            < 0
            < behaviour["velocity"].values[~back].mean()
        )
        inside = np.zeros(800, dtype=bool)
        for event in events.itertuples():
            after = worm.time.values >= event.onset
            inside |= after & (worm.time.values < event.onset + event.duration - 1e-6)
        assert np.array_equal(inside, back)
        assert set(events["trial_type"]) == {"reversal"}


def test_reversals_are_decoded_in_a_worm_never_seen(worms):
    shared = align_units(worms.recordings, min_recordings=7)
    arrays = stack(shared, target="reversal")
    assert arrays.X.shape == (5600, 40)
    scores = []
    for worm in set(arrays.groups):
        test = arrays.groups == worm
        model = LogisticRegression(C=0.01, max_iter=1000).fit(arrays.X[~test], arrays.y[~test])
        scores.append(roc_auc_score(arrays.y[test], model.decision_function(arrays.X[test])))
    assert np.mean(scores) > 0.68
    assert min(scores) > 0.58  # chance 0.5


def test_the_unstandardized_traces_have_the_same_units(worms):
    aligned = align_units(worms.recordings, min_recordings=7)
    arrays = stack(aligned, signal="f_f20")
    assert arrays.X.shape == (5600, 40)
    assert np.corrcoef(arrays.X[:800, 0], stack(aligned).X[:800, 0])[0, 1] > 0.999
