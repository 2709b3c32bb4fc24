import h5py
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from neuroml.data import load_dataset


@pytest.fixture(scope="module")
def sessions(shared_data):
    data = load_dataset("hippocampus_spikes", data_dir=shared_data)
    return dict(
        zip(["linear-track", "w-maze"], zip(data.recordings, data.events, strict=True), strict=True)
    )


def test_units_and_what_was_dropped(sessions):
    track, maze = sessions["linear-track"][0], sessions["w-maze"][0]
    assert (track.sizes["unit"], maze.sizes["unit"]) == (31, 24)
    assert not set(track.unit.values) & set(maze.unit.values)
    assert "unit 15 of tetrode 10: noise cluster" in maze.attrs["dropped"]
    assert float(maze.signal.sum("time").max()) < 20_000


def test_counts_are_the_spikes_of_the_file(sessions, shared_data):
    """The NWB file has the spikes of the linear track as another program extracted them."""
    with h5py.File(shared_data / "nwb_small/derived/linear_track.nwb") as file:
        times = np.split(file["units/spike_times"][:], file["units/spike_times_index"][:-1])
    recording, _ = sessions["linear-track"]
    start = 4422.88843  # the first frame, by the camera's clock, after the tracker was idle
    duration = recording.time.values[-1] + 0.0125
    expected = [np.sum((unit > start) & (unit < start + duration)) for unit in times]
    found = recording.signal.values.sum(axis=0)
    assert np.array_equal(found, expected)
    assert found.sum() == 27_951
    assert (recording.signal.values > 1).mean() < 0.002


def test_run_and_rest(sessions):
    expected = {"linear-track": ["run", "rest"], "w-maze": ["run", "rest"] * 2}
    for name, kinds in expected.items():
        recording, events = sessions[name]
        assert events["trial_type"].tolist() == kinds
        assert events["duration"].between(900, 1300).all()
        assert recording.segment.values.max() == len(kinds) - 1
        run = recording.covariates.sel(feature="run").values == 1
        place = recording.covariates.sel(feature=["x", "y", "speed"]).values
        assert np.isfinite(place[run]).all()
        assert np.isnan(place[~run]).all()
        step = np.hypot(*np.diff(place[:, :2], axis=0).T)
        assert np.nanmax(step) < 30, "a tracker glitch"
        assert np.nanmax(place[:, 2]) < 400


def test_units_know_where_the_rat_is(sessions):
    """Ten-fold linear decoding of the place from smoothed counts, in blocks of time."""
    recording, _ = sessions["linear-track"]
    run = (
        recording.isel(time=recording.segment.values == 0).coarsen(time=20, boundary="trim").mean()
    )
    rate, x = run.signal.values, run.covariates.sel(feature="x").values
    moving = run.covariates.sel(feature="speed").values > 30
    rate = np.sqrt(rate)[moving]
    folds = KFold(10)
    right = np.corrcoef(cross_val_predict(Ridge(1.0), rate, x[moving], cv=folds), x[moving])[0, 1]
    late = np.roll(x, 60)[moving]  # half a minute
    wrong = np.corrcoef(cross_val_predict(Ridge(1.0), rate, late, cv=folds), late)[0, 1]
    assert right > 0.6
    assert wrong < 0.3
