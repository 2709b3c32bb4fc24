"""Classes of several subjects: against a plain sum of likelihoods, adaptation, forms, refusals."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neuroml
from neuroml.decoding import BayesianDecoder, CrossSubjectClassifier, CrossSubjectDecoder
from neuroml.evaluation import evaluate
from neuroml.exceptions import DataError


def cohort(n=60, names=("cat", "dog", "owl"), signal=0.7, seed=0, subjects="abcd"):
    """Subjects with voxels of their own; classes differ along axes that all subjects carry."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(len(names), 4))
    y = {s: rng.permutation(np.repeat(names, n // len(names))) for s in subjects}
    X = {}
    for k, s in enumerate(subjects):
        own = rng.normal(size=(4, 30 + k))
        codes = np.searchsorted(np.sort(names), y[s])
        X[s] = signal * latent[codes] @ own + rng.normal(size=(n, 30 + k)) * 2
    return X, y


@pytest.fixture(scope="module")
def fitted():
    X, y = cohort()
    return X, y, CrossSubjectClassifier().fit(X, y)


def test_it_is_the_decoders_likelihood_of_indicators(fitted):
    X, y, model = fitted
    targets = {s: np.eye(3)[np.searchsorted(["cat", "dog", "owl"], y[s])] for s in X}
    decoder = CrossSubjectDecoder().fit(X, targets)
    scores = decoder.score_candidates(X["b"], np.eye(3), subject="b")
    np.testing.assert_allclose(model.decision_function(X["b"], subject="b"), scores)
    proba = model.predict_proba(X, groups=None)["b"]
    np.testing.assert_allclose(proba, softmax(scores / model.temperature_, axis=1))
    assert model.classes_.tolist() == ["cat", "dog", "owl"]
    assert model.predict(X["b"], subject="b").tolist() == model.classes_[proba.argmax(1)].tolist()


def test_probabilities_of_new_samples_are_calibrated_within_their_noise():
    X, y = cohort(n=600, subjects="ab", signal=0.25)
    half = np.arange(600) < 300
    model = CrossSubjectClassifier().fit(
        {s: X[s][half] for s in X}, {s: y[s][half] for s in X}
    )  # fmt: skip
    proba = np.concatenate([model.predict_proba(X[s][~half], subject=s) for s in X])
    truth = np.concatenate([y[s][~half] for s in X])
    sure = proba.max(axis=1)
    right = model.classes_[proba.argmax(axis=1)] == truth
    assert 0.4 < right.mean() < 0.95
    # the mean of 600 outcomes has a standard error of at most .02
    assert abs(right.mean() - sure.mean()) < 4 * 0.02


def test_a_new_subject_gains_from_the_others():
    gains = []
    for seed in range(6):
        X, y = cohort(n=60, seed=seed, signal=0.45)
        known = {s: X[s] for s in "abc"}, {s: y[s] for s in "abc"}
        model = CrossSubjectClassifier().fit(*known)
        few, rest = slice(0, 12), slice(12, None)
        adapted = model.adapt(X["d"][few], y["d"][few], subject="d")
        alone = make_pipeline(StandardScaler(), LogisticRegression()).fit(X["d"][few], y["d"][few])
        gains.append(
            adapted.score(X["d"][rest], y["d"][rest], subject="d")
            - alone.score(X["d"][rest], y["d"][rest])
        )
        assert "d" not in model.n_voxels_ and adapted.n_voxels_["d"] == 33
    assert np.mean(gains) > -2 * np.std(gains, ddof=1) / np.sqrt(len(gains))


def test_a_class_without_samples_is_recognized_by_its_prototype():
    words = {"cat": [1, 1, 0.0], "dog": [1, 0, 1.0], "owl": [0, 1, 1.0]}
    rng = np.random.default_rng(0)
    maps = {s: rng.normal(size=(3, 40)) for s in "ab"}
    seen = np.repeat(["cat", "dog"], 40)

    def voxels(s, labels):
        return np.array([words[w] for w in labels]) @ maps[s] + 0.2 * rng.normal(
            size=(len(labels), 40)
        )

    model = CrossSubjectClassifier(prototypes=words).fit(
        {s: voxels(s, seen) for s in "ab"}, {s: seen for s in "ab"}
    )
    assert model.classes_.tolist() == ["cat", "dog", "owl"]


def test_saved_and_loaded(fitted, tmp_path):
    X, _, model = fitted
    neuroml.save(model, tmp_path / "m.safetensors")
    again = neuroml.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        again.predict_proba(X["a"], subject="a"), model.predict_proba(X["a"], subject="a")
    )


def test_beside_its_baselines():
    X, y = cohort(n=60)
    found = evaluate(CrossSubjectClassifier(), X, y, n_adapt=24, random_state=0)
    names = set(found.summary()["model"])
    assert {
        "baseline: logistic regression",
        "baseline: nearest mean",
        "baseline: prototype",
    } < names
    mean = found.summary().set_index("model")["mean"]
    assert mean["CrossSubjectClassifier"] > mean["baseline: most frequent class"] + 0.2


def test_what_it_does_not_know_is_refused(fitted):
    X, y, model = fitted
    with pytest.raises(DataError, match="labels that the classifier does not know.*'yak'"):
        model.adapt(X["a"][:4], ["cat", "dog", "yak", "owl"], subject="e")
    with pytest.raises(DataError, match="only one class"):
        CrossSubjectClassifier().fit(X, {s: np.repeat("cat", len(X[s])) for s in X})
    with pytest.raises(DataError, match="known|subject"):
        model.predict(X["a"], subject="z")
    with pytest.raises(DataError, match="without a prototype"):
        CrossSubjectClassifier(prototypes={"cat": [1, 0], "dog": [0, 1]}).fit(X, y)
    with pytest.raises(DataError, match="missing"):
        broken = np.array(y["a"], dtype=object)
        broken[0] = None
        CrossSubjectClassifier().fit(X, y | {"a": broken})


@pytest.mark.parametrize("as_part", [np.asarray, list])
@pytest.mark.parametrize(
    "make", [CrossSubjectClassifier, lambda: BayesianDecoder("gaussian")], ids=["cohort", "bayes"]
)
def test_names_of_classes_may_come_by_session_within_subjects(make, as_part):
    X, y = cohort(subjects="ab")
    X["b"] = X["b"][:, :30]  # one model of both has their voxels in common
    parts = [slice(0, 20), slice(20, 60)]
    by_session = [{s: [one[p] for p in parts] for s, one in given.items()} for given in (X, y)]
    by_session[1] = {s: [as_part(one) for one in labels] for s, labels in by_session[1].items()}
    codes = {s: [np.unique(y["a"]).searchsorted(one) for one in by_session[1][s]] for s in y}
    named, numbered = (make().fit(by_session[0], one) for one in (by_session[1], codes))
    assert named.classes_.tolist() == ["cat", "dog", "owl"]
    assert named.score(*by_session) == numbered.score(by_session[0], codes)


def test_sessions_of_one_class_each_do_not_decide_the_temperature():
    X, y = cohort(subjects="a")
    order = np.argsort(y["a"], kind="stable")
    X, y = X["a"][order], y["a"][order]
    by_class = CrossSubjectClassifier(cv=3, estimator=CrossSubjectDecoder(cv="loo"))
    with_sessions = by_class.fit(X, y, sessions=np.repeat([0, 1, 2], 20)).temperature_
    assert with_sessions == pytest.approx(by_class.fit(X, y).temperature_)
