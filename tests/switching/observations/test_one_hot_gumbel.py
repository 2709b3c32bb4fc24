"""The authors' way to fit the one-hot prior."""

import numpy as np
import pytest

from neuroml.exceptions import NotConvergedWarning
from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


@pytest.fixture(scope="module")
def spikes():
    return make_switching_spikes(
        6, 2, n_sessions=6, n_bins=500, connected=0.4, strength=12.0, sign_concentration=0.0,
        random_state=0,
    )  # fmt: skip


def fitted(spikes, signs="gumbel", max_iter=8, **settings):
    model = SwitchingPopulationGLM(
        2, prior="one-hot", signs=signs, n_init=2, max_iter=max_iter, random_state=0, **settings
    )
    return model.fit(spikes.spikes, sessions=spikes.sessions)


def test_signs_are_found(spikes):
    model = fitted(spikes, link="sigmoid", shared_intercept=True)
    signs = model.connection_probability_
    np.testing.assert_allclose(signs.sum(axis=-1), 1.0, atol=1e-6)
    truth = np.sign(spikes.weights.sum(axis=0))
    assert (signs.argmax(axis=-1) - 1 == truth).mean() > 0.8
    np.testing.assert_array_equal(model.intercept_[0], model.intercept_[1])


@pytest.mark.parametrize("link", ["softplus", "exp", "sigmoid"])
def test_the_kept_iterate_is_the_best(spikes, link):
    model = fitted(spikes, link=link, max_iter=4, ridge=0.0)
    assert model.objective_trace_[-1] == model.objective_trace_.max()
    score = model.score(spikes.spikes, sessions=spikes.sessions)
    assert score == pytest.approx(model.objective_trace_[-1], abs=1e-5)


def test_same_seed_same_model(spikes):
    one, two = (fitted(spikes, link="sigmoid", max_iter=2) for _ in range(2))
    np.testing.assert_array_equal(one.weights_, two.weights_)


def test_summing_signs_out_predicts_no_worse_and_converges(spikes):
    exact = fitted(spikes, "exact", link="sigmoid", max_iter=300)
    with pytest.warns(NotConvergedWarning):
        relaxed = fitted(spikes, link="sigmoid")
    assert exact.converged_ and not relaxed.converged_
    test = make_switching_spikes(
        6, 2, n_sessions=12, n_bins=500, connected=0.4, strength=12.0, sign_concentration=0.0,
        random_state=0,
    )  # fmt: skip
    new = test.sessions >= 6
    held_out = (test.spikes[new], None)
    scores = [m.score(*held_out, sessions=test.sessions[new]) for m in (exact, relaxed)]
    assert scores[0] > scores[1] - 0.01
