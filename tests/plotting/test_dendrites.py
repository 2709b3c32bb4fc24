"""The figures show the curves they are given, and the window in which both limits hold."""

import numpy as np

from neuroml.plotting import Comparison, plot_comparisons, plot_threshold_design


def test_every_panel_has_its_curves_points_and_labels():
    x = np.arange(1, 5)
    panels = [
        Comparison("one", "x (cells)", "y", {"a": (x, x), "b": (x, 2 * x)}, {"b": (x, x)}),
        Comparison("two", "x", "y", {"a": (x, x)}, misprints={"a": ([1], [3])}, log_y=False),
        Comparison("three", "x", "y", {"a": (x, x)}),
    ]
    axes = plot_comparisons(panels).axes
    assert [len(one.lines) for one in axes] == [3, 2, 1, 0]
    assert [one.get_yscale() for one in axes[:2]] == ["log", "linear"]
    assert axes[0].get_xlabel() == "x (cells)" and not axes[3].get_visible()
    assert axes[0].lines[2].get_color() == axes[0].lines[1].get_color()


def test_the_window_is_shaded_only_where_both_limits_hold():
    limits = {"max_false_match": 1e-9, "max_false_negative": 1e-3}
    axes = plot_threshold_design(10_000, 30, 200, 40, **limits)
    (window,) = axes.patches
    assert (window.get_x(), window.get_x() + window.get_width()) == (9.5, 17.5)
    assert not plot_threshold_design(500, 10, 100, 40, **limits).patches
