"""Metadata routing: sessions, groups and weights reach what they are meant for, or are refused."""

import inspect

import numpy as np
import pandas as pd
import pytest
from registry import CONTRACT, TWO_DIMENSIONAL
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import neuroml
from neuroml.celltypes import ResponseModel
from neuroml.connectome import (
    CoupledFactorization,
    DynamicConnectome,
    FiberTensor,
    NonnegativeCP,
    WeightedSBM,
    select_rank,
)
from neuroml.data import SessionKFold
from neuroml.decoding import (
    BayesianDecoder,
    CrossSubjectDecoder,
    MindBridgeDecoder,
    RidgeDecoder,
    cross_subject_score,
)
from neuroml.exceptions import DataError
from neuroml.simulate import make_cohort, make_switching_choices
from neuroml.switching import (
    SwitchingGLM,
    SwitchingPopulationGLM,
    recovery_study,
    select_by_sessions,
)

ENTRIES = [pytest.param(e, id=type(e.estimator).__name__) for e in TWO_DIMENSIONAL + CONTRACT]
ARRAYS = [pytest.param(e, id=type(e.estimator).__name__) for e in TWO_DIMENSIONAL] + [
    pytest.param(e, id=type(e.estimator).__name__)
    for e in CONTRACT
    if "model" not in e.fit_arguments()
    # these take subjects, and no array that a step before them could give
    and not isinstance(e.estimator, MindBridgeDecoder | CoupledFactorization)
]
SCORED = [case for case in ARRAYS if hasattr(case.values[0].estimator, "score")]
METHODS = ("fit", "partial_fit", "predict", "predict_proba", "score", "transform")
METHODS += ("inverse_transform", "decision_function")
SCALERS = {
    BayesianDecoder: MinMaxScaler(),  # counts
    NonnegativeCP: MinMaxScaler(),  # takes no negative values
    SwitchingPopulationGLM: FunctionTransformer(),  # counts
    WeightedSBM: FunctionTransformer(),  # a symmetric matrix
}
ROUTED = {"enable_metadata_routing": True}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _model(entry):
    model = clone(entry.estimator)
    return model.set_params(random_state=0) if "random_state" in model.get_params() else model


