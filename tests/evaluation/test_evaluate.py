import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.celltypes import MostDiscriminativeStimuli, ResponseModel
from neuroml.connectome import (
    AffinityTensor,
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
)
from neuroml.decoding import CrossSubjectDecoder, PrototypeClassifier, RidgeDecoder
from neuroml.evaluation import BlockedKFold, Evaluation, LeaveOneSubjectOut, SessionKFold, evaluate
from neuroml.evaluation._designs import CellsDesign, CohortDesign
from neuroml.evaluation._fitted import Fitted
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation._windows import Patterns, explained_share
from neuroml.evaluation.baselines import MemorylessPopulation
from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.simulate import (
    make_cohort,
    make_dynamic_communities,
    make_retina,
    make_switching_choices,
    make_switching_spikes,
)
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

TABLE = ["model", "subject", "fold", "scoring", "value", "fit_seconds", "converged"]
SUMMARY = ["model", "mean", "difference", "ci_low", "ci_high", "n_subjects_above", "n_subjects"]


def regression(n=120, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, X @ [1.0, -0.5, 0.3, 0.0] + noise * rng.normal(size=n)


def means(found, scoring=None):
    return found.summary(scoring).set_index("model")["mean"]


def test_scores_are_those_of_cross_validate():
    X, y = regression()
    cv = KFold(4)
    found = evaluate({"ridge": Ridge()}, X, y, cv=cv, baselines=None)
    theirs = cross_validate(Ridge(), X, y, cv=cv)["test_score"]
    table = found.to_frame()
    assert list(table.columns) == TABLE
    assert table["value"].tolist() == pytest.approx(theirs.tolist())
    named = evaluate(Ridge(), X, y, cv=cv, baselines=None, scoring="neg_mean_absolute_error")
    theirs = cross_validate(Ridge(), X, y, cv=cv, scoring="neg_mean_absolute_error")["test_score"]
    assert named.table_["value"].tolist() == pytest.approx(theirs.tolist())


def test_summary_compares_with_the_best_baseline_over_folds():
    X, y = regression()
    found = evaluate({"ridge": Ridge()}, X, y, cv=KFold(5))
    summary = found.summary()
    assert list(summary.columns) == [*SUMMARY, "p"]
    assert summary["model"].tolist() == ["ridge", "baseline: mean"]
    wide = found.table_.pivot(index="fold", columns="model", values="value")
    gains = wide["ridge"] - wide["baseline: mean"]
    error = np.sqrt((1 / 5 + 24 / 96) * gains.var(ddof=1))  # Nadeau and Bengio (2003)
    half = stats.t.ppf(0.975, 4) * error
    row = summary.iloc[0]
    assert row["difference"] == pytest.approx(gains.mean())
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        (gains.mean() - half, gains.mean() + half)
    )
    assert np.isnan(row["p"]) and row["n_subjects"] == 1 and row["n_subjects_above"] == 1


def test_summary_compares_over_subjects_where_there_are_five():
    values = np.random.default_rng(0).normal([0.5, 0.0], size=(6, 2))
    rows = [
        (name, s, fold, "score", values[s, k], 0.0, None)
        for s in range(6)
        for fold in range(2)
        for k, name in enumerate(["model", "baseline: plain"])
    ]
    summary = Evaluation(pd.DataFrame(rows, columns=TABLE), {}, 1.0).summary()
    gains = values[:, 0] - values[:, 1]
    row = summary.set_index("model").loc["model"]
    low, high = stats.t.interval(0.95, 5, gains.mean(), stats.sem(gains))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
    assert (row["n_subjects"], row["n_subjects_above"]) == (6, (gains > 0).sum())


def test_results_do_not_depend_on_processes():
    X, y = regression()
    one, two = (
        evaluate(Ridge(), X, y, null="permutation", n_permutations=9, n_jobs=n, random_state=3)
        for n in (None, 2)
    )
    columns = ["model", "subject", "fold", "scoring", "value"]
    pd.testing.assert_frame_equal(one.table_[columns], two.table_[columns])
    assert one.summary()["p"].tolist() == two.summary()["p"].tolist()


