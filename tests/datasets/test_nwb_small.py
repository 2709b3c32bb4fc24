import numpy as np
import pytest

from neuroml.data import load_dataset

pytest.importorskip("pynwb")


@pytest.fixture(scope="module")
def recordings(shared_data):
    data = load_dataset("nwb_small", data_dir=shared_data)
    return {recording.attrs["subject"]: recording for recording in data.recordings}


def test_head_direction_units(recordings):
    counts = recordings["A8604"]
    assert counts.unit.values.tolist() == ["A8604#6", "A8604#191", "A8604#206"]
    assert counts.signal.sum("time").values.tolist() == [11_020, 4_690, 5_644]
    assert counts.sizes["time"] == 43_501
    assert counts.time.values[0] == pytest.approx(0.0125)


def test_the_linear_track_is_that_of_hippocampus_spikes(recordings, shared_data):
    nwb = recordings["rat"]
    track = load_dataset("hippocampus_spikes", data_dir=shared_data).recordings[0]
    assert nwb.sizes["unit"] == track.sizes["unit"] == 31
    assert nwb.signal.values.sum() == 28_829
    # the same counts, once both are summed over the seconds of the recorder's clock
    start = 4422.88843
    seconds = np.arange(4423, 6365)
    by_second = [
        np.stack(
            [np.histogram(clock, seconds, weights=unit)[0] for unit in recording.signal.values.T]
        )
        for recording, clock in ((nwb, nwb.time.values), (track, track.time.values + start))
    ]
    similarity = [np.corrcoef(a, b)[0, 1] for a, b in zip(*by_second, strict=True)]
    assert min(similarity) > 0.9  # bins straddle the seconds' borders differently


def test_suite2p_cells(recordings):
    traces = recordings["suite2p"]
    assert traces.signal.shape == (2000, 20)
    assert traces.signal.dtype == np.float32
    assert traces.attrs["time_axis"] == "samples"
    assert traces.attrs["dropped"] == ["199 regions that Suite2p does not mark as cells"]
