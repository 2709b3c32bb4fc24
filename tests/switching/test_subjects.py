"""Subjects of the bins: their share of every state, and states that are one of them."""

import warnings

import numpy as np
import pandas as pd
import pytest

import neuroml
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

N = 60  # bins of a session
SESSIONS = np.repeat(np.arange(6), N)
NAMES = np.repeat(["anna", "ben", "cleo"], 2 * N)


def spikes(rates):
    """Counts of two units that fire in turn, from the rate of the first one in each bin."""
    rng = np.random.default_rng(0)
    return rng.poisson(np.column_stack([rates, 4.2 - rates])).astype(float)


ALTERNATING = spikes(np.tile(np.repeat([0.2, 4.0], 10), len(SESSIONS) // 20))
ONE_APART = spikes(np.where(NAMES == "ben", 0.2, 4.0))

KINDS = {
    "glm": (SwitchingGLM(2, "poisson", n_init=2, random_state=0), lambda one: (None, one)),
    "population": (
        SwitchingPopulationGLM(2, n_lags=2, ridge=1.0, n_init=2, random_state=0),
        lambda one: (one,),
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def fit(kind, given, **settings):
    model, arguments = kind
    return model.fit(*arguments(given), **settings)


def test_occupancy_by_subject_is_the_mean_posterior(kind):
    model = fit(kind, ALTERNATING, sessions=SESSIONS, groups=NAMES)
    posterior = model.predict_proba(*kind[1](ALTERNATING), sessions=SESSIONS)
    assert list(model.subject_occupancy_.index) == ["anna", "ben", "cleo"]
    assert model.subject_occupancy_.index.name == "subject"
    for name, row in model.subject_occupancy_.iterrows():
        np.testing.assert_allclose(row, posterior[NAMES == name].mean(axis=0), atol=1e-6)


def test_forms_that_name_subjects_give_the_same(kind, tmp_path):
    parts = np.split(ALTERNATING, 6)
    expected = fit(kind, ALTERNATING, sessions=SESSIONS, groups=NAMES).subject_occupancy_
    as_dict = {name: parts[2 * i : 2 * i + 2] for i, name in enumerate(["anna", "ben", "cleo"])}
    for given, settings in ((as_dict, {}), (parts, {"groups": NAMES})):
        model = fit(kind, given, **settings)
        pd.testing.assert_frame_equal(model.subject_occupancy_, expected)
    neuroml.save(model, tmp_path / "m.safetensors")
    loaded = neuroml.load(tmp_path / "m.safetensors")
    pd.testing.assert_frame_equal(loaded.subject_occupancy_, expected, check_names=False)
    assert not hasattr(fit(kind, parts), "subject_occupancy_")


def test_a_state_that_is_one_subject_is_told(kind):
    with pytest.warns(UserWarning, match=r"state 1 \(subject 'ben'\): nearly all.*says who"):
        fit(kind, ONE_APART, sessions=SESSIONS, groups=NAMES)


@pytest.mark.parametrize(
    ("given", "groups"),
    [(ALTERNATING, NAMES), (ONE_APART, np.repeat("ben", len(NAMES)))],
    ids=["all visit it", "one subject"],
)
def test_a_state_that_subjects_share_is_not(kind, given, groups):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(kind, given, sessions=SESSIONS, groups=groups)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (NAMES[:-1], "groups do not match the samples"),
        (np.roll(NAMES, 5), "session lies in several subjects.*Pass sessions="),
        (np.where(SESSIONS == 3, None, NAMES), "some groups are missing"),
    ],
    ids=["too few", "cut sessions", "missing"],
)
def test_groups_that_do_not_fit_are_refused(kind, groups, message):
    with pytest.raises(DataError, match=message):
        fit(kind, ALTERNATING, sessions=SESSIONS, groups=groups)


def test_subjects_given_twice_are_refused(kind):
    with pytest.raises(DataError, match="groups were given twice"):
        fit(kind, {"a": ALTERNATING, "b": ALTERNATING}, groups=np.repeat(["a", "b"], 6 * N))
