import math

import numpy as np
import pytest

from neuroml._core.iteration import (
    FitTrace,
    fit_from_starts,
    iterate,
    iterate_together,
    select_restart,
)
from neuroml.celltypes import MostDiscriminativeStimuli, _cluster_search
from neuroml.exceptions import DataError, MonotonicityWarning, NotConvergedWarning
from neuroml.simulate import make_retina
from neuroml.switching import (
    SwitchingGLM,
    SwitchingPopulationGLM,
    switching_glm,
    switching_population_glm,
)


def towards_one(x):
    following = (x + 1) / 2
    return following, -((following - 1) ** 2)


def test_converges_and_keeps_the_trace():
    result = iterate(towards_one, 0.0, -1.0, max_iter=100, tol=1e-12)
    assert result.converged and result.stop_reason == "converged"
    assert result.n_iter == len(result.trace) - 1
    assert result.objective == result.trace[-1] == -((result.state - 1) ** 2)
    assert np.all(np.diff(result.trace) >= 0)


def test_running_out_of_iterations_is_not_convergence():
    result = iterate(towards_one, 0.0, -1.0, max_iter=3, tol=0.0)
    assert (result.converged, result.n_iter, result.stop_reason) == (False, 3, "max_iter")


def test_a_fixed_point_converges_at_zero_tolerance():
    assert iterate(lambda x: (x, 5.0), None, 5.0, max_iter=10, tol=0.0).converged


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_keeps_the_last_good_state(bad):
    steps = iter([("a", 1.0), ("b", bad)])
    result = iterate(lambda state: next(steps), "start", 0.0, max_iter=10, tol=0.0)
    assert (result.state, result.objective, result.stop_reason) == ("a", 1.0, "not finite")
    assert not result.converged


def test_a_fall_is_told():
    with pytest.warns(MonotonicityWarning, match="fell by 1"):
        iterate(lambda x: (x, -1.0), None, 0.0, max_iter=1, tol=0.0)
    iterate(lambda x: (x, -1.0), None, 0.0, max_iter=1, tol=0.0, monotone=False)


def test_rounding_is_no_fall():
    iterate(lambda x: (x, 1e6 - 1e-4), None, 1e6, max_iter=1, tol=0.0)


def test_callback_sees_every_step():
    seen = []
    iterate(towards_one, 0.0, -1.0, max_iter=3, tol=0.0, callback=lambda *args: seen.append(args))
    assert [n for n, _ in seen] == [1, 2, 3]


def test_best_restart_wins_and_all_are_returned():
    climbs = [iterate(towards_one, x, -((x - 1) ** 2), max_iter=50, tol=1e-9) for x in (9.0, 1.0)]
    best, every = select_restart(climbs, name="Model")
    assert best is climbs[1] and every == climbs


def test_best_not_converged_warns():
    with pytest.warns(NotConvergedWarning, match=r"Model stopped after 1 iterations .*max_iter"):
        select_restart([iterate(towards_one, 0.0, -1.0, max_iter=1, tol=0.0)], name="Model")


def test_no_finite_restart_raises():
    broken = iterate(towards_one, 0.0, math.nan, max_iter=1, tol=0.0)
    with pytest.raises(FloatingPointError, match="any of 2 restarts"):
        select_restart([broken, broken], name="Model")


def test_states_that_settle_end_the_climb_whatever_the_objective():
    labels = iter([("ab", 1.0), ("aa", 9.0), ("aa", 9.5)])
    result = iterate(
        lambda state: next(labels), "bb", 0.0, max_iter=10, tol=0.0, settled=lambda a, b: a == b
    )
    assert (result.state, result.trace, result.converged) == ("aa", (0.0, 1.0, 9.0, 9.5), True)


def test_climbing_together_is_climbing_apart():
    starts = [0.0, 0.9, -3.0, 1.0]
    scores = [-((start - 1) ** 2) for start in starts]
    asked = []

    def step(states):
        asked.append(len(states))
        return [towards_one(state) for state in states]

    together = iterate_together(step, starts, scores, max_iter=12, tol=1e-4)
    apart = [
        iterate(towards_one, start, score, max_iter=12, tol=1e-4)
        for start, score in zip(starts, scores, strict=True)
    ]
    assert together == apart
    assert asked[0] == 4 and asked == sorted(asked, reverse=True), "those that ended are left out"


class TestStartsThatBreakDown:
    ERRORS = (np.linalg.LinAlgError("Singular matrix"), FloatingPointError("overflow"))

    @staticmethod
    def fit(number, error):
        if error is not None:
            raise error
        return FitTrace(number, (0.0, float(number)), True, "converged")

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_they_are_left_out_and_counted(self, error):
        tasks = [(1, None), (2, error), (3, None), (4, error)]
        with pytest.warns(UserWarning, match=f"Model: 2 of 4 starts broke.*{error}"):
            every = fit_from_starts(self.fit, tasks, name="Model")
        best, _ = select_restart(every, name="Model")
        assert best.state == 3
        assert [one.objective for one in every] == pytest.approx(
            [1, np.nan, 3, np.nan], nan_ok=True
        )

    def test_if_all_break_down_there_is_no_model(self):
        with pytest.raises(DataError, match="Model: all of 2 starts broke down.*Singular matrix"):
            fit_from_starts(self.fit, [(1, self.ERRORS[0])] * 2, name="Model")

    def test_other_errors_are_raised(self):
        with pytest.raises(KeyError):
            fit_from_starts(self.fit, [(1, None), (1, KeyError())], name="Model")


def breaking(monkeypatch, module, name, bad):
    """Let a function of a module break down in the calls whose numbers are in ``bad``."""
    real, calls = getattr(module, name), []

    def sometimes(*args, **keywords):
        calls.append(1)
        if len(calls) in bad:
            raise np.linalg.LinAlgError("Singular matrix")
        return real(*args, **keywords)

    monkeypatch.setattr(module, name, sometimes)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("family", ["choices", "spikes", "stimuli"])
def test_every_model_with_random_starts_leaves_out_those_that_break_down(monkeypatch, family):
    rng = np.random.default_rng(0)
    if family == "choices":
        model = SwitchingGLM(2, "gaussian", n_init=3, max_iter=3, random_state=0)
        data, scores = (rng.normal(size=(60, 2)), rng.normal(size=60)), "restart_objectives_"
        patched = (switching_glm, "fit_from_random_start")
    elif family == "spikes":
        model = SwitchingPopulationGLM(2, n_lags=2, link="sigmoid", n_init=3, max_iter=3)
        data, scores = (rng.poisson(1.0, (60, 3)).astype(float),), "restart_objectives_"
        patched = (switching_population_glm, "fit_from_random_start")
    else:
        retina = make_retina(["on_transient", "off_sustained"], n_cells=3, n_frames=30)
        model = MostDiscriminativeStimuli(
            2, n_steps=2, n_init=3, n_reference=20, max_iter=2, random_state=0
        )
        data, scores = (retina.module,), "restart_objectives_"
        patched = (_cluster_search.ClusterSearch, "run")
    breaking(monkeypatch, *patched, {2})
    with pytest.warns(UserWarning, match="1 of 3 starts broke down"):
        model.fit(*data)
    assert np.isnan(getattr(model, scores)).tolist() == [False, True, False]
    breaking(monkeypatch, *patched, {1, 2, 3})
    with pytest.raises(DataError, match="all of 3 starts broke down"):
        model.fit(*data)
