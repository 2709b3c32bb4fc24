"""The saver: everything a fitted estimator may hold comes back as it was, and nothing else gets in."""

import json
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from registry import CONTRACT, TWO_DIMENSIONAL
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tensorly.cp_tensor import CPTensor
from test_estimators import compare

import neuroml
from neuroml._core.persistence import FORMAT_VERSION, describe
from neuroml.connectome import NonnegativeCP, SlidingWindowConnectivity
from neuroml.decoding import HierarchicalRidgeDecoder
from neuroml.exceptions import DataError

FIXTURES = Path(__file__).parent / "saved_models"


def holding(value):
    """An estimator with a fitted attribute of the given value."""
    estimator = NonnegativeCP()
    estimator.held_ = value
    return estimator


def _object_array(*items):
    """An array whose items may be arrays of equal lengths, which NumPy would join."""
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


VALUES = {
    "none": None,
    "numbers": [1, 2.5, True, "text", -0.0],
    "odd floats": [float("nan"), float("inf"), -float("inf"), 5e-324],
    "tuple": (1, (2.0, "x")),
    "dict": {"a": 1, 2: [3], (4, 5): None, None: np.arange(3)},
    "empty": [[], {}, (), np.empty((0, 3))],
    "scalars": [np.float32(1.5), np.int8(-3), np.bool_(True), np.complex128(1 + 2j)],
    "strings": np.array([["a", "bc"], ["", "ü"]]),
    "objects": np.array(["a", None, 3], dtype=object),
    "zero-dimensional": np.array(2.5),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10)[::3],
    "negative stride": np.arange(5.0)[::-1],
    "big-endian": np.arange(4, dtype=">i4").astype(">f8"),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "table": pd.DataFrame({"x": [1.5, np.nan], "n": [1, 2], "s": ["a", "b"]}, index=[10, 20]),
    "keys of like text": {1: np.zeros(2), "1": np.ones(3), 1.5: np.zeros(1), "1.5": np.ones(2)},
    "numpy keys": {np.int64(s): np.full(2, s) for s in (1, 2, 3)},
    "other numpy keys": {kind(s): np.full(3, s) for kind in (np.float32, np.str_) for s in (1, 2)},
    "tuples of numpy keys": {("sub", np.int8(s)): np.full(2, s) for s in (1, 2)},
    "keys that look like paths": {"a": {"b": np.zeros(2)}, "a/b": np.ones(2), "a/'b'": np.ones(1)},
    "arrays in an object array": _object_array(np.arange(2), np.arange(2.0), None),
    "device": torch.device("cuda:1"),
    "cp": CPTensor((np.ones(2), [np.eye(2), np.arange(6.0).reshape(3, 2)])),
    "estimator": StandardScaler().fit([[0.0], [2.0]]),
}
for kind in "?bhilqBHILQefdFD":
    VALUES[f"dtype {kind}"] = np.arange(6).reshape(2, 3).astype(kind)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_every_kind_of_value_round_trips(value, tmp_path):
    estimator = neuroml.load(neuroml.save(holding(value), tmp_path / "m.safetensors"))
    compare(value, estimator.held_)
    if isinstance(value, np.ndarray):
        assert estimator.held_.dtype == value.dtype.newbyteorder("=")


