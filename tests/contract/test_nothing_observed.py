"""Where nothing is observed the answer is NaN, or an error that says so: never 0, inf or a crash."""

import numpy as np
import pytest

from neuroml.connectome import (
    DynamicConnectome,
    FiberTensor,
    NonnegativeCP,
    WeightedSBM,
    select_rank,
)
from neuroml.exceptions import DataError
from neuroml.simulate import make_dynamic_communities, make_switching_spikes
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

RNG = np.random.default_rng(0)
A, B, C = (RNG.uniform(0.1, 1, size=(n, 2)) for n in (8, 7, 6))
TENSOR = np.einsum("ir,jr,kr->ijk", A, B, C)
FAMILIES = ["bernoulli", "categorical", "gaussian", "poisson", "negative_binomial"]
INPUTS = RNG.standard_normal((200, 2))


def factors(mode):
    return NonnegativeCP(2, n_init=2, sample_mode=mode, random_state=0).fit(TENSOR)


@pytest.mark.parametrize("as_fibers", [False, True])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_loadings_of_a_slice_that_was_not_observed_are_unknown(mode, as_fibers):
    model, gone = factors(mode), np.moveaxis(TENSOR.copy(), mode, 0)
    gone[[1, 4]] = np.nan
    gone[2, 0] = np.nan
    given = np.moveaxis(gone, 0, mode)
    if as_fibers:  # fibers that are NaN throughout are no observation either
        index = np.column_stack([axis.ravel() for axis in np.indices(given.shape[:2])])
        given = FiberTensor(given.reshape(-1, given.shape[2]), index, given.shape)
    loadings = model.transform(given)
    assert np.isnan(loadings).all(axis=1).nonzero()[0].tolist() == [1, 4]
    whole = model.transform(TENSOR)
    others = [0, 2, 3, 5]
    np.testing.assert_allclose(loadings[others], whole[others], atol=0.05 * whole.max())
    assert np.isfinite(model.score(given))


@pytest.mark.parametrize("method", ["transform", "score"])
def test_a_tensor_of_which_nothing_is_observed_is_refused(method):
    with pytest.raises(DataError, match="every entry is missing"):
        getattr(factors(0), method)(np.full((2, 7, 6), np.nan))


def test_fit_refuses_an_index_whose_fibers_are_all_missing():
    values = TENSOR.reshape(-1, 6).copy()
    index = np.column_stack([axis.ravel() for axis in np.indices((8, 7))])
    values[index[:, 0] == 3] = np.nan
    with pytest.raises(DataError, match=r"none at \[3\] of mode 0"):
        NonnegativeCP(2).fit(FiberTensor(values, index, TENSOR.shape))


def test_loadings_of_an_subject_that_shows_no_pair():
    data = make_dynamic_communities(12, 4, 80, n_communities=2, n_active_subjects=3, random_state=0)
    model = DynamicConnectome(2, n_init=2, random_state=0).fit(list(data.X))
    empty = np.full_like(data.X[0], np.nan)
    loadings = model.transform([data.X[0], empty])
    assert np.isfinite(loadings[0]).all() and np.isnan(loadings[1]).all()
    with pytest.raises(DataError, match="every entry is missing"):
        model.transform([empty])


def switching(family):
    y = {
        "bernoulli": RNG.integers(0, 2, 200),
        "categorical": RNG.integers(0, 3, 200),
        "gaussian": RNG.standard_normal(200),
    }.get(family, RNG.poisson(2.0, 200))
    return SwitchingGLM(2, family, n_init=1, tol=1e-3, random_state=0).fit(INPUTS, y.astype(float))


@pytest.mark.parametrize("family", FAMILIES)
def test_switching_models_without_an_observation(family):
    model, nothing = switching(family), np.full(200, np.nan)
    for null in ("glm", "shuffled"):
        with pytest.raises(DataError, match="there is no .* to score"):
            model.score_bits(INPUTS, nothing, null=null)
    with pytest.raises(DataError, match="there is no observed bin to score"):
        model.score(INPUTS, nothing)
    with pytest.raises(DataError, match="missing in every bin"):
        model.fit(INPUTS, nothing)


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_bits_per_spike_without_a_spike(family):
    model = switching(family)
    assert np.isfinite(model.score(INPUTS, np.zeros(200)))
    with pytest.raises(DataError, match="there is no spike to score"):
        model.score_bits(INPUTS, np.zeros(200))


def test_bits_per_spike_of_a_population_without_a_spike():
    data = make_switching_spikes(4, 2, n_sessions=2, n_bins=300, random_state=0)
    model = SwitchingPopulationGLM(2, n_lags=2, link="sigmoid", n_init=1, tol=1e-2, random_state=0)
    model.fit(data.spikes, sessions=data.sessions)
    with pytest.raises(DataError, match="no spike to score"):
        model.score_bits(np.zeros((50, 4)))


def test_a_graph_of_which_nothing_is_observed():
    with pytest.raises(DataError, match="never observed"):
        WeightedSBM().fit(np.full((5, 5), np.nan))


def test_a_fold_that_leaves_out_only_zeros_is_no_score():
    tensor = np.zeros((6, 5, 4))
    tensor[0, :, :] = tensor[:, 0, :] = 1.0
    tensor[0, 0] = 2.0
    with pytest.raises(DataError, match="no finite held-out error"):
        select_rank(
            tensor, [1, 2], holdout="fiber", n_folds=12, model=NonnegativeCP(n_init=1),
            random_state=0,
        )  # fmt: skip
