"""The authors' way to fit the one-hot prior."""

import numpy as np
import pytest
import torch

from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM
from neuroml.switching._chain import start_chain
from neuroml.switching._observations.one_hot_gumbel import _chain_of_session, _RelaxedSigns


@pytest.fixture(scope="module")
def spikes():
    return make_switching_spikes(
        6, 2, n_sessions=6, n_bins=300, connected=0.4, strength=12.0, sign_concentration=0.0,
        random_state=0,
    )  # fmt: skip


def fitted(spikes, n_sessions=6, **settings):
    settings = {"n_states": 2, "max_iter": 2, "random_state": 0, **settings}
    kept = spikes.sessions < n_sessions
    model = SwitchingPopulationGLM.published(**settings)
    return model.fit(spikes.spikes[kept], sessions=spikes.sessions[kept])


@pytest.fixture(scope="module")
def model(spikes):
    return fitted(spikes, max_iter=4)


def test_signs_are_found_and_strengths_are_theirs(model, spikes):
    signs = model.connection_probability_
    np.testing.assert_allclose(signs.sum(axis=-1), 1.0, atol=1e-6)
    truth = np.sign(spikes.weights.sum(axis=0))
    strong = np.abs(spikes.weights).min(axis=0) > 1.0
    assert (signs.argmax(axis=-1) - 1 == truth)[strong].mean() > 0.8
    np.testing.assert_array_equal(model.intercept_[0], model.intercept_[1])
    # weights have the most probable sign whole, so that absent ones are exactly zero
    assert 0 < (model.weights_ == 0).mean() < 1


def test_the_trace_is_the_likelihood_of_what_is_kept(model, spikes):
    score = model.score(spikes.spikes, sessions=spikes.sessions)
    assert score == pytest.approx(model.objective_trace_[-1], abs=1e-5)
    assert (len(model.objective_trace_), model.n_iter_, model.converged_) == (5, 4, True)
    assert model.objective_trace_[-1] > model.objective_trace_[0]


def test_same_seed_same_model(spikes):
    one, two = (fitted(spikes, 2, max_iter=1) for _ in range(2))
    np.testing.assert_array_equal(one.weights_, two.weights_)


@pytest.mark.parametrize("link", ["softplus", "exp"])
def test_other_links_and_intercepts(spikes, link):
    model = fitted(spikes, 2, link=link, shared_intercept=False)
    assert model.objective_trace_[-1] > model.objective_trace_[0]
    assert (model.intercept_[0] != model.intercept_[1]).any()


def test_states_start_alike_and_intercepts_at_the_counts():
    module = _RelaxedSigns(3, np.array([0.2, 0.7]), shared_intercept=True)
    np.testing.assert_array_equal(module.coefficients(module.mean_signs())[:, :, 1:], 0.0)
    np.testing.assert_allclose(module.coefficients(module.mean_signs())[2, :, 0], [0.2, 0.7], 1e-6)


def test_the_density_is_that_of_the_formula():
    """Maddison et al. (2017): (n-1)! tau^(n-1) prod_i p_i x_i^(-tau-1) / (sum_i p_i x_i^-tau)^n."""
    torch.manual_seed(0)
    module = _RelaxedSigns(2, np.ones(2), shared_intercept=True)
    with torch.no_grad():
        module.logits.normal_()
        module.shared.normal_()
    x, p = (t.detach().double().softmax(dim=-1).numpy() for t in (module.logits, module.shared))
    terms = np.prod(p * x**-1.2, axis=-1) / (p * x**-0.2).sum(axis=-1) ** 3
    expected = np.log(2 * 0.2**2 * terms).sum()
    assert float(module.log_density().detach()) == pytest.approx(expected, rel=1e-5)


def test_signs_do_not_stay_in_a_corner():
    module = _RelaxedSigns(1, np.ones(2), shared_intercept=True)
    with torch.no_grad():
        module.logits[0, 0, 0] = torch.tensor([30.0, 0.0, 0.0])
        module.logits[0, 0, 1] = torch.tensor([10.0, 0.0, 0.0])
    module.leave_corners()
    assert module.logits[0, 0, 0].tolist() == [15.0, 0.0, 0.0]
    assert module.logits[0, 0, 1].tolist() == [10.0, 0.0, 0.0]


def test_a_matrix_is_the_last_session_s():
    chain = start_chain(3, stay=0.98)
    found = _chain_of_session(chain, np.array([[6.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 2.0]]))
    rare = np.exp(-8)
    expected = np.array([[0.75, 0.25, rare], chain.matrix[1], [0.25, 0.25, 0.5]])
    expected[0] /= 1 + rare
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-12)


def test_settings_that_have_no_part_in_it_are_refused(spikes):
    with pytest.raises(ValueError, match=r"authors' fit, which has ridge=0.0, n_init=1"):
        SwitchingPopulationGLM(2, prior="relaxed-one-hot").fit(spikes.spikes)
    with pytest.raises(ValueError, match=r"has stickiness=0.0: start from .*published"):
        fitted(spikes, stickiness=1.0)