NUMBERS = np.arange(4.0).reshape(2, 2)
TABLES = {
    "integer columns": pd.DataFrame(NUMBERS, columns=[10, 20]),
    "columns of like text": pd.DataFrame(NUMBERS, columns=[1, "1"]),
    "columns of one name": pd.DataFrame(NUMBERS, columns=["x", "x"]),
    "named axes": pd.DataFrame(NUMBERS).rename_axis(index="time", columns="unit"),
    "small integers as index": pd.DataFrame(NUMBERS, index=np.array([1, 2], dtype=np.int16)),
    "float index": pd.DataFrame(NUMBERS, index=[0.5, 1.5]),
    "text index": pd.DataFrame(NUMBERS, index=["a", "b"]),
    "mixed labels": pd.DataFrame(NUMBERS, columns=["a", 2], index=[1, "b"]),
    "two levels": pd.DataFrame(
        NUMBERS,
        index=pd.MultiIndex.from_tuples([("s", 1), ("s", 2)], names=["subject", "run"]),
        columns=pd.MultiIndex.from_product([["x"], [1, 2]]),
    ),
    "a range with a step": pd.DataFrame(NUMBERS, index=pd.RangeIndex(2, 6, 2, name="frame")),
    "types": pd.DataFrame(
        {
            "b": np.array([True, False]),
            "i": np.array([1, 2], dtype=np.int8),
            "f": np.array([1, np.nan], dtype=np.float32),
            "s": pd.Series(["a", None], dtype="string"),
            "t": ["a", "b"],
            "o": pd.Series([1, "a"], dtype=object),
        }
    ),
    "no rows": pd.DataFrame({"x": np.empty(0), "n": np.empty(0, dtype=np.int32)}),
    "no columns": pd.DataFrame(index=[1, 2]),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_tables_keep_labels_names_and_types(table, tmp_path):
    loaded = neuroml.load(neuroml.save(holding(table), tmp_path / "m.safetensors")).held_
    pd.testing.assert_frame_equal(
        table, loaded, check_column_type="exact", check_index_type="exact"
    )


def test_tables_of_other_types_are_refused(tmp_path):
    table = pd.DataFrame({"x": pd.Categorical(["a", "b"])})
    with pytest.raises(DataError, match=r"held_/x.*found category.*astype"):
        neuroml.save(holding(table), tmp_path / "m.safetensors")


def test_set_output_is_saved(tmp_path):
    model = SlidingWindowConnectivity(window=10).set_output(transform="pandas")
    loaded = neuroml.load(neuroml.save(model, tmp_path / "m.safetensors"))
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)))
    assert isinstance(loaded.fit_transform(X), pd.DataFrame)