@pytest.mark.parametrize("form", ["array", "list", "dict", "frame"])
def test_sessions_are_left_out_in_every_form_of_input(form):
    X, y = regression(100)
    parts = np.split(X, 5), np.split(y, 5)
    labels = np.repeat(np.arange(5), 20)
    given = {
        "array": ((X, y), {"sessions": labels}),
        "frame": ((pd.DataFrame(X, columns=list("abcd")), y), {"sessions": labels}),
        "list": (parts, {}),
        "dict": (tuple(dict(zip("vwxyz", part, strict=True)) for part in parts), {}),
    }[form]
    found = evaluate(Ridge(), *given[0], baselines=None, **given[1])
    plain = cross_validate(Ridge(), X, y, cv=SessionKFold(5), params=None, groups=labels)
    assert sorted(found.table_["value"]) == pytest.approx(sorted(plain["test_score"]))
    assert found.summary()["n_subjects"].item() == (5 if form == "dict" else 1)


def test_choices_beside_one_state_and_no_memory():
    data = make_switching_choices(n_sessions=6, n_trials=150, random_state=0)
    found = evaluate(
        SwitchingGLM(3, n_init=2), data.X, data.y, sessions=data.sessions, random_state=0
    )
    nats, bits = means(found), means(found, "bits")
    assert nats["SwitchingGLM"] == nats.max()
    assert bits["baseline: constant rate"] == pytest.approx(0, abs=1e-9)
    assert bits["SwitchingGLM"] > bits["baseline: one state"] > 0
    assert nats["SwitchingGLM"] > nats["baseline: memoryless mixture"]
    difference = (nats - nats["baseline: constant rate"]) / np.log(2)
    assert difference.to_numpy() == pytest.approx(bits[difference.index].to_numpy())
    assert found.table_["fold"].nunique() == 5 and found.table_["converged"].notna().any()


def test_choices_without_inputs():
    data = make_switching_choices(n_sessions=5, n_trials=60, random_state=0)
    found = evaluate(
        SwitchingGLM(2, n_init=1), None, data.y, sessions=data.sessions, random_state=0,
        null="default", n_permutations=4,
    )  # fmt: skip
    assert "baseline: one state" in set(found.table_["model"])
    assert found.summary()["p"].between(0.2, 1).all()


def test_populations_beside_one_state_and_a_constant_rate():
    data = make_switching_spikes(5, 2, n_sessions=5, n_bins=300, random_state=0)
    model = SwitchingPopulationGLM(2, n_init=1, link="sigmoid")
    found = evaluate(model, data.spikes, sessions=data.sessions, random_state=0)
    nats, bits = means(found), means(found, "bits")
    assert bits["baseline: constant rate"] == pytest.approx(0, abs=1e-9)
    assert nats["SwitchingPopulationGLM"] > nats["baseline: one state"]
    assert nats["SwitchingPopulationGLM"] > nats["baseline: memoryless mixture"]


