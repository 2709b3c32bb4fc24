"""What the figures of connectivity draw, read back from their axes."""

import numpy as np
import pytest

from neuroml.connectome import AffinityTensor, NonnegativeCP, select_rank
from neuroml.exceptions import DataError
from neuroml.plotting import (
    plot_blocks,
    plot_brain,
    plot_cohort_components,
    plot_components,
    plot_connectogram,
    plot_loadings,
    plot_rank_selection,
    plot_unit_traces,
)


def test_blocks_are_sorted_by_label():
    labels = np.array([1, 0, -1, 1, 0])
    matrix = np.arange(25.0).reshape(5, 5)
    ax = plot_blocks(matrix, labels)
    order = [1, 4, 0, 3, 2]
    np.testing.assert_array_equal(ax.images[0].get_array(), matrix[np.ix_(order, order)])
    assert sorted({line.get_ydata()[0] for line in ax.lines if line.get_xdata()[0] == 0}) == [
        1.5,
        3.5,
    ]
    with pytest.raises(DataError, match="labels are not numbers of communities"):
        plot_blocks(matrix, labels + 0.5)
    with pytest.raises(DataError, match=r"labels has the wrong shape; expected shape \(5,\)"):
        plot_blocks(matrix, labels[:4])


def test_a_choice_of_rank():
    factors = [np.random.default_rng(0).gamma(0.5, size=(n, 2)) for n in (12, 6, 15)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors)
    quick = NonnegativeCP(n_init=2, tol=1e-4)
    selection = select_rank(tensor, [1, 2, 3], n_folds=3, model=quick, random_state=0)
    error, *_ = plot_rank_selection(selection).axes
    held_out = np.asarray(error.lines[0].get_ydata(), dtype=float)
    np.testing.assert_allclose(held_out, selection.table["held_out"])


def test_courses_are_interrupted_between_sessions():
    X = np.random.default_rng(0).uniform(size=(6, 4))
    model = NonnegativeCP(1, n_init=1, random_state=0).fit(X)
    figure = plot_components(model, sessions=[0, 0, 0, 1, 1, 1])
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines] == [[0, 1, 2], [3, 4, 5]]


def test_of_many_units_the_strongest_of_every_component_are_drawn_all_with_names():
    model = NonnegativeCP(2, n_init=1, random_state=0)
    model.fit(np.random.default_rng(0).uniform(size=(6, 83)))
    model.cp_.factors[1][:] = 0.0
    model.cp_.factors[1][:80, 0] = np.arange(1.0, 81.0)  # only three units load on the second
    model.cp_.factors[1][80:, 1] = [1.0, 3.0, 2.0]
    ax = plot_loadings(model, unit_names=[f"region {i}" for i in range(83)])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[:2] == ["region 79", "region 78"]
    assert names[-3:] == ["region 81", "region 82", "region 80"]
    assert len(names) == len(ax.images[0].get_array()) == 50
    assert ax.get_title(loc="left") == "the strongest 50 of 83"


def test_components_of_another_tensor_are_refused():
    affinity = AffinityTensor()
    affinity.fit_transform([np.random.default_rng(seed).normal(size=(50, 4)) for seed in range(3)])
    model = NonnegativeCP(1, n_init=1, random_state=0)
    model.fit(np.random.default_rng(0).uniform(size=(5, 3, 9)))
    with pytest.raises(DataError, match=r"expected \d+ pairs x subjects x times; found 5 x 3 x 9"):
        plot_cohort_components(model, affinity)


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.ones((4, 4)), np.full((4, 4), np.nan)])
def test_a_matrix_without_a_strongest_connection_is_drawn(matrix):
    places = np.random.default_rng(0).uniform(-40, 40, (4, 3))
    plot_brain(matrix, [0, 0, 1, -1], places).canvas.draw()
    assert len(plot_connectogram(matrix, [0, 0, 1, -1]).patches) == 6


def test_borders_of_intervals_are_at_their_times():
    traces = np.random.default_rng(0).normal(size=(10, 3))
    ax = plot_unit_traces(traces, [0, 0, 0], intervals=[[2, 10]], times=np.arange(10) * 0.5)
    assert [line.get_xdata()[0] for line in ax.lines] == [1.0, 4.5]
