"""Planted blocks are found, nothing is found in nothing, bad graphs are refused."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaln, gammaln
from sklearn.metrics import adjusted_rand_score

from neuroml.connectome import WeightedSBM
from neuroml.connectome._block_model import compute_evidence
from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.simulate import make_planted_weights, make_weighted_lfr


def symmetric(A):
    A = np.triu(A, 1)
    return A + A.T


@pytest.mark.parametrize("family", ["exponential", "lognormal", "normal"])
def test_recovers_planted_blocks_and_their_family(family):
    aris, families = [], []
    for seed in range(5):
        graph = make_planted_weights(
            [25, 20, 15], ratio=5, n_silent=0, family=family, random_state=seed
        )
        model = WeightedSBM(random_state=seed).fit(graph.W)
        aris.append(adjusted_rand_score(graph.communities, model.labels_))
        families.append(model.family_)
    assert np.mean(aris) > 0.95
    assert families == [family] * 5


NULLS = {
    "exponential": lambda rng, s: rng.exponential(size=s),
    "log-normal": lambda rng, s: rng.lognormal(size=s),
    "normal": lambda rng, s: rng.normal(size=s),
    "gamma, not among the families": lambda rng, s: rng.gamma(0.5, size=s),
    "heavy tails": lambda rng, s: np.abs(rng.standard_t(3, size=s)),
    "uniform": lambda rng, s: rng.uniform(size=s),
    "half zero": lambda rng, s: np.maximum(rng.normal(size=s), 0.0),
    "sparse": lambda rng, s: rng.exponential(size=s) * (rng.uniform(size=s) < 0.2),
    "yes or no": lambda rng, s: (rng.uniform(size=s) < 0.3).astype(float),
    "constant": lambda rng, s: np.ones(s),
}


def test_one_block_where_there_is_nothing():
    """Shuffled graphs catch laws outside the families in 10 of 11 cases, the ICL most others."""
    wrong = []
    for name, draw in NULLS.items():
        for seed in range(4):
            W = symmetric(draw(np.random.default_rng(seed), (40, 40)))
            model = WeightedSBM(n_init=4, random_state=seed).fit(W)
            wrong += [name] * (model.n_blocks_ > 1)
    assert len(wrong) <= 4, wrong  # of 40; binomial(40, 1/11) is above 4 in 1 of 3 at the worst


def test_hubs_are_no_blocks_with_degree_correction():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        factor = rng.lognormal(0, 0.5, size=60)
        W = symmetric(rng.exponential(size=(60, 60)) * factor[:, None] * factor)
        corrected = WeightedSBM("exponential", degree_corrected=True, random_state=0).fit(W)
        plain = WeightedSBM("exponential", degree_corrected=False, random_state=0).fit(W)
        assert corrected.n_blocks_ == 1
        assert plain.n_blocks_ > 1


def test_finds_communities_of_hubs_in_a_sparse_graph():
    aris = [
        adjusted_rand_score(
            graph.communities, WeightedSBM(n_shuffles=0, random_state=0).fit(graph.W).labels_
        )
        for graph in (make_weighted_lfr(topology_mixing=0.25, random_state=s) for s in range(4))
    ]
    assert np.mean(aris) > 0.3


def test_order_and_scale_of_nodes_change_nothing_but_the_order():
    graph = make_planted_weights([15, 12, 10], ratio=6, n_silent=0, random_state=0)
    order = np.random.default_rng(0).permutation(37)
    one = WeightedSBM(random_state=0).fit(graph.W)
    other = WeightedSBM(random_state=0).fit(100 * graph.W[np.ix_(order, order)])
    assert adjusted_rand_score(one.labels_[order], other.labels_) == 1.0


def test_missing_pairs_and_the_diagonal_do_not_matter():
    graph = make_planted_weights([15, 12, 10], ratio=6, n_silent=0, random_state=0)
    gone = symmetric(np.random.default_rng(0).uniform(size=(37, 37)) < 0.2).astype(bool)
    W = np.where(gone, np.nan, graph.W)
    one = WeightedSBM(random_state=0).fit(W)
    np.fill_diagonal(W, 1e6)
    other = WeightedSBM(random_state=0).fit(W)
    assert one.icl_ == other.icl_
    np.testing.assert_array_equal(one.labels_, other.labels_)
    assert adjusted_rand_score(graph.communities, one.labels_) > 0.9


def test_attributes_agree_with_each_other():
    graph = make_planted_weights([20, 15], ratio=6, n_silent=1, random_state=0)
    model = WeightedSBM(random_state=0, n_shuffles=3).fit(graph.W)
    assert model.n_blocks_ == 2 == len(np.unique(model.labels_))
    assert model.icl_ == model.candidates_.icl.max()
    assert model.gain_ > model.shuffle_gains_.max()
    assert model.block_means_[0, 0] > model.block_means_[1, 1]
    inside = graph.W[np.ix_(model.labels_ == 0, model.labels_ == 0)]
    n = len(inside)
    assert model.block_means_[0, 0] == pytest.approx(inside.sum() / (n * (n - 1)))
    assert model.coassignment_.shape == (35, 35)
    assert (np.diag(model.coassignment_) == 1).all()


def test_processes_give_the_same_result():
    W = make_planted_weights([10, 10], random_state=0).W
    one = WeightedSBM(random_state=3, n_shuffles=2, n_init=2).fit(W)
    two = WeightedSBM(random_state=3, n_shuffles=2, n_init=2, n_jobs=2).fit(W)
    assert one.icl_ == two.icl_


def test_too_few_sweeps_are_said():
    graph = make_planted_weights(ratio=3, random_state=0)
    with pytest.warns(NotConvergedWarning):
        model = WeightedSBM("exponential", max_iter=1, n_shuffles=0, random_state=0).fit(graph.W)
    assert not model.converged_


BAD = {
    "not square": (np.ones((4, 5)), {}, "square"),
    "not symmetric": (np.triu(np.ones((4, 4))), {}, "not symmetric"),
    "missing on one side": (np.where(np.eye(4, k=1) > 0, np.nan, 1.0), {}, "not symmetric"),
    "negative": (-np.ones((4, 4)), {"family": "exponential"}, "negative weights"),
    "one node": (np.ones((1, 1)), {}, "never observed"),
    "never seen": (
        np.where(np.arange(4)[:, None] + np.arange(4) == 99, 1, np.nan),
        {},
        "never observed",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    W, parameters, message = BAD[name]
    with pytest.raises(DataError, match=message):
        WeightedSBM(**parameters).fit(W)


def binary_blocks(n_nodes, inside, between, seed):
    """Three blocks that differ in their density of edges alone."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2], n_nodes // 3)
    density = np.where(truth[:, None] == truth, inside, between)
    upper = np.triu(rng.uniform(size=density.shape) < density, 1)
    return (upper | upper.T).astype(float), truth


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(45, 0.7, 0.1), (90, 0.5, 0.05)])
@pytest.mark.parametrize("family", ["auto", "exponential", "lognormal", "normal"])
def test_blocks_of_a_binary_graph_come_from_its_edges(family, sizes, seed):
    A, truth = binary_blocks(*sizes, seed)
    model = WeightedSBM(family, n_shuffles=3, random_state=0).fit(A)
    assert model.n_blocks_ == 3 and model.family_ == "presence"
    assert adjusted_rand_score(truth, model.labels_) > 0.9