def _arguments(entry):
    """X and y, and what every keyword may be given, two sessions of two subjects."""
    X, *y = entry.fit_arguments().values()
    halves = np.repeat([0, 1], len(X) // 2)
    metadata = {"sessions": halves, "groups": np.array(["a", "b"])[halves]}
    known = {name: v for name, v in metadata.items() if name in _taken(entry.estimator, "fit")}
    return X, (y[0] if y else None), known


def _assert_same(expected, found):
    """Equal but for rounding, which may differ with the place of an array in memory."""
    assert type(expected) is type(found)
    if isinstance(expected, FiberTensor):
        assert expected.shape == found.shape
        np.testing.assert_array_equal(expected.index, found.index)
        expected, found = expected.values, found.values
    if issparse(expected):
        expected, found = expected.toarray(), found.toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def _taken(model, method):
    return inspect.signature(getattr(type(model), method)).parameters


@pytest.fixture(scope="module")
def choices():
    return make_switching_choices(6, 100, 2, random_state=0)


def _glm(**parameters):
    return SwitchingGLM(2, n_init=1, max_iter=30, random_state=0).set_params(**parameters)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_keyword_is_asked_for(entry):
    asked = entry.estimator.get_metadata_routing()
    for method in METHODS:
        requests = getattr(asked, method).requests
        if not hasattr(type(entry.estimator), method):
            assert not requests
            continue
        parameters = _taken(entry.estimator, method)
        keywords = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
        keywords |= {"y"} & set(parameters) if method.startswith("predict") else set()
        keywords |= {"classes"} & set(parameters)
        keywords -= {"sample_weight"}
        assert {name for name, asked in requests.items() if asked is True} == keywords
        if "sample_weight" in parameters:  # the user says whether fit and score are both weighed
            assert requests["sample_weight"] is None


@pytest.mark.parametrize("entry", ENTRIES)
def test_requests_survive_cloning_and_the_saver(entry, tmp_path):
    with config_context(**ROUTED):
        model = clone(entry.estimator)
        default = model.get_metadata_routing()
        for method in METHODS:
            for keyword in getattr(default, method).requests:
                getattr(model, f"set_{method}_request")(**{keyword: "another"})
    neuroml.save(model, tmp_path / "m.safetensors")
    for twin in (clone(model), neuroml.load(tmp_path / "m.safetensors")):
        assert str(twin.get_metadata_routing()) == str(model.get_metadata_routing())
    neuroml.save(entry.estimator, tmp_path / "m.safetensors")
    untouched = neuroml.load(tmp_path / "m.safetensors")
    assert str(untouched.get_metadata_routing()) == str(default)
    assert "_metadata_request" not in vars(untouched)


def test_requests_of_a_step_survive_the_saver(choices, tmp_path):
    with config_context(**ROUTED):
        quiet = _glm().set_fit_request(sessions=False)
        steps = make_pipeline(StandardScaler(), quiet).fit(choices.X, choices.y)
        neuroml.save(steps, tmp_path / "m.safetensors")
        back = neuroml.load(tmp_path / "m.safetensors")
        assert back[-1].get_metadata_routing().fit.requests["sessions"] is False
        given = (choices.X, choices.y)
        assert back.score(*given, sessions=choices.sessions) == pytest.approx(
            steps.score(*given, sessions=choices.sessions), abs=1e-12
        )


def test_a_subclass_says_otherwise():
    class Quiet(SwitchingGLM):
        __metadata_request__fit = {"sessions": False}

        def score(self, X, y):
            return super().score(X, y)

    asked = Quiet().get_metadata_routing()
    assert asked.fit.requests["sessions"] is False
    assert asked.score.requests == {}
    assert asked.predict.requests == {"sessions": True, "groups": True, "y": True}


@pytest.mark.parametrize("entry", ARRAYS)
def test_a_pipeline_gives_what_its_steps_give_by_hand(entry):
    scaler, model = SCALERS.get(type(entry.estimator), StandardScaler()), _model(entry)
    X, y, metadata = _arguments(entry)
    by_hand, scaled = clone(model), clone(scaler).fit_transform(X)

    def given(method):
        names = _taken(model, method)
        return {name: value for name, value in metadata.items() if name in names}

    with config_context(**ROUTED):
        steps = make_pipeline(clone(scaler), model).fit(X, y, **given("fit"))
    by_hand.fit(scaled, y, **given("fit"))
    for method in {"predict", "predict_proba", "transform", "score"} & set(dir(model)):
        known, target = given(method), (y,) if method == "score" else ()
        if "y" in _taken(model, method) and y is not None and not target:
            known["y"] = y
        with config_context(**ROUTED):
            found = getattr(steps, method)(X, *target, **known)
        expected = getattr(by_hand, method)(scaled, *target, **known)
        _assert_same(expected, found)


@pytest.mark.parametrize(
    "entry", [case for case in ARRAYS if hasattr(case.values[0].estimator, "fit_transform")]
)
def test_fit_transform_is_fit_then_transform(entry):
    model = _model(entry)
    X, y, known = _arguments(entry)
    asked = {name: value for name, value in known.items() if name in _taken(model, "transform")}
    expected = clone(model).fit(X, y, **known).transform(X, **asked)
    _assert_same(expected, clone(model).fit_transform(X, y, **known))
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        model.fit_transform(X, y, nonsense=1)


def test_sessions_change_what_a_pipeline_computes(choices):
    """The tests of equality would pass if sessions did nothing."""
    model = _glm().fit(choices.X, choices.y, sessions=choices.sessions)
    together = model.score(choices.X, choices.y)
    assert abs(model.score(choices.X, choices.y, sessions=choices.sessions) - together) > 1e-6


@pytest.mark.parametrize("scaled", [False, True])
def test_cross_validation_gives_what_a_loop_gives(choices, scaled):
    X, y, s = choices.X, choices.y, np.asarray(choices.sessions)
    model = make_pipeline(StandardScaler(), _glm()) if scaled else _glm()
    expected = []
    for train, test in SessionKFold(3).split(X, sessions=s):
        scaler = StandardScaler(with_mean=scaled, with_std=scaled).fit(X[train])
        one = _glm().fit(scaler.transform(X[train]), y[train], sessions=s[train])
        expected.append(one.score(scaler.transform(X[test]), y[test], sessions=s[test]))
    with config_context(**ROUTED):
        options = {"cv": SessionKFold(3), "params": {"sessions": s}}
        scores = cross_val_score(model, X, y, **options)
        several = cross_validate(model, X, y, **options)["test_score"]
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    np.testing.assert_allclose(several, expected, rtol=1e-9)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_nested_search_gives_what_a_loop_gives(choices, scaled):
    X, y, s = choices.X, choices.y, np.asarray(choices.sessions)
    model = make_pipeline(StandardScaler(), _glm()) if scaled else _glm()
    name = "switchingglm__n_states" if scaled else "n_states"
    search = GridSearchCV(model, {name: [1, 2]}, cv=SessionKFold(2))
    expected = []
    with config_context(**ROUTED):
        for train, test in SessionKFold(3).split(X, sessions=s):
            inner = {"cv": SessionKFold(2), "params": {"sessions": s[train]}}
            means = [
                cross_val_score(clone(model).set_params(**{name: k}), X[train], y[train], **inner)
                for k in (1, 2)
            ]
            best = clone(model).set_params(**{name: 1 + int(np.argmax(np.mean(means, axis=1)))})
            best.fit(X[train], y[train], sessions=s[train])
            expected.append(best.score(X[test], y[test], sessions=s[test]))
        options = {"cv": SessionKFold(3), "params": {"sessions": s}}
        scores = cross_validate(search, X, y, **options)["test_score"]
        search.fit(X, y, sessions=s)
        np.testing.assert_allclose(
            search.score(X, y, sessions=s),
            search.best_estimator_.score(X, y, sessions=s),
            rtol=1e-9,
        )
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_groups_reach_a_decoder_in_cross_validation():
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(80, 5)), np.repeat(["a", "b"], 40)
    y = X @ rng.normal(size=(5, 2)) + rng.normal(size=(80, 2))
    expected = []
    folds = ShuffleSplit(3, random_state=0)
    for train, test in folds.split(X):
        one = RidgeDecoder().fit(X[train], y[train], groups=groups[train])
        expected.append(one.score(X[test], y[test], groups=groups[test]))
    with config_context(**ROUTED):
        scores = cross_val_score(RidgeDecoder(), X, y, cv=folds, params={"groups": groups})
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_a_fit_without_sessions_is_one_session(choices):
    whole = np.zeros(len(choices.X))
    with config_context(**ROUTED):
        steps = make_pipeline(StandardScaler(), _glm())
        without = clone(steps).fit(choices.X, choices.y)
        one = clone(steps).fit(choices.X, choices.y, sessions=whole)
        _assert_same(without.score(choices.X, choices.y), one.score(choices.X, choices.y))


