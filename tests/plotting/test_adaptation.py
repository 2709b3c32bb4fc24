"""What the figures of adaptation draw, read back from their axes."""

import numpy as np
import pandas as pd
import pytest

from neuroml.decoding.metrics import subject_interval
from neuroml.exceptions import DataError
from neuroml.plotting import plot_adaptation_curves, plot_gains


def table():
    rng = np.random.default_rng(0)
    rows = [
        (method, subject, n, repeat, base + 0.1 * n / 100 + 0.01 * rng.standard_normal())
        for method, base in (("ridge", 0.1), ("cohort", 0.3))
        for subject in ("a", "b", "c", "d")
        for n in (50, 200)
        for repeat in range(3)
    ]
    return pd.DataFrame(rows, columns=["method", "subject", "n_adapt", "repeat", "score"])


def test_curves_are_means_over_subjects():
    data = table()
    axes = plot_adaptation_curves(data, chance=0.01)
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {"ridge", "cohort", "chance"}
    expected = data[data.method == "cohort"].groupby("n_adapt").score.mean()
    np.testing.assert_allclose(lines["cohort"].get_ydata(), expected, rtol=1e-12)
    np.testing.assert_array_equal(lines["cohort"].get_xdata(), [50, 200])
    assert axes.get_xlabel() and axes.get_ylabel()


def test_gains_are_paired_and_their_interval_is_over_subjects():
    data = table()
    axes = plot_gains(data, baseline="ridge", n_adapt=50)
    chosen = data[data.n_adapt == 50].pivot_table(
        index=["subject", "repeat"], columns="method", values="score"
    )
    by_subject = (chosen.cohort - chosen.ridge).groupby("subject").mean()
    (points, _, (bars,)) = axes.containers[0]
    np.testing.assert_allclose(points.get_xdata(), [*by_subject, by_subject.mean()], rtol=1e-12)
    found = subject_interval(by_subject.to_numpy(), random_state=0)
    np.testing.assert_allclose(bars.get_segments()[-1][:, 0], [found.low, found.high], rtol=1e-9)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [*"abcd", "all"]


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match="'repeat'"):
        plot_gains(table().drop(columns="repeat"), baseline="ridge", n_adapt=50)
    with pytest.raises(DataError, match="found 'lasso'"):
        plot_gains(table(), baseline="lasso", n_adapt=50)
