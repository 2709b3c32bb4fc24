import numpy as np
import pytest

from neuroml.data import load_dataset


@pytest.fixture(scope="module")
def weights(shared_data):
    data = load_dataset("pieman_htfa", data_dir=shared_data)
    return np.stack([r.signal.values for r in data.recordings])


def test_shapes(weights):
    assert weights.shape == (36, 300, 100)
    assert weights.dtype == np.float32
    assert np.abs(weights.mean(axis=1)).max() < 1e-4


def test_listeners_agree(weights):
    z = weights / weights.std(axis=1, keepdims=True)
    others = (z.sum(axis=0) - z) / 35
    others /= others.std(axis=1, keepdims=True)
    agreement = (z * others).mean(axis=1)  # (subjects, nodes)
    assert agreement.mean() == pytest.approx(0.19, abs=0.02)
    assert agreement.mean(axis=0).max() == pytest.approx(0.42, abs=0.04)
    assert agreement.mean(axis=1).argmin() == 9  # subject 10, see the card
    assert agreement.mean(axis=1).min() < 0.05


def test_time_points_of_two_groups_match(weights):
    z = (weights / weights.std(axis=1, keepdims=True)).astype(float)
    one, other = (z[half::2].mean(axis=0) for half in (0, 1))
    match = np.corrcoef(one, other)[:300, 300:].argmax(axis=1) == np.arange(300)
    assert match.mean() > 0.1  # chance 0.003