def test_a_population_without_memory_is_a_mixture_of_bins():
    data = make_switching_spikes(3, 2, n_sessions=2, n_bins=60, random_state=0)
    model = MemorylessPopulation(
        2, 1, link="exp", ridge=1.0, n_init=1, max_iter=20, dtype="float64"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        model.fit(data.spikes, sessions=data.sessions)
    before = np.vstack([np.zeros((1, 3)), data.spikes[:-1]])
    before[np.flatnonzero(np.diff(data.sessions)) + 1] = 0
    rates = np.exp(model.intercept_[:, None] + np.einsum("kij,tj->kti", model.weights_, before))
    by_state = (
        stats.poisson.logpmf(data.spikes, rates).sum(axis=2) + np.log(model.initial_proba_)[:, None]
    )
    expected = np.logaddexp(*by_state).mean()
    assert model.score(data.spikes, sessions=data.sessions) == pytest.approx(expected, rel=1e-6)


def cohort(n=4, informative=True, units=(30, 40)):
    made = make_cohort(n, n_stimuli=80, n_test=5, n_voxels=units, random_state=0)
    if not informative:
        rng = np.random.default_rng(1)
        made.X = {s: rng.normal(size=part.shape) for s, part in made.X.items()}
    return made.X, made.y


def test_decoders_adapt_to_subjects_that_are_left_out():
    X, y = cohort()
    found = evaluate(CrossSubjectDecoder(), X, y, n_adapt=40, null="default", n_permutations=19)
    table, summary = found.table_, found.summary().set_index("model")
    assert set(table["subject"]) == set(X) and table["fold"].nunique() == len(X)
    assert set(summary.index) == {"CrossSubjectDecoder", "baseline: ridge", "baseline: mean"}
    assert summary.loc["CrossSubjectDecoder", "p"] == 0.05
    assert summary.loc["baseline: mean", "p"] == 1.0
    # the same numbers by hand
    held = next(iter(X))
    model = CrossSubjectDecoder().fit(
        {s: X[s] for s in X if s != held}, {s: y[s] for s in X if s != held}
    )
    model = model.adapt(X[held][:40], y[held][:40], subject=held)
    truth, predicted = y[held][40:], model.predict(X[held][40:], subject=held)
    by_hand = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(truth.T, predicted.T, strict=True)])
    chosen = table.query("model == 'CrossSubjectDecoder' and scoring == 'correlation'")
    assert chosen.set_index("subject")["value"][held] == pytest.approx(by_hand)


def test_stimuli_that_are_tested_train_no_other_subject():
    """One whose decoder can only remember the stimuli it was given is at chance."""
    rng = np.random.default_rng(0)
    stimuli = rng.normal(size=(60, 4))
    # time-locked noise that all subjects share tells which stimulus it is, and nothing about it
    locked = rng.normal(size=(60, 60))
    X = {s: locked + 0.01 * rng.normal(size=locked.shape) for s in "abc"}
    y = dict.fromkeys("abc", stimuli)
    found = evaluate(CrossSubjectDecoder(), X, y, scoring="correlation")
    # four correlations of 30 samples each: standard error about 1 / sqrt(120) = .09; it was > .99
    assert abs(means(found)["baseline: pooled ridge"]) < 0.3
    design = CohortDesign.of({s: Rows(X[s], stimuli, np.zeros(60, dtype=int)) for s in X}, None, 20)
    for fold in design.folds:
        (held,) = (s for s in fold if "test" in fold[s])
        asked = set(map(tuple, stimuli[fold[held]["test"]]))
        assert len(asked) == 30 and len(fold[held]["adapt"]) == 20
        for other in set(fold) - {held}:
            trained = stimuli[fold[other]["train"]]
            assert len(trained) == 30 and not asked & set(map(tuple, trained))
    shuffled = design.surrogate("permutation", np.random.default_rng(1))
    orders = [shuffled.data[s].y for s in X]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], stimuli)


def test_subjects_with_nothing_but_the_tested_stimuli_are_refused():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(20, 2))
    targets = {"a": np.concatenate([rng.normal(size=(20, 2)), y]), "b": y}
    X = {s: rng.normal(size=(len(t), 5)) for s, t in targets.items()}
    with pytest.raises(DataError, match="nothing to train on but the stimuli"):
        evaluate(RidgeDecoder(), X, targets, cv=LeaveOneSubjectOut(), n_adapt=10)


def test_decoders_within_subjects_and_pooled():
    X, y = cohort(units=(30, 30))
    found = evaluate(RidgeDecoder(), X, y, cv=BlockedKFold(4))
    assert set(found.table_["model"]) == {
        "RidgeDecoder",
        "baseline: ridge",
        "baseline: mean",
        "baseline: pooled ridge",
    } - {"baseline: ridge"} or "baseline: ridge" in set(found.table_["model"])
    assert found.table_.groupby("fold")["subject"].nunique().eq(len(X)).all()
    across = evaluate(RidgeDecoder(), X, y, cv=LeaveOneSubjectOut())
    assert across.table_["fold"].nunique() == len(X)


