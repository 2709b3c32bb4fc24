"""Subjects with weights of their own: partial pooling and its extremes."""

import warnings

import numpy as np
import pytest

import neuroml
from neuroml.evaluation import evaluate
from neuroml.exceptions import DataError, MonotonicityWarning
from neuroml.simulate import make_switching_cohort
from neuroml.switching import SwitchingGLM, match_weights
from neuroml.switching._em import assess, smooth_model
from neuroml.switching._pooling import observed_information

POOLINGS = ("complete", "partial", "none")
pytestmark = [
    pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning"),
    pytest.mark.filterwarnings("ignore:state:UserWarning"),
]


def parameters(model, n_subjects):
    """Weights and intercepts (n_subjects, n_states, n_features + 1) of the only output."""
    if model.pooling == "complete":
        both = np.concatenate([model.weights_, model.intercept_[..., None]], axis=2)
        return np.repeat(both[None, :, 0], n_subjects, axis=0)
    both = [model.subject_weights_, model.subject_intercept_[..., None]]
    return np.concatenate(both, axis=3)[:, :, 0]


def truth_of(data):
    return np.concatenate([data.subject_weights, data.subject_intercept[..., None]], axis=3)[
        :, :, 0
    ]


def fit(data, pooling="partial", n_states=2, **settings):
    model = SwitchingGLM(n_states, pooling=pooling, n_init=2, tol=1e-5, random_state=0, **settings)
    return model.fit(data.X, data.y, sessions=data.sessions, groups=data.groups)


def rmse(model, data):
    truth, found = truth_of(data), parameters(model, len(data.subject_weights))
    order = match_weights(truth.mean(axis=0), found.mean(axis=0))
    return np.sqrt(((found[:, order] - truth) ** 2).mean())


@pytest.fixture(scope="module")
def mice():
    return make_switching_cohort(8, 5, 100, 2, deviation=(1.0, 0.3, 0.5), stay=0.95, random_state=0)


@pytest.fixture(scope="module")
def models(mice):
    return {pooling: fit(mice, pooling) for pooling in POOLINGS}


@pytest.fixture(scope="module")
def model(models):
    return models["partial"]


def arguments(data):
    return (data.X, data.y), {"sessions": data.sessions, "groups": data.groups}


def test_partial_pooling_is_nearer_to_the_truth_than_both_extremes(mice, models):
    errors = {pooling: rmse(model, mice) for pooling, model in models.items()}
    assert errors["partial"] < min(errors["complete"], errors["none"])


def test_states_are_the_same_in_all_subjects(mice, models):
    truth = truth_of(mice)
    for pooling in ("partial", "none"):
        found = parameters(models[pooling], 8)
        order = match_weights(truth.mean(axis=0), found.mean(axis=0))
        for own, of_model in zip(truth, found, strict=True):
            assert match_weights(own, of_model).tolist() == order.tolist()


@pytest.mark.parametrize(
    ("deviation", "near", "far"), [(0.0, "complete", "none"), (3.0, "none", "complete")]
)
def test_extremes_of_the_variance_give_the_extremes_of_pooling(deviation, near, far):
    data = make_switching_cohort(6, 4, 100, 1, deviation=deviation, random_state=1)
    found = {pooling: parameters(fit(data, pooling, 1), 6) for pooling in POOLINGS}
    distance = {
        pooling: np.sqrt(((found["partial"] - found[pooling])[:, :, [0, 1, 3]] ** 2).mean())
        for pooling in (near, far)
    }
    assert distance[near] < 0.3 * distance[far]


