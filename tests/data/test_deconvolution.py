"""Events in calcium: planted ones are found, few others are, and states are found through them."""

import numpy as np
import pytest
import xarray as xr

from neuroml.data import bin_time, delta_f_over_f, detect_events, make_recording, read_traces, stack
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingPopulationGLM

RATE_HZ, RISE_S, DECAY_S = 30.0, 0.05, 0.5


def fluorescence(events, noise, rng, *, rate_hz=RATE_HZ, decay_s=DECAY_S):
    """Raw fluorescence: events (n_times, n_units) seen through an indicator like GCaMP6f."""
    since = np.arange(int(6 * decay_s * rate_hz)) / rate_hz
    kernel = np.exp(-since / decay_s) * (1 - np.exp(-(since + 1 / rate_hz) / RISE_S))
    calcium = np.column_stack([np.convolve(unit, kernel / kernel.max()) for unit in events.T])
    calcium = calcium[: len(events)] + rng.normal(0, noise, events.shape)
    return make_recording(
        100 * (1 + calcium), rate_hz=rate_hz, modality="calcium", value_units="a.u."
    )


def simulated(event_hz=0.2, noise=0.15, *, minutes=3, n_units=10, seed=0, rate_hz=RATE_HZ):
    rng = np.random.default_rng(seed)
    events = rng.random((int(60 * minutes * rate_hz), n_units)) < event_hz / rate_hz
    return events, fluorescence(events.astype(float), noise, rng, rate_hz=rate_hz)


def matched(planted, found, within):
    """Share of planted events that are found, and number of found ones that were not planted."""
    hits = false = 0
    for truth, events in zip(planted.T, found.T, strict=True):
        at, left = np.flatnonzero(events), np.flatnonzero(truth).tolist()
        for frame in at:
            near = [other for other in left if abs(other - frame) <= within]
            hits += bool(near)
            false += not near
            if near:
                left.remove(min(near, key=lambda other: abs(other - frame)))
    return hits / planted.sum(), false


# Of Poisson events at a rate r, a share of r x 0.2 s follows another within the dead time; events
# of less than 5 noise levels may stay below 3 of them, as an estimate has noise of its own.
@pytest.mark.parametrize("rate_hz", [10.0, 30.0])
@pytest.mark.parametrize("event_hz", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_planted_events_are_found(rate_hz, event_hz, noise):
    planted, raw = simulated(event_hz, noise, rate_hz=rate_hz)
    recording = detect_events(delta_f_over_f(raw))
    hits, false = matched(planted, recording.signal.values, max(2, round(0.1 * rate_hz)))
    n_minutes = 3 * 10
    print(
        f"{rate_hz:g} Hz, {event_hz}/s, noise {noise}: {hits:.3f} found, {false / n_minutes:.3f}/min"
    )
    alone = np.exp(-event_hz * (0.2 + 1 / rate_hz))
    assert hits > alone - 0.08
    assert false / n_minutes < 0.2
    assert recording.attrs["decay_s"] == pytest.approx(DECAY_S, rel=0.25)


def test_noise_has_hardly_any_events():
    _, raw = simulated(0.0, 0.2)
    raw.attrs["decay_s"] = DECAY_S
    recording = detect_events(delta_f_over_f(raw))
    assert recording.signal.sum() / 30 < 0.2
    assert recording.attrs["decay_s"] == DECAY_S
    del raw.attrs["decay_s"]
    with pytest.raises(
        DataError, match="no decay can be measured.*noise alone.*attrs\\['decay_s'\\]"
    ):
        detect_events(delta_f_over_f(raw))


def test_fewer_events_above_a_higher_threshold():
    _, raw = simulated(0.5, 0.3)
    trace = delta_f_over_f(raw)
    n_events = [float(detect_events(trace, threshold=sd).signal.sum()) for sd in (2, 3, 4, 6)]
    assert n_events == sorted(n_events, reverse=True)
    assert n_events[0] > n_events[-1]
    xr.testing.assert_identical(detect_events(trace), detect_events(trace, threshold=3))


def test_result_is_a_recording_of_counts():
    _, raw = simulated(minutes=1)
    trace = delta_f_over_f(raw).assign_coords(x=("unit", np.arange(10.0)))
    recording = detect_events(trace)
    assert recording.attrs["value_units"] == "count"
    assert recording.attrs["modality"] == "calcium"
    assert set(np.unique(recording.signal)) == {0.0, 1.0}
    np.testing.assert_array_equal(recording.x, trace.x)
    assert (recording.noise > 0).all()
    assert bin_time(recording, bin_s=1.0, how="sum").signal.sum() == recording.signal.sum()
    with pytest.raises(DataError, match="events are detected in calcium"):
        detect_events(recording)


def test_scale_offset_order_and_time_do_not_matter():
    _, raw = simulated(minutes=1)
    trace = delta_f_over_f(raw)
    found = detect_events(trace)
    order = np.arange(10)[::-1]
    np.testing.assert_array_equal(
        detect_events(trace.isel(unit=order)).signal, found.signal.isel(unit=order)
    )
    # powers of two: exact, whatever the processor
    np.testing.assert_array_equal(
        detect_events(trace.assign(signal=trace.signal * 4)).signal, found.signal
    )
    later = detect_events(trace.assign_coords(time=trace.time + 64))
    np.testing.assert_array_equal(later.signal, found.signal)
    moved = detect_events(trace.assign(signal=trace.signal + 5.0))
    assert (moved.signal.values != found.signal.values).mean() < 1e-3


def test_segments_and_missing_values_are_stretches_of_their_own():
    _, raw = simulated(minutes=2, n_units=3)
    trace = delta_f_over_f(raw)
    trace.attrs["decay_s"] = DECAY_S
    values = trace.signal.values.copy()
    values[1000:1010, 0] = np.nan
    values[:, 2] = np.nan
    holes = detect_events(trace.assign(signal=(("time", "unit"), values)))
    np.testing.assert_array_equal(np.isnan(holes.signal), np.isnan(values))
    whole = detect_events(trace)
    np.testing.assert_array_equal(holes.signal[:, 1], whole.signal[:, 1])
    assert np.isnan(holes.noise[2])
    # a jump between two segments is no event
    n_times = len(values)
    half = np.arange(n_times) >= n_times // 2
    jump = trace.assign(signal=trace.signal + 10.0 * half[:, None])
    parts = detect_events(jump.assign_coords(segment=("time", half.astype(int))))
    assert (parts.signal[n_times // 2] == 0).all()
    assert (parts.signal.values != whole.signal.values).mean() < 1e-3


def test_deconvolved_traces(tmp_path):
    """What is in Suite2p's spks: events over noise that was cut off at zero."""
    rng = np.random.default_rng(0)
    planted = rng.random((6000, 5)) < 0.01
    planted[1:] &= ~planted[:-1]
    values = np.maximum(rng.normal(0, 1, planted.shape), 0) + 10 * planted
    np.save(tmp_path / "F.npy", values.T)
    np.save(tmp_path / "spks.npy", values.T)
    recording = read_traces(tmp_path, variable="spks", rate_hz=2.0)
    assert recording.attrs["value_units"] == "deconvolved a.u."
    hits, false = matched(planted, detect_events(recording, threshold=4).signal.values, 0)
    assert hits == 1
    assert false / values.size < 1e-4  # a Gaussian is above 4 in 3 of 100,000
    sparse = recording.assign(signal=(("time", "unit"), np.where(planted, values, 0.0)))
    np.testing.assert_array_equal(detect_events(sparse).signal, planted)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"value_units": "a.u."}, "may be raw fluorescence.*found 'a.u.'.*delta_f_over_f first"),
        ({"value_units": ""}, "may be raw fluorescence"),
        ({"modality": "fmri", "value_units": "dF/F"}, "events are detected in calcium.*found fmri"),
        ({"modality": "spikes", "value_units": "count"}, "events are detected in calcium"),
        ({"rate_hz": None, "value_units": "dF/F"}, "a decay needs a sampling rate"),
    ],
)
def test_other_signals_are_refused(attrs, message):
    _, raw = simulated(minutes=0.1)
    with pytest.raises(DataError, match=message):
        detect_events(raw.assign_attrs(attrs))