def test_classes_beside_logistic_regression():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["cat", "dog", "owl"], 20))
    X = rng.normal(size=(60, 5)) + 2 * (y[:, None] == ["cat", "dog", "owl", "a", "b"])
    found = evaluate(PrototypeClassifier(), X, y, cv=KFold(5, shuffle=True, random_state=0))
    assert means(found)["PrototypeClassifier"] > 0.6
    assert "baseline: logistic regression" in means(found).index


def communities():
    return make_dynamic_communities(
        16, 5, 160, n_communities=2, n_active_subjects=5, random_state=0
    )


def test_connectomes_beside_static_maps():
    truth = communities()
    rows = np.concatenate(list(truth.X))
    groups = np.repeat(np.arange(5), truth.X.shape[1])
    model = DynamicConnectome(2, n_init=2, window=8, stride=4)
    found = evaluate(model, rows, sessions=groups, groups=groups, cv=BlockedKFold(4, gap=8))
    share = means(found)
    assert set(share.index) == {
        "DynamicConnectome",
        *(
            f"baseline: {name}"
            for name in (
                "mean map", "static connectivity", "PCA", "NMF", "co-activation patterns",
            )
        ),
    }  # fmt: skip
    assert share["DynamicConnectome"] > share["baseline: mean map"]
    assert found.summary()["n_subjects"].eq(5).all()


def test_windows_of_one_recording():
    quick = {"negative": "zero", "covariance": "empirical"}
    rng = np.random.default_rng(0)
    course = np.repeat(rng.uniform(size=12) > 0.5, 25)[:, None]
    shared = np.where(course, rng.normal(size=(300, 1)), rng.normal(size=(300, 6)))
    X = shared + 0.5 * rng.normal(size=(300, 6))
    model = make_pipeline(SlidingWindowConnectivity(15, **quick), NonnegativeCP(2, n_init=1))
    found = evaluate(model, X, random_state=0)
    share = means(found)
    assert share["NonnegativeCP"] > share["baseline: mean map"]
    windows = SlidingWindowConnectivity(15, **quick).fit_transform(X)
    direct = evaluate(NonnegativeCP(2, n_init=1), windows, random_state=0)
    assert means(direct)["NonnegativeCP"] > means(direct)["baseline: mean map"]


def test_both_directions_of_a_pair_of_units_are_predicted_together(monkeypatch):
    sides = []
    predict = Patterns.predict

    def noted(self, windows, shown):
        sides.append(shown)
        return predict(self, windows, shown)

    monkeypatch.setattr(Patterns, "predict", noted)
    X = np.random.default_rng(0).normal(size=(160, 5))
    subjects = np.repeat(np.arange(4), 40)
    tensor = (affinity := AffinityTensor("mtd", directed=True)).fit_transform(X, sessions=subjects)
    model = NonnegativeCP(1, n_init=1, tol=1e-3, sample_mode=1).fit(tensor)
    rows = Rows(tensor, None, np.zeros(40, dtype=int))
    assert np.isfinite(explained_share(Fitted(model, rows), rows))
    i, j = affinity.pairs_.T
    turned = [np.flatnonzero((i == b) & (j == a))[0] for a, b in zip(i, j, strict=True)]
    assert sides
    for shown in sides:
        assert shown.any() and not shown.all()
        np.testing.assert_array_equal(shown, shown[turned])


def _correlated(n_samples):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_samples, 1)) + 0.5 * rng.normal(size=(n_samples, 4))


