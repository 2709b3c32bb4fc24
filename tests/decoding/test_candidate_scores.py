"""Scores of candidates, and the weights under which they are combined."""

import numpy as np
import pytest

from neuroml.decoding._candidate_scores import measurement_scores, mixing_weights


@pytest.mark.parametrize("useful", [0, 1])
def test_mixed_scores_find_the_expert_that_knows(useful):
    rng = np.random.default_rng(useful)
    n = 60
    truth = rng.standard_normal((n, 8))
    measured = truth + 0.5 * rng.standard_normal(truth.shape)
    good = measurement_scores(2 * measured, 2 * truth)
    bad = measurement_scores(rng.standard_normal((n, 8)), truth)
    experts = [bad, good] if useful else [good, bad]
    weights = mixing_weights(experts, np.arange(n), np.array([1.0, 0.0]), 1.0)
    assert weights[useful] > 5 * weights[1 - useful]
