"""What both cross-subject decoders do: input, adaptation, retrieval, saving, target space."""

import numpy as np
import pytest
from sklearn.base import clone

import neuroml
from neuroml.decoding import CrossSubjectDecoder, MindBridgeDecoder
from neuroml.decoding.metrics import retrieval_from_scores
from neuroml.exceptions import DataError
from neuroml.simulate import make_cohort

NETWORK = {"hidden": 24, "max_steps": 60, "adapt_steps": 40, "alpha_rec": 1.0, "random_state": 0}
DECODERS = [CrossSubjectDecoder(), MindBridgeDecoder(**NETWORK)]


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(
        3, n_stimuli=[90, 120, 70], n_test=40, n_voxels=(60, 80), n_targets=20, random_state=0
    )


def sources(cohort, target="s3"):
    return tuple({s: d[s] for s in d if s != target} for d in (cohort.X, cohort.y))


@pytest.fixture(scope="module", params=DECODERS, ids=lambda model: type(model).__name__)
def fitted(request, cohort):
    return clone(request.param).fit(*sources(cohort))


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
    again = clone(fitted).fit(rows, np.vstack([y["s1"], y["s2"]]), groups=groups)
    listed = clone(fitted).fit([*X.values()], [*y.values()])
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
    if isinstance(fitted, CrossSubjectDecoder) and strategy in ("reset", "full"):
        with pytest.raises(
            DataError, match="strategy has no such option; expected 'auto' or 'ridge'"
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


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda model: type(model).__name__)
def test_heads_and_ranks(cohort, decoder):
    model = clone(decoder).set_params(heads={"image": 12, "text": 8}, target_rank=5)
    model.fit(*sources(cohort))
    assert model.target_space_["sizes"] == [5, 5]
    basis = model.target_space_["basis"]
    np.testing.assert_allclose(basis.T @ basis, np.eye(10), atol=1e-12)
    assert not basis[:12, 5:].any() and not basis[12:, :5].any()
    assert model.predict(cohort.X_test["s1"], subject="s1").shape == (40, 20)
    with pytest.raises(DataError, match="sizes that add up to the 20 columns"):
        clone(decoder).set_params(heads={"image": 12, "text": 9}).fit(*sources(cohort))


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
    if isinstance(fitted, CrossSubjectDecoder):
        np.testing.assert_allclose(
            adapted.predict(moved, subject="s3"), adapted.predict(flat[:5], subject="s3")
        )


def test_few_rows_one_subject_and_one_target(cohort, fitted):
    adapted = fitted.adapt(cohort.X["s3"][:5], cohort.y["s3"][:5], subject="s3")
    assert np.isfinite(adapted.predict(cohort.X["s3"], subject="s3")).all()
    alone = clone(fitted).fit(cohort.X["s1"], cohort.y["s1"][:, 0])
    assert alone.predict(cohort.X["s1"]).shape == (90,)
    assert np.isfinite(alone.score(cohort.X["s1"], cohort.y["s1"][:, 0]))