class TestStretchesShorterThanAWindow:
    windows = SlidingWindowConnectivity(50, stride=10, negative="zero", covariance="empirical")
    model = make_pipeline(windows, NonnegativeCP(1, n_init=1))

    def test_those_that_folds_cut_are_left_out_and_counted(self):
        X = _correlated(300)  # blocks of 60: beside the second and the fourth, 10 are left
        with pytest.warns(UserWarning, match=r"window of 50 samples: 20 of 800 training samples"):
            found = evaluate(self.model, X, baselines=None, random_state=0)
        assert found.table_["value"].notna().all()
        train = np.r_[170:300]  # and the fold is that of what remains
        alone = evaluate(self.model, X, cv=[(train, np.r_[60:120])], baselines=None, random_state=0)
        # other starts, the same optimum
        assert alone.table_["value"][0] == pytest.approx(found.table_["value"][1], rel=1e-4)

    def test_a_test_block_that_is_too_short_is_refused(self):
        with pytest.raises(DataError, match=r"at least 50 samples; found one of 43 .*fewer folds"):
            evaluate(self.model, _correlated(300), cv=7)

    def test_a_session_that_is_too_short_stays_an_error_of_the_data(self):
        sessions = np.repeat([0, 1, 2], [30, 200, 200])
        with pytest.raises(DataError, match="session 0 is shorter than the window"):
            evaluate(
                self.model, _correlated(430), sessions=sessions, cv=[(np.r_[:230], np.r_[230:430])]
            )


def test_nothing_to_explain_is_no_score():
    X = np.full((20, 6), 0.5)
    with pytest.warns(UserWarning, match="2 of 2 scores are NaN"):
        found = evaluate(NonnegativeCP(1, n_init=1), X, baselines=None, random_state=0, cv=2)
    assert found.table_["value"].isna().all()


def test_responses_beside_their_mean():
    retina = make_retina(["on_transient", "off_sustained"], n_cells=3, n_frames=600, random_state=0)
    model = ResponseModel("linear", n_lags=8, n_filters=4, max_epochs=20, device="cpu")
    held_out = [(np.arange(400), np.arange(420, 600))]  # one fold: predictions stay
    found = evaluate(
        model, retina.stimuli, retina.responses, cv=held_out, random_state=0,
        null="default", n_permutations=19,
    )  # fmt: skip
    summary = found.summary().set_index("model")
    assert summary.loc["ResponseModel", "mean"] > 0.3
    assert summary.loc["ResponseModel", "p"] == 0.05


def test_interleaved_folds_of_a_slow_series_are_warned_of():
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(400, 3)), axis=0)
    target = np.cumsum(rng.normal(size=400))
    with pytest.warns(UserWarning, match=r"autocorrelation time .*Use cv=BlockedKFold\(gap="):
        evaluate(Ridge(), slow, target, cv=KFold(5, shuffle=True, random_state=0))
    evaluate(Ridge(), slow, target)  # the default keeps neighbors together
    X, y = regression()
    evaluate(Ridge(), X, y, cv=KFold(5, shuffle=True, random_state=0))


def test_left_out_middles_make_sessions_of_their_own():
    """A model must not compute across what was left out."""

    class Spy(BaseEstimator):
        def fit(self, X, y=None, *, sessions=None):
            self.seen_ = X, sessions
            return self

        def score(self, X, y=None, *, sessions=None):
            return 0.0

        __metadata_request__fit = {"sessions": True}

    class Kept(Spy):
        seen = []

        def fit(self, X, y=None, *, sessions=None):
            Kept.seen.append((X[:, 0], sessions))
            return self

    X = np.column_stack([np.arange(40), np.random.default_rng(0).normal(size=(40, 4))])
    evaluate(Kept(), X, cv=BlockedKFold(4, gap=2), sessions=np.repeat([0, 1], 20))
    for times, sessions in Kept.seen:
        steps = np.diff(times)
        apart = np.diff(sessions) != 0
        assert apart[steps != 1].all() and (steps[apart] > 1).sum() + 1 >= apart.sum()


