"""Subjects of other units share time courses; their factors are found, and what is missing left out."""

import warnings

import numpy as np
import pandas as pd
import pytest

from neuroml.connectome import CoupledFactorization
from neuroml.exceptions import DataError, NotConvergedWarning

SIZES = {"anna": 6, "ben": 25, "cleo": 60}
COURSES = np.random.default_rng(0).gamma(0.3, size=(50, 3))
COURSES /= np.linalg.norm(COURSES, axis=0)


def cohort(noise=0.0, trials=None, seed=1):
    """Data and unit factors of subjects that share `COURSES`."""
    rng = np.random.default_rng(seed)
    units = {s: rng.gamma(0.5, size=(n, 3)) for s, n in SIZES.items()}
    laps = {s: rng.uniform(size=(trials or 1, 3)) for s in SIZES}
    X = {s: np.einsum("kr,tr,ur->ktu", laps[s], COURSES, units[s]) for s in SIZES}
    X = {s: x + noise * x.std() * np.abs(rng.normal(size=x.shape)) for s, x in X.items()}
    return {s: x if trials else x[0] for s, x in X.items()}, units


def cosines(found, truth):
    """Of every planted column with the found one that is most like it."""
    found, truth = (a / np.linalg.norm(a, axis=0) for a in (found, truth))
    return (truth.T @ found).max(axis=1)


def fit(X, n=3, **settings):
    return CoupledFactorization(n, random_state=0, **settings).fit(X)


@pytest.fixture(scope="module")
def with_trials():
    X, units = cohort(trials=8)
    X["ben"][3] = np.nan  # a lap that was missed
    X["cleo"][2, :, 4] = np.nan  # a cell that was not recorded in a lap
    X["anna"][5, 10:20] = np.nan  # a stretch
    return X, units, fit(X, tol=1e-9, max_iter=2000)


def test_trials_determine_all_factors_whatever_is_missing(with_trials):
    _, units, model = with_trials
    # exact data, and a ridge of 1e-3: cosines are 1 but for its square
    assert cosines(model.time_courses_, COURSES).min() > 0.999
    for subject in SIZES:
        assert cosines(model.unit_factors_[subject], units[subject]).min() > 0.999
        assert model.trial_factors_[subject].shape == (8, 3)
    assert np.isnan(model.trial_factors_["ben"]).all(axis=1).tolist() == [k == 3 for k in range(8)]
    assert (model.explained_ > 0.9999).all() and model.restart_matches_.min() > 0.99
    # what is missing is predicted, too
    whole = cohort(trials=8)[0]["cleo"][2, :, 4]
    row = model.subjects_.index("cleo")
    scale = model.subject_norms_[row] * model.subject_loadings_[row]
    predicted = model.time_courses_ @ (
        scale * model.unit_factors_["cleo"][4] * model.trial_factors_["cleo"][2]
    )
    assert np.linalg.norm(predicted - whole) < 0.02 * np.linalg.norm(whole)


def test_values_under_a_gap_do_not_matter(with_trials):
    X, _, model = with_trials
    masked = {s: np.ma.masked_array(np.nan_to_num(x, nan=1e6), np.isnan(x)) for s, x in X.items()}
    found = fit(masked, tol=1e-9, max_iter=2000)
    np.testing.assert_array_equal(found.time_courses_, model.time_courses_)


def test_normal_form():
    model = fit(cohort()[0])
    assert np.allclose(np.linalg.norm(model.time_courses_, axis=0), 1)
    assert all(np.allclose(np.linalg.norm(u, axis=0), 1) for u in model.unit_factors_.values())
    strength = (model.subject_loadings_**2).mean(axis=0)
    assert (np.diff(strength) <= 0).all()
    assert (np.diff(model.objective_trace_) <= 1e-9).all()
    assert min(model.time_courses_.min(), model.subject_loadings_.min()) >= 0


def test_no_subject_dominates_and_scale_is_its_norm():
    """One subject's values times 100, or each of its units ten times: the same courses."""
    X, _ = cohort(noise=0.3)
    model = fit(X)
    louder = fit(X | {"anna": 100 * X["anna"]})
    more = fit(X | {"anna": np.tile(X["anna"], 10)})
    for other in (louder, more):
        np.testing.assert_allclose(cosines(other.time_courses_, model.time_courses_), 1, atol=1e-3)
    np.testing.assert_allclose(louder.subject_norms_[0], 100 * model.subject_norms_[0])
    unbalanced = fit(X | {"anna": 100 * X["anna"]}, balance=False)
    assert (unbalanced.subject_norms_ == 1).all()
    assert unbalanced.explained_[0] > model.explained_[0]


def test_a_component_that_a_subject_does_not_have_has_no_loading():
    X, units = cohort(trials=8)
    lacking = units["ben"] * [1, 0, 1]
    laps = np.random.default_rng(5).uniform(size=(8, 3))
    X["ben"] = np.einsum("kr,tr,ur->ktu", laps, COURSES, lacking)
    model = fit(X)
    second = (COURSES[:, 1] @ model.time_courses_).argmax()
    loadings = model.subject_loadings_[:, second]
    assert loadings[1] < 0.05 * min(loadings[0], loadings[2])


