"""What shifts, scales, masks and modes of a network must not change, and guesses at one half."""

import copy

import numpy as np
import pytest
import torch

from neuroml.exceptions import DataError
from neuroml.representation import (
    PopulationGeometry,
    activation_codes,
    ccgp,
    cka,
    code_separability,
    connectome_init,
    dichotomies,
    effective_rank,
    laziness_report,
    mutual_information,
    participation_ratio,
    rank_limited_init,
    representational_dissimilarity,
    shattering_dimensionality,
    tangent_kernel,
)

RNG = np.random.default_rng
Y = np.repeat(np.arange(4), 8)
SIDE = [0, 0, 1, 1]
X = RNG(0).normal(size=(4, 6))[Y] + RNG(1).normal(size=(32, 6))


def geometry(table, **more):
    model = PopulationGeometry(5, n_bootstrap=2, random_state=0).fit(table, Y, **more)
    return model.to_frame().set_index("quantity")


UNCHANGED = {
    "cka": lambda x: cka(x, X),
    "cka, unbiased": lambda x: cka(x, X, unbiased=True),
    "ccgp": lambda x: ccgp(x, Y, SIDE),
    "shattering": lambda x: shattering_dimensionality(x, Y),
    "participation": participation_ratio,
    "geometry": lambda x: geometry(x).drop("distance").to_numpy(),
}


@pytest.mark.parametrize("measure", UNCHANGED.values(), ids=UNCHANGED)
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e8), (1e-120, 0.0), (1e120, 0.0)])
def test_neither_shift_nor_scale_changes_what_has_no_unit(measure, scale, shift):
    # rounding of X + shift is shift * 2^-53, about 1e-8; an accuracy may change by one sample
    np.testing.assert_allclose(measure(scale * X + shift), measure(X), atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "crossnobis"])
def test_distances_do_not_change_with_a_shift(metric):
    here, there = (representational_dissimilarity(x, Y, metric=metric) for x in (X, X + 1e8))
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_the_distance_in_the_table_is_that_of_the_matrix():
    model = PopulationGeometry(2, n_bootstrap=2, random_state=0).fit(30 * X, Y)
    above = model.dissimilarity_[np.triu_indices(4, 1)].mean()
    assert model.to_frame().set_index("quantity").loc["distance", "value"] == pytest.approx(above)


def test_the_scale_of_a_matrix_is_no_rank():
    assert effective_rank(1e-200 * X, "stable") == pytest.approx(effective_rank(X, "stable"))


@pytest.mark.parametrize("n_units", [1, 3, 90])
def test_what_does_not_vary_has_no_similarity(n_units):
    still = np.full((32, n_units), 0.1)
    assert np.isnan([cka(still, X), cka(still, X, unbiased=True), participation_ratio(still)]).all()


@pytest.mark.parametrize("n_conditions", [3, 4, 5])
def test_a_guess_is_right_half_of_the_time(n_conditions):
    y = np.repeat(np.arange(n_conditions), 4)
    assert shattering_dimensionality(np.ones((len(y), 3)), y) == 0.5


def test_activity_without_noise_is_read_out():
    X0 = RNG(2).normal(size=(4, 6))[Y]  # four points in general position: any split is a plane
    assert shattering_dimensionality(X0, Y) == 1.0
    found = geometry(X0)
    assert found.loc["decoding", "value"] == 1.0
    assert found.loc["reliability", "value"] == pytest.approx(1.0)


def test_asking_for_more_dichotomies_than_there_are_gives_all():
    assert len(dichotomies(18, most=10**6)) == len(dichotomies(18)) == 24310


