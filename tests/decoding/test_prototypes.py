"""Classes by way of embeddings: against chance, zero-shot, calibrated, and wrong labels."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neuroml.decoding import PrototypeClassifier
from neuroml.exceptions import DataError


def embedded(seed, noise=0.5, n=300, names=("cat", "dog", "car", "bus")):
    rng = np.random.default_rng(seed)
    prototypes = {name: rng.standard_normal(10) for name in names}
    labels = rng.choice(list(prototypes), n)
    voxels = rng.standard_normal((10, 40))
    X = np.array([prototypes[name] for name in labels]) @ voxels
    return X + noise * 10 * rng.standard_normal(X.shape), labels, prototypes


@pytest.mark.parametrize("seed", range(3))
def test_recognizes_classes_never_trained_on(seed):
    names = [f"object {i:02}" for i in range(30)]
    X, y, prototypes = embedded(seed, noise=0.2, n=900, names=names)
    seen = y < "object 25"
    model = PrototypeClassifier(prototypes=prototypes).fit(X[seen], y[seen])
    assert model.classes_.tolist() == names
    assert np.mean(model.predict(X[~seen]) == y[~seen]) > 0.8


def test_probabilities_are_calibrated_on_held_out_samples():
    X, y, prototypes = embedded(0, noise=2.0, n=1200)
    model = PrototypeClassifier(prototypes=prototypes).fit(X[:600], y[:600])
    proba = model.predict_proba(X[600:])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    right = proba[np.arange(600), np.searchsorted(model.classes_, y[600:])]
    hits = model.predict(X[600:]) == y[600:]
    error = abs(proba.max(axis=1).mean() - hits.mean())
    assert error < 3 * np.sqrt(0.25 / 600) + 0.03
    assert -np.log(right).mean() < np.log(4)


def test_any_regressor_and_indicators():
    X, y, _ = embedded(1)
    model = PrototypeClassifier(Ridge(10.0)).fit(X, y)
    assert model.score(X, y) > 0.9 and model.prototypes_.shape == (4, 4)


def test_order_of_classes_does_not_matter():
    X, y, prototypes = embedded(2)
    turned = dict(reversed(prototypes.items()))
    one = PrototypeClassifier(prototypes=prototypes).fit(X, y).predict_proba(X)
    other = PrototypeClassifier(prototypes=turned).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(one, other)


def test_bad_labels():
    X, y, prototypes = embedded(3)
    with pytest.raises(DataError, match=r"found \['bus'\]"):
        PrototypeClassifier(prototypes={k: v for k, v in prototypes.items() if k != "bus"}).fit(
            X, y
        )
    with pytest.raises(DataError, match="only one class"):
        PrototypeClassifier().fit(X, np.full(300, "cat"))