@pytest.mark.parametrize("leak", [True, False])
@pytest.mark.parametrize("kind", ["selection", "scaling"])
def test_what_leaks_is_seen(leak, kind):
    """Steps of a Pipeline are fitted to training data alone; the planted leak scores above chance."""
    rng = np.random.default_rng(0)
    n, p = 60, 2000
    y = rng.permutation(np.repeat([0, 1], n // 2))
    X = rng.normal(size=(n, p))

    class Best(TransformerMixin, BaseEstimator):
        """Voxels with the largest difference between classes; of all data, if they are planted."""

        def __init__(self, everything=None):
            self.everything = everything

        def fit(self, X, y):
            given = (X, y) if self.everything is None else self.everything
            difference = given[0][given[1] == 1].mean(0) - given[0][given[1] == 0].mean(0)
            self.chosen_ = np.argsort(-np.abs(difference))[:20]
            self.sign_ = np.sign(difference)
            return self

        def transform(self, X):
            chosen = X[:, self.chosen_]
            return chosen if kind == "selection" else chosen * self.sign_[self.chosen_]

    step = Best((X, y) if leak else None)
    model = make_pipeline(StandardScaler(), step, LogisticRegression())
    cv = KFold(5, shuffle=True, random_state=0)
    found = evaluate({"model": model}, X, y, cv=cv, null="permutation", n_permutations=19,
                     random_state=0)  # fmt: skip
    row = found.summary().set_index("model").loc["model"]
    assert (row["mean"] > 0.75 and row["p"] == 0.05) if leak else row["p"] > 0.05


def test_a_model_that_fails_is_named_and_a_baseline_that_fails_is_warned_of():
    class Broken(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            raise ValueError("no")

    X, y = regression()
    with pytest.raises(ValueError, match="no") as caught:
        evaluate({"mine": Broken()}, X, y)
    assert "'mine' was evaluated in fold 0" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="no"):
        evaluate(Ridge(), X, y, baselines={"mine": Broken()})
    folds = [(np.arange(60), np.arange(60, 120))]

    def not_of_the_mean(model, X, y):
        if isinstance(model, DummyRegressor):
            raise ValueError("not mine")
        return 1.0

    with pytest.warns(UserWarning, match="baseline: mean cannot be fitted or scored.*not mine"):
        found = evaluate(Ridge(), X, y, cv=folds, scoring=not_of_the_mean)
    assert found.table_["value"].notna().sum() == 1
    assert found.summary()["mean"].notna().sum() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": 3}, "no models to evaluate"),
        ({"models": {"baseline: a": Ridge()}}, "no models to evaluate"),
        ({"scoring": "sharpness"}, "no score of this name"),
        ({"null": "none"}, "null has no such option"),
        ({"null": "matched-covariance"}, "models of X alone"),
        ({"baselines": "all"}, "baselines has no such option"),
        ({"n_adapt": 5}, "does not adapt"),
        ({"cv": []}, "no folds"),
        ({"models": SwitchingGLM(2), "y": np.arange(120) % 2, "scoring": "accuracy"}, "states"),
        ({"models": SwitchingPopulationGLM(2), "y": None, "scoring": ["bits", "r2"]}, "states"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(arguments, message):
    X, y = regression()
    with pytest.raises(DataError, match=message):
        evaluate(**({"models": Ridge(), "X": X, "y": y} | arguments))


def test_clusters_of_cells_beside_k_means():
    retina = make_retina(
        ["on_transient", "off_sustained", "on_off"], n_cells=5, n_frames=60, random_state=0
    )
    model = MostDiscriminativeStimuli(3, n_reference=60, n_steps=8, n_init=2)
    found = evaluate(model, retina.module, retina.types, cv=3, null="default", n_permutations=19)
    summary = found.summary().set_index("model")
    assert set(summary.index) == {
        "MostDiscriminativeStimuli",
        "baseline: k-means of responses",
    }
    assert summary.loc["MostDiscriminativeStimuli", "mean"] > 0.8
    assert summary["p"].eq(0.05).all()
    with pytest.raises(DataError, match="known types"):
        evaluate(model, retina.module)
    for wrong in ({"cv": KFold(3)}, {"null": "circular-shift"}):
        with pytest.raises(DataError, match="clustered with several seeds"):
            evaluate(model, retina.module, retina.types, **wrong)


def test_types_of_cells_are_dealt_anew_and_nothing_is_chosen_on_them():
    types = np.repeat(["a", "b"], [3, 5])
    design = CellsDesign(None, types)
    dealt = design.surrogate("permutation", np.random.default_rng(0)).types
    assert sorted(dealt) == sorted(types) and not np.array_equal(dealt, types)
    with pytest.raises(DataError, match=r"no cells are held out.*stability"):
        design.training(0)
