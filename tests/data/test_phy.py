"""Folders of Kilosort and phy."""

import numpy as np
import pytest

from neuroml.data import describe_file, read_spikes
from neuroml.exceptions import DataError

TIMES = [100, 250, 300, 900, 1000, 1700]
CLUSTERS = [3, 3, 7, 9, 7, 3]


@pytest.fixture
def folder(tmp_path):
    """Cluster 3 is good to Kilosort, 7 was made good by hand, 9 is mua; 1000 samples a second."""
    np.save(tmp_path / "spike_times.npy", np.array(TIMES, dtype=np.uint64)[:, None])
    np.save(tmp_path / "spike_clusters.npy", np.array(CLUSTERS, dtype=np.int32))
    write(tmp_path, "cluster_KSLabel.tsv", "KSLabel", {3: "good", 7: "mua", 9: "mua"})
    write(tmp_path, "cluster_group.tsv", "group", {7: "good", 9: ""})
    (tmp_path / "params.py").write_text("dat_path = 'x.bin'\nsample_rate = 1_000.0  # Hz\n")
    return tmp_path


def write(folder, name, column, labels):
    rows = "".join(f"{cluster}\t{label}\n" for cluster, label in labels.items())
    (folder / name).write_text(f"cluster_id\t{column}\n{rows}")


def test_good_clusters_by_hand_or_else_by_kilosort(folder):
    recording = read_spikes(folder, bin_s=1.0, start_s=0.0, stop_s=2.0)
    assert recording["unit"].values.tolist() == ["3", "7"]
    assert recording.signal.values.tolist() == [[2.0, 1.0], [1.0, 1.0]]
    assert recording.attrs["dropped"] == [
        "1 of 3 clusters, which are not labeled good (2 good, 1 mua)"
    ]
    assert recording.attrs["sha256"]


@pytest.mark.parametrize(
    ("labels", "units"), [(["mua"], ["9"]), (["good", "mua"], ["3", "7", "9"]), (["all"], None)]
)
def test_other_labels(folder, labels, units):
    recording = read_spikes(folder, bin_s=1.0, labels=labels)
    assert recording["unit"].values.tolist() == (units or ["3", "7", "9"])


def test_templates_where_nobody_merged_clusters(folder):
    (folder / "spike_clusters.npy").rename(folder / "spike_templates.npy")
    assert read_spikes(folder, bin_s=1.0).sizes["unit"] == 2


def test_the_rate_is_given_where_params_do_not_state_it(folder):
    expected = read_spikes(folder, bin_s=0.5)
    (folder / "params.py").unlink()
    with pytest.raises(DataError, match="whole numbers.*sample numbers.*time_unit_s="):
        read_spikes(folder, bin_s=0.5)
    found = read_spikes(folder, bin_s=0.5, time_unit_s=0.001)
    np.testing.assert_array_equal(found.signal, expected.signal)


@pytest.mark.parametrize(
    "text",
    [
        "sample_rate = 30 * 1000",
        "sample_rate = os.getpid()",
        "sample_rate = 0.0",
        "sample_rate = 1000.\nsample_rate = 2000.",
    ],
)
def test_params_are_not_executed(folder, text):
    (folder / "params.py").write_text(text)
    with pytest.raises(DataError, match="does not state the sample rate as one number"):
        read_spikes(folder, bin_s=1.0)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("spike_clusters.npy", [3, 3, 7], "spike_clusters.npy does not fit spike_times.npy"),
        ("spike_times.npy", [0.1, 0.25, 0.3, 0.9, 1.0, 1.7], "not whole numbers"),
        ("spike_times.npy", [[1, 2, 3], [4, 5, 6]], "not whole numbers"),
        ("spike_clusters.npy", None, "does not say which cluster fired when"),
        ("spike_times.npy", None, "not a folder of Kilosort or phy"),
    ],
)
def test_files_that_do_not_fit(folder, name, values, message):
    (folder / name).unlink()
    if values is not None:
        np.save(folder / name, np.array(values))
    with pytest.raises(DataError, match=message):
        read_spikes(folder, bin_s=1.0)


def test_labels_that_do_not_help(folder):
    with pytest.raises(DataError, match="no cluster has one of the labels.*2 good, 1 mua"):
        read_spikes(folder, bin_s=1.0, labels=["noise"])
    for name in ("cluster_KSLabel.tsv", "cluster_group.tsv"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"nothing says which clusters are good.*labels=\['all'\]"):
        read_spikes(folder, bin_s=1.0)
    with pytest.raises(DataError, match="labels is not a list"):
        read_spikes(folder, bin_s=1.0, labels="good")
    with pytest.raises(DataError, match="only folders of Kilosort, phy and ALF"):
        read_spikes({"a": [0.1, 0.2]}, bin_s=0.1, labels=["good"])
    with pytest.raises(DataError, match="given twice"):
        read_spikes(folder, bin_s=1.0, labels=["all"], time_unit_s=0.001)


def test_a_folder_is_described(folder):
    told = describe_file(folder)
    assert told.ok and told.kind == "a folder of Kilosort or phy" and "2 units" in str(told)
