"""Recursions against enumeration of every path, and against each other at extremes."""

import itertools

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.switching import inference


def random_problem(rng, n_bins, n_states, varying, n_sessions):
    log_emissions = 3 * rng.normal(size=(n_bins, n_states))
    log_emissions[rng.random(n_bins) < 0.2] = 0.0
    shape = (n_bins - 1, n_states) if varying else (n_states,)
    transition = rng.dirichlet(np.ones(n_states), size=shape)
    initial = rng.dirichlet(np.ones(n_states))
    sessions = np.sort(rng.integers(n_sessions, size=n_bins))
    return log_emissions, transition, initial, sessions


def enumerate_paths(log_emissions, transition, initial, sessions):
    """Posterior, pair sums, log-likelihood, best path and its score, and filter, path by path."""
    n_bins, n_states = log_emissions.shape
    if transition.ndim == 2:
        transition = np.broadcast_to(transition, (n_bins - 1, n_states, n_states))
    gamma, filtered = np.zeros((n_bins, n_states)), np.zeros((n_bins, n_states))
    pairs, total, states, score = np.zeros((n_states, n_states)), 0.0, [], 0.0

    def log_joint(path, first):
        value = np.log(initial[path[0]]) + log_emissions[first, path[0]]
        for i in range(1, len(path)):
            t = first + i
            value += np.log(transition[t - 1, path[i - 1], path[i]]) + log_emissions[t, path[i]]
        return value

    for session in np.unique(sessions):
        bins = np.flatnonzero(sessions == session)
        paths = list(itertools.product(range(n_states), repeat=len(bins)))
        with np.errstate(divide="ignore"):
            joint = np.array([log_joint(path, bins[0]) for path in paths])
        top = joint.max()
        weights = np.exp(joint - top)
        total += top + np.log(weights.sum())
        weights /= weights.sum()
        for path, weight in zip(paths, weights, strict=True):
            gamma[bins, path] += weight
            np.add.at(pairs, (path[:-1], path[1:]), weight)
        states += paths[int(joint.argmax())]
        score += top
        for i, t in enumerate(bins):
            partial = list(itertools.product(range(n_states), repeat=i + 1))
            with np.errstate(divide="ignore"):
                values = np.array([log_joint(path, bins[0]) for path in partial])
            values = np.exp(values - values.max())
            np.add.at(filtered[t], [path[-1] for path in partial], values / values.sum())
    return gamma, pairs, total, np.array(states), score, filtered


