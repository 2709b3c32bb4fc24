import numpy as np
import pytest
from scipy.signal import get_window
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.connectome import SlidingWindowConnectivity
from neuroml.exceptions import DataError


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))


def test_empirical_correlation_equals_numpy(X):
    model = SlidingWindowConnectivity(window=20, stride=7, covariance="empirical", vectorize=False)
    values = model.fit_transform(X)
    for value, (first, last) in zip(values, model.windows_, strict=True):
        np.testing.assert_allclose(value, np.corrcoef(X[first:last].T), atol=1e-12)
    assert model.windows_.tolist() == [[s, s + 20] for s in range(0, 41, 7)]


def test_partial_correlation_equals_residuals_of_regression(X):
    model = SlidingWindowConnectivity(
        window=60, kind="partial correlation", covariance="empirical", vectorize=False
    )
    value = model.fit_transform(X)[0]
    others = np.column_stack([np.ones(60), X[:, 2:]])
    residuals = [x - others @ np.linalg.lstsq(others, x, rcond=None)[0] for x in X[:, :2].T]
    assert value[0, 1] == pytest.approx(np.corrcoef(residuals)[0, 1], abs=1e-10)


@pytest.mark.parametrize("taper", ["gaussian", "hamming", "hann"])
def test_tapered_correlation_equals_weighted_formula(X, taper):
    shape = ("gaussian", 20 / 6) if taper == "gaussian" else taper
    weights = get_window(shape, 22, fftbins=False)[1:-1]
    cov = np.cov(X[:20].T, aweights=weights)
    expected = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    model = SlidingWindowConnectivity(window=20, taper=taper, covariance="empirical")
    assert model.fit_transform(X)[0, 0] == pytest.approx(expected, abs=1e-12)


def test_no_window_crosses_a_session_and_sessions_are_independent(X):
    model = SlidingWindowConnectivity(window=10)
    sessions = np.repeat([0, 1], [25, 35])
    together = model.fit_transform(X, sessions=sessions)
    assert not any(first < 25 < last for first, last in model.windows_)
    apart = np.concatenate([model.fit_transform(X[:25]), model.fit_transform(X[25:])])
    np.testing.assert_allclose(together, apart, rtol=0, atol=1e-12)
    listed = model.fit_transform([X[:25], X[25:]])
    np.testing.assert_allclose(together, listed, rtol=0, atol=1e-12)


def test_shrink_gives_one_row_per_sample(X):
    model = SlidingWindowConnectivity(window=11, edges="shrink", covariance="empirical")
    values = model.fit_transform(X)
    assert len(values) == len(X)
    assert model.windows_[0].tolist() == [0, 6] and model.windows_[-1].tolist() == [54, 60]
    inner = SlidingWindowConnectivity(window=11, covariance="empirical").fit_transform(X)
    np.testing.assert_allclose(values[5:-5], inner, atol=1e-12)


def test_scale_and_shift_of_a_unit_change_nothing(X):
    model = SlidingWindowConnectivity(window=20)
    np.testing.assert_allclose(
        model.fit_transform(X),
        model.fit_transform(X * [1, 1e3, 1e-3, 5] + [0, 1e3, -2, 1]),
        atol=1e-9,
    )


def test_permuting_units_permutes_the_matrix(X):
    order = [2, 0, 3, 1]
    model = SlidingWindowConnectivity(window=20, vectorize=False)
    np.testing.assert_allclose(
        model.fit_transform(X)[:, order][:, :, order], model.fit_transform(X[:, order]), atol=1e-12
    )


def test_negative_values(X):
    signed = SlidingWindowConnectivity(window=10).fit_transform(X)
    assert signed.min() < 0
    zero = SlidingWindowConnectivity(window=10, negative="zero").fit_transform(X)
    absolute = SlidingWindowConnectivity(window=10, negative="absolute").fit_transform(X)
    np.testing.assert_array_equal(zero, np.maximum(signed, 0))
    np.testing.assert_array_equal(absolute, np.abs(signed))


def test_diagonal_as_missing(X):
    values = SlidingWindowConnectivity(
        window=10, vectorize=False, discard_diagonal=True
    ).fit_transform(X)
    assert np.isnan(np.einsum("wii->wi", values)).all()
    assert np.isnan(values).sum() == values.shape[0] * 4


def test_pairs_are_named_in_the_order_of_the_columns(X):
    model = SlidingWindowConnectivity(window=10).fit(X)
    names = model.get_feature_names_out(list("abcd"))
    assert names.tolist() == ["a--b", "a--c", "a--d", "b--c", "b--d", "c--d"]


def test_in_a_pipeline_with_pandas_output(X):
    windows = SlidingWindowConnectivity(window=10, edges="shrink")
    pipeline = make_pipeline(StandardScaler(), windows)
    assert pipeline.set_output(transform="pandas").fit_transform(X).columns[0] == "x0--x1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((30, 3))}, r"constant within a window.*units \[0, 1, 2\]"),
        ({"X": np.zeros((30, 3))}, "constant within a window"),
        (
            {"X": np.random.default_rng(0).normal(size=(5, 3))},
            "session 0 is shorter than the window.*n_samples=5",
        ),
    ],
)
def test_bad_data(change, message):
    with pytest.raises(DataError, match=message):
        SlidingWindowConnectivity(window=10).fit_transform(**change)


def test_recovers_a_planted_switch():
    """Two units correlated in the first half only: the windows show it, over ten seeds."""
    gaps = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=200)[:, None] * np.repeat([1.0, 0.0], 100)[:, None]
        values = SlidingWindowConnectivity(window=50, stride=50).fit_transform(
            common + 0.5 * rng.normal(size=(200, 2))
        )
        gaps.append(values[:2].mean() - values[2:].mean())
    assert np.mean(gaps) > 0.5