def test_sessions_that_would_not_arrive_are_refused(choices):
    X, y, s = choices.X, choices.y, choices.sessions
    steps = make_pipeline(StandardScaler(), _glm())
    with pytest.raises(ValueError, match="Pipeline.fit does not accept the sessions parameter"):
        steps.fit(X, y, sessions=s)
    with pytest.raises(ValueError, match="Pipeline.fit does not accept the sessions parameter"):
        GridSearchCV(steps, {"switchingglm__n_states": [1, 2]}, error_score="raise").fit(
            X, y, sessions=s
        )
    with pytest.raises(DataError, match="sessions are not given"):
        cross_val_score(_glm(), X, y, cv=SessionKFold(3), params={"sessions": s})
    with config_context(**ROUTED):
        other = make_pipeline(StandardScaler(), LogisticRegression())
        with pytest.raises(TypeError, match=r"unexpected argument\(s\) {'sessions'}"):
            other.fit(X, y, sessions=s)
        with pytest.raises(TypeError, match=r"unexpected argument\(s\) {'sessions'}"):
            cross_val_score(other, X, y, cv=3, params={"sessions": s})


def test_scattered_samples_of_a_session_are_refused(choices):
    folds = ShuffleSplit(2, random_state=0)
    params = {"sessions": choices.sessions}
    with (
        config_context(**ROUTED),
        pytest.raises(DataError, match="sessions are not contiguous"),
    ):
        cross_val_score(_glm(), choices.X, choices.y, cv=folds, params=params, error_score="raise")


