import numpy as np
import pytest

from neuroml.celltypes import cluster_features, compare_clusterings, stability, type_confusion
from neuroml.exceptions import DataError
from neuroml.simulate import make_retina


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_separate_groups_are_found_whatever_the_gain(method):
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 40))
    types = np.arange(30) % 3
    features = (kinds[types] + 0.2 * rng.normal(size=(30, 40))) * rng.uniform(0.5, 9, size=(30, 1))
    labels = cluster_features(features, 3, method=method, random_state=0)
    assert stability([types, labels]) == 1
    np.testing.assert_array_equal(
        labels, cluster_features(features, 3, method=method, random_state=0)
    )


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


def test_gaussian_noise_of_the_frames_is_averaged_out_over_a_recording():
    retina = make_retina(noise="gaussian", noise_level=1.0, n_frames=2000, random_state=0)
    labels = cluster_features(retina.responses.T, 10, random_state=0)
    assert stability([labels, retina.types]) > 0.9


def test_bad_input():
    with pytest.raises(DataError, match="method has no such option"):
        cluster_features(np.eye(4), 2, method="dbscan")
    with pytest.raises(DataError, match="fewer cells"):
        cluster_features(np.eye(4), 5)
    with pytest.raises(DataError, match="several clusterings"):
        stability([[0, 1]])
