import numpy as np
import pytest
from scipy.stats import spearmanr

from neuroml.data import load_dataset


@pytest.fixture(scope="module")
def fish(shared_data):
    return load_dataset("zebrafish_regions", data_dir=shared_data).recordings[0]


def test_empty_regions_are_dropped_everywhere(fish):
    assert fish.signal.shape == (892, 67)
    assert fish.structural.shape == fish.structural_directed.shape == (67, 67)
    assert not {"RH", "Pit", "GG"} & {*fish.unit.values, *fish.target.values}
    assert len(fish.attrs["dropped"]) == 3
    assert fish.attrs["time_axis"] == "samples"
    assert fish.attrs["rate_hz"] is None


def test_structural_matrices(fish):
    symmetric, directed = fish.structural.values, fish.structural_directed.values
    assert np.array_equal(symmetric, symmetric.T)
    assert not np.array_equal(directed, directed.T)
    assert set(fish.unit.values[~directed.any(axis=1)]) == {"ALLG", "PLLG"}


def test_regions_match_positions_and_connections(fish):
    """What is connected, or near, is correlated; a permutation of the labels would undo it."""
    edges = np.triu_indices(67, k=1)
    functional = np.corrcoef(fish.signal.values.T)[edges]
    where = np.stack([fish[axis].values for axis in "xyz"], axis=1)
    distance = np.linalg.norm(where[:, None] - where[None], axis=-1)[edges]
    assert spearmanr(functional, fish.structural.values[edges]).statistic > 0.35
    assert spearmanr(functional, distance).statistic < -0.3
    assert spearmanr(distance, fish.structural.values[edges]).statistic < -0.3


def test_units_are_acronyms_with_full_names(fish):
    assert str(fish.region.sel(unit="Cb").values) == "cerebellum"
