"""Bad input of every kind: clear errors that name the subject, and constant voxels counted."""

import numpy as np
import pytest

from neuroml.decoding import (
    HierarchicalRidgeDecoder,
    ProcrustesAligner,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.exceptions import DataError

RNG = np.random.default_rng(0)
X = {"a": RNG.standard_normal((30, 8)), "b": RNG.standard_normal((30, 6))}
Y = {"a": RNG.standard_normal((30, 3)), "b": RNG.standard_normal((30, 3))}
DECODERS = [RidgeDecoder(), HierarchicalRidgeDecoder()]
ALIGNERS = [SharedResponseModel(2, tol=1e-2), ProcrustesAligner(tol=1e-2)]


def named(estimator):
    return type(estimator).__name__


@pytest.mark.parametrize("model", DECODERS, ids=named)
class TestDecoders:
    def test_unknown_subject_names_the_known_ones(self, model):
        fitted = model.fit(X, Y)
        with pytest.raises(DataError, match="one of 'a', 'b'; found 'c'"):
            fitted.predict(X["a"], subject="c")
        with pytest.raises(DataError, match="subject= one of"):
            fitted.predict(X["a"])

    def test_other_voxels(self, model):
        fitted = model.fit(X, Y)
        with pytest.raises(DataError, match="subject a, field X.*expected 8 columns"):
            fitted.predict(X["b"], subject="a")
        with pytest.raises(DataError, match="looks transposed"):
            fitted.predict(X["a"][:5].T, subject="a")

    def test_rows_of_x_and_y(self, model):
        with pytest.raises(DataError, match="subject b, field y.*expected 30 rows.*found 29"):
            model.fit(X, Y | {"b": Y["b"][:29]})
        with pytest.raises(DataError, match="looks transposed: time goes first"):
            model.fit(X | {"b": X["b"].T}, Y)

    def test_keys_and_targets(self, model):
        with pytest.raises(DataError, match="X and y hold different subjects"):
            model.fit(X, {"a": Y["a"]})
        with pytest.raises(DataError, match="subjects differ in their targets"):
            model.fit(X, Y | {"b": Y["b"][:, :2]})
        with pytest.raises(DataError, match="requires y"):
            model.fit(X, None)

    def test_nan_and_single_sample(self, model):
        bad = X["b"].copy()
        bad[3, [1, 4]] = np.nan
        with pytest.raises(DataError, match="subject b, field X.*2 of 6 columns affected, first 1"):
            model.fit(X | {"b": bad}, Y)
        with pytest.raises(DataError, match="subject b.*1 sample"):
            model.fit(X | {"b": X["b"][:1]}, Y | {"b": Y["b"][:1]})

    def test_constant_voxels_are_counted_and_get_no_weight(self, model):
        flat = X["b"].copy()
        flat[:, 2] = 7.0
        with pytest.warns(UserWarning, match="'b': 1"):
            fitted = model.fit(X | {"b": flat}, Y)
        assert fitted.n_constant_ == {"a": 0, "b": 1}
        np.testing.assert_allclose(fitted.coef_["b"][:, 2], 0, atol=1e-12)

    def test_one_subject_with_few_rows_works(self, model):
        fitted = model.fit({"a": X["a"]}, {"a": Y["a"]})
        adapted = fitted.adapt(X["b"][:3], Y["b"][:3], subject="b")
        assert np.isfinite(adapted.predict(X["b"], subject="b")).all()

    def test_groups_must_match(self, model):
        with pytest.raises(DataError, match="one label for each of 30 samples"):
            model.fit(X["a"], Y["a"], groups=["a"] * 29)


@pytest.mark.parametrize("model", ALIGNERS, ids=named)
class TestAligners:
    def test_one_subject_in_a_dict(self, model):
        with pytest.raises(DataError, match="at least 2; found 1: 'a'"):
            model.fit({"a": X["a"]})

    def test_rows_must_be_shared(self, model):
        with pytest.raises(DataError, match="subject b.*expected 30 rows"):
            model.fit(X | {"b": X["b"][:20]})
        square = {"a": np.zeros((8, 30)), "b": np.zeros((6, 30))}
        with pytest.raises(DataError, match="are the arrays transposed"):
            model.fit(square)

    def test_partly_missing_rows(self, model):
        bad = X["b"].copy()
        bad[3, 1] = np.nan
        with pytest.raises(DataError, match="1 of 6 columns"):
            model.fit(X | {"b": bad})
        gone = {s: part.copy() for s, part in X.items()}
        for part in gone.values():
            part[5] = np.nan
        with pytest.raises(DataError, match="seen by no subject"):
            model.fit(gone)

    def test_new_subject_with_other_rows(self, model):
        with pytest.raises(DataError, match="subject c.*expected 30 rows"):
            model.fit(X).add_subject(X["b"][:10], subject="c")
        assert set(model.n_voxels_) == {"a", "b"}

    def test_unrelated_samples_are_noticed(self, model):
        shared = RNG.standard_normal((200, 3))
        data = {s: shared @ RNG.standard_normal((3, 9)) for s in "ab"}
        fitted = model.fit(data)
        fitted.add_subject(shared @ RNG.standard_normal((3, 12)), subject="c")
        assert fitted.held_out_r_["c"] > 0.5
        unrelated = np.repeat([1.0, -1.0], 100)[:, None] * data["a"]
        with pytest.warns(UserWarning, match="Are these the shared samples"):
            fitted.add_subject(unrelated, subject="d")


def test_more_components_than_voxels():
    with pytest.raises(DataError, match="subject b.*n_components <= 6"):
        SharedResponseModel(7).fit(X)
