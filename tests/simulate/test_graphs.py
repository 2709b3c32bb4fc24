"""Planted graphs have the degrees, strengths and mixing that were asked for."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.simulate import LFR_SETTINGS, make_planted_weights, make_weighted_lfr

SEEDS = range(5)


def share_inside(graph, values):
    same = graph.communities[:, None] == graph.communities
    return (values * same).sum() / values.sum()


@pytest.mark.parametrize("setting", LFR_SETTINGS)
def test_lfr_has_its_mixing_and_degrees(setting):
    asked = {"topology_mixing": 0.5, "weight_mixing": 0.5, "mean_degree": 25.0}
    asked |= LFR_SETTINGS[setting]
    graphs = [make_weighted_lfr(random_state=seed, **LFR_SETTINGS[setting]) for seed in SEEDS]
    for graph in graphs:
        np.testing.assert_array_equal(graph.W, graph.W.T)
        assert not graph.W.diagonal().any() and graph.W.min() == 0
    degrees = np.mean([(g.W > 0).sum(axis=1).mean() for g in graphs])
    edges = np.mean([share_inside(g, (g.W > 0).astype(float)) for g in graphs])
    weights = np.mean([share_inside(g, g.W) for g in graphs])
    assert degrees == pytest.approx(asked["mean_degree"], rel=0.25)
    assert edges == pytest.approx(1 - asked["topology_mixing"], abs=0.15)
    if setting != "mut=0.25":  # one community holds most units, whose outer edges find no partners
        assert weights == pytest.approx(1 - asked["weight_mixing"], abs=0.1)


def test_published_rules_give_fewer_larger_communities_and_keep_what_finds_no_partner_outside():
    """The published generator: 2.4 communities and 1,481 edges a graph, a sixth of one community.

    Of 30 of its graphs (seeds 1000 to 1029), with standard errors of .2, 20 and .07.
    """
    graphs = [make_weighted_lfr(published=True, random_state=seed) for seed in range(12)]
    numbers = np.array([g.communities.max() + 1 for g in graphs])
    assert 1.8 < numbers.mean() < 3.4
    edges = [(g.W > 0).sum() / 2 for g in graphs]
    assert 1400 < np.mean(edges) < 1650
    single = [
        make_weighted_lfr(published=True, topology_mixing=0.25, random_state=s) for s in range(8)
    ]
    alone = [g for g in single if not g.communities.any()]
    assert alone  # a quarter of them
    assert all((g.W > 0).sum() / 2 > 1000 for g in alone)


def test_strengths_follow_degrees():
    graph = make_weighted_lfr(strength_exponent=2.0, random_state=0)
    degrees, strengths = (graph.W > 0).sum(axis=1), graph.W.sum(axis=1)
    slope = np.polyfit(np.log(degrees), np.log(strengths), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("family", ["exponential", "lognormal", "normal"])
def test_planted_means(family):
    graph = make_planted_weights([60, 60], ratio=3, n_silent=1, family=family, random_state=0)
    np.testing.assert_array_equal(graph.W, graph.W.T)
    inside = graph.W[60:, 60:][np.triu_indices(60, 1)]
    assert inside.mean() == pytest.approx(3.0, abs=5 * inside.std() / np.sqrt(inside.size))
    assert graph.W[:60].sum() / (60 * 119) == pytest.approx(1.0, abs=0.15)


def test_refuses():
    with pytest.raises(DataError, match="mean_degree"):
        make_weighted_lfr(20)
    with pytest.raises(DataError, match="community_sizes"):
        make_weighted_lfr(community_sizes=(3, 5))
    for sizes in ((200, 300), (30, 20), (0, 20)):
        with pytest.raises(DataError, match="community_sizes"):
            make_weighted_lfr(community_sizes=sizes, published=True)
    with pytest.raises(DataError, match="family"):
        make_planted_weights(family="cauchy")