@pytest.mark.parametrize("correct", [False, True, "auto"])
@pytest.mark.parametrize("scale", [7.0, 0.3, 1e-9, 1e9])
def test_the_weight_that_all_edges_share_does_not_matter(scale, correct):
    A, _ = binary_blocks(45, 0.7, 0.1, 0)
    one, other = (
        WeightedSBM(degree_corrected=correct, n_shuffles=2, random_state=0).fit(W)
        for W in (A, scale * A)
    )
    np.testing.assert_array_equal(one.labels_, other.labels_)
    assert one.icl_ == other.icl_
    np.testing.assert_allclose(other.block_means_, scale * one.block_means_)


def test_the_icl_of_a_binary_graph_is_that_of_its_edges():
    """Bernoulli edges with uniform priors, and the prior of the partition, written out."""
    A, truth = binary_blocks(12, 0.7, 0.2, 0)
    evidence = compute_evidence(A, "presence")
    expected = sum(gammaln(n + 1) for n in np.bincount(truth)) + gammaln(3) + gammaln(4)
    expected -= gammaln(12 + 3)
    for a in range(3):
        for b in range(a + 1):
            block = A[np.ix_(truth == a, truth == b)]
            pairs = block[np.tril_indices(len(block), -1)] if a == b else block.ravel()
            expected += betaln(pairs.sum() + 1, len(pairs) - pairs.sum() + 1)
    np.testing.assert_allclose(evidence.icl(truth), expected)


