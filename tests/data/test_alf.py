"""Folders in the naming of ALF: spikes by cluster, and trials."""

import numpy as np
import pandas as pd
import pytest

from neuroml.data import describe_file, read_spikes, read_trials
from neuroml.exceptions import DataError

TIMES = np.array([0.1, 0.3, 0.35, 0.7, 0.9])
CLUSTERS = np.array([0, 2, 0, 1, 2])


@pytest.fixture
def probe(tmp_path):
    np.save(tmp_path / "spikes.times.npy", TIMES)
    np.save(tmp_path / "spikes.clusters.npy", CLUSTERS.astype(np.uint16))
    labels = pd.DataFrame({"cluster_id": [0, 1, 2], "label": [1.0, 2 / 3, 1.0]})
    labels.to_csv(tmp_path / "clusters.metrics.csv", index=False)
    return tmp_path


def test_good_clusters_are_those_that_pass_every_metric(probe):
    found = read_spikes(probe, bin_s=0.5, start_s=0, stop_s=1)
    assert found.unit.values.tolist() == ["0", "2"]
    assert found.signal.values.tolist() == [[2, 1], [0, 1]]
    assert found.attrs["dropped"] == ["1 of 3 clusters, which do not pass every metric"]
    assert len(found.attrs["sha256"]) == 64
    every = read_spikes(probe, bin_s=0.5, start_s=0, stop_s=1, labels=["all"])
    assert every.signal.values.tolist() == [[2, 0, 1], [0, 1, 1]]
    assert "ALF" in describe_file(probe).kind and describe_file(probe).ok


def test_ids_and_namespaces_in_names_are_passed_over(probe):
    (probe / "spikes.times.npy").rename(probe / "spikes.times.0ab1-22.npy")
    (probe / "spikes.clusters.npy").rename(probe / "_ks2_spikes.clusters.npy")
    assert read_spikes(probe, bin_s=0.5, start_s=0, stop_s=1).sizes["unit"] == 2


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: (p / "clusters.metrics.csv").unlink(), {}, "nothing says.*labels=..all"),
        (lambda p: (p / "spikes.clusters.npy").unlink(), {}, "which cluster fired when"),
        (lambda p: np.save(p / "spikes.clusters.npy", CLUSTERS[1:]), {}, "does not fit"),
        (lambda p: np.save(p / "spikes.times.b.npy", TIMES), {}, "several files hold"),
        (lambda p: None, {"labels": ["mua"]}, "no other labels.*'good'"),
        (
            lambda p: (p / "clusters.metrics.csv").write_text("cluster_id,label\n0,0.5\n"),
            {},
            "no cluster passes",
        ),
    ],
)
def test_what_does_not_fit_is_refused(probe, change, options, message):
    change(probe)
    with pytest.raises(DataError, match=f"(?s){message}"):
        read_spikes(probe, bin_s=0.5, **options)


@pytest.fixture
def session(tmp_path):
    for name, values in {
        "choice": np.array([-1.0, 1.0, 0.0, 1.0]),
        "feedbackType": np.array([1.0, -1.0, -1.0, 1.0]),
        "contrastLeft": np.array([0.5, np.nan, 1.0, np.nan]),
        "intervals": np.arange(8.0).reshape(4, 2),
    }.items():
        np.save(tmp_path / f"_ibl_trials.{name}.npy", values)
    return tmp_path


def test_trials_of_one_file_per_attribute(session):
    (found,) = read_trials(
        session, y="choice", reward="feedbackType", lags={"choice": 1}, missing=(0,)
    )
    np.testing.assert_array_equal(found.signal.values.ravel(), [0, 1, np.nan, 1])
    assert found.attrs["classes"] == ["-1", "1"]
    known = found.covariates.to_series().unstack("feature")
    assert known["intervals_1"].tolist() == [1, 3, 5, 7]
    assert known["previous_choice"].tolist() == [0, -1, 1, 0]


def test_trials_of_one_table_with_attributes_beside_it(session, monkeypatch):
    for name in ("choice", "contrastLeft"):
        (session / f"_ibl_trials.{name}.npy").unlink()
    (session / "_ibl_trials.table.pqt").write_bytes(b"PAR1")
    table = pd.DataFrame({"choice": [-1.0, 1.0, 1.0, 1.0]})
    monkeypatch.setattr(pd, "read_parquet", lambda *_, **__: table)
    (found,) = read_trials(session, y="choice", inputs=["feedbackType"])
    assert found.signal.values.ravel().tolist() == [0, 1, 1, 1]
    table["feedbackType"] = 1.0
    with pytest.raises(DataError, match="same column.*feedbackType"):
        read_trials(session, y="choice")


def test_attributes_of_other_lengths_are_refused(session):
    np.save(session / "_ibl_trials.probabilityLeft.npy", np.zeros(3))
    with pytest.raises(DataError, match="differ in length.*choice 4"):
        read_trials(session, y="choice")
