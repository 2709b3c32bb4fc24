"""What switching models cannot be fitted to, or scored on, is refused in a sentence."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM, select_by_sessions

N = 60
SESSIONS = np.repeat([0, 1, 2], N // 3)
COUNTS = np.random.default_rng(0).poisson(1.0, (N, 2)).astype(float)
CHOICES = (COUNTS[:, :1] > 0).astype(float)
X = np.random.default_rng(1).normal(size=(N, 1))


def with_entry(data, value):
    """The data with one entry replaced, in bin 7 of the first output."""
    changed = data.copy()
    changed[7, 0] = value
    return changed


def glm(family):
    return SwitchingGLM(2, family, n_init=1, max_iter=3, random_state=0), lambda y: (X, y)


def population():
    model = SwitchingPopulationGLM(2, n_lags=3, ridge=1.0, n_init=1, max_iter=3, random_state=0)
    return model, lambda y: (y,)


COUNTED = [
    pytest.param(glm("poisson"), id="poisson"),
    pytest.param(glm("negative_binomial"), id="negative binomial"),
    pytest.param(population(), id="population"),
]
LABELED = [
    pytest.param(glm("bernoulli"), id="bernoulli"),
    pytest.param(glm("categorical"), id="categorical"),
]
pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


def refuse(kind, data, message, **settings):
    """In fit, and after it in every method that takes observations."""
    model, arguments = kind
    with pytest.raises(DataError, match=message):
        model.fit(*arguments(data), **settings)
    good = CHOICES if getattr(model, "family", "") in ("bernoulli", "categorical") else COUNTS
    model.fit(*arguments(good), sessions=SESSIONS)
    for method in ("score", "score_bits", "predict", "predict_proba", "filter_proba"):
        with pytest.raises(DataError, match=message):
            getattr(model, method)(*arguments(data), **settings)


@pytest.mark.parametrize("kind", COUNTED)
@pytest.mark.parametrize(("value", "problem"), [(-1.0, "[Nn]egative|counts"), (0.5, "counts")])
def test_values_that_are_no_counts(kind, value, problem):
    message = rf"(?s)({problem}).*expected whole numbers.*found 1 others.*first.* {value:g}.*bin 7"
    refuse(kind, with_entry(COUNTS, value), message, sessions=SESSIONS)


@pytest.mark.parametrize("kind", LABELED)
@pytest.mark.parametrize("value", [-1.0, 0.5, 2.0])
def test_labels_outside_the_family(kind, value):
    model, arguments = kind
    if value == 2.0 and model.family == "categorical":  # a third class in fit, and none after it
        model.fit(*arguments(CHOICES), sessions=SESSIONS)
        with pytest.raises(DataError, match="2 at bin 7"):
            model.score(*arguments(with_entry(CHOICES, value)), sessions=SESSIONS)
        return
    refuse(
        kind, with_entry(CHOICES, value), rf"found 1 others, the first {value:g} at bin 7",
        sessions=SESSIONS,
    )  # fmt: skip


@pytest.mark.parametrize("kind", COUNTED + LABELED)
def test_sessions_that_are_not_contiguous(kind):
    data = COUNTS if kind in [one.values[0] for one in COUNTED] else CHOICES
    refuse(
        kind, data, "not contiguous.*3 stretches for 2 labels.*Sort the samples",
        sessions=np.where(SESSIONS == 2, 0, SESSIONS),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "sessions", "message"),
    [
        (
            COUNTS,
            np.append(SESSIONS[:-3], [3, 3, 3]),
            "more than n_lags=3.*n_samples=3 in session 3",
        ),
        (COUNTS * [1, 0], SESSIONS, "1 of 2 units, the first is 1.*Leave these units out"),
    ],
    ids=["history longer than a session", "a silent unit"],
)
def test_what_a_population_cannot_be_fitted_to(data, sessions, message):
    with pytest.raises(DataError, match=message):
        population()[0].fit(data, sessions=sessions)


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_a_silent_unit_has_a_small_rate_and_a_finite_score(family):
    model = glm(family)[0].fit(None, COUNTS * [1, 0], sessions=SESSIONS)
    assert np.isfinite(model.score(None, COUNTS, sessions=SESSIONS))
    assert (np.exp(model.intercept_[:, 1]) < 0.1).all()


@pytest.mark.parametrize("kind", COUNTED)
def test_a_choice_among_models_refuses_the_same(kind):
    model, arguments = kind
    bad = arguments(with_entry(COUNTS, -1.0))
    with pytest.raises(DataError, match="counts"):
        select_by_sessions(model, {"n_states": [1]}, *bad, sessions=SESSIONS, cv=3)
