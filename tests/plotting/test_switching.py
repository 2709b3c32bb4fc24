"""What the figures of states draw, read back from their axes."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.plotting import (
    plot_convergence,
    plot_couplings,
    plot_dwell_times,
    plot_psychometric,
    plot_state_raster,
    plot_states,
    plot_weights,
)
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM


def test_psychometric_curve_is_the_share_of_choices():
    stimulus = np.repeat([-1.0, 0.0, 1.0], 30)
    y = (np.tile(np.arange(30), 3) < np.repeat([3, 15, 27], 30)).astype(float)
    ax = plot_psychometric(stimulus, y, np.ones((90, 1)), stimulus_label="s")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[-1, 0.1], [0, 0.5], [1, 0.9]])


def test_levels_of_a_stimulus_stay_apart_and_others_are_binned():
    rng = np.random.default_rng(0)
    levels = np.repeat([-1.0, -0.9, 0.0, 0.9, 1.0], [5, 5, 180, 5, 5])
    choices = rng.integers(0, 2, 200)
    ax = plot_psychometric(levels, choices, choice_label="right")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [-1, -0.9, 0, 0.9, 1])
    assert ax.get_ylabel() == "share of choices right"
    assert len(plot_psychometric(rng.normal(size=200), choices).lines[0].get_xdata()) == 9


def test_lines_are_what_the_model_predicts_of_the_same_trials():
    stimulus, choices = [-1, -1, 1, 1, 1], [0, 1, 1, 1, np.nan]
    posterior = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    predicted = np.array([[0.1, 0.9], [0.4, 0.7], [0.8, 0.5], [0.5, 0.5], [0.0, 0.0]])
    ax = plot_psychometric(stimulus, choices, posterior, predicted=predicted)
    first, second = (line for line in ax.lines if line.get_linestyle() == "-")
    np.testing.assert_allclose(first.get_ydata(), [0.2, 0.6])  # by hand: (0.1 + 0.4 / 2) / 1.5
    np.testing.assert_allclose(second.get_ydata(), [0.7, 0.5])


def test_trials_without_stimulus_or_choice_are_left_out():
    ax = plot_psychometric([-1, -1, 1, 1, np.nan, 1], [0, 1, 1, 1, 0, np.nan])
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[-1, 0.5], [1, 1]])
    with pytest.raises(DataError, match=r"choices are not between two.*found \[1.0, 2.0\]"):
        plot_psychometric([-1, 1], [1, 2])


def test_dwell_times_end_with_a_session():
    path = np.array([0, 0, 0, 0, 1, 1])
    ax = plot_dwell_times(path, np.eye(2), sessions=[0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 1.0], [3, 0.5]])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[1, 1], [2, 1], [3, 1]])
    with pytest.raises(DataError, match=r"states are not numbers of states.*found \[-1.0, 0.5\]"):
        plot_dwell_times([-1, 0.5])


def test_a_state_that_the_chain_does_not_have_is_refused():
    with pytest.raises(DataError, match=r"transition_matrix.*expected shape \(3, 3\)"):
        plot_dwell_times([0, 1, 2], np.eye(2))


def test_the_session_with_the_most_balanced_states_is_shown():
    posterior = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.4, 0.6]])
    above, below = plot_states(posterior, sessions=["a", "a", "b", "b"], times=[0, 1, 5, 6]).axes
    np.testing.assert_allclose(above.lines[0].get_ydata(), [1.0, 0.45])
    band = below.collections[0].get_paths()[0].vertices
    assert {tuple(corner) for corner in band.round(6)} >= {(5.0, 0.0), (5.0, 0.5), (6.0, 0.4)}


def test_raster_shows_the_spikes_of_the_first_bins_and_the_border_of_sessions():
    spikes = np.random.default_rng(0).poisson(0.5, (30, 3))
    figure = plot_state_raster(
        np.full((30, 2), 0.5), spikes, sessions=np.repeat([0, 1], 15), max_bins=20
    )
    raster, border = figure.axes[1].lines
    assert len(raster.get_xdata()) == (spikes[:20] > 0).sum()
    assert border.get_xdata()[0] == 15


def test_of_states_that_change_fast_no_more_visits_are_drawn_than_can_be_seen():
    posterior = np.eye(2)[np.arange(300) // 3 % 2]  # a hundred visits of three bins each
    figure = plot_state_raster(posterior, np.ones((300, 2)))
    assert figure.axes[1].lines[0].get_xdata().max() == 40 * 3 - 1
    _, below = plot_states(posterior).axes
    assert below.collections[0].get_paths()[0].vertices[:, 0].max() == 40 * 3 - 1


def test_couplings_stand_beside_one_another_with_the_names_of_their_units():
    rng = np.random.default_rng(0)
    spikes = rng.poisson(0.5, (60, 4))
    model = SwitchingPopulationGLM(1, n_init=1, tol=1e-2, random_state=0).fit(spikes)
    weights = np.zeros((1, 4, 4))
    weights[0, 0, 2], weights[0, 3, 1] = 1.0, -2.0
    model.weights_ = weights
    axes = plot_couplings(model, unit_names=["a", "b", "c", "d"]).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset("ac"), frozenset("bd")}
    drawn = axes.images[0].get_array()
    assert drawn[names.index("a"), names.index("c")] == 1.0
    assert drawn[names.index("d"), names.index("b")] == -2.0
    assert [label.get_text() for label in axes.get_xticklabels()] == names


def test_weights_are_those_of_the_chosen_columns():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
    model = SwitchingGLM(1, emission_columns=[2, 0], random_state=0).fit(X, y)
    (axes,) = plot_weights(model, input_names=["a", "b", "c"]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "c", "a", "intercept"
    ]  # fmt: skip
    (points, *_) = axes.containers[0]
    np.testing.assert_array_equal(points.get_ydata(), [*model.weights_[0, 0], *model.intercept_[0]])
    alone = model.set_params(fit_intercept=False).fit(X, y)
    assert len(plot_weights(alone).axes[0].get_xticks()) == 2


def test_the_intercept_has_its_error_where_it_is_known():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 2)), rng.integers(0, 2, 100)
    model = SwitchingGLM(1, random_state=0).fit(X, y)
    errors = model.standard_errors(X, y)
    (axes,) = plot_weights(model, standard_errors=errors).axes
    (_, _, (bars,)) = axes.containers[0]
    half = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(half, 1.96 * np.append(errors.weights, errors.intercept))


def test_convergence_ends_with_the_last_iteration_and_starts_that_can_be_compared():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 2)), rng.integers(0, 2, 100)
    model = SwitchingGLM(2, n_init=3, tol=1e-2, random_state=0).fit(X, y)
    trace, ends = plot_convergence(model).lines
    np.testing.assert_array_equal(trace.get_ydata(), model.objective_trace_)
    assert trace.get_xdata()[-1] == model.n_iter_ == ends.get_xdata()[0]
    np.testing.assert_array_equal(ends.get_ydata(), model.restart_objectives_)
    population = SwitchingPopulationGLM(2, n_init=2, tol=1e-2, random_state=0)
    population.fit(rng.poisson(0.5, (100, 3)))
    assert len(plot_convergence(population).lines) == 1