def test_selection_by_sessions_of_a_pipeline(choices):
    X, y, s = choices.X, choices.y, choices.sessions
    steps = make_pipeline(StandardScaler(with_mean=False, with_std=False), _glm())
    alone = select_by_sessions(_glm(), {"n_states": [1, 2]}, X, y, sessions=s, cv=3)
    grid = {"switchingglm__n_states": [1, 2]}
    found = select_by_sessions(steps, grid, X, y, sessions=s, cv=3)
    for split in range(3):
        name = f"split{split}_test_score"
        np.testing.assert_allclose(found.cv_results_[name], alone.cv_results_[name], rtol=1e-9)
    assert found.best_params_ == {"switchingglm__n_states": alone.best_params_["n_states"]}
    with config_context(**ROUTED):
        quiet = _glm().set_score_request(sessions=False)
    for refused in (quiet, make_pipeline(StandardScaler(), quiet), LogisticRegression()):
        with pytest.raises(DataError, match="sessions would not reach (score|fit)"):
            select_by_sessions(refused, {}, X, y, sessions=s, cv=3)


def test_what_takes_no_pipeline_says_so():
    cohort = make_cohort(3, n_stimuli=60, n_test=5, n_voxels=(30, 40), random_state=0)
    steps = make_pipeline(StandardScaler(), RidgeDecoder())
    with pytest.raises(DataError, match="has no adapt.*found Pipeline.*not in a Pipeline"):
        cross_subject_score(steps, cohort.X, cohort.y, 20)
    steps = make_pipeline(FunctionTransformer(), NonnegativeCP())
    with pytest.raises(DataError, match="expected NonnegativeCP; found Pipeline"):
        select_rank(np.ones((4, 4, 4)), [1], model=steps)
    truth = SwitchingGLM.from_parameters(
        np.zeros((2, 1, 0)), [[-1.0], [1.5]], [[0.95, 0.05], [0.05, 0.95]]
    )
    steps = make_pipeline(FunctionTransformer(), _glm())
    with pytest.raises(DataError, match="field estimator.*SwitchingPopulationGLM; found Pipeline"):
        recovery_study(truth, sessions=np.zeros(50), estimator=steps)


@pytest.mark.parametrize("entry", SCORED)
def test_only_the_share_of_a_weight_counts(entry):
    X, y, _ = _arguments(entry)
    model = _model(entry).fit(*((X,) if y is None else (X, y)))
    plain = model.score(X, y)
    for weight in (1.0, 3.0):
        found = model.score(X, y, sample_weight=np.full(len(X), weight))
        assert found == pytest.approx(plain, rel=1e-5 if _is_single(model) else 1e-9)


def _is_single(model):
    """Whether sums are over data in single precision."""
    return getattr(model, "dtype", None) == "float32" or isinstance(model, DynamicConnectome)


