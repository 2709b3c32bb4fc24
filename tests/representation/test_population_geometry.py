"""Geometry with its nulls: what is planted is found, what is not there is not."""

import numpy as np
import pandas as pd
import pytest

import neuroml
from neuroml.data import load_dataset
from neuroml.exceptions import DataError
from neuroml.representation import (
    PopulationGeometry,
    ccgp,
    parallelism_score,
    representational_dissimilarity,
    shattering_dimensionality,
)

RNG = np.random.default_rng
CUBE = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], dtype=float)
SIDE = [0, 0, 0, 0, 1, 1, 1, 1]
QUICK = {"n_permutations": 39, "n_bootstrap": 20, "random_state": 0}


def trials(means, repeats=12, noise=1.0, seed=0, n_sessions=3):
    y = np.tile(np.repeat(np.arange(len(means)), repeats // n_sessions), n_sessions)
    sessions = np.repeat(np.arange(n_sessions), len(y) // n_sessions)
    return means[y] + noise * RNG(seed).normal(size=(len(y), means.shape[1])), y, sessions


def by_name(model):
    return model.to_frame().set_index("quantity")


def test_a_factored_code():
    X, y, sessions = trials(CUBE @ RNG(1).normal(size=(3, 40)))
    model = PopulationGeometry(**QUICK).fit(X, y, labels=SIDE, sessions=sessions)
    found = by_name(model)
    assert list(model.to_frame()) == ["quantity", "value", "null_mean", "p", "ci_low", "ci_high"]
    assert found.loc["ccgp", "value"] > 0.95 and found.loc["ccgp", "p"] == pytest.approx(1 / 40)
    assert found.loc["parallelism", "p"] == pytest.approx(1 / 40)
    assert found.loc["decoding", "p"] == pytest.approx(1 / 40)
    assert found.loc["decoding", "null_mean"] == pytest.approx(0.5, abs=0.05)
    assert found.loc["participation_ratio", "value"] == pytest.approx(3, abs=0.8)
    assert (found["ci_low"] <= found["value"]).all() and (found["value"] <= found["ci_high"]).all()
    # the same as the functions say
    assert found.loc["ccgp", "value"] == pytest.approx(ccgp(X, y, SIDE))
    means = np.array([X[y == c].mean(0) for c in range(8)])
    assert found.loc["parallelism", "value"] == pytest.approx(parallelism_score(means, SIDE))
    np.testing.assert_allclose(
        model.dissimilarity_,
        representational_dissimilarity(X, y, metric="crossnobis", sessions=sessions),
    )


def test_random_places_are_decoded_but_abstract_no_more_than_their_rotations():
    ps = {"ccgp": [], "parallelism": []}
    for seed in range(16):
        X, y, _ = trials(RNG(seed).normal(size=(8, 30)), repeats=6, noise=0.5, seed=1000 + seed)
        model = PopulationGeometry(19, n_bootstrap=2, random_state=seed).fit(X, y, labels=SIDE)
        found = by_name(model)
        assert found.loc["decoding", "p"] == 0.05
        for name, values in ps.items():
            values.append(found.loc[name, "p"])
    for values in ps.values():  # uniform: mean 1/2 with a standard error of .072
        assert np.mean(values) == pytest.approx(0.5, abs=3.5 * 0.072)


def test_without_differences_nothing_is_found():
    ps = []
    for seed in range(20):
        X, y, sessions = trials(np.zeros((4, 10)), repeats=6, seed=seed)
        model = PopulationGeometry(19, n_bootstrap=2, random_state=seed)
        found = by_name(model.fit(X, y, sessions=sessions))
        ps.append(found.loc[["distance", "decoding", "reliability"], "p"].to_numpy())
    assert np.abs(np.mean(ps, axis=0) - 0.5).max() < 3.5 * 0.065


def test_all_balanced_dichotomies_and_names():
    X, y, _ = trials(RNG(0).normal(size=(4, 12)), noise=0.2)
    names = np.array(["d", "b", "a", "c"])[y]
    table = pd.DataFrame(X, columns=[f"n{i}" for i in range(12)])
    model = PopulationGeometry(5, n_bootstrap=2, random_state=0).fit(table, names)
    assert model.conditions_.tolist() == ["a", "b", "c", "d"] and len(model.dichotomies_) == 3
    found = by_name(model)
    assert {"decoding[2]", "ccgp[0]", "parallelism[1]"} < set(found.index)
    assert found.loc["decoding", "value"] == pytest.approx(shattering_dimensionality(X, names))
    assert model.feature_names_in_[0] == "n0"


def test_drawn_dichotomies_are_said_and_the_mean_of_all_generalizes_by_symmetry():
    X, y, _ = trials(RNG(0).normal(size=(6, 12)), noise=0.5)
    model = PopulationGeometry(3, n_bootstrap=2, random_state=0)
    found = by_name(
        model.fit(X, y)
    )  # exchanging the two held-out conditions turns right into wrong
    assert found.loc["ccgp", "value"] == pytest.approx(0.5) and found.loc["ccgp", "p"] == 1
    with pytest.warns(UserWarning, match="4 of 10 balanced dichotomies of 6 conditions"):
        model.set_params(max_dichotomies=4).fit(X, y)
    assert len(model.dichotomies_) == 4


def test_two_conditions_have_distances_but_nothing_to_generalize():
    X, y, _ = trials(np.array([[0.0, 0.0], [2.0, 1.0]]))
    found = by_name(PopulationGeometry(5, n_bootstrap=3, random_state=0).fit(X, y))
    assert set(found.index) == {"participation_ratio", "distance", "decoding"}


def test_trials_are_parts_where_sessions_lack_conditions():
    X, y, _ = trials(CUBE)
    one = np.zeros(len(X), dtype=int)
    with pytest.raises(DataError, match=r"1 session\(s\).*parts='trials'"):
        PopulationGeometry(3, n_bootstrap=2).fit(X, y, sessions=one)
    model = PopulationGeometry(3, n_bootstrap=2, parts="trials", random_state=0)
    alone = PopulationGeometry(3, n_bootstrap=2, random_state=0).fit(X, y)
    pd.testing.assert_frame_equal(model.fit(X, y, sessions=one).to_frame(), alone.to_frame())


def test_saved_and_loaded(tmp_path):
    X, y, _ = trials(CUBE)
    model = PopulationGeometry(5, n_bootstrap=2, random_state=0).fit(X, y, labels=SIDE)
    neuroml.save(model, tmp_path / "m.safetensors")
    again = neuroml.load(tmp_path / "m.safetensors")
    pd.testing.assert_frame_equal(again.to_frame(), model.to_frame())


def test_gratings_of_a_recorded_population(shared_data):
    """The four orientations of moving gratings, in imaged neurons."""
    recording = load_dataset("patmap_ensembles", data_dir=shared_data).recordings[0]
    orientation = recording["covariates"].values[:, 0].astype(int)
    keep = slice(0, len(orientation) // 5 * 5)
    blocks = np.repeat(np.arange(5), len(orientation) // 5)
    model = PopulationGeometry(19, n_bootstrap=2, random_state=0)
    model.fit(recording["signal"].values[keep], orientation[keep], sessions=blocks)
    found = by_name(model)
    print(found.loc[["distance", "reliability", "decoding", "ccgp", "parallelism"]].round(3))
    assert found.loc["decoding", "p"] == 0.05


def test_what_has_no_geometry_is_refused():
    X, y, sessions = trials(CUBE)
    with pytest.raises(DataError, match="one condition"):
        PopulationGeometry().fit(X, np.zeros(len(X), dtype=int))
    with pytest.raises(DataError, match="none of condition"):
        kept = ~((sessions == 1) & (y == 0))
        PopulationGeometry().fit(X[kept], y[kept], sessions=sessions[kept])
    with pytest.raises(DataError, match="side of each of 8"):
        PopulationGeometry().fit(X, y, labels=[0, 1])
    with pytest.raises(DataError, match="missing"):
        PopulationGeometry().fit(X, np.where(y == 0, np.nan, y.astype(float)))
    with pytest.raises(ValueError, match="y"):
        PopulationGeometry().fit(X, None)
