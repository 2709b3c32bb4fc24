"""Trials of a design."""

import numpy as np

from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM, recovery_study


def test_recovery_improves_with_the_design():
    data = make_switching_choices(4, 10, 3)
    truth = SwitchingGLM.from_parameters(
        data.weights, data.intercept, data.transition_matrix, n_init=2, tol=1e-6
    )
    rng = np.random.default_rng(0)
    studies = [
        recovery_study(
            truth,
            rng.normal(size=(n, 3)),
            sessions=np.arange(n) // 500,
            n_repeats=4,
            random_state=0,
        )
        for n in (1000, 10_000)
    ]
    small, large = (study.mean() for study in studies)
    assert large["weight_rmse"] < 0.6 * small["weight_rmse"]
    assert large["weight_correlation"] > 0.99
    assert large["state_accuracy"] > large["oracle_accuracy"] - 0.01
    assert (studies[1]["log_likelihood"] > studies[1]["true_log_likelihood"]).all()


def test_recovery_without_inputs():
    truth = SwitchingGLM.from_parameters(
        np.zeros((2, 1, 0)),
        [[0.0], [3.0]],
        [[0.9, 0.1], [0.1, 0.9]],
        covariances=np.ones((2, 1, 1)),
        family="gaussian",
        n_init=1,
    )
    study = recovery_study(truth, sessions=np.zeros(300), n_repeats=2, random_state=0)
    assert (study["state_accuracy"] > 0.9).all()
    assert study["weight_correlation"].isna().all()