@pytest.mark.parametrize("entry", SCORED)
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda n: np.ones(n - 1), "one number for each of"),
        (lambda n: np.ones((n, 1)), "one number for each of"),
        (lambda n: 2.0, "one number for each of"),
        (lambda n: [[1.0], [1.0, 2.0]], "not an array of numbers"),
        (lambda n: ["1"] * n, "not an array of numbers"),
        (lambda n: np.ma.masked_array(np.ones(n), np.arange(n) == 3), "the first is nan"),
        (lambda n: np.r_[np.ones(n - 1), -1], "the first is -1"),
        (lambda n: np.r_[np.ones(n - 1), np.nan], "the first is nan"),
        (lambda n: np.r_[np.ones(n - 1), np.inf], "the first is inf"),
        (np.zeros, "no sample has any weight"),
    ],
)
def test_what_is_no_weight_is_refused(entry, weights, message):
    X, y, _ = _arguments(entry)
    model = _model(entry).fit(*((X,) if y is None else (X, y)))
    with pytest.raises(DataError, match=message) as caught:
        model.score(X, y, sample_weight=weights(len(X)))
    assert "sample_weight" in str(caught.value)


IN_TIME = (SwitchingGLM, SwitchingPopulationGLM, DynamicConnectome)


@pytest.mark.parametrize(
    "entry", [case for case in SCORED if not isinstance(case.values[0].estimator, IN_TIME)]
)
def test_a_weight_of_two_is_a_sample_twice(entry):
    X, y, _ = _arguments(entry)
    model = _model(entry).fit(X, y)
    y = None if y is None else y[::-1]  # which no model predicts without a fault
    repeats = np.random.default_rng(0).integers(0, 4, size=len(X))
    again = np.repeat(X, repeats, axis=0), None if y is None else np.repeat(y, repeats, axis=0)
    tolerance = 1e-5 if isinstance(model, ResponseModel | NonnegativeCP) else 1e-9
    weighed = model.score(X, y, sample_weight=repeats)
    assert weighed == pytest.approx(model.score(*again), rel=tolerance)
    assert abs(weighed - model.score(X, y)) > 10 * tolerance


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("missing", [False, True])
def test_weights_of_a_tensor_are_along_its_sample_mode(mode, missing):
    rng = np.random.default_rng(0)
    tensor = rng.uniform(size=(6, 5, 7))
    if missing:
        tensor[rng.uniform(size=tensor.shape) < 0.1] = np.nan
    model = NonnegativeCP(2, n_init=1, sample_mode=mode, dtype="float64", random_state=0)
    model.fit(tensor)
    weights = rng.uniform(size=tensor.shape[mode])
    factors = [factor.copy() for factor in model.cp_.factors]
    factors[mode] = model.transform(tensor)
    residual = np.nan_to_num(tensor - np.einsum("ir,jr,kr->ijk", *factors))
    axes = tuple(axis for axis in range(3) if axis != mode)
    squares = [(part**2).sum(axis=axes) for part in (residual, np.nan_to_num(tensor))]
    expected = -np.sqrt(weights @ squares[0] / (weights @ squares[1]))
    assert model.score(tensor, sample_weight=weights) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", [_glm(), SwitchingPopulationGLM(2, n_lags=2, n_init=1)])
def test_weights_of_bins_weigh_what_each_adds_to_the_likelihood(model):
    rng = np.random.default_rng(0)
    X, sessions = rng.poisson(1.0, (40, 3)).astype(float), np.repeat([0, 1], 20)
    y = (rng.uniform(size=40) < 0.5).astype(float)
    if isinstance(model, SwitchingGLM):
        y[[3, 30]] = np.nan
    model = clone(model).set_params(random_state=0)
    model.fit(X, y, sessions=sessions)
    observed = ~np.isnan(y)

    def total(n):
        if not observed[:n].any():
            return 0.0
        return observed[:n].sum() * model.score(X[:n], y[:n], sessions=sessions[:n])

    increments = np.diff([total(n) for n in range(41)])
    weights = rng.uniform(size=40)
    found = model.score(X, y, sessions=sessions, sample_weight=weights)
    expected = (weights * increments)[observed].sum() / weights[observed].sum()
    assert found == pytest.approx(expected, rel=1e-9)
    if isinstance(model, SwitchingGLM):
        with pytest.raises(DataError, match="no sample has any weight.*observed"):
            model.score(X, y, sessions=sessions, sample_weight=(~observed).astype(float))