def test_negative_zero_and_nan_payload_keep_their_bits(tmp_path):
    bits = np.array([0x7FF8000000000123, 0x8000000000000000], dtype=np.uint64).view(np.float64)
    loaded = neuroml.load(neuroml.save(holding(bits), tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(loaded.held_.view(np.uint64), bits.view(np.uint64))


def test_pipeline(tmp_path):
    X = np.random.default_rng(0).normal(size=(50, 3))
    pipeline = make_pipeline(StandardScaler(), SlidingWindowConnectivity(window=10)).fit(X)
    loaded = neuroml.load(neuroml.save(pipeline, tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(loaded.transform(X), pipeline.transform(X))


class TestModules:
    """Torch modules travel as weights; the user's own must be passed back in."""

    def test_users_module(self, tmp_path):
        module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        path = neuroml.save(holding(module), tmp_path / "m.safetensors")
        with pytest.raises(DataError, match=r"load\(path, module=\.\.\.\)"):
            neuroml.load(path)
        twin = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        compare(module, neuroml.load(path, module=twin).held_)

    def test_other_architecture_is_refused(self, tmp_path):
        path = neuroml.save(holding(torch.nn.Linear(2, 3)), tmp_path / "m.safetensors")
        with pytest.raises(RuntimeError, match="size mismatch"):
            neuroml.load(path, module=torch.nn.Linear(2, 4))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (print, "builtin_function_or_method"),
        (np.random.RandomState(0), "RandomState.*integer random_state"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
        (np.zeros(2, dtype=[("a", int)]), "cannot be saved"),
        (Ridge(), "sklearn.linear_model.Ridge"),
    ],
)
def test_what_cannot_be_saved_names_the_attribute(value, message, tmp_path):
    with pytest.raises(DataError, match=message):
        neuroml.save(holding(value), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_suffix_is_checked(tmp_path):
    with pytest.raises(DataError, match=r"ending in \.safetensors; found model\.pkl"):
        neuroml.save(NonnegativeCP(), tmp_path / "model.pkl")


class TestHostileFiles:
    def write(self, path, header, arrays=None):
        save_file(arrays or {}, path, metadata={"neuroml": json.dumps(header)})
        return path

    @pytest.mark.parametrize(
        "name",
        [
            "os.system",
            "neuroml.data.make_recording",
            "sklearn.linear_model.Ridge",
            "neuroml._core.persistence.save",
            "neuroml.connectome.BaseEstimator",
            "NonnegativeCP",
        ],
    )
    def test_classes_outside_the_table_are_refused(self, name, tmp_path):
        header = {
            "format": "neuroml",
            "format_version": 1,
            "neuroml_version": "0",
            "estimator": {"__kind__": "estimator", "class": name, "state": {}},
        }
        with pytest.raises(DataError, match="not one that neuroml saves or loads"):
            neuroml.load(self.write(tmp_path / "m.safetensors", header))

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"short",
            b"\x80\x04\x95pickle....",
            struct.pack("<Q", 2**60) + b"{}",
            struct.pack("<Q", 2) + b"{}",
            struct.pack("<Q", 5) + b"\xff\xfe{}x",
        ],
    )
    def test_other_files_are_refused(self, content, tmp_path):
        path = tmp_path / "m.safetensors"
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a model saved by neuroml"):
            neuroml.load(path)

    def test_a_plain_safetensors_file_is_refused(self, tmp_path):
        save_file({"x": np.ones(2)}, tmp_path / "m.safetensors")
        with pytest.raises(DataError, match="not a model saved by neuroml"):
            neuroml.load(tmp_path / "m.safetensors")

    def test_truncated_at_any_byte(self, tmp_path):
        whole = neuroml.save(holding(np.arange(4.0)), tmp_path / "whole.safetensors").read_bytes()
        path = tmp_path / "cut.safetensors"
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(DataError):
                neuroml.load(path)

    def test_newer_format_says_what_to_install(self, tmp_path):
        header = {
            "format": "neuroml",
            "format_version": FORMAT_VERSION + 1,
            "neuroml_version": "9.9",
            "estimator": {},
        }
        with pytest.raises(DataError, match=r"neuroml-learn >= 9\.9"):
            neuroml.load(self.write(tmp_path / "m.safetensors", header))

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            neuroml.load(tmp_path / "absent.safetensors")


def test_describe_does_not_need_the_arrays(tmp_path):
    path = neuroml.save(holding(np.arange(3)), tmp_path / "m.safetensors")
    description = describe(path)
    assert description["class"] == "neuroml.connectome.NonnegativeCP"
    assert description["n_components"] == 3 and description["held_"] == "array of shape (3,)"


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_models_of_every_format_version_still_load(version):
    model = neuroml.load(FIXTURES / f"format_{version}.safetensors")
    assert isinstance(model, BaseEstimator)
    tensor = np.einsum("ir,jr,kr->ijk", *model.cp_.factors)
    assert tensor.shape == (3, 4, 5) and model.converged_ is True


def test_a_network_of_before_it_had_a_class_of_its_own_is_refused():
    with pytest.raises(
        DataError, match="found .*readout.*MindBridgeDecoder now. Fit the model again"
    ):
        neuroml.load(FIXTURES / "cross_subject_network_format_2.safetensors")


@pytest.mark.parametrize(
    "entry", TWO_DIMENSIONAL + CONTRACT, ids=lambda e: type(e.estimator).__name__
)
def test_a_parameter_that_is_no_more_is_refused(entry, tmp_path):
    model = clone(entry.estimator)
    model.step_size = 2
    path = neuroml.save(model, tmp_path / "model.safetensors")
    name = type(model).__name__
    with pytest.raises(
        DataError, match=f"older neuroml, whose {name} had other parameters.*step_size"
    ):
        neuroml.load(path)


@pytest.mark.parametrize(
    ("model", "name"), [(NonnegativeCP(), "n_jobs"), (HierarchicalRidgeDecoder(), "rank")]
)
def test_a_former_parameter_that_changed_no_result_is_dropped(model, name, tmp_path):
    setattr(model, name, None)
    loaded = neuroml.load(neuroml.save(model, tmp_path / "model.safetensors"))
    assert not hasattr(loaded, name) and loaded.get_params() == model.get_params()
