"""MindBridge's decoder: its ways to adapt, and the settings of the released code."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from neuroml.decoding import MindBridgeDecoder
from neuroml.decoding._pooling import pool
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


TINY = {"hidden": 16, "n_pool": 32, "adapter_rank": 4, "max_steps": 6, "random_state": 0}


def test_published_standardizes_before_it_pools_and_what_that_changes():
    rng = np.random.default_rng(0)
    # two to three voxels to a window as in the paper, of unequal variance
    scale = rng.lognormal(0.0, 0.5, 400)
    X = {"a": rng.normal(size=(300, 400)) * scale}
    model = MindBridgeDecoder.published(**(TINY | {"n_pool": 200}))
    model.fit(X, {"a": rng.normal(size=(300, 5))})
    ours = model._inputs(X["a"], "a")
    standard = (X["a"] - X["a"].mean(axis=0)) / X["a"].std(axis=0)
    np.testing.assert_allclose(ours, pool(standard, 200, "max"), atol=1e-6)
    theirs = pool(X["a"], 200, "max")
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(ours.T, theirs.T, strict=True)]
    assert 0.85 < np.mean(r) < 0.97


def test_the_published_rate_peaks_once_and_ends_with_the_last_step(cohort, monkeypatch):
    rates = []
    schedule = torch.optim.lr_scheduler.OneCycleLR

    def noted(optimizer, **options):
        found = schedule(optimizer, **options)
        optimizer.register_step_pre_hook(lambda one, *_: rates.append(one.param_groups[0]["lr"]))
        return found

    monkeypatch.setattr(torch.optim.lr_scheduler, "OneCycleLR", noted)
    model = MindBridgeDecoder.published(**(TINY | {"max_steps": 40, "adapt_steps": 20}))
    model.fit(*sources(cohort))
    assert len(rates) == 40 and np.argmax(rates) == 0 and max(rates) <= 1.5e-4
    assert rates[-1] < 0.02 * max(rates)
    # the longer warm-up of adaptation is the user's to set
    del rates[:]
    model.set_params(warmup=0.5).adapt(cohort.X["s3"], cohort.y["s3"], subject="s3")
    assert len(rates) == 20 and 8 <= np.argmax(rates) <= 11


@pytest.mark.parametrize("alpha_rec", [0.0, 1.0])
def test_one_subjects_builder_is_trained_unless_switched_off(cohort, alpha_rec):
    model = MindBridgeDecoder.published(**TINY, alpha_rec=alpha_rec)
    one = {"s1": cohort.X["s1"]}, {"s1": cohort.y["s1"]}
    trained = model.fit(*one).network_.builders.state_dict()
    start = clone(model).set_params(learning_rate=1e-12).fit(*one).network_.builders.state_dict()
    moved = [not torch.allclose(trained[name], start[name], atol=1e-8) for name in trained]
    assert any(moved) == bool(alpha_rec)


def test_pooling_by_interpolation_is_refused(cohort):
    with pytest.raises(ValueError, match="pooling"):
        MindBridgeDecoder.published(pooling="resize").fit(cohort.X, cohort.y)