def test_without_states_it_is_the_random_effects_model():
    # Balanced groups with means alone: the REML variance is that of the means less sigma^2 / n, and
    # a subject's mean is shrunk by v / (v + sigma^2 / n).
    rng = np.random.default_rng(0)
    n, means = 30, rng.normal(size=9)
    y = (means[:, None] + rng.normal(size=(9, n))).ravel()
    groups = np.repeat(np.arange(9), n)
    model = SwitchingGLM(1, "gaussian", pooling="partial", covariance_prior=0.0, tol=1e-12)
    model.fit(None, y, sessions=groups, groups=groups)
    of_mean = model.covariances_.item() / n
    found = y.reshape(9, n).mean(axis=1)
    variance = found.var(ddof=1) - of_mean
    np.testing.assert_allclose(model.intercept_variance_.item(), variance, rtol=1e-3)
    kept = variance / (variance + of_mean)
    expected = found.mean() + kept * (found - found.mean())
    np.testing.assert_allclose(model.subject_intercept_[:, 0, 0], expected, atol=1e-3)
    np.testing.assert_allclose(model.intercept_.item(), found.mean(), atol=1e-3)


def test_without_states_no_pooling_is_one_fit_after_the_other(mice):
    model = fit(mice, "none", 1, max_iter=200)
    for subject, weights in zip(model.subjects_, model.subject_weights_, strict=True):
        mine = mice.groups == subject
        alone = SwitchingGLM(1, tol=1e-5).fit(mice.X[mine], mice.y[mine])
        np.testing.assert_allclose(weights, alone.weights_, atol=0.02)


@pytest.mark.parametrize("index", [0, 5])
def test_observed_information_is_the_curvature_of_the_likelihood(mice, model, index):
    few = mice.groups == "s00"
    problem = model._arrange(mice.X[few], mice.y[few], mice.sessions[few], mice.groups[few])
    fitted = model._model()

    def log_likelihood(step):
        subjects = fitted.emissions.subjects
        weights = subjects.weights.copy()
        weights[0].ravel()[index] += step
        moved = fitted.emissions._replace(subjects=subjects._replace(weights=weights))
        return smooth_model(problem, fitted._replace(emissions=moved)).log_likelihood

    step = 1e-2
    curvature = -(log_likelihood(step) - 2 * log_likelihood(0) + log_likelihood(-step)) / step**2
    whole = model._arrange(*arguments(mice)[0], mice.sessions, mice.groups)
    information = observed_information(whole, fitted)
    assert information.shape == (8, 8, 8)
    np.testing.assert_allclose(information[0, index, index], curvature, rtol=0.02, atol=0.02)


FAMILIES = {
    "bernoulli": ("bernoulli", lambda eta, rng: rng.random(len(eta)) < 1 / (1 + np.exp(-eta))),
    "categorical": (
        "categorical",
        lambda eta, rng: (eta + rng.logistic(size=len(eta)) > np.c_[-1, 1].T).sum(axis=0),
    ),
    "poisson": ("poisson", lambda eta, rng: rng.poisson(np.exp(0.5 * eta))),
    "gaussian": ("gaussian", lambda eta, rng: eta + rng.normal(size=len(eta))),
    "two outputs": ("gaussian", lambda eta, rng: eta[:, None] + rng.normal(size=(len(eta), 2))),
}


@pytest.mark.parametrize("pooling", ["partial", "none"])
@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, pooling):
    family, draw = FAMILIES[name]
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=400), np.repeat(["a", "b", "c", "d"], 100)
    weights = np.array([0.0, 0.5, 1.0, 1.5])
    y = np.asarray(draw(x * np.repeat(weights, 100), rng), dtype=float)
    model = SwitchingGLM(2, family, pooling=pooling, n_init=1, max_iter=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MonotonicityWarning)
        model.fit(x[:, None], y, sessions=groups, groups=groups)
    n_outputs = {"categorical": 2, "two outputs": 2}.get(name, 1)
    assert model.subject_weights_.shape == (4, 2, n_outputs, 1)
    assert model.subject_intercept_.shape == (4, 2, n_outputs)
    # bins of both states together tell the subjects' weights apart
    share = model.subject_occupancy_.to_numpy()
    own = np.einsum("sk,skmf->s", share, model.subject_weights_)
    assert np.corrcoef(own, weights)[0, 1] > 0.7
    drawn, _ = model.sample(x[:, None], sessions=groups, groups=groups, random_state=0)
    assert drawn.shape == y.shape
    assert np.isfinite(model.score(x[:, None], y, sessions=groups, groups=groups))


