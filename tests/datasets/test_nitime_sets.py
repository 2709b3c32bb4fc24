"""nitime_fmri and nitime_small, which share a folder."""

import numpy as np
import pytest
from scipy.stats import gamma

from neuroml.data import load_dataset, read_fmri
from neuroml.exceptions import DataError


@pytest.fixture(scope="module")
def recordings():
    data = load_dataset("nitime_small")
    return {
        (r.attrs["subject"], r.attrs["run"]): (r, events)
        for r, events in zip(data.recordings, data.events, strict=True)
    }


def test_the_region_table():
    recording = load_dataset("nitime_fmri").recordings[0]
    assert recording.signal.shape == (250, 28)
    assert recording.confound.values.tolist() == ["WM", "Vent", "Brain"]
    assert not set(recording.unit.values) & {"WM", "Vent", "Brain", "APHG"}
    assert recording.attrs["rate_hz"] == pytest.approx(1 / 1.89)
    sides = [str(unit)[0] for unit in recording.unit.values]
    assert recording.hemisphere.values.tolist() == sides
    assert sides.count("L") == sides.count("R") == 14


def test_homologous_regions_go_together():
    """The renamed column is the left partner of the right anterior parahippocampal gyrus."""
    recording = load_dataset("nitime_fmri").recordings[0]
    names = [str(u) for u in recording.unit.values]
    pairs = [(n, "R" + n[1:]) for n in names if n[0] == "L" and "R" + n[1:] in names]
    signal = recording.signal
    same = [np.corrcoef(signal.sel(unit=a), signal.sel(unit=b))[0, 1] for a, b in pairs]
    everyone = np.corrcoef(signal.values.T)[np.triu_indices(28, k=1)]
    assert len(pairs) >= 10
    assert np.mean(same) > everyone.mean() + 0.1


def test_the_images(recordings):
    for run in "12":
        recording, _ = recordings["volunteer", run]
        assert recording.signal.shape == (40, 1800)
        assert recording.attrs["rate_hz"] == pytest.approx(1 / 1.35)
        first, second = (
            np.array([recording[axis].sel(unit=name) for axis in "xyz"])
            for name in ("voxel_0_0_0", "voxel_1_0_0")
        )
        assert np.linalg.norm(first - second) == pytest.approx(2.0833, abs=0.001)


def test_the_voxels_are_those_of_the_volumes(recordings):
    """The header's offset is wrong: read by it, successive volumes correlate by 0.27."""
    for run in "12":
        volumes = recordings["volunteer", run][0].signal.values
        assert np.corrcoef(volumes[:-1].ravel(), volumes[1:].ravel())[0, 1] > 0.95


def test_read_fmri_refuses_the_files_as_they_are():
    data = load_dataset("nitime_small")
    path = data.files["fmri1.nii.gz"]
    with pytest.raises(DataError, match="does not account for all bytes"):
        read_fmri(path, mask=path)


def test_motion_trials_evoke_a_response(recordings):
    recording, events = recordings["mt", ""]
    assert recording.signal.shape == (3360, 1)
    assert events["trial_type"].value_counts().to_dict() == dict.fromkeys("123456", 96)
    onsets = np.zeros(3360)
    onsets[(events["onset"] / 2).astype(int)] = 1
    predicted = np.convolve(onsets, gamma.pdf(np.arange(0, 30, 2), 6))[:3360]
    bold = recording.signal.values[:, 0]
    assert np.corrcoef(predicted, bold)[0, 1] > 0.2
    assert abs(np.corrcoef(np.roll(predicted, 500), bold)[0, 1]) < 0.1


def test_receptor_spikes_follow_the_sound(recordings):
    first, _ = recordings["grasshopper", "1"]
    second, _ = recordings["grasshopper", "2"]
    assert (first.signal.sum(), second.signal.sum()) == (929, 868)
    assert first.signal.max() == 1
    assert first.stimulus.sizes == {"stimulus_time": 200_000}
    assert "stimulus" not in second
    assert "covariates" not in second
    amplitude = first.covariates.values[:, 0]
    lags = np.arange(-20, 21)
    spikes = first.signal.values[50:-50, 0]
    triggered = np.array([amplitude[50 - lag : -50 - lag][spikes > 0].mean() for lag in lags])
    assert 2 <= lags[triggered.argmax()] <= 8, "the sound comes some milliseconds before the spike"
    assert triggered.max() > amplitude.mean() + 0.5 * amplitude.std()  # 15 standard errors
