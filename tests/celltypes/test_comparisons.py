import numpy as np
import pytest

from neuroml.celltypes import compare_clusterings, stability, type_confusion
from neuroml.exceptions import DataError


def test_confusion_rows_are_shares_in_the_order_of_types():
    table = type_confusion(["a", "a", "b", "b", "b"], [7, 7, 2, 2, 7])
    assert table.columns.tolist() == [7, 2]
    np.testing.assert_allclose(table.to_numpy(), [[1, 0], [1 / 3, 2 / 3]])


def test_table_shows_agreement_and_stability_apart():
    """The same wrong answer every time is stable."""
    types = np.repeat([0, 1], 10)
    wrong = np.tile([0, 1], 10)
    methods = {
        "right": lambda seed: types if seed else 1 - types,
        "wrong": lambda seed: wrong,
        "random": lambda seed: np.random.default_rng(seed).integers(0, 2, size=20),
    }
    table = compare_clusterings(methods, types, seeds=range(5))
    assert table.loc["right"].tolist() == [1.0, 0.0, 1.0, 2.0]
    assert table.loc["wrong", "ari_mean"] < 0 and table.loc["wrong", "stability"] == 1
    assert abs(table.loc["random", "stability"]) < 0.2
    assert np.isnan(compare_clusterings({"right": methods["right"]}).loc["right", "ari_mean"])


def test_bad_input():
    with pytest.raises(DataError, match="several clusterings"):
        stability([[0, 1]])
