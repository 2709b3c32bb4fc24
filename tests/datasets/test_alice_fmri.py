import numpy as np
import pytest
from scipy.stats import gamma

from neuroml.data import load_dataset


@pytest.fixture(scope="module")
def alice(shared_data):
    return load_dataset("alice_fmri", data_dir=shared_data)


def inter_subject_correlation(series):
    """Mean over subjects of the correlation with the mean of all others; (subjects, time)."""
    z = (series - series.mean(1, keepdims=True)) / series.std(1, keepdims=True)
    others = (z.sum(0) - z) / (len(z) - 1)
    return np.mean([np.corrcoef(one, rest)[0, 1] for one, rest in zip(z, others, strict=True)])


def test_the_silent_subject_is_left_out(alice):
    subjects = list(alice.participants["participant_id"])
    assert len(subjects) == 27
    assert "s33" not in subjects
    assert alice.participants["protocol"].value_counts().to_dict() == {
        "multi-echo": 15,
        "single-echo": 12,
    }


def test_shapes(alice):
    for recording in alice.recordings:
        assert recording.signal.shape == recording.signal_10mm.shape == (362, 6)
        assert recording.covariates.shape == (362, 14)
        assert recording.confounds.shape == (362, 6)


def test_listeners_agree_in_every_region(alice):
    signal = np.stack([r.signal.values for r in alice.recordings])
    ours = [inter_subject_correlation(signal[:, :, region]) for region in range(6)]
    np.testing.assert_allclose(ours, [0.31, 0.20, 0.38, 0.28, 0.22, 0.14], atol=0.03)


def test_words_are_aligned_with_the_predictors(alice):
    """Words convolved with a haemodynamic response are the authors' word rate, at no other lag."""
    t = np.arange(0, 724, 0.1)
    hrf = gamma.pdf(np.arange(0, 32, 0.1), 6) - gamma.pdf(np.arange(0, 32, 0.1), 16) / 6
    words = alice.events[0]
    assert words["word"].iloc[:3].tolist() == ["Alice", "was", "beginning"]
    assert not set(words["word"]) & {"", "sp"}
    table = alice.recordings[0].covariates.to_dataset("feature")
    scores = {}
    for lag_s in (-4, -2, 0, 2, 4):
        counts = np.histogram(words["onset"] + lag_s, np.append(t, 724))[0]
        rate = np.convolve(counts, hrf)[: len(t)][::20]
        scores[lag_s] = np.corrcoef(rate, table["word_rate"])[0, 1]
    assert scores[0] > 0.97
    assert max(scores, key=scores.get) == 0
    assert np.corrcoef(table["rate"], table["word_rate"])[0, 1] > 0.97


def test_motion_is_aligned(alice):
    """The realignment's first row is its reference, zero by definition: it was discarded."""
    assert all(np.abs(r.confounds.values[0]).max() > 0 for r in alice.recordings)