def test_transform_gives_unit_factors_of_new_subjects(with_trials):
    X, _ = cohort()
    model = fit(X)
    rng = np.random.default_rng(7)
    planted = rng.gamma(0.5, size=(9, 3))
    new = model.time_courses_ @ planted.T
    new[:20, 2] = np.nan
    new[:, 5] = np.nan
    found = model.transform(new)
    assert np.isnan(found[5]).all()
    known = np.arange(9) != 5
    # the ridge draws factors towards zero; how little is a judgment, not derived
    np.testing.assert_allclose(found[known], planted[known], atol=0.02 * planted.max())
    assert set(model.transform({"dora": new})) == {"dora"}
    own = model.transform(X)["ben"]
    scale = model.subject_norms_[1] * model.subject_loadings_[1]
    np.testing.assert_allclose(own, scale * model.unit_factors_["ben"], atol=0.02 * own.max())
    laps, _, coupled = with_trials
    own = coupled.transform({"x": laps["anna"]})["x"]
    scale = coupled.subject_norms_[0] * coupled.subject_loadings_[0]
    np.testing.assert_allclose(own, scale * coupled.unit_factors_["anna"], atol=0.02 * own.max())


def test_score_is_that_of_left_out_stretches():
    """Near 1 for new subjects that share the courses, not above 0 where time is shuffled."""
    model = fit(cohort()[0])
    new, _ = cohort(noise=0.1, seed=9)
    shuffled = {s: x[np.random.default_rng(3).permutation(50)] for s, x in new.items()}
    assert model.score(new) > 0.9
    assert model.score(shuffled) < 0.1
    alone = [model.score({s: x}) for s, x in new.items()]
    assert model.score(new, sample_weight=[3, 0, 1]) == pytest.approx((3 * alone[0] + alone[2]) / 4)
    halves = np.repeat(["one", "two"], 25)
    assert model.score(new, sessions=halves) != model.score(new)
    again = CoupledFactorization(3, random_state=0).fit(cohort()[0], sessions=halves)
    assert again.score(new) == model.score(new, sessions=halves)


def test_the_table_holds_every_factor(with_trials):
    _, _, model = with_trials
    table = model.to_frame()
    counts = table.groupby("quantity").size().to_dict()
    n_units = sum(SIZES.values())
    assert counts == {
        "time_course": 150, "loading": 9, "unit_factor": 3 * n_units, "trial_factor": 72
    }  # fmt: skip
    named = {s: pd.DataFrame(x).add_prefix("cell") for s, x in cohort()[0].items()}
    own = fit(named).to_frame().query("quantity == 'unit_factor' and subject == 'anna'")
    assert own["label"].unique().tolist() == [f"cell{k}" for k in range(6)]


def test_a_fit_that_stops_early_warns_and_one_that_is_interrupted_leaves_the_last(monkeypatch):
    X, _ = cohort(noise=0.3)
    with pytest.warns(NotConvergedWarning, match="CoupledFactorization stopped after 1"):
        fit(X, max_iter=1)
    model = fit(X)
    before = dict(vars(model))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("neuroml.connectome.coupled_factorization.factorize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(cohort(seed=4)[0])
    assert vars(model) == before


def changed(where, value, subject="ben", **given):
    X = cohort(**given)[0]
    X[subject][where] = value
    return X


def cut(subject, rows):
    X = cohort()[0]
    return X | {subject: X[subject][:rows]}


BAD = {
    "one subject": (lambda: {"anna": cohort()[0]["anna"]}, "there is one subject.*NonnegativeCP"),
    "one array": (lambda: cohort()[0]["anna"], "there is one subject"),
    "other lengths": (lambda: cut("ben", 40), "no time axis.*ben: 40 samples.*Cut to"),
    "units first": (lambda: {"a": COURSES.T, "b": COURSES[:, :2].T}, "Transpose"),
    "negative": (lambda: changed((3, 4), -1.0), "subject ben.*Negative values.*minimum -1"),
    "infinite": (lambda: changed((3, 4), np.inf), "infinity"),
    "a unit never seen": (lambda: changed(np.s_[:, 4], np.nan), r"never seen.*\[4\]"),
    "a silent subject": (lambda: changed(np.s_[:], 0.0), "silent throughout"),
    "nobody saw it": (
        lambda: {s: np.where(np.arange(50)[:, None] == 7, np.nan, x)
                 for s, x in cohort()[0].items()}, r"seen by no subject.*\[7\]"),
    "trials in one": (
        lambda: cohort()[0] | {"ben": cohort(trials=2)[0]["ben"]}, "trials in 'ben' only"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(make, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=f"(?s){message}"):
            fit(make())


def test_other_refusals():
    X, _ = cohort()
    with pytest.raises(DataError, match="n_components <= 50"):
        fit(X, 51)
    labels = np.repeat([0, 1], 25)
    with pytest.raises(DataError, match="subjects differ in their sessions"):
        model = CoupledFactorization(1)
        model.fit(X, sessions={"anna": labels, "ben": labels, "cleo": np.repeat([0, 1], [20, 30])})
    model = fit(X)
    with pytest.raises(DataError, match="50 samples, no trials.*40 samples"):
        model.transform(X["ben"][:40])
    with pytest.raises(DataError, match="no trials.*with trials"):
        model.transform(cohort(trials=2)[0])