HIDDEN = np.ma.masked_equal(np.repeat([0, 1, 2, 3], 8), 3)
CONTINUOUS = RNG(3).normal(size=32)
REFUSED = {
    "masked sessions": lambda: shattering_dimensionality(X, Y, sessions=np.ma.masked_equal(Y, 1)),
    "masked labels": lambda: ccgp(X, Y, np.ma.masked_array(SIDE, [0, 0, 0, 1])),
    "missing labels": lambda: geometry(X, labels=[1, 1, np.nan, np.nan]),
    "ragged labels": lambda: geometry(X, labels=[[0, 0, 1, 1], [0, 1]]),
    "masked y": lambda: mutual_information(CONTINUOUS, HIDDEN),
    "missing y": lambda: mutual_information(CONTINUOUS, np.where(Y == 1, np.nan, 1.0 * Y)),
    "no y": lambda: mutual_information(CONTINUOUS, None),
    "masked test classes": lambda: code_separability(X, Y, X, HIDDEN),
    "few samples of a class": lambda: code_separability(X[::4], Y[::4]),
    "sessions that are not used": lambda: representational_dissimilarity(X, Y, sessions=Y % 2),
    "negative precision": lambda: representational_dissimilarity(
        X, Y, metric="crossnobis", precision=-np.eye(6)
    ),
    "asymmetric precision": lambda: representational_dissimilarity(
        X, Y, metric="crossnobis", precision=np.triu(np.ones((6, 6)))
    ),
    "no dichotomy": lambda: dichotomies(4, most=0),
    "half a condition": lambda: dichotomies(4.5),
    "all halves of 40": lambda: dichotomies(40),
    "half a rank": lambda: rank_limited_init(X, 2.5),
    "half a unit": lambda: connectome_init(np.ones((2, 2)), 2.5),
    "no network": lambda: tangent_kernel(3, X),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
def test_what_is_missing_or_no_answer_is_refused(ask):
    with pytest.raises(DataError):
        ask()


@pytest.mark.parametrize("x", [np.zeros(32), RNG(0).poisson(1.0, 32), np.maximum(CONTINUOUS, 0)])
@pytest.mark.parametrize("y", [Y, CONTINUOUS.round()])
def test_neighbors_at_no_distance_are_refused(x, y):
    with pytest.raises(DataError, match="adaptive-bins"):
        mutual_information(x, y, method="ksg")


def test_a_variable_may_be_a_tensor():
    as_array = mutual_information(CONTINUOUS, Y, n_bins=3)
    as_tensors = mutual_information(torch.tensor(CONTINUOUS), torch.tensor(Y), n_bins=3)
    assert as_tensors == as_array


def test_each_class_is_left_out_in_part_in_whatever_order_they_come():
    y = np.arange(50) % 5
    assert code_separability(np.eye(5)[y], y).logistic == 1.0


def network():
    torch.manual_seed(0)
    hidden = torch.nn.Linear(6, 20), torch.nn.BatchNorm1d(20), torch.nn.ReLU()
    return torch.nn.Sequential(*hidden, torch.nn.Dropout(0.5), torch.nn.Linear(20, 2))


def test_networks_are_evaluated_and_stay_as_they_are():
    model = network().train()
    before = copy.deepcopy(model.state_dict())
    report = laziness_report(model, copy.deepcopy(model), X)
    assert report.kernel_alignment == pytest.approx(1.0, abs=1e-6)
    assert report.representation_alignment == pytest.approx(1.0, abs=1e-6)
    assert report.sign_similarity == 1.0
    expected = tangent_kernel(copy.deepcopy(model).eval(), X)
    np.testing.assert_array_equal(tangent_kernel(model, X), expected)
    activation_codes(model, X)
    assert model.training and all(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


class Spare(torch.nn.Module):
    """A network whose last module is not used, and one that returns two tensors."""

    def __init__(self, pair=False):
        super().__init__()
        self.pair, self.used, self.spare = pair, torch.nn.Linear(6, 2), torch.nn.Linear(6, 2)
        self.relu = torch.nn.ReLU()

    def forward(self, x):
        return (self.used(x),) * 2 if self.pair else self.used(x)


def test_modules_that_are_not_run():
    assert laziness_report(Spare(), Spare(), X).representation_alignment == pytest.approx(1.0)
    for ask in (
        lambda: activation_codes(Spare(), X),
        lambda: laziness_report(Spare(), Spare(), X, layer="spare"),
        lambda: tangent_kernel(Spare(pair=True), X),
    ):
        with pytest.raises(DataError):
            ask()


def test_numbers_of_words_stay_whole():
    model = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Flatten())
    assert tangent_kernel(model, torch.tensor([[0, 1], [2, 3]])).shape == (12, 12)