CASES = [
    (seed, n_bins, n_states, varying, n_sessions)
    for seed, (n_bins, n_states, varying, n_sessions) in enumerate(
        itertools.product((1, 2, 3, 6), (1, 2, 3), (False, True), (1, 3))
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_equals_enumeration(case, device):
    seed, *sizes = case
    problem = random_problem(np.random.default_rng(seed), *sizes)
    gamma, pairs, total, states, score, filtered = enumerate_paths(*problem)
    posterior = inference.forward_backward(*problem, device=device)
    np.testing.assert_allclose(posterior.probabilities, gamma, rtol=0, atol=1e-12)
    np.testing.assert_allclose(posterior.expected_transitions, pairs, rtol=0, atol=1e-12)
    assert posterior.log_likelihood == pytest.approx(total, rel=1e-12, abs=1e-12)
    assert posterior.session_log_likelihoods.sum() == pytest.approx(total, rel=1e-12, abs=1e-12)
    assert inference.log_likelihood(*problem) == pytest.approx(total, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(inference.filter_states(*problem), filtered, rtol=0, atol=1e-12)
    path, log_probability = inference.viterbi(*problem)
    assert log_probability == pytest.approx(score, rel=1e-12, abs=1e-12)
    np.testing.assert_array_equal(path, states)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("seed", range(20))
def test_zero_probabilities_equal_enumeration(seed, device):
    """Left-to-right chains, impossible emissions, and evidence far below the smallest float."""
    rng = np.random.default_rng(seed)
    log_emissions, transition, initial, sessions = random_problem(rng, 6, 3, seed % 2 == 0, 2)
    log_emissions *= 10.0 ** rng.integers(1, 4)
    log_emissions[rng.random(log_emissions.shape) < 0.1] = -np.inf
    log_emissions[:, 0] = np.nan_to_num(log_emissions[:, 0], neginf=-2000.0)
    transition = np.triu(transition) / np.triu(transition).sum(axis=-1, keepdims=True)
    initial = np.array([1.0, 0.0, 0.0])
    problem = (log_emissions, transition, initial, sessions)
    gamma, pairs, total, _, score, filtered = enumerate_paths(*problem)
    posterior = inference.forward_backward(*problem, device=device)
    np.testing.assert_allclose(posterior.probabilities, gamma, rtol=0, atol=1e-11)
    np.testing.assert_allclose(posterior.expected_transitions, pairs, rtol=0, atol=1e-11)
    np.testing.assert_allclose(inference.filter_states(*problem), filtered, rtol=0, atol=1e-11)
    assert posterior.log_likelihood == pytest.approx(total, rel=1e-12)
    assert inference.viterbi(*problem)[1] == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 40.0, 4000.0])
def test_scaled_and_logarithmic_recursions_agree_over_long_sessions(scale):
    rng = np.random.default_rng(3)
    n_bins, n_states = 20_000, 4
    log_emissions = scale * rng.normal(size=(n_bins, n_states))
    transition = np.full((n_states, n_states), 0.01) + 0.96 * np.eye(n_states)
    initial = np.full(n_states, 0.25)
    fast = inference.forward_backward(log_emissions, transition, initial)
    state_never_entered = np.pad(transition, ((0, 1), (0, 1)))
    state_never_entered[-1, -1] = 1.0
    slow = inference.forward_backward(
        np.pad(log_emissions, ((0, 0), (0, 1))), state_never_entered, np.append(initial, 0.0)
    )
    assert slow.probabilities[:, -1].max() == 0.0
    np.testing.assert_allclose(fast.probabilities, slow.probabilities[:, :-1], atol=1e-10)
    np.testing.assert_allclose(
        fast.expected_transitions, slow.expected_transitions[:-1, :-1], rtol=1e-10, atol=1e-8
    )
    assert fast.log_likelihood == pytest.approx(slow.log_likelihood, rel=1e-12)
    scan = inference.forward_backward(log_emissions, transition, initial, device="cpu:0")
    np.testing.assert_allclose(fast.probabilities, scan.probabilities, atol=1e-9)
    np.testing.assert_allclose(fast.probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_rescaled_messages_survive_improbable_stretches():
    """Every bin contradicts the chain, so both messages lose mass by 1e-30 a step."""
    n_bins = 50
    log_emissions = np.zeros((n_bins, 2))
    log_emissions[::2, 0] = log_emissions[1::2, 1] = -300.0
    transition = np.array([[1 - 1e-30, 1e-30], [1e-30, 1 - 1e-30]])
    posterior = inference.forward_backward(log_emissions, transition, [0.5, 0.5])
    np.testing.assert_allclose(posterior.probabilities[1::2, 0], 1.0)
    assert posterior.log_likelihood == pytest.approx(np.log(0.5) + 49 * np.log(1e-30))
    assert posterior.expected_transitions[0, 1] == pytest.approx(24)


def test_draws_have_the_posterior_as_frequency():
    problem = random_problem(np.random.default_rng(0), 5, 3, True, 2)
    gamma = inference.forward_backward(*problem).probabilities
    rng = np.random.default_rng(1)
    n = 4000
    draws = np.array([inference.sample_states(*problem, random_state=rng) for _ in range(n)])
    share = (draws[:, :, None] == np.arange(3)).mean(axis=0)
    error = (share - gamma) / np.sqrt(gamma * (1 - gamma) / n + 1e-12)
    assert np.abs(error).max() < 4.5


def test_first_state_of_a_prior_draw_is_from_initial():
    initial = np.array([0.2, 0.8])
    log_emissions, sessions = np.zeros((6000, 2)), np.repeat(np.arange(3000), 2)
    states = inference.sample_states(
        log_emissions, np.eye(2), initial, sessions, random_state=0
    ).reshape(-1, 2)
    assert (states[:, 0] == states[:, 1]).all()
    assert states[:, 0].mean() == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 3000))


GOOD = (np.zeros((4, 2)), np.full((2, 2), 0.5), np.array([0.5, 0.5]))


@pytest.mark.parametrize(
    ("position", "bad", "message"),
    [
        (0, np.zeros(4), "table of bins by states"),
        (0, np.full((4, 2), np.nan), "4 bins, the first is 0"),
        (0, np.full((4, 2), np.inf), "row of zeros"),
        (1, np.full((3, 3), 1 / 3), r"expected shape \(2, 2\) or \(3, 2, 2\)"),
        (1, np.array([[0.5, 0.6], [0.5, 0.5]]), "sums off by up to 0.1"),
        (1, np.array([[-0.5, 1.5], [0.5, 0.5]]), "minimum -0.5"),
        (2, np.array([1.0]), "initial does not match"),
        (2, np.array([0.5, 0.4]), "initial is not made of probabilities"),
    ],
)
def test_bad_arguments(position, bad, message):
    arguments = list(GOOD)
    arguments[position] = bad
    with pytest.raises(DataError, match=message):
        inference.forward_backward(*arguments)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_impossible_observations(device):
    log_emissions = np.zeros((4, 2))
    log_emissions[1] = [-np.inf, 0.0]
    arguments = (log_emissions, np.eye(2), [1.0, 0.0])
    with pytest.raises(DataError, match="no path through session 0 is possible"):
        inference.forward_backward(*arguments, device=device)
    assert inference.log_likelihood(*arguments) == -np.inf
    assert inference.viterbi(*arguments)[1] == -np.inf


def test_sessions_must_be_contiguous():
    with pytest.raises(DataError, match="not contiguous"):
        inference.forward_backward(*GOOD, sessions=[0, 1, 1, 0])
