"""BayesianDecoder against Bayes' rule written out, on simulated and real place cells, and refusals."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, poisson

from neuroml.data import load_dataset
from neuroml.decoding import BayesianDecoder, RidgeDecoder
from neuroml.evaluation import evaluate
from neuroml.exceptions import DataError


def walk(n, seed, low=0.0, high=100.0):
    """A path that turns around at both ends, and counts of place cells along it."""
    rng = np.random.default_rng(seed)
    place = low + (high - low) * np.abs(np.cumsum(rng.normal(0, 0.05, n)) % 2 - 1)
    fields = np.linspace(low, high, 12)
    rates = 0.1 + np.exp(-0.5 * ((place[:, None] - fields) / (0.1 * (high - low))) ** 2)
    return rng.poisson(rates).astype(float), place


def by_all_paths(log_likelihood, start, transitions):
    """Marginal probabilities from the sum over every path of states."""
    n, states = log_likelihood.shape
    total = np.zeros((n, states))
    for path in product(range(states), repeat=n):
        weight = start[path[0]] * np.exp(sum(log_likelihood[t, s] for t, s in enumerate(path)))
        weight *= np.prod([transitions[a, b] for a, b in pairwise(path)])
        total[np.arange(n), path] += weight
    return total / total.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("likelihood", ["poisson", "gaussian"])
def test_positions_have_the_probabilities_of_all_paths(likelihood):
    X, y = walk(60, 0)
    model = BayesianDecoder(likelihood, n_bins=4).fit(X, y, sessions=np.repeat([0, 1], 30))
    new, sessions = X[:7], [0, 0, 0, 0, 0, 1, 1]
    if likelihood == "poisson":
        each = poisson.logpmf(new[:, None], model.tuning_curves_).sum(axis=2)
    else:
        each = norm.logpdf(new[:, None], model.tuning_curves_, model.variances_**0.5).sum(axis=2)
    given = model.initial_proba_, model.transition_matrix_
    expected = np.vstack([by_all_paths(each[:5], *given), by_all_paths(each[5:], *given)])
    found = model.predict_proba(new, sessions=sessions)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        model.predict(new, sessions=sessions), expected @ model.bin_centers_, rtol=1e-9
    )


def test_samples_alone_have_the_probabilities_of_bayes_rule():
    """As pynapple's decode_1d: occupancy times the Poisson probability of the counts."""
    X, y = walk(300, 1)
    model = BayesianDecoder(n_bins=10).fit(X, y)
    joint = model.initial_proba_ * poisson.pmf(X[:5, None], model.tuning_curves_).prod(axis=2)
    found = model.predict_proba(X[:5], sessions=np.arange(5))
    np.testing.assert_allclose(found, joint / joint.sum(axis=1, keepdims=True), rtol=1e-9)


def test_curves_without_smoothing_are_the_means_of_the_bins():
    X, y = walk(400, 2)
    model = BayesianDecoder(n_bins=5, smoothing=0.0).fit(X, y)
    inside = np.minimum(np.digitize(y, np.linspace(y.min(), y.max(), 6)) - 1, 4)
    for bin_, curve in enumerate(model.tuning_curves_):
        own = X[inside == bin_]
        mean = X.mean(axis=0) + 0.5 / len(X)
        np.testing.assert_allclose(curve, (own.sum(axis=0) + mean) / (len(own) + 1), rtol=1e-12)


def test_the_walk_steps_as_the_training_data_did():
    # steps of a quarter of a bin (4 units) upwards, but for the one from session to session
    y = np.r_[np.arange(0.0, 41.0), np.arange(0.0, 41.0)]
    model = BayesianDecoder(n_bins=10).fit(np.ones((82, 1)), y, sessions=np.repeat([0, 1], 41))
    inner = model.transition_matrix_[3]
    counts = np.full(10, 1 / 19)  # one step to each of 19 distances
    counts[3] += 60
    counts[4] += 20
    np.testing.assert_allclose(inner, counts / counts.sum(), rtol=1e-9)


def test_time_before_and_after_helps():
    X, y = walk(4000, 3)
    model = BayesianDecoder().fit(X[:2000], y[:2000])
    alone = model.predict(X[2000:], sessions=np.arange(2000))
    together = model.predict(X[2000:])
    assert np.median(np.abs(together - y[2000:])) < 0.8 * np.median(np.abs(alone - y[2000:]))


def test_long_recordings_and_strong_evidence_stay_finite():
    X, y = walk(500, 4)
    X = np.repeat(X * 50, 20, axis=1)  # likelihoods that differ by factors of e to the thousands
    model = BayesianDecoder().fit(X, y)
    proba = model.predict_proba(X)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_unit_of_measure_and_offset_do_not_matter():
    X, y = walk(500, 5)
    one, other = BayesianDecoder().fit(X, y), BayesianDecoder().fit(X, 0.01 * y - 3)
    np.testing.assert_allclose(0.01 * one.predict(X) - 3, other.predict(X), atol=1e-9)


def test_positions_in_two_dimensions():
    (X1, y1), (X2, y2) = walk(3000, 6), walk(3000, 7, low=-1.0, high=1.0)
    X, y = np.hstack([X1, X2]), np.column_stack([y1, y2])
    model = BayesianDecoder(n_bins=12).fit(X[:2000], y[:2000])
    found = model.predict(X[2000:])
    assert found.shape == (1000, 2) and model.bin_centers_.shape == (144, 2)
    for axis, scale in enumerate((100, 2)):
        assert np.median(np.abs(found - y[2000:])[:, axis]) < 0.06 * scale
    proba = model.predict_proba(X[2000:])
    np.testing.assert_allclose(found, proba @ model.bin_centers_, atol=1e-9)


