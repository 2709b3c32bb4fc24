"""What all figures have in common: where they draw, what they return, what they leave alone."""

import inspect

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, clone
from sklearn.preprocessing import StandardScaler

from neuroml import plotting
from neuroml.exceptions import DataError

NAMES = [name for name in plotting.__all__ if name.startswith("plot_")]


def has_one_panel(name):
    return "ax" in inspect.signature(getattr(plotting, name)).parameters


@pytest.fixture(params=NAMES)
def drawing(request, figures):
    case = figures[request.param]
    return request.param, getattr(plotting, request.param), case


def target_of(name, figure):
    return {"ax": figure.subplots()} if has_one_panel(name) else {"figure": figure}


def test_every_figure_is_tried(figures):
    assert set(figures) == set(NAMES)
    for name, case in figures.items():
        parameters = inspect.signature(getattr(plotting, name)).parameters.values()
        optional = {p.name for p in parameters if p.default is not p.empty} - {"ax", "figure"}
        assert set(case.named) == optional, name


def test_all_but_what_is_drawn_is_named(drawing):
    _, plot, case = drawing
    parameters = inspect.signature(plot).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(positional) - len(case.first) == ("posterior" in case.named) + (
        "transition_matrix" in case.named
    )
    assert {"ax", "figure"} & {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_a_new_figure_is_returned_and_pyplot_does_not_know_it(drawing):
    name, plot, case = drawing
    before = dict(mpl.rcParams), list(Gcf.figs)
    drawn = plot(*case.first, **case.required)
    assert isinstance(drawn, Axes if has_one_panel(name) else Figure)
    assert drawn.figure.axes
    assert drawn._repr_png_().startswith(b"\x89PNG")  # what a notebook shows
    assert (dict(mpl.rcParams), list(Gcf.figs)) == before


def test_names_are_written_where_they_belong(drawing, tmp_path):
    name, plot, case = drawing
    drawn = plot(*case.first, **case.required, **case.named)
    assert len(plotting.save_figure(drawn.figure, tmp_path / name)) == 2
    texts = {text.get_text() for ax in drawn.figure.axes for text in ax.findobj(mpl.text.Text)}
    for key, value in case.named.items():
        if key.endswith("_label") and key != "sample_label":
            assert any(value in text for text in texts), key
        if key.endswith("_names"):
            assert {str(each) for each in value} <= texts


def test_it_is_drawn_where_it_is_told_in_the_users_own_style(drawing):
    name, plot, case = drawing
    with mpl.rc_context({"font.size": 17.0, "axes.titlelocation": "right"}):
        figure = Figure(layout="constrained")
        target = target_of(name, figure)
        drawn = plot(*case.first, **case.required, **target)
        assert drawn is next(iter(target.values()))
        assert mpl.rcParams["font.size"] == 17.0
    assert drawn.figure is figure and figure.axes
    figure.canvas.draw()


def arrays_of(case):
    return [k for k, part in enumerate(case.first) if isinstance(part, np.ndarray | list)]


def test_another_shape_is_refused_with_what_was_expected(drawing):
    _, plot, case = drawing
    for place in arrays_of(case):
        if np.asarray(case.first[place]).dtype.kind not in "iuf":
            continue
        wrong = [*case.first]
        wrong[place] = np.zeros((1, 2, 1, 2, 1, 2))
        with pytest.raises(DataError, match=r"expected shape \(.*found shape \(1, 2, 1, 2, 1, 2\)"):
            plot(*wrong, **case.required)


def test_names_and_times_of_another_length_are_refused(drawing):
    _, plot, case = drawing
    for key, value in case.named.items():
        if key.endswith("_names"):
            expected = f"expected {len(value)} names; found {len(value) + 1} names"
            wrong = [*value, "one more"]
        elif key == "times":
            expected = r"times has the wrong shape; expected shape"
            wrong = [*value, 1.0]
        elif key == "sessions":
            expected = "sessions do not match the samples"
            wrong = [*value, value[-1]]
        else:
            continue
        with pytest.raises(DataError, match=expected):
            plot(*case.first, **case.required, **{key: wrong})


def test_a_model_must_be_fitted_and_have_what_is_drawn(drawing):
    _, plot, case = drawing
    model, *others = case.first
    if not hasattr(model, "get_params"):
        return
    with pytest.raises(ValueError, match="not fitted yet"):
        plot(clone(model), *others, **case.required)
    other = StandardScaler().fit(np.eye(3))
    with pytest.raises(DataError, match=r"expected an estimator with \w+_; found StandardScaler"):
        plot(other, *others, **case.required)
    with pytest.raises(DataError, match="is drawn from a fitted estimator.*found ndarray"):
        plot(np.zeros(3), *others, **case.required)


def test_a_saved_figure_keeps_its_window(tmp_path):
    figure = Figure(layout="constrained")
    figure.subplots().plot([0, 1])
    canvas, dpi = figure.canvas, figure.dpi
    first = [path.read_bytes() for path in plotting.save_figure(figure, tmp_path / "a")]
    assert figure.canvas is canvas and figure.dpi == dpi
    assert [path.read_bytes() for path in plotting.save_figure(figure, tmp_path / "a")] == first


class Iterated(BaseEstimator):
    """What an iterative fit keeps."""

    def __init__(self, trace=()):
        self.trace = trace

    def fit(self):
        self.objective_trace_ = np.array(self.trace)
        self.n_iter_ = len(self.trace)
        return self


@pytest.mark.parametrize(
    "trace", [[0.3], [0.3, 0.3 - 1e-9], [1e6, 1e6 - 1e-4], [0.0, 0.0], [-0.6, -0.5, -0.4]]
)
def test_an_objective_that_hardly_changes_has_an_axis_that_can_be_read(trace):
    """Ticks say their values themselves, and differences in the last digits fill no axis."""
    ax = plotting.plot_convergence(Iterated(trace).fit())
    ax.figure.draw_without_rendering()
    power = ax.yaxis.get_offset_text().get_text()  # may multiply, but adds nothing
    assert power in ("", "1e6")
    texts = [label.get_text().replace("\N{MINUS SIGN}", "-") for label in ax.get_yticklabels()]
    ticks = np.array(texts, float) * float(power or 1)
    assert len(set(ticks)) == len(ticks) >= 2
    np.testing.assert_allclose(ticks, ax.get_yticks(), rtol=1e-9)
    low, high = ax.get_ylim()
    assert high - low >= 0.99e-4 * np.max(np.abs(trace))
    assert (ax.lines[0].get_marker() == "o") == (len(trace) == 1)


def test_numbers_of_jobs_that_differ_by_rounding_look_equal():
    figure = plotting.plot_jobs([{"error": 0.3}, {"error": 0.3 + 1e-12}])
    assert np.ptp(figure.axes[0].get_xlim()) > 1e-5
