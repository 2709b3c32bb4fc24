import numpy as np
import pytest

from neuroml.data import load_dataset


@pytest.fixture(scope="module")
def chirps(shared_data):
    data = load_dataset("retina_bc_ac_chirp", data_dir=shared_data)
    return {recording.attrs["run"]: recording for recording in data.recordings}


def test_shapes(chirps):
    for recording in chirps.values():
        assert recording.signal.shape == (2114, 49)
        assert recording.stimulus.shape == (2114,)
        classes, counts = np.unique(recording.cell_class.values, return_counts=True)
        assert dict(zip(classes, counts, strict=True)) == {"AC": 25, "BC": 24}
        signs = recording.green_center.values
        assert np.isnan(signs[recording.cell_class == "AC"]).all()
        assert set(signs[recording.cell_class == "BC"]) == {-1.0, 1.0}


def test_on_cells_follow_the_light_and_off_cells_its_absence(chirps):
    """Rise of the stimulus at 2 s, fall at 5 s: the response half a second after each."""
    recording = chirps["local"]
    stimulus = recording.stimulus.values
    rise, fall = (int(np.argmax(np.diff(stimulus) * sign > 0.3)) for sign in (1, -1))
    assert (rise / 64, fall / 64) == (pytest.approx(2, abs=0.05), pytest.approx(5, abs=0.05))
    signal = recording.signal.values
    after, baseline = slice(rise, rise + 32), slice(rise - 32, rise)
    on = signal[after].max(axis=0) - signal[baseline].mean(axis=0)
    after, baseline = slice(fall, fall + 32), slice(fall - 32, fall)
    off = signal[after].max(axis=0) - signal[baseline].mean(axis=0)
    bipolar = (recording.cell_class == "BC").values
    preferred = np.sign(on - off)[bipolar]
    assert np.mean(preferred == recording.green_center.values[bipolar]) > 0.85


def test_locations(chirps):
    where = chirps["global"].location.values
    assert set(where[:24]) == {"both", "dorsal", "ventral"}
    assert set(where[24:]) == {""}
