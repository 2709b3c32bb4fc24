"""The cross-subject decoder: both readouts, adaptation, bad input, recovery, saving."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score

import neuroml
from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    RidgeDecoder,
    cross_subject_score,
)
from neuroml.decoding.metrics import retrieval_accuracy, retrieval_from_scores
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


@pytest.fixture(scope="module", params=["linear", "network"])
def fitted(request, cohort):
    parameters = NETWORK if request.param == "network" else {}
    return CrossSubjectDecoder(request.param, **parameters).fit(*sources(cohort))


def test_shapes(cohort, fitted):
    X = cohort.X_test["s1"]
    latents = fitted.transform(X, subject="s1")
    assert fitted.predict(X, subject="s1").shape == (40, 20)
    assert latents.shape[0] == 40
    assert fitted.inverse_transform(latents, subject="s2").shape == cohort.X_test["s2"].shape
    assert fitted.synthesize(X, source="s1", target="s2").shape == cohort.X_test["s2"].shape
    assert fitted.retrieve(X, cohort.y_test, subject="s1", k=7).shape == (40, 7)
    assert set(fitted.predict({s: cohort.X_test[s] for s in ("s1", "s2")})) == {"s1", "s2"}


def test_forms_of_input_agree(cohort, fitted):
    X, y = sources(cohort)
    rows = np.empty(210, dtype=object)
    rows[:] = [*X["s1"], *X["s2"]]
    groups = np.repeat(["s1", "s2"], [90, 120])
    again = CrossSubjectDecoder(**fitted.get_params()).fit(
        rows, np.vstack([y["s1"], y["s2"]]), groups=groups
    )
    listed = CrossSubjectDecoder(**fitted.get_params()).fit([*X.values()], [*y.values()])
    expected = fitted.predict(X["s2"], subject="s2")
    np.testing.assert_allclose(
        again.predict(X["s2"], subject="s2"), expected, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(listed.predict(X["s2"], subject=1), expected, rtol=1e-9, atol=1e-12)


def test_retrieval_follows_the_scores(cohort, fitted):
    X = cohort.X_test["s1"]
    scores = fitted.score_candidates(X, cohort.y_test, subject="s1")
    best = fitted.retrieve(X, cohort.y_test, subject="s1", k=3)
    picked = np.take_along_axis(scores, best, axis=1)
    assert (np.diff(picked, axis=1) <= 0).all() and (picked[:, 0] == scores.max(axis=1)).all()
    hits = np.mean(best[:, 0] == np.arange(40))
    assert hits == pytest.approx(retrieval_from_scores(scores).forward)


@pytest.mark.parametrize("strategy", ["auto", "reset", "full", "ridge"])
def test_adapt_returns_a_new_model_and_needs_no_source_data(cohort, fitted, strategy):
    if strategy not in fitted._path.STRATEGIES:
        with pytest.raises(
            ValueError, match=r"strategy must be one of \['auto', 'reset', 'ridge'\]"
        ):
            fitted.adapt(cohort.X["s3"], cohort.y["s3"], subject="s3", strategy=strategy)
        return
    before = fitted.predict(cohort.X_test["s1"], subject="s1")
    adapted = fitted.adapt(cohort.X["s3"], cohort.y["s3"], subject="s3", strategy=strategy)
    again = fitted.adapt(cohort.X["s3"], cohort.y["s3"], subject="s3", strategy=strategy)
    assert list(fitted.n_voxels_) == ["s1", "s2"]
    assert list(adapted.n_voxels_) == ["s1", "s2", "s3"]
    np.testing.assert_array_equal(fitted.predict(cohort.X_test["s1"], subject="s1"), before)
    same = np.array_equal(adapted.predict(cohort.X_test["s1"], subject="s1"), before)
    assert same == (strategy != "full")
    found = adapted.predict(cohort.X_test["s3"], subject="s3")
    np.testing.assert_array_equal(found, again.predict(cohort.X_test["s3"], subject="s3"))
    assert found.shape == (40, 20)


@pytest.mark.parametrize("strategy", ["auto", "ridge"])
def test_save_load_adapt_save(cohort, fitted, strategy, tmp_path):
    loaded = neuroml.load(neuroml.save(fitted, tmp_path / "source.safetensors"))
    pairs = [
        model.adapt(cohort.X["s3"], cohort.y["s3"], subject="s3", strategy=strategy)
        for model in (fitted, loaded)
    ]
    kept = neuroml.load(neuroml.save(pairs[1], tmp_path / "adapted.safetensors"))
    expected = pairs[0].predict(cohort.X_test["s3"], subject="s3")
    found = kept.predict(cohort.X_test["s3"], subject="s3")
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_reset_forgets_what_was_known_and_full_does_not(cohort):
    model = CrossSubjectDecoder("network", **NETWORK).fit(*sources(cohort))
    X, y = cohort.X["s1"], cohort.y["s1"]
    other = CrossSubjectDecoder("network", **NETWORK).fit(*sources(cohort))
    with_other_start = other.network_.embedders[0].layers[1].weight
    with_other_start.data.add_(1.0)
    reset = [m.adapt(X, y, subject="s1", strategy="reset") for m in (model, other)]
    full = [m.adapt(X, y, subject="s1", strategy="full") for m in (model, other)]
    first, second = (m.predict(X, subject="s1") for m in reset)
    np.testing.assert_array_equal(first, second)
    first, second = (m.predict(X, subject="s1") for m in full)
    assert not np.allclose(first, second)


def test_source_rows_join_adaptation_only_if_given(cohort):
    model = CrossSubjectDecoder("network", **(NETWORK | {"alpha_cyc": 1.0})).fit(*sources(cohort))
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
    model = CrossSubjectDecoder("network", **(NETWORK | {"alpha_rec": 0.0})).fit(*sources(cohort))
    data, X = (cohort.X["s3"], cohort.y["s3"]), cohort.X_test["s3"]

    def found(**options):
        return model.adapt(*data, subject="s3", **options).predict(X, subject="s3")

    np.testing.assert_array_equal(found(), found(strategy="ridge"))
    joined = found(source=sources(cohort))
    np.testing.assert_array_equal(joined, found(source=sources(cohort), strategy="reset"))


def test_mindbridge_runs_small_with_all_its_switches(cohort):
    model = CrossSubjectDecoder.mindbridge(
        hidden=16, n_pool=32, adapter_rank=4, max_steps=10, adapt_steps=5, random_state=0
    )
    model.fit(*sources(cohort))
    adapted = model.adapt(cohort.X["s3"], cohort.y["s3"], subject="s3", source=sources(cohort))
    assert adapted.synthesize(cohort.X["s1"], source="s1", target="s3").shape == (
        90,
        cohort.X["s3"].shape[1],
    )
    assert model.alpha_cos == "mse" and model.noisy_cycle and not model.linear_builder
    with pytest.raises(TypeError):
        CrossSubjectDecoder.mindbridge(nonsense=1)


@pytest.mark.parametrize("readout", ["linear", "network"])
def test_heads_and_ranks(cohort, readout):
    model = CrossSubjectDecoder(
        readout, heads={"image": 12, "text": 8}, target_rank=5, **NETWORK
    ).fit(*sources(cohort))
    assert model.target_space_["sizes"] == [5, 5]
    basis = model.target_space_["basis"]
    np.testing.assert_allclose(basis.T @ basis, np.eye(10), atol=1e-12)
    assert not basis[:12, 5:].any() and not basis[12:, :5].any()
    assert model.predict(cohort.X_test["s1"], subject="s1").shape == (40, 20)
    with pytest.raises(DataError, match="sizes that add up to the 20 columns"):
        CrossSubjectDecoder(readout, heads={"image": 12, "text": 9}).fit(*sources(cohort))


def test_bad_input_is_named(cohort, fitted):
    X, y = cohort.X["s3"], cohort.y["s3"]
    with pytest.raises(DataError, match="one of 's1', 's2'"):
        fitted.predict(X, subject="s3")
    with pytest.raises(DataError, match="one of 's1', 's2'"):
        fitted.inverse_transform(np.zeros((2, 24)), subject="s3")
    with pytest.raises(DataError, match="expected 70 rows"):
        fitted.adapt(X, y[:-1], subject="s3")
    with pytest.raises(DataError, match="expected 20 columns"):
        fitted.adapt(X, y[:, :-1], subject="s3")
    with pytest.raises(DataError, match=r"subject s3, field X: .*minimum of 2"):
        fitted.adapt(X[:1], y[:1], subject="s3")
    with pytest.raises(DataError, match="looks transposed"):
        fitted.adapt(X.T, y, subject="s3")
    with pytest.raises(DataError, match="NaN or infinite"):
        fitted.adapt(np.where(X == X[0, 0], np.nan, X), y, subject="s3")
    with pytest.warns(UserWarning, match=r"Constant voxels get no weight \('s3': 1\)"):
        flat = np.column_stack([X, np.ones(len(X))])
        adapted = fitted.adapt(flat, y, subject="s3")
    moved = flat[:5] + np.eye(1, flat.shape[1], flat.shape[1] - 1)
    if fitted.readout == "linear":
        np.testing.assert_allclose(
            adapted.predict(moved, subject="s3"), adapted.predict(flat[:5], subject="s3")
        )


def test_few_rows_one_subject_and_one_target(cohort, fitted):
    adapted = fitted.adapt(cohort.X["s3"][:5], cohort.y["s3"][:5], subject="s3")
    assert np.isfinite(adapted.predict(cohort.X["s3"], subject="s3")).all()
    alone = CrossSubjectDecoder(**fitted.get_params()).fit(cohort.X["s1"], cohort.y["s1"][:, 0])
    assert alone.predict(cohort.X["s1"]).shape == (90,)
    assert np.isfinite(alone.score(cohort.X["s1"], cohort.y["s1"][:, 0]))


def test_builders_that_were_not_trained_say_so(cohort):
    model = CrossSubjectDecoder("network", hidden=8, max_steps=2).fit(*sources(cohort))
    with pytest.raises(DataError, match="builder of this subject is not trained"):
        model.synthesize(cohort.X["s1"], source="s1", target="s2")


def world(seed, **changes):
    settings = {"n_stimuli": 500, "n_test": 150, "n_voxels": (250, 350), "snr": 1.5}
    cohort = make_cohort(4, **(settings | changes), random_state=seed)
    model = CrossSubjectDecoder().fit(*sources(cohort, "s4"))
    return cohort, model


def top_1(model, cohort):
    scores = model.score_candidates(cohort.X_test["s4"], cohort.y_test, subject="s4")
    return retrieval_from_scores(scores).forward


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_cohort_more_than_doubles_what_a_few_rows_can_do(seed):
    cohort, model = world(seed)
    few = cohort.X["s4"][:60], cohort.y["s4"][:60]
    adapted = model.adapt(*few, subject="s4")
    ridge = RidgeDecoder().fit({"s4": few[0]}, {"s4": few[1]})
    decoded = ridge.predict(cohort.X_test["s4"], subject="s4")
    assert top_1(adapted, cohort) > 1.5 * retrieval_accuracy(decoded, cohort.y_test).forward
    assert adapted.score(cohort.X_test["s4"], cohort.y_test, subject="s4") > ridge.score(
        {"s4": cohort.X_test["s4"]}, {"s4": cohort.y_test}
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_cohort_that_shares_nothing_does_no_harm(seed):
    cohort, model = world(seed, share=False)
    few = cohort.X["s4"][:60], cohort.y["s4"][:60]
    adapted = model.adapt(*few, subject="s4")
    ridge = model.adapt(*few, subject="s4", strategy="ridge")
    assert top_1(adapted, cohort) > top_1(ridge, cohort) - 0.02


def test_seen_subjects_lean_on_the_others_and_a_subject_alone_is_ridge():
    cohort, _ = world(0)
    rows = {s: slice(0, 80) for s in cohort.X}
    X, y = ({s: d[s][rows[s]] for s in rows} for d in (cohort.X, cohort.y))
    together = CrossSubjectDecoder().fit(X, y)
    others = CrossSubjectDecoder().fit(*({s: d[s] for s in d if s != "s4"} for d in (X, y)))
    expected = others.adapt(X["s4"], y["s4"], subject="s4")
    gallery = cohort.y_test
    scores = [
        model.score_candidates(cohort.X_test["s4"], gallery, subject="s4")
        for model in (together, expected)
    ]
    centered = [s - s.mean(axis=1, keepdims=True) for s in scores]
    assert np.corrcoef(centered[0].ravel(), centered[1].ravel())[0, 1] > 0.999
    alone = CrossSubjectDecoder().fit({"s4": X["s4"]}, {"s4": y["s4"]})
    ridge = RidgeDecoder().fit({"s4": X["s4"]}, {"s4": y["s4"]})
    np.testing.assert_allclose(
        alone.predict(cohort.X_test["s4"], subject="s4"),
        ridge.predict(cohort.X_test["s4"], subject="s4"),
        atol=1e-6,
    )


def test_voxels_synthesised_for_another_brain_are_like_its_own(cohort):
    cohort, _ = world(3)
    model = CrossSubjectDecoder().fit(cohort.X, cohort.y)
    made = model.synthesize(cohort.X_test["s1"], source="s1", target="s2")
    real = cohort.X_test["s2"]
    matched = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made.T, real.T, strict=True)])
    shuffled = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made.T, real[::-1].T, strict=True)])
    assert matched > 0.1 > abs(shuffled) + 0.05


def test_scored_like_any_other_decoder(cohort):
    table = cross_subject_score(CrossSubjectDecoder(), cohort.X, cohort.y, 40, random_state=0)
    assert list(table.subject) == ["s1", "s2", "s3"] and np.isfinite(table.score).all()


def _named_cohort():
    rng = np.random.default_rng(0)
    X = {s: pd.DataFrame(rng.standard_normal((40, 3)), columns=list("abc")) for s in "xyz"}
    y = {s: pd.DataFrame({"p": x["a"] + x["b"], "q": x["c"] - x["b"]}) for s, x in X.items()}
    return X, y


@pytest.mark.parametrize(
    "model", [CrossSubjectDecoder(), HierarchicalRidgeDecoder(), RidgeDecoder()]
)
def test_scores_pair_targets_by_name(model):
    X, y = _named_cohort()
    model = clone(model).fit(X, y)
    other = {s: one[["q", "p"]] for s, one in y.items()}
    assert model.score(X, other) == pytest.approx(model.score(X, y), abs=1e-12)
    with pytest.raises(DataError, match="field y: the columns have other names"):
        model.score(X, {s: one.rename(columns={"q": "r"}) for s, one in y.items()})


def test_candidates_are_paired_by_name():
    X, y = _named_cohort()
    model = CrossSubjectDecoder().fit(X, y)
    found = [model.score_candidates(X["x"], g, subject="x") for g in (y["x"], y["x"][["q", "p"]])]
    np.testing.assert_allclose(*found)


@pytest.mark.parametrize("scoring", [None, r2_score])
def test_held_out_subjects_keep_their_names(scoring):
    """Tables score as their arrays do, with the columns of one subject in another order."""
    X, y = _named_cohort()
    options = {"n_adapt": 10, "random_state": 0, "scoring": scoring}
    arrays = [{s: one.to_numpy() for s, one in part.items()} for part in (X, y)]
    wanted = cross_subject_score(CrossSubjectDecoder(), *arrays, **options)
    found = cross_subject_score(CrossSubjectDecoder(), X, y | {"z": y["z"][["q", "p"]]}, **options)
    np.testing.assert_allclose(found["score"], wanted["score"], rtol=1e-6)
