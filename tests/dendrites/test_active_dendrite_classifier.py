"""The classifier on digits, its abstentions, and learning in pieces."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from neuroml.dendrites import ActiveDendriteClassifier
from neuroml.exceptions import DataError
from neuroml.simulate import add_pattern_noise, make_patterns


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.mark.parametrize("seed", range(3))
def test_digits_within_1_5_points_of_the_nearest_neighbor_abstentions_counted_as_errors(
    digits, seed
):
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = ActiveDendriteClassifier(abstain_label=-1, random_state=seed)
    accuracy = cross_val_score(model, *digits, cv=folds).mean()
    neighbor = cross_val_score(KNeighborsClassifier(1), *digits, cv=folds).mean()
    assert accuracy > neighbor - 0.015


def test_noise_is_rejected_and_digits_are_not(digits):
    X, y = digits
    model = ActiveDendriteClassifier(60, 28, abstain_label=-1, random_state=0)
    model.fit(X[:1500], y[:1500])
    noise = np.random.default_rng(0).uniform(0, 16, size=(300, 64))
    assert model.abstains(noise).all() and np.all(model.predict(noise) == -1)
    assert model.abstains(X[1500:]).mean() < 0.05
    forced = model.set_params(abstain_label=None).predict(noise)
    assert set(forced) <= set(range(10))


def test_sparse_activity_is_taken_as_it_is():
    prototypes = make_patterns(5, n=1000, a=40, random_state=0)
    y = np.repeat(list("abcde"), 20)
    X = add_pattern_noise(prototypes[np.repeat(np.arange(5), 20)], 8, random_state=1)
    model = ActiveDendriteClassifier(24, n_cells=None, random_state=0).fit(X, y)
    assert model.encoder_ is None
    again = add_pattern_noise(prototypes, 15, random_state=2)
    assert "".join(model.predict(again)) == "abcde"
    dense = ActiveDendriteClassifier(24, n_cells=None, random_state=0).fit(X.toarray(), y)
    np.testing.assert_array_equal(
        model.decision_function(again), dense.decision_function(again.toarray())
    )


def test_learning_in_pieces_forgets_nothing(digits):
    X, y = digits
    model = ActiveDendriteClassifier(random_state=0)
    for start in range(0, 1500, 500):
        part = slice(start, start + 500)
        model.partial_fit(X[part], y[part], classes=np.arange(10) if start == 0 else None)
    assert len(model.segment_classes_) == 1500 and model.bank_.n_segments_ == 1500
    assert model.score(X[1500:], y[1500:]) > 0.9
    np.testing.assert_array_equal(model.predict(X[:500]), y[:500])


def test_a_class_without_segments_scores_below_all(digits):
    X, y = digits
    few = y < 3
    model = ActiveDendriteClassifier(random_state=0).partial_fit(X[few], y[few], classes=range(4))
    scores = model.decision_function(X[:20])
    assert scores.shape == (20, 4) and np.all(scores[:, 3] == -1)


def test_scores_are_the_overlaps_of_the_best_segments(digits):
    X, y = digits
    model = ActiveDendriteClassifier(random_state=0).fit(X[:300], y[:300])
    overlaps = model.bank_.transform(model.encoder_.transform(X[300:340]))
    for c, scores in enumerate(model.decision_function(X[300:340]).T):
        np.testing.assert_array_equal(np.floor(scores), overlaps[:, y[:300] == c].max(axis=1))


def test_permuting_the_samples_permutes_nothing_else():
    X = make_patterns(60, n=300, a=20, random_state=0)
    y = np.arange(60) % 3
    order = np.random.default_rng(0).permutation(60)
    query = add_pattern_noise(X, 4, random_state=3)
    fits = [
        ActiveDendriteClassifier(20, 10, n_cells=None, random_state=0).fit(X[o], y[o])
        for o in (np.arange(60), order)
    ]
    np.testing.assert_array_equal(*(fit.decision_function(query) for fit in fits))


def test_bad_input(digits):
    X, y = digits
    model = ActiveDendriteClassifier(random_state=0)
    with pytest.raises(DataError, match="classes are not known.*Pass classes="):
        model.partial_fit(X, y)
    with pytest.raises(DataError, match="not among the classes.*found \\[3 4"):
        ActiveDendriteClassifier().partial_fit(X, y, classes=[0, 1, 2])
    model.partial_fit(X, y, classes=range(10))
    with pytest.raises(DataError, match="classes changed"):
        model.partial_fit(X, y, classes=range(9))
    with pytest.raises(ValueError, match="63 features"):
        model.predict(X[:, :63])
    with pytest.raises(ValueError, match="Unknown label type"):
        ActiveDendriteClassifier().fit(X, y + 0.5)
    with pytest.raises(ValueError, match="NaN"):
        model.predict(sparse.csr_array(np.full((1, 64), np.nan)))
