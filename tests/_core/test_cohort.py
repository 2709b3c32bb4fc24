"""Subjects with units of their own, in all the forms in which they are given."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import neuroml
from neuroml._core.cohort import by_subject, pair_by_subject
from neuroml._core.recording import make_recording
from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    MindBridgeDecoder,
    ProcrustesAligner,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.exceptions import DataError

RNG = np.random.default_rng(0)
SIZES = {"anna": 6, "ben": 5}
X = {s: RNG.normal(size=(30, n)) for s, n in SIZES.items()}
Y = {s: X[s] @ RNG.normal(size=(n, 2)) + RNG.normal(size=(30, 2)) for s, n in SIZES.items()}
NEW_X, NEW_Y = RNG.normal(size=(30, 7)), RNG.normal(size=(30, 2))


def voxels(X):
    return pd.DataFrame(X, columns=[f"v{i}" for i in range(X.shape[1])])


def targets(y):
    return pd.DataFrame(y, columns=["up", "down"])


TABLES = {s: voxels(part) for s, part in X.items()}
NAMED_Y = {s: targets(part) for s, part in Y.items()}
DECODERS = [
    RidgeDecoder(),
    HierarchicalRidgeDecoder(),
    CrossSubjectDecoder(),
    MindBridgeDecoder(hidden=8, max_steps=3, adapt_steps=2, random_state=0),
]
ALIGNERS = [ProcrustesAligner(), SharedResponseModel(2, random_state=0)]
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:subject .*its correlation with the cohort"),
]
decoders = pytest.mark.parametrize("model", DECODERS, ids=repr)
aligners = pytest.mark.parametrize("model", ALIGNERS, ids=lambda model: type(model).__name__)


def backwards(table):
    return table[table.columns[::-1]]


class TestKeys:
    @pytest.mark.parametrize("keys", [[1, "1"], [np.int64(1), np.str_("1")], [(0, 1), None]])
    def test_no_two_keys_collide(self, keys, tmp_path):
        model = RidgeDecoder().fit(
            dict(zip(keys, X.values(), strict=True)), dict(zip(keys, Y.values(), strict=True))
        )
        loaded = neuroml.load(neuroml.save(model, tmp_path / "model.safetensors"))
        for known in (model, loaded):
            assert known.n_voxels_ == dict(zip(keys, SIZES.values(), strict=True))
            for key, part in zip(keys, X.values(), strict=True):
                name = key.item() if isinstance(key, np.generic) else key
                if name is not None:  # which asks for the only subject
                    assert known.predict(part, subject=name).shape == (30, 2)

    def test_numpy_and_python_keys_name_the_same_subject(self):
        labels = np.array(["anna", "ben"])
        found = pair_by_subject({s: X[s] for s in labels}, Y)
        assert list(found[0]) == list(found[1]) == ["anna", "ben"]
        model = RidgeDecoder().fit([*X.values()], [*Y.values()])
        np.testing.assert_array_equal(
            model.predict(X["ben"], subject=np.int64(1)), model.predict(X["ben"], subject=1)
        )


class TestForms:
    def test_a_subjects_sessions_are_joined(self):
        parts = {s: [part[:10], part[10:]] for s, part in X.items()}
        given = {s: [part[:10], part[10:]] for s, part in Y.items()}
        data, outputs = pair_by_subject(parts, given)
        for subject in SIZES:
            np.testing.assert_array_equal(data[subject], X[subject])
            np.testing.assert_array_equal(outputs[subject], Y[subject])
        _, one_column = pair_by_subject(parts, {s: [y[:, 0] for y in p] for s, p in given.items()})
        np.testing.assert_array_equal(one_column["anna"], Y["anna"][:, 0])

    def test_recordings_of_one_subject_are_its_sessions(self):
        def recording(part, subject):
            return make_recording(part, modality="fmri", key=(subject, "", ""))

        anna, ben = X["anna"], X["ben"]
        given = [recording(anna[:10], "a"), recording(ben, "b"), recording(anna[10:], "a")]
        y = [Y["anna"][:10], Y["ben"], Y["anna"][10:]]
        data, outputs = pair_by_subject(given, y)
        np.testing.assert_array_equal(data["a"], anna)
        np.testing.assert_array_equal(outputs["a"], Y["anna"])
        nobody = [recording(anna, ""), recording(ben, "")]
        assert list(by_subject(nobody)) == [0, 1]
        with pytest.raises(DataError, match="do not say whose they are"):
            by_subject([recording(anna, "a"), recording(ben, "")])

    def test_one_recording_is_one_subject(self):
        data, outputs = pair_by_subject(make_recording(X["anna"], modality="fmri"), Y["anna"])
        np.testing.assert_array_equal(data[0], X["anna"])
        np.testing.assert_array_equal(outputs[0], Y["anna"])

    @pytest.mark.parametrize(
        "groups",
        [
            pd.Series(["b"] * 10 + ["a"] * 20, index=range(30)[::-1]),
            pd.Series(["b"] * 10 + ["a"] * 20, dtype="category"),
            ["b"] * 10 + ["a"] * 20,
        ],
    )
    def test_rows_with_groups(self, groups):
        data, outputs = pair_by_subject(TABLES["anna"], NAMED_Y["anna"], groups)
        assert data["a"].shape == (20, 6) and list(data["a"].columns) == list(TABLES["anna"])
        np.testing.assert_array_equal(outputs["b"], Y["anna"][:10])

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([*Y.values()], "different subjects.*'anna', 'ben'.*found 0, 1"),
            (np.vstack([*Y.values()]), "found one array"),
            ({"anna": Y["anna"]}, "found 'anna'"),
            ({"anna": Y["anna"], "ben": Y["ben"][:5]}, "subject ben.*differ in their rows.*30"),
            ({"anna": Y["anna"], "ben": Y["ben"][:, :1]}, "differ in their targets"),
            ({s: np.full((30, 2), "left") for s in SIZES}, "not an array of numbers"),
        ],
    )
    def test_targets_that_do_not_fit(self, y, message):
        with pytest.raises(DataError, match=message):
            RidgeDecoder().fit(X, y)

    @pytest.mark.parametrize(
        "groups", [[1.0] * 29 + [np.nan], ["a"] * 29 + [None], ["a"] * 29 + [1]]
    )
    def test_groups_that_are_missing_or_mixed(self, groups):
        with pytest.raises(DataError, match="some groups are missing|mixed kinds"):
            RidgeDecoder().fit(X["anna"], Y["anna"], groups=groups)


class TestNames:
    @decoders
    def test_decoders_align_voxels_and_targets(self, model):
        turned = {"anna": NAMED_Y["anna"], "ben": backwards(NAMED_Y["ben"])}
        plain, named = clone(model).fit(X, Y), clone(model).fit(TABLES, turned)
        assert named.voxel_names_ == {s: list(table) for s, table in TABLES.items()}
        assert named.target_names_ == ["up", "down"]
        for subject, table in TABLES.items():
            np.testing.assert_allclose(
                named.predict(backwards(table), subject=subject),
                plain.predict(X[subject], subject=subject),
                rtol=0,
                atol=1e-9,
            )
        with pytest.raises(DataError, match="subject anna.*other names"):
            named.predict(TABLES["anna"].rename(columns={"v0": "w0"}), subject="anna")
        with pytest.raises(DataError, match="subject ben.*some columns have names"):
            clone(model).fit(X, {"anna": NAMED_Y["anna"], "ben": Y["ben"]})

    @decoders
    def test_names_of_subjects_that_come_later(self, model):
        fitted = clone(model).fit(TABLES, NAMED_Y)
        one = fitted.adapt(voxels(NEW_X), targets(NEW_Y), subject="cleo")
        two = fitted.adapt(voxels(NEW_X), backwards(targets(NEW_Y)), subject="cleo")
        assert one.voxel_names_["cleo"] == [f"v{i}" for i in range(7)]
        assert one.target_names_ == ["up", "down"] and "cleo" not in fitted.voxel_names_
        np.testing.assert_allclose(
            two.predict(backwards(voxels(NEW_X)), subject="cleo"),
            one.predict(voxels(NEW_X), subject="cleo"),
            rtol=0,
            atol=1e-9,
        )
        with pytest.raises(DataError, match="field y.*some columns have names"):
            fitted.adapt(voxels(NEW_X), NEW_Y, subject="cleo")

    @aligners
    def test_aligners(self, model):
        plain = clone(model).fit(X).add_subject(NEW_X, subject="cleo")
        named = clone(model).fit(TABLES).add_subject(voxels(NEW_X), subject="cleo")
        assert named.voxel_names_["cleo"] == [f"v{i}" for i in range(7)]
        for subject, part in (X | {"cleo": NEW_X}).items():
            np.testing.assert_allclose(
                named.transform(backwards(voxels(part)), subject=subject),
                plain.transform(part, subject=subject),
                rtol=0,
                atol=1e-9,
            )

    @decoders
    def test_names_are_those_of_the_last_fit(self, model):
        model = clone(model).fit(TABLES["anna"], NAMED_Y["anna"])
        assert model.feature_names_in_.tolist() == list(TABLES["anna"])
        model.fit(TABLES, NAMED_Y)
        assert not hasattr(model, "feature_names_in_")
        assert model.voxel_names_ and model.target_names_
        model.fit(X, Y)
        for name in ("feature_names_in_", "voxel_names_", "target_names_"):
            assert not hasattr(model, name)
        model.predict(X["anna"], subject="anna")

    @aligners
    def test_names_of_the_last_fit_of_an_aligner(self, model):
        model = clone(model).fit(TABLES["anna"])
        assert model.feature_names_in_.tolist() == list(TABLES["anna"])
        model.fit(TABLES)
        assert model.voxel_names_ and not hasattr(model, "feature_names_in_")
        assert not hasattr(model.fit(X), "voxel_names_")

    @pytest.mark.parametrize("model", [*DECODERS, *ALIGNERS], ids=repr)
    def test_names_are_saved(self, model, tmp_path):
        fitted = clone(model).fit(TABLES, NAMED_Y)
        loaded = neuroml.load(neuroml.save(fitted, tmp_path / "model.safetensors"))
        assert loaded.voxel_names_ == fitted.voxel_names_
        assert getattr(loaded, "target_names_", None) == getattr(fitted, "target_names_", None)
        use = "predict" if hasattr(fitted, "predict") else "transform"
        np.testing.assert_array_equal(
            getattr(loaded, use)(backwards(TABLES["ben"]), subject="ben"),
            getattr(fitted, use)(TABLES["ben"], subject="ben"),
        )

    def test_arrays_after_tables_are_taken_in_order_with_a_warning(self):
        named, plain = RidgeDecoder().fit(TABLES, Y), RidgeDecoder().fit(X, Y)
        for model, given, word in ((named, X, "of fit have names"), (plain, TABLES, "of X have")):
            with pytest.warns(UserWarning, match=word):
                found = model.predict(given["anna"], subject="anna")
            np.testing.assert_allclose(found, plain.predict(X["anna"], subject="anna"))


class TestMasks:
    def test_masked_rows_are_rows_that_a_subject_missed(self):
        gone = np.zeros(X["ben"].shape, dtype=bool)
        gone[20:] = True
        same = [{"anna": X["anna"][:, :5], "ben": np.where(gone, np.nan, X["ben"])}]
        same += [
            same[0] | {"ben": np.ma.masked_array(np.where(gone, under, X["ben"]), mask=gone)}
            for under in (0.0, 1e6)
        ]
        for model in ALIGNERS:
            first, *others = (clone(model).fit(given).transform(X["ben"], subject="ben")
                              for given in same)  # fmt: skip
            for other in others:
                np.testing.assert_array_equal(other, first)

    @pytest.mark.parametrize("model", [RidgeDecoder(), CrossSubjectDecoder()], ids=repr)
    def test_a_masked_value_is_refused_as_nan_is(self, model):
        gone = np.zeros(X["ben"].shape, dtype=bool)
        gone[3, 2] = True
        for bad in (np.where(gone, np.nan, X["ben"]), np.ma.masked_array(X["ben"], mask=gone)):
            with pytest.raises(DataError, match="subject ben.*NaN or infinite.*first 2"):
                clone(model).fit(X | {"ben": bad}, Y)
            with pytest.raises(DataError, match="subject ben.*NaN or infinite"):
                clone(model).fit(X, Y).predict(bad, subject="ben")
        gone_y = gone[:, :2]
        with pytest.raises(DataError, match="subject ben, field y.*NaN or infinite|subject ben"):
            clone(model).fit(X, Y | {"ben": np.ma.masked_array(Y["ben"], mask=~gone_y)})