def test_what_cannot_be_measured_is_refused():
    def trace(values):
        return make_recording(values, rate_hz=10.0, modality="calcium", value_units="dF/F")

    with pytest.raises(DataError, match="field unit0: the noise of a unit.*1 samples"):
        detect_events(trace([[1.0]]))
    constant = np.column_stack([np.random.default_rng(0).normal(size=100), np.ones(100)])
    with pytest.raises(DataError, match="field unit1: the noise of a unit.*noise 0"):
        detect_events(trace(constant))
    for threshold in (0, -1, np.nan):
        with pytest.raises(DataError, match="not a number of standard deviations"):
            detect_events(trace(constant), threshold=threshold)


def test_states_of_a_population_are_found_through_its_calcium():
    """Two states, in each of which one half of 16 cells is more active: ten minutes."""
    rng = np.random.default_rng(0)
    n_times, per_bin = int(600 * RATE_HZ), 15
    states = np.cumsum(rng.random(n_times) < 1 / (8 * RATE_HZ)) % 2
    is_active = (np.arange(16) % 2)[None] == states[:, None]
    planted = (rng.random(is_active.shape) < np.where(is_active, 0.6, 0.1) / RATE_HZ).astype(float)
    spikes = make_recording(planted, rate_hz=RATE_HZ, modality="spikes", value_units="count")
    events = detect_events(delta_f_over_f(fluorescence(planted, 0.15, rng)))
    binned_states = states.reshape(-1, per_bin).mean(axis=1) > 0.5
    accuracy = []
    for recording in (spikes, events):
        arrays = stack([bin_time(recording, bin_s=0.5, how="sum")])
        model = SwitchingPopulationGLM(2, 1, n_init=4, ridge=10.0, random_state=0)
        found = model.fit(arrays.X, sessions=arrays.sessions).predict(arrays.X)
        share = (found == binned_states).mean()
        accuracy.append(max(share, 1 - share))
    print("states from spikes {:.3f}, from calcium {:.3f}".format(*accuracy))
    assert accuracy[0] > 0.9
    assert accuracy[1] > accuracy[0] - 0.05