def test_missing_outputs_and_a_state_without_subjects_are_no_obstacle(mice):
    few = np.isin(mice.groups, ["s00", "s01", "s02"])
    y = np.where(np.arange(few.sum()) % 3, mice.y[few], np.nan)
    model = SwitchingGLM(3, pooling="partial", n_init=1, max_iter=5, random_state=0)
    model.fit(mice.X[few], y, sessions=mice.sessions[few], groups=mice.groups[few])
    assert np.isfinite(model.subject_weights_).all()
    assert (model.subject_weights_std_ > 0).all()


def test_subjects_may_come_in_any_order(mice, model):
    _, settings = arguments(mice)
    order = np.concatenate(
        [
            np.flatnonzero(mice.sessions == s)
            for s in np.argsort(np.unique(mice.sessions) % 5, kind="stable")
        ]
    )
    shuffled = {name: values[order] for name, values in settings.items()}
    straight = model.predict_proba(mice.X, mice.y, **settings)
    np.testing.assert_allclose(
        model.predict_proba(mice.X[order], mice.y[order], **shuffled), straight[order], atol=1e-10
    )
    assert (
        model.predict(mice.X[order], mice.y[order], **shuffled)
        == model.predict(mice.X, mice.y, **settings)[order]
    ).all()
    as_dict = {name: mice.X[mice.groups == name] for name in model.subjects_}
    y = {name: mice.y[mice.groups == name] for name in model.subjects_}
    one_session = model.score(as_dict, y)
    assert one_session == pytest.approx(
        model.score(mice.X, mice.y, sessions=mice.groups, groups=mice.groups)
    )


def test_scores_use_the_subjects_own_weights(mice, model):
    (X, y), settings = arguments(mice)
    turned = settings | {"groups": np.roll(mice.groups, 500)}
    assert model.score(X, y, **settings) > model.score(X, y, **turned)
    assert model.score_bits(X, y, **settings) > 0
    assert model.filter_proba(X, y, **settings).shape == (len(y), 2)


CALLS = {
    "predict": lambda model, X, y, **more: model.predict(X, y, **more),
    "predict_proba": lambda model, X, y, **more: model.predict_proba(X, y, **more),
    "filter_proba": lambda model, X, y, **more: model.filter_proba(X, y, **more),
    "score": lambda model, X, y, **more: model.score(X, y, **more),
    "score_bits": lambda model, X, y, **more: model.score_bits(X, y, **more),
    "sample": lambda model, X, y, **more: model.sample(X, **more),
}


@pytest.mark.parametrize("pooling", ["partial", "none"])
@pytest.mark.parametrize("name", CALLS)
def test_unknown_subjects_are_refused_by_name(mice, models, name, pooling):
    X, y = mice.X[:50], mice.y[:50]
    with pytest.raises(DataError, match=r"not among those.*anna.*adapt\(X, y, subject"):
        CALLS[name](models[pooling], X, y, groups=np.repeat("anna", 50))
    with pytest.raises(DataError, match="the subject of each bin is not known"):
        CALLS[name](models[pooling], X, y)


def test_a_cohort_is_refused_where_it_cannot_be_one(mice, model):
    X, y = mice.X[:100], mice.y[:100]
    partial = SwitchingGLM(2, pooling="partial")
    with pytest.raises(DataError, match="the subject of each bin"):
        partial.fit(X, y)
    with pytest.raises(DataError, match="cannot be learned from one"):
        partial.fit(X, y, groups=np.repeat("a", 100))
    with pytest.raises(DataError, match="cannot be pooled partially"):
        SwitchingGLM(2, "negative_binomial", pooling="partial").fit(
            X, y, groups=np.repeat("a", 100)
        )
    with pytest.raises(DataError, match="a standard error is not defined"):
        model.standard_errors(X, y)
    with pytest.raises(DataError, match="a bootstrap is not defined"):
        model.bootstrap(X, y)
    with pytest.raises(DataError, match="from given parameters is not defined"):
        SwitchingGLM.from_parameters(np.ones((1, 1, 1)), [[0.0]], [[1.0]], pooling="partial")