def test_weights_of_subjects():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3, 40, 4))
    model = DynamicConnectome(1, method="same_sign", n_init=1, random_state=0).fit(X)
    expected = model.score(X[[0, 0, 0, 2]])
    assert model.score(X, sample_weight=[3, 0, 1]) == pytest.approx(expected, rel=1e-5)
    rows, subjects = np.vstack(X), np.repeat(["c", "a", "b"], 40)
    weights = np.repeat([3.0, 0.0, 1.0], 40)
    for name in ("sessions", "groups"):
        given = {name: subjects, "sample_weight": weights}
        assert model.score(rows, **given) == pytest.approx(expected, rel=1e-5)
    weights[5] = 2.0
    with pytest.raises(DataError, match="weights change within a subject"):
        model.score(rows, groups=subjects, sample_weight=weights)


def test_weights_of_subjects_come_in_the_form_of_their_data():
    cohort = make_cohort(2, n_stimuli=40, n_test=5, n_voxels=(12, 15), random_state=0)
    model = RidgeDecoder().fit(cohort.X, cohort.y)
    weights = {s: np.random.default_rng(0).uniform(size=len(X)) for s, X in cohort.X.items()}
    alone = [
        model.score(cohort.X[s], cohort.y[s], subject=s, sample_weight=weights[s]) for s in cohort.X
    ]
    found = model.score(cohort.X, cohort.y, sample_weight=weights)
    assert found == pytest.approx(np.mean(alone), rel=1e-12)
    first = next(iter(weights))
    with pytest.raises(DataError, match="weights are of other subjects"):
        model.score(cohort.X, cohort.y, sample_weight={first: weights[first]})


@pytest.mark.parametrize("model", [CrossSubjectDecoder(), RidgeDecoder()])
def test_decoders_in_a_pipeline_with_tables(model):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd"), index=range(100, 160))
    y, groups = rng.normal(size=(60, 3)), np.repeat(["anna", "ben"], 30)
    plain = make_pipeline(StandardScaler(), clone(model))
    tables = make_pipeline(StandardScaler(), clone(model)).set_output(transform="pandas")
    with config_context(**ROUTED):
        for steps in (plain, tables):
            steps.fit(X, y, groups=groups)
        predicted = tables.predict(X, groups=groups)
        _assert_same(plain.predict(X, groups=groups), predicted)
        if isinstance(model, CrossSubjectDecoder):
            latents = tables.transform(X, groups=groups)
            assert list(latents.columns) == list(tables[-1].get_feature_names_out())
            assert list(latents.index) == list(X.index)
            _assert_same(plain.transform(X, groups=groups), latents.to_numpy())


def test_a_weight_that_reaches_the_score_by_request():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    weights = rng.uniform(size=40)
    with config_context(**ROUTED):
        model = RidgeDecoder().set_score_request(sample_weight=True)
        steps = make_pipeline(StandardScaler(), model).fit(X, y)
        assert steps.score(X, y, sample_weight=weights) == pytest.approx(
            steps[-1].score(steps[:-1].transform(X), y, sample_weight=weights), rel=1e-12
        )


def test_every_public_estimator_has_the_base_that_asks():
    from neuroml._core.estimator import Estimator

    for name in neuroml._SUBMODULES:
        module = getattr(neuroml, name)
        for public in getattr(module, "__all__", ()):
            found = getattr(module, public)
            if isinstance(found, type) and issubclass(found, BaseEstimator):
                assert issubclass(found, Estimator)
