import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import scale

from neuroml.celltypes import FunctionalTypes, quality_index
from neuroml.celltypes._response_features import block_labels, block_projection, scale_cells
from neuroml.evaluation import evaluate
from neuroml.exceptions import DataError
from neuroml.simulate import make_chirp, make_moving_bars, make_responses, make_retina

T = np.linspace(0, 6, 40)
CURVES = np.array([np.sin(2 * T), np.cos(2 * T), np.where(T > 3, 1.0, -1.0)])


def cells(seed, noise=0.5, n_cells=60, kinds=3):
    """Responses (n_cells, n_samples) of some types with gains of their own, and the types."""
    rng = np.random.default_rng(seed)
    types = np.arange(n_cells) % kinds
    X = CURVES[types] + noise * rng.normal(size=(n_cells, len(T)))
    return X * rng.uniform(0.5, 4, size=(n_cells, 1)) + rng.normal(size=(n_cells, 1)), types


@pytest.fixture(scope="module")
def fitted():
    X, types = cells(0)
    return FunctionalTypes(random_state=0).fit(X), X, types


def test_the_types_and_their_number_are_found_whatever_gain_and_offset(fitted):
    model, X, types = fitted
    assert model.n_types_ == 3 and adjusted_rand_score(types, model.labels_) == 1
    assert model.stability_ > 0.9 and model.converged_
    assert model.bic_ == model.candidates_["bic"].min()
    np.testing.assert_allclose(
        model.predict_proba(X * 7 - 3), model.predict_proba(X), atol=1e-6
    )  # a chain of sums over 40 samples: rounding is far below


def test_new_cells_are_typed_and_probabilities_are_those_of_the_mixture(fitted):
    model, _, types = fitted
    new, truth = cells(1)
    proba = model.predict_proba(new)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    names = [np.bincount(types[model.labels_ == k]).argmax() for k in range(3)]
    assert np.mean(np.array(names)[model.predict(new)] == truth) > 0.95


def test_types_come_in_falling_order_of_their_number_of_cells():
    X, types = cells(2, n_cells=90)
    keep = np.sort(np.r_[np.flatnonzero(types == 2), np.flatnonzero(types == 0)[:20],
                         np.flatnonzero(types == 1)[:8]])  # fmt: skip
    model = FunctionalTypes(3, n_bootstrap=0, random_state=0).fit(X[keep])
    np.testing.assert_array_equal(model.labels_, np.array([1, 2, 0])[types[keep]])
    table = model.to_frame().set_index(["quantity", "type"])["value"]
    assert table["n_cells"].tolist() == [30, 20, 8]
    assert np.isnan(model.stability_)


def test_cells_without_types_are_one_type():
    X = np.random.default_rng(3).normal(size=(80, 30))
    assert FunctionalTypes(max_types=6, random_state=0).fit(X).n_types_ == 1


@pytest.fixture(scope="module")
def retinas():
    """Responses of five retinas to a chirp and bars, three repeats with three times their noise."""
    chirp = (2 * make_chirp(4.0) - 1)[:, None, None] * np.ones((1, 10, 10))
    bars = make_moving_bars(14, 10, 10).reshape(-1, 10, 10)
    movie = np.concatenate([chirp, bars]).astype(np.float32)
    found = []
    for seed in range(5):
        retina = make_retina(n_frames=10, random_state=seed)
        rates = retina.module.rates(movie)
        noisy = make_responses(
            rates, noise="gaussian", noise_level=3.0, n_repeats=3, random_state=seed
        )
        found.append((noisy.mean(axis=0, dtype=float).T, retina.types))
    return found, np.repeat([0, 1], [len(chirp), len(bars)])


def test_types_of_a_retina_are_found_as_well_as_by_k_means_of_components(retinas):
    """Cells that a full field hardly drives respond to bars: neither method has cells of noise."""
    scores = []
    for X, types in retinas[0]:
        components = PCA(20, random_state=0).fit_transform(scale(X, axis=1))
        kmeans = KMeans(10, n_init=10, random_state=0).fit_predict(components)
        model = FunctionalTypes(10, n_init=2, n_bootstrap=0, random_state=0)
        model.fit(X, blocks=retinas[1])
        scores.append([adjusted_rand_score(types, one) for one in (model.labels_, kmeans)])
    ours, theirs = np.mean(scores, axis=0)
    assert theirs > 0.6, "a baseline that works"
    # the difference varies by .05 between retinas, so its mean over five has an error of .02
    assert ours > 0.7 and ours > theirs - 2 * 0.02


def test_noise_has_no_components_and_neither_has_its_derivative():
    """Neighboring differences correlate: a threshold for white noise would take them for signal."""
    found = [
        block_projection(
            scale_cells(np.random.default_rng(seed).normal(size=(60, 50)), np.zeros(50, int)),
            np.random.default_rng(100 + seed),
            max_components=10,
            sparse=False,
        ).shape[1]
        for seed in range(20)
    ]
    # a component exceeds the largest of 20 shuffles once in 21, for responses and derivatives
    assert sum(n > 0 for n in found) <= 8


