"""MindBridge's decoder: its ways to adapt, and the settings of the released code."""

import numpy as np
import pytest

from neuroml.decoding import MindBridgeDecoder
from neuroml.exceptions import DataError
from neuroml.simulate import make_cohort

NETWORK = {"hidden": 24, "max_steps": 60, "adapt_steps": 40, "alpha_rec": 1.0, "random_state": 0}


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(
        3, n_stimuli=[90, 120, 70], n_test=40, n_voxels=(60, 80), n_targets=20, random_state=0
    )


def sources(cohort, target="s3"):
    return tuple({s: d[s] for s in d if s != target} for d in (cohort.X, cohort.y))


def test_reset_forgets_what_was_known_and_full_does_not(cohort):
    model = MindBridgeDecoder(**NETWORK).fit(*sources(cohort))
    X, y = cohort.X["s1"], cohort.y["s1"]
    other = MindBridgeDecoder(**NETWORK).fit(*sources(cohort))
    with_other_start = other.network_.embedders[0].layers[1].weight
    with_other_start.data.add_(1.0)
    reset = [m.adapt(X, y, subject="s1", strategy="reset") for m in (model, other)]
    full = [m.adapt(X, y, subject="s1", strategy="full") for m in (model, other)]
    first, second = (m.predict(X, subject="s1") for m in reset)
    np.testing.assert_array_equal(first, second)
    first, second = (m.predict(X, subject="s1") for m in full)
    assert not np.allclose(first, second)


def test_source_rows_join_adaptation_only_if_given(cohort):
    model = MindBridgeDecoder(**(NETWORK | {"alpha_cyc": 1.0})).fit(*sources(cohort))
    data = cohort.X["s3"], cohort.y["s3"]
    alone = model.adapt(*data, subject="s3")
    joined = model.adapt(*data, subject="s3", source=sources(cohort))
    X = cohort.X_test["s3"]
    assert not np.allclose(alone.predict(X, subject="s3"), joined.predict(X, subject="s3"))
    before = model.predict(cohort.X_test["s1"], subject="s1")
    np.testing.assert_array_equal(joined.predict(cohort.X_test["s1"], subject="s1"), before)
    with pytest.raises(DataError, match="source subjects are not in the model"):
        model.adapt(*data, subject="s3", source=({"s9": data[0]}, {"s9": data[1]}))


def test_a_network_without_builders_adapts_in_closed_form_unless_there_is_a_source(cohort):
    model = MindBridgeDecoder(**(NETWORK | {"alpha_rec": 0.0})).fit(*sources(cohort))
    data, X = (cohort.X["s3"], cohort.y["s3"]), cohort.X_test["s3"]

    def found(**options):
        return model.adapt(*data, subject="s3", **options).predict(X, subject="s3")

    np.testing.assert_array_equal(found(), found(strategy="ridge"))
    joined = found(source=sources(cohort))
    np.testing.assert_array_equal(joined, found(source=sources(cohort), strategy="reset"))


def test_published_runs_small_with_all_its_switches(cohort):
    model = MindBridgeDecoder.published(
        hidden=16, n_pool=32, adapter_rank=4, max_steps=10, adapt_steps=5, random_state=0
    )
    model.fit(*sources(cohort))
    adapted = model.adapt(cohort.X["s3"], cohort.y["s3"], subject="s3", source=sources(cohort))
    assert adapted.synthesize(cohort.X["s1"], source="s1", target="s3").shape == (
        90,
        cohort.X["s3"].shape[1],
    )
    assert model.warmup == 2 / 600  # of the epochs of pretraining
    assert model.alpha_cos == "mse" and model.noisy_cycle and not model.linear_builder
    with pytest.raises(TypeError):
        MindBridgeDecoder.published(nonsense=1)


def test_builders_that_were_not_trained_say_so(cohort):
    model = MindBridgeDecoder(hidden=8, max_steps=2).fit(*sources(cohort))
    with pytest.raises(DataError, match="builder of this subject is not trained"):
        model.synthesize(cohort.X["s1"], source="s1", target="s2")