def test_bins_far_from_every_sample_are_not_decoded():
    rng = np.random.default_rng(0)
    y = np.where(rng.uniform(size=300) < 0.5, rng.uniform(0, 20, 300), rng.uniform(80, 100, 300))
    y[:2] = 0, 100
    X = rng.poisson(1.0, (300, 3))
    model = BayesianDecoder().fit(X, y)
    never = (model.bin_centers_ > 36) & (model.bin_centers_ < 64)
    assert never.sum() >= 5
    assert (model.predict_proba(X)[:, never] == 0).all()


@pytest.mark.parametrize("kind", [np.array, lambda y: pd.Series(y).astype("Int64"), list])
def test_integers_are_labels_and_come_back(kind):
    X, y = walk(600, 8)
    labels = (y // 25).astype(int) * 7
    model = BayesianDecoder().fit(X, kind(labels.tolist()))
    assert model.classes_.tolist() == np.unique(labels).tolist()
    assert model.predict(X).dtype.kind == "i"
    assert model.score(X, labels) == np.mean(model.predict(X) == labels) > 0.7
    shuffled = np.random.default_rng(0).permutation(600)  # the order of trials is not learned
    np.testing.assert_allclose(
        model.predict_proba(X)[shuffled], model.predict_proba(X[shuffled]), atol=1e-12
    )


def test_text_is_labels_in_every_form():
    X, y = walk(600, 9)
    names = np.where(y < 50, "left", "right")
    whole = BayesianDecoder("gaussian").fit(X, names)
    parts = BayesianDecoder("gaussian").fit([X[:300], X[300:]], [names[:300], names[300:]])
    assert whole.classes_.tolist() == ["left", "right"]
    assert (whole.predict(X) == parts.predict(X)).all()
    assert whole.score(X, names) > 0.8


def test_a_fit_forgets_the_one_before():
    X, y = walk(200, 10)
    model = BayesianDecoder("gaussian").fit(X, y)
    model.set_params(likelihood="poisson").fit(X, y > 50)
    assert not hasattr(model, "bin_edges_") and not hasattr(model, "variances_")
    model.fit(X, y)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X - 1, y), "counts, at least 0"),
        (lambda X, y: (X, np.full(50, 3.0)), "cannot be put into bins"),
        (lambda X, y: (X, np.column_stack([y, y, y])), "3 axes"),
        (lambda X, y: (X, np.zeros(50, dtype=int)), "two or more classes"),
        (lambda X, y: (X, np.column_stack([y, y]).astype(int)), "Positions are floats"),
        (lambda X, y: (X, np.r_[np.nan, y[1:]]), "NaN or infinite"),
        (lambda X, y: (X, np.array(["a", None] * 25, dtype=object)), "y are missing"),
        (lambda X, y: ([X, X], [y, y.astype(int)]), "integers in all sessions, or floats"),
        (lambda X, y: (X, y[:-1]), "differ in their"),
    ],
)
def test_what_cannot_be_decoded_is_refused(change, message):
    X, y = walk(50, 11)
    with pytest.raises(DataError, match=message):
        BayesianDecoder().fit(*change(X, y))


def test_counts_below_zero_are_refused_in_predict_too():
    X, y = walk(50, 12)
    with pytest.raises(DataError, match="counts, at least 0"):
        BayesianDecoder().fit(X, y).predict(X - 1)


def test_evaluation_puts_plain_models_beside_it():
    X, y = walk(400, 13)
    found = evaluate(BayesianDecoder(), X, y)
    assert found.table_["model"].unique().tolist() == [
        "BayesianDecoder",
        "baseline: ridge",
        "baseline: mean",
    ]
    labels = evaluate(BayesianDecoder(), X, np.where(y > 50, "far", "near"))
    assert "baseline: logistic regression" in set(labels.table_["model"])


@pytest.mark.usefixtures("shared_data")
@pytest.mark.filterwarnings("ignore:Constant voxels")
def test_a_rat_is_found_on_a_linear_track():
    """Held-out blocks of running: the error is a fifth of the ridge's."""
    recording = load_dataset("hippocampus_spikes").recordings[0]
    covariates = recording["covariates"].sel(feature=["x", "run"]).values
    running = covariates[:, 1] == 1
    counts, x = recording["signal"].values[running], covariates[running, 0]
    n = len(x) // 8  # bins of 200 ms
    X = counts[: 8 * n].reshape(n, 8, -1).sum(axis=1)
    y = x[: 8 * n].reshape(n, 8).mean(axis=1)
    fold, errors = np.arange(n) * 4 // n, {"bayes": [], "ridge": []}
    for k in range(4):
        train, test = fold != k, fold == k
        sessions = (np.arange(n) > np.flatnonzero(test)[0])[train]
        bayes = BayesianDecoder().fit(X[train], y[train], sessions=sessions)
        errors["bayes"].append(np.abs(bayes.predict(X[test]) - y[test]))
        ridge = RidgeDecoder().fit(X[train], y[train])
        errors["ridge"].append(np.abs(ridge.predict(X[test]) - y[test]))
    medians = {name: np.median(np.concatenate(parts)) for name, parts in errors.items()}
    assert medians["bayes"] < 0.07 * np.ptp(y)
    assert medians["bayes"] < 0.3 * medians["ridge"]


@pytest.mark.parametrize("smoothing", [20.5, 1e9])
def test_smoothing_wider_than_the_axis_is_refused(smoothing):
    rng = np.random.default_rng(0)
    X, y = rng.poisson(1.0, size=(50, 3)), rng.uniform(size=50)
    with pytest.raises(DataError, match="smoothed away"):
        BayesianDecoder(n_bins=20, smoothing=smoothing).fit(X, y)
    BayesianDecoder(n_bins=20, smoothing=20.0).fit(X, y)
