"""Choices are labels of any kind: what they are called changes nothing but names."""

import numpy as np
import pandas as pd
import pytest

import neuroml
from neuroml.evaluation import evaluate
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM, select_by_sessions

N = 90
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 1))
SESSIONS = np.repeat([0, 1, 2], N // 3)
CODES = {"bernoulli": RNG.integers(0, 2, N), "categorical": RNG.integers(0, 3, N)}
LABELS = {
    "texts": np.array(["go", "left", "right"]),
    "codes with gaps": np.array([1, 4, 9]),
    "first is 1": np.array([1, 2, 3]),
    "booleans": np.array([False, True]),
    "minus one": np.array([-1, 1]),
}
CASES = [
    (family, kind)
    for family, codes in CODES.items()
    for kind, labels in LABELS.items()
    if len(labels) > codes.max() and (family == "categorical" or kind != "first is 1")
]


def model(family, **settings):
    return SwitchingGLM(2, family, n_init=1, tol=1e-2, random_state=0, **settings)


@pytest.fixture(scope="module")
def coded():
    return {f: model(f).fit(X, y.astype(float), sessions=SESSIONS) for f, y in CODES.items()}


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_labels_change_names_alone(family, kind, coded, tmp_path):
    labels = LABELS[kind][: CODES[family].max() + 1]
    y = labels[CODES[family]]
    fitted = model(family).fit(X, y, sessions=SESSIONS)
    np.testing.assert_array_equal(fitted.classes_, labels)
    assert fitted.n_classes_ == len(labels)
    like = coded[family]
    np.testing.assert_array_equal(fitted.weights_, like.weights_)
    codes = CODES[family].astype(float)
    kept = neuroml.load(neuroml.save(fitted, tmp_path / "model.safetensors"))
    for one in (fitted, kept):
        assert one.score(X, y, sessions=SESSIONS) == like.score(X, codes, sessions=SESSIONS)
        for method in ("predict", "predict_proba", "filter_proba", "predict_mean"):
            np.testing.assert_array_equal(
                getattr(one, method)(X, y, sessions=SESSIONS),
                getattr(like, method)(X, codes, sessions=SESSIONS),
            )
        drawn, _ = one.sample(X, sessions=SESSIONS, random_state=0)
        expected, _ = like.sample(X, sessions=SESSIONS, random_state=0)
        np.testing.assert_array_equal(drawn, labels[expected.astype(int)])
        one.score(X, drawn, sessions=SESSIONS)


def missing_text(y):
    found = y.astype(object)
    found[[3, 40]] = None
    return found


FORMS = {
    "list": (list, lambda X, y: (X, list(y))),
    "series": (None, lambda X, y: (X, pd.Series(y))),
    "categories": (None, lambda X, y: (X, pd.Series(y).astype("category"))),
    "table": (None, lambda X, y: (X, pd.DataFrame({"choice": y}))),
    "sessions": (None, lambda X, y: (np.split(X, 3), np.split(y, 3))),
    "lists of sessions": (None, lambda X, y: (np.split(X, 3), [list(p) for p in np.split(y, 3)])),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", CODES)
def test_texts_in_every_form_and_missing(family, form):
    y = CODES[family].astype(float)
    y[[3, 40]] = np.nan
    like = model(family).fit(X, y, sessions=SESSIONS)
    names = missing_text(np.array(["a", "b", "c"])[CODES[family]])
    data = FORMS[form][1](X, names)
    settings = {} if "sessions" in form else {"sessions": SESSIONS}
    fitted = model(family).fit(*data, **settings)
    np.testing.assert_array_equal(fitted.weights_, like.weights_)
    assert fitted.score(*data, **settings) == like.score(X, y, sessions=SESSIONS)


def test_two_outputs_have_the_same_two_classes():
    codes = RNG.integers(0, 2, (N, 2))
    fitted = model("bernoulli").fit(X, np.array(["no", "yes"])[codes])
    assert fitted.n_classes_ == 2
    np.testing.assert_array_equal(fitted.weights_, model("bernoulli").fit(X, codes).weights_)


@pytest.mark.parametrize("family", CODES)
def test_declared_classes_hold_where_one_does_not_occur(family):
    declared = ["right", "left", "go"][: CODES[family].max() + 1]
    y = np.array(declared)[CODES[family]]
    few = np.where(y == declared[-1], declared[0], y)
    fitted = model(family, classes=declared).fit(X, few, sessions=SESSIONS)
    assert fitted.classes_.tolist() == declared
    assert np.isfinite(fitted.score(X, y, sessions=SESSIONS))
    mean = fitted.predict_mean(X, y, sessions=SESSIONS)
    mean = mean if family == "categorical" else np.column_stack([1 - mean, mean])
    assert mean.shape == (N, len(declared))
    assert mean[:, -1].mean() < 0.1
    search = select_by_sessions(
        model(family, classes=declared), {"ridge": [1.0]}, X, y, sessions=SESSIONS, cv=3
    )
    assert search.best_estimator_.classes_.tolist() == declared


@pytest.mark.parametrize("family", CODES)
def test_the_bootstrap_and_given_parameters_name_the_classes(family):
    names = np.array(["a", "b", "c"])[: CODES[family].max() + 1]
    y = names[CODES[family]]
    fitted = model(family).fit(X, y, sessions=SESSIONS)
    given = SwitchingGLM.from_parameters(
        fitted.weights_, fitted.intercept_, fitted.transition_matrix_,
        initial_proba=fitted.initial_proba_, family=family, classes=names,
    )  # fmt: skip
    assert given.score(X, y, sessions=SESSIONS) == fitted.score(X, y, sessions=SESSIONS)
    if family == "categorical":
        table = fitted.bootstrap(X, y, sessions=SESSIONS, n=1, random_state=0)
        outputs = table.loc[table["parameter"] == "weights", "output"]
        assert set(outputs) == {"b", "c"}
    with pytest.raises(DataError, match="classes are not those of the weights|two different"):
        SwitchingGLM.from_parameters(
            fitted.weights_, fitted.intercept_, fitted.transition_matrix_, family=family,
            classes=[*names, "z"],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("family", "y", "settings", "message"),
    [
        ("bernoulli", ["a", "b", "c"], {}, "y is not binary.*1 others, the first 'c' at bin 2"),
        ("bernoulli", ["a", "a", None], {}, "one class alone, 'a'.*Declare"),
        ("categorical", [7, 7, 7], {}, "one class alone, 7"),
        ("categorical", [-1, 0, 1], {}, r"the first -1 at bin 0.*classes=\[-1, 0, 1\]"),
        ("categorical", [0, 0.5, 1], {}, "texts, booleans or whole numbers.*first 0.5 at bin 1"),
        ("categorical", ["a", 1, "b"], {}, "mixed kinds"),
        ("categorical", ["a", "b", "z"], {"classes": ["a", "b"]}, "first 'z' at bin 2"),
        ("categorical", ["0", "1", "0"], {"classes": [0, 1]}, "first '0' at bin 0"),
        ("bernoulli", [0, 1, 0], {"classes": [0, 1, 2]}, "two different labels"),
        ("categorical", [0, 1, 0], {"classes": [0, 0, 1]}, "all unlike"),
        ("categorical", [0, 1, 0], {"classes": [0, 0.5]}, "classes are no labels"),
        ("poisson", [0, 1, 0], {"classes": [0, 1]}, "'poisson' has no classes"),
        ("gaussian", ["a", "b", "a"], {}, "y is not an array of numbers"),
    ],
)
def test_labels_that_cannot_be_read_in_one_way(family, y, settings, message):
    with pytest.raises(DataError, match=f"(?s){message}"):
        model(family, **settings).fit(np.ones((3, 1)), y)


@pytest.mark.parametrize("family", CODES)
@pytest.mark.parametrize("method", ["score", "score_bits", "predict", "predict_mean"])
def test_an_unknown_label_is_named(family, method, coded):
    y = CODES[family].astype(float)
    y[7] = 8
    with pytest.raises(DataError, match="1 others, the first 8 at bin 7.*Declare all classes"):
        getattr(coded[family], method)(X, y, sessions=SESSIONS)
    with pytest.raises(DataError, match="the first 'left' at bin 0"):
        getattr(coded[family], method)(X, np.array(["left"] * N), sessions=SESSIONS)


def test_other_families_have_no_classes():
    fitted = model("bernoulli").fit(X, CODES["bernoulli"])
    fitted.set_params(family="poisson").fit(X, CODES["categorical"])
    assert not hasattr(fitted, "classes_")
    assert not hasattr(fitted, "n_classes_")


@pytest.mark.parametrize("labels", [np.array(["go", "left", "right"]), np.array([2, 5, 9])])
def test_folds_may_lack_a_class(labels):
    codes = np.where(SESSIONS == 2, CODES["categorical"], CODES["categorical"] % 2)
    y = labels[codes]
    choices = SwitchingGLM(2, "categorical", n_init=1, tol=1e-2, random_state=0)
    found = evaluate(choices, X, y, sessions=SESSIONS, cv=3, random_state=0)
    assert np.isfinite(found.to_frame()["value"]).all()
    assert choices.classes is None
    one_kind = np.where(SESSIONS == 2, labels[1], labels[0])
    binary = SwitchingGLM(1, tol=1e-2, random_state=0)
    ends = evaluate(
        binary, X, one_kind, sessions=SESSIONS, cv=3, scoring="log_likelihood", baselines=None
    )
    assert np.isfinite(ends.to_frame()["value"]).all()
