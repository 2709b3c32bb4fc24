"""Matching of states."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.switching import match_states, match_weights


def test_relabeled_states_are_found_again():
    rng = np.random.default_rng(0)
    for n_states in (1, 2, 5):
        names = rng.permutation(n_states)
        states = np.r_[np.arange(n_states), rng.integers(n_states, size=300)]
        noisy = np.where(rng.random(len(states)) < 0.1, 0, states)
        assert match_states(states, names[noisy]).tolist() == names.tolist()
        weights = rng.normal(size=(n_states, 2, 3))
        other = weights[np.argsort(names)] + 0.01 * rng.normal(size=weights.shape)
        assert match_weights(weights, other).tolist() == names.tolist()


def test_posteriors_match_and_states_may_be_missing():
    posterior = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert match_states(posterior[:, ::-1], posterior).tolist() == [1, 0]
    assert match_states([0, 1, 2, 2], [1, 0, 0, 0]).tolist() == [1, -1, 0]
    with pytest.raises(DataError, match="different bins"):
        match_states([0, 1], [0, 1, 1])