@pytest.mark.parametrize("correct", [False, True, "auto"])
@pytest.mark.parametrize("family", ["auto", "exponential", "lognormal", "normal"])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_graphs_that_are_empty_or_all_one_weight_are_one_block(weight, family, correct):
    model = WeightedSBM(family, degree_corrected=correct, n_shuffles=2, random_state=0)
    model.fit(np.full((20, 20), weight))
    assert model.n_blocks_ == 1 and np.isfinite(model.icl_)
    np.testing.assert_allclose(model.block_means_, weight)


def test_what_is_not_symmetric_is_shown():
    W = symmetric(np.ones((6, 6)))
    W[1, 4] = 1.5
    with pytest.raises(DataError, match=r"W\[1, 4\] = 1.5, W\[4, 1\] = 1\."):
        WeightedSBM().fit(W)
    W[2, 3] = np.nan  # a pair seen from one side only is worse than any difference
    with pytest.raises(DataError, match=r"W\[2, 3\] = nan, W\[3, 2\] = 1\..*NaN on both sides"):
        WeightedSBM().fit(W)


def test_rows_of_a_table_are_in_the_order_of_its_columns():
    graph = make_planted_weights([8, 8], ratio=6, n_silent=0, random_state=0)
    names = [f"unit{i}" for i in range(16)]
    table = pd.DataFrame(graph.W, index=names, columns=names)
    wanted = WeightedSBM(n_shuffles=2, random_state=0).fit(table)
    turned = WeightedSBM(n_shuffles=2, random_state=0).fit(table.iloc[::-1])
    assert wanted.icl_ == turned.icl_
    np.testing.assert_array_equal(wanted.labels_, turned.labels_)


def grouped_blocks(kind, seed=0):
    """Four groups of four blocks of eight nodes each."""
    rng = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(16), 8)
    groups = blocks // 4
    share = np.where(groups[:, None] == groups, 0.1, 0.03)
    share = np.where(blocks[:, None] == blocks, 0.8, share)
    if kind == "binary":
        return symmetric((rng.uniform(size=share.shape) < share).astype(float)), blocks, groups
    if kind == "normal":
        return symmetric(rng.normal(4 * share)), blocks, groups
    return symmetric(rng.exponential(share / share.mean())), blocks, groups


@pytest.mark.parametrize("kind", ["binary", "exponential", "normal"])
def test_groups_of_blocks_show_blocks_that_are_too_small_alone(kind):
    W, blocks, groups = grouped_blocks(kind)
    family = "auto" if kind == "binary" else kind
    flat, nested = (
        WeightedSBM(family, nested=nested, n_shuffles=1, n_init=4, random_state=0).fit(W)
        for nested in (False, True)
    )
    assert adjusted_rand_score(blocks, nested.labels_) > 0.9
    assert adjusted_rand_score(blocks, nested.labels_) > adjusted_rand_score(blocks, flat.labels_)
    assert nested.icl_ > flat.icl_
    assert len(flat.levels_) == 1 and len(nested.levels_) >= 2
    np.testing.assert_array_equal(nested.levels_[0], nested.labels_)
    for finer, coarser in itertools.pairwise(nested.levels_):
        assert 1 < len(np.unique(coarser)) < len(np.unique(finer))
        assert len(np.unique(np.stack([finer, coarser]), axis=1).T) == len(np.unique(finer))
    if kind == "binary":
        assert adjusted_rand_score(groups, nested.levels_[1]) > 0.9


def test_nothing_has_no_hierarchy():
    wrong = []
    for name, draw in NULLS.items():
        W = symmetric(draw(np.random.default_rng(0), (40, 40)))
        model = WeightedSBM(n_init=2, nested=True, random_state=0).fit(W)
        wrong += [name] * (model.n_blocks_ > 1)
        assert len(model.levels_) == 1 or model.n_blocks_ > 1
    assert len(wrong) <= 3, wrong  # of 10; binomial(10, 1/11) is above 3 in 1 of 100


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_a_graph_of_one_weight_has_no_hierarchy(weight):
    model = WeightedSBM(nested=True, n_shuffles=1, random_state=0).fit(np.full((20, 20), weight))
    assert model.n_blocks_ == 1 and np.isfinite(model.icl_)
    np.testing.assert_array_equal(model.levels_, np.zeros((1, 20)))