def test_adapt_gives_a_new_subject_its_own_weights(mice, model):
    new = make_switching_cohort(1, 4, 100, 2, deviation=2.0, stay=0.95, random_state=5)
    before = model.score(mice.X, mice.y, **arguments(mice)[1])
    grown = model.adapt(new.X, new.y, subject="new", sessions=new.sessions)
    assert grown.subjects_.tolist() == [*model.subjects_.tolist(), "new"]
    assert grown.subject_weights_.shape == grown.subject_weights_std_.shape == (9, 2, 1, 3)
    assert "new" not in model.subjects_
    assert model.score(mice.X, mice.y, **arguments(mice)[1]) == before
    assert grown.score(mice.X, mice.y, **arguments(mice)[1]) == before
    scores = [
        grown.score(new.X, new.y, sessions=new.sessions, groups=np.full(len(new.y), name))
        for name in grown.subjects_
    ]
    assert np.argmax(scores) == 8
    with pytest.raises(DataError, match="known already"):
        grown.adapt(new.X, new.y, subject="new")
    with pytest.raises(DataError, match="was not learned"):
        fit(mice, "complete", 1).adapt(new.X, new.y, subject="new")
    nothing = model.adapt(new.X[:9], np.r_[new.y[:1], np.full(8, np.nan)], subject="new")
    away = abs(nothing.subject_weights_[-1] - model.weights_)
    assert (away < 3 * np.sqrt(model.weight_variance_)).all()


def test_a_fit_of_all_subjects_alike_forgets_them(mice, model, tmp_path):
    neuroml.save(model, tmp_path / "model.safetensors")
    loaded = neuroml.load(tmp_path / "model.safetensors")
    (X, y), settings = arguments(mice)
    assert loaded.score(X, y, **settings) == pytest.approx(model.score(X, y, **settings))
    assert loaded.adapt(X[:100], y[:100], subject="new").subjects_[-1] == "new"
    again = loaded.set_params(pooling="complete", n_init=1).fit(X[:100], y[:100])
    assert not [name for name in vars(again) if "subject" in name]


def test_the_evidence_ends_above_its_start(mice, model):
    assert model.objective_trace_[-1] > model.objective_trace_[0]
    whole = model._arrange(*arguments(mice)[0], mice.sessions, mice.groups)
    assert np.isfinite(assess(whole, model._model())[1])


def test_evaluation_hands_subjects_on(mice):
    few = np.isin(mice.groups, ["s00", "s01", "s02"])
    data = mice.X[few], mice.y[few]
    settings = {"sessions": mice.sessions[few], "groups": mice.groups[few]}
    model = SwitchingGLM(1, pooling="partial", random_state=0)
    found = evaluate(model, *data, **settings, cv=2, baselines=None)
    assert np.isfinite(found.to_frame()["value"]).all()
    with pytest.raises(DataError, match="not among those that were fitted"):
        evaluate(model, *data, **settings, cv=neuroml.data.LeaveOneSubjectOut(), baselines=None)


def test_adapt_takes_weights_as_fit_does(mice, model):
    new = make_switching_cohort(1, 2, 100, 2, deviation=2.0, stay=0.95, random_state=5)
    kept = new.sessions == 0
    ask = {"subject": "new", "sessions": new.sessions}
    first = model.adapt(new.X[kept], new.y[kept], subject="new")
    weighted = model.adapt(new.X, new.y, **ask, sample_weight=kept.astype(float))
    for name in ("subject_weights_", "subject_intercept_", "subject_weights_std_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(first, name), atol=1e-4)
    heavy = model.adapt(new.X, new.y, **ask, sample_weight=np.full(len(new.y), 100.0))
    assert (heavy.subject_weights_std_[-1] < first.subject_weights_std_[-1]).all()