def test_a_stimulus_without_response_is_not_scaled_up():
    X = np.hstack([CURVES[[0, 0, 1]], 1e-3 * np.random.default_rng(0).normal(size=(3, 20))])
    blocks = np.repeat([0, 1], [40, 20])
    scaled = scale_cells(X, blocks)
    assert np.abs(scaled[:, 40:]).max() < 0.01
    np.testing.assert_allclose((scaled**2).mean(axis=1), 1)


def test_sparse_components_have_few_samples_each():
    X, _ = cells(4, n_cells=30)
    scaled = scale_cells(X, np.zeros(40, int))
    dense, sparse = (
        block_projection(scaled, np.random.default_rng(0), max_components=2, sparse=s)
        for s in (False, True)
    )
    # concentrated weights: the share of the largest tenth of samples in the squared weights
    largest = [np.sort(w**2, axis=0)[-4:].sum() / (w**2).sum() for w in (dense, sparse)]
    assert largest[1] > largest[0]


def test_blocks_in_every_form_mean_the_same():
    labels = np.repeat([0, 1], [25, 15])
    forms = [
        labels,
        labels.tolist(),
        np.repeat(["chirp", "steps"], [25, 15]),
        [slice(0, 25), slice(25, None)],
        {"chirp": range(25), "steps": np.arange(25, 40)},
        [labels == 0, labels == 1],
    ]
    for form in forms:
        np.testing.assert_array_equal(block_labels(form, 40), labels)
    np.testing.assert_array_equal(block_labels([slice(0, 3)], 5), [0, 0, 0, -1, -1])


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([0, 1], "blocks do not match the samples"),
        ([slice(0, 20), slice(19, 40)], "overlap"),
        ([slice(0, 20), []], "overlap or are empty"),
        ([[0, 1, 99]], "not there"),
        ([0] * 39 + [1], "too few columns"),
        ([0.0] * 39 + [np.nan], "are missing"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks, message):
    with pytest.raises(DataError, match=message):
        FunctionalTypes(2).fit(cells(0)[0], blocks=blocks)


def test_further_features_in_their_own_units_tell_types_apart():
    """Two types with the same responses but for the size of their soma, in micrometers."""
    X, _ = cells(5, kinds=1)
    size = np.where(np.arange(60) % 2, 200.0, 120.0) + np.random.default_rng(0).normal(size=60)
    features = pd.DataFrame({"soma": size, "depth": np.random.default_rng(1).normal(size=60)})
    model = FunctionalTypes(2, random_state=0).fit(X, features=features)
    assert adjusted_rand_score(size > 160, model.labels_) == 1
    assert model.to_frame()["feature"].dropna().unique().tolist() == [
        "component 0",
        "soma",
        "depth",
    ]
    turned = features[["depth", "soma"]]
    np.testing.assert_array_equal(model.predict(X, features=turned), model.labels_)
    again = FunctionalTypes(2, random_state=0).fit(X, features=features / 1000)
    np.testing.assert_array_equal(again.labels_, model.labels_)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((59, 1)), "features do not match the cells"),
        (np.full((60, 1), np.nan), "missing or not finite"),
        (None, "not those of fit"),
        (np.ones((60, 3)), "not those of fit"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, message):
    X, _ = cells(0)
    model = FunctionalTypes(2, "tied", n_init=1, n_bootstrap=0).fit(X, features=np.arange(60.0))
    with pytest.raises(DataError, match=message):
        model.predict(X, features=features)


def test_fewer_cells_than_types_are_refused():
    with pytest.raises(DataError, match=r"fewer cells than types.*transpose"):
        FunctionalTypes(7).fit(np.random.default_rng(0).normal(size=(6, 20)))


def test_held_out_cells_are_scored_beside_k_means():
    X, types = cells(6)
    model = FunctionalTypes(3, "tied", n_init=1, n_bootstrap=0)
    found = evaluate(model, X, types, cv=2).summary().set_index("model")
    assert found.loc["FunctionalTypes", "mean"] > 0.9
    assert "baseline: k-means of responses" in found.index


def test_quality_index_is_that_of_signal_and_noise():
    """With signal of variance s and noise of variance v: (s + v / n) / (s + v), for n repeats."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(20000, 1)) * [1.0, 1.0, 0.0]
    repeats = signal + rng.normal(size=(4, 20000, 3)) * [0.0, 2.0, 1.0]
    # standard errors of variances of 20000 samples are about 1 percent
    np.testing.assert_allclose(quality_index(repeats), [1.0, 0.4, 0.25], rtol=0.05)


def test_quality_index_leaves_repeats_out_that_were_not_recorded():
    repeats = np.random.default_rng(0).normal(size=(3, 50, 2))
    gone = repeats.copy()
    gone[1, :, 0] = np.nan
    np.testing.assert_allclose(quality_index(gone)[0], quality_index(repeats[[0, 2]])[0])
    gone[2, :, 0] = np.nan
    assert np.isnan(quality_index(gone)[0]) and np.isnan(quality_index(np.ones((2, 5, 1)))).all()
    gone[0, 3, 1] = np.nan
    with pytest.raises(DataError, match="repeat 0, cell 1"):
        quality_index(gone)
    for wrong in (repeats[0], repeats[:1]):
        with pytest.raises(DataError, match="needs repeats"):
            quality_index(wrong)
