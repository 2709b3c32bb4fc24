"""The same numbers in whatever form they come, or a refusal in a sentence: no third outcome.

Every estimator of the registry is fitted to one recording and to two, in all the forms that data
come in, in five ways, and compared with what the plain array gives.
"""

import copy
import functools
import inspect
import linecache
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
import xarray as xr
from registry import CONTRACT, TWO_DIMENSIONAL
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline

import neuroml
from neuroml._core.cohort import is_cohort
from neuroml._core.recording import make_recording
from neuroml.celltypes import (
    FacetedStimuli,
    FunctionalTypes,
    MostDiscriminativeStimuli,
    ResponseModel,
)
from neuroml.connectome import (
    AffinityTensor,
    CoupledFactorization,
    DynamicConnectome,
    DynamicFCMaskedAutoencoder,
    FiberTensor,
    NonnegativeCP,
    SlidingWindowConnectivity,
    WeightedSBM,
)
from neuroml.decoding import (
    BayesianDecoder,
    CrossSubjectClassifier,
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    MindBridgeDecoder,
    ProcrustesAligner,
    PrototypeClassifier,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank
from neuroml.representation import PopulationGeometry
from neuroml.simulate import make_retina
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
# numbers that single precision holds exactly, so that only the arithmetic can differ
VALUES = RNG.integers(1, 64, size=(40, 4)) / 64
CLASSES = RNG.integers(0, 2, size=40)
TARGETS = np.round(64 * (VALUES @ RNG.normal(size=(4, 2)) + RNG.normal(size=(40, 2)))) / 64
COUNTS = RNG.poisson(1.0, size=(40, 3)).astype(float)
GRAPH = np.triu(RNG.integers(1, 64, size=(12, 12)) / 64, 1)
GRAPH = GRAPH + GRAPH.T
RETINA = make_retina(["on_transient", "off_sustained"], n_cells=2, n_frames=60, random_state=0)
REFERENCE = np.round(RNG.normal(size=(20, *RETINA.module.stimulus_shape)) * 64) / 64
HALVES = np.repeat([0, 1], 20)


def predict(model, X, y, **keywords):
    return model.predict(X, **keywords)


def transform(model, X, y, **keywords):
    return model.transform(X, **keywords)


@dataclass(frozen=True)
class Inputs:
    """What an estimator is fitted to, what of it is looked at, and how it reads two recordings.

    ``two`` is "sessions" (which share units: like one array with ``sessions=``), "subjects" (like
    a dict), "tensor" (like a 3-D array) or "refused".
    """

    X: np.ndarray
    y: np.ndarray | None = None
    output: Callable[..., Any] = transform
    two: str = "refused"
    quick: dict[str, Any] = field(default_factory=dict)
    computes_in: type = np.float64
    refuses_way: str | None = None
    fit: Callable[..., Any] = lambda model, X, y, **kw: (
        model.fit(X, **kw) if y is None else model.fit(X, y, **kw)
    )


def _with_reference_stimuli(model, X, y):
    """Fitted to a network: what comes in forms are the stimuli that set its scale."""
    step = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    return model.fit(RETINA.module, **{f"{step}reference_stimuli": X})


@functools.cache
def _discriminative():
    quick = {"n_steps": 2, "n_init": 1, "n_reference": 20}
    return MostDiscriminativeStimuli(3, **quick, random_state=0).fit(RETINA.module)


def _typed_by_stimuli(model, X, y):
    """Fitted to a network: what comes in forms are the responses to be typed."""
    return copy.deepcopy(_discriminative())


def _beside_another(model, X, y, **keywords):
    """One recording is fitted beside that of another subject, which stays the same."""
    return model.fit(X if is_cohort(X) else {"a": X, "b": VALUES[:, :3]}, **keywords)


INPUTS = {
    SlidingWindowConnectivity: Inputs(VALUES, two="sessions"),
    NonnegativeCP: Inputs(VALUES, two="tensor", quick={"max_iter": 20}, computes_in=np.float32),
    SegmentBank: Inputs(VALUES > 0.5),
    KWinnersEncoder: Inputs(VALUES, refuses_way="pandas output"),  # its output is sparse
    ActiveDendriteClassifier: Inputs(
        VALUES, CLASSES, lambda model, X, y: (model.predict(X), model.decision_function(X))
    ),
    SwitchingGLM: Inputs(
        VALUES,
        TARGETS[:, 0],
        lambda model, X, y, **kw: (model.predict_proba(X, y, **kw), model.score(X, y, **kw)),
        two="sessions",
        quick={"max_iter": 5},
    ),
    SwitchingPopulationGLM: Inputs(
        COUNTS,
        None,
        lambda model, X, y, **kw: (model.predict_proba(X, **kw), model.score(X, **kw)),
        two="sessions",
        quick={"max_iter": 3, "ridge": 1.0},
    ),
    WeightedSBM: Inputs(GRAPH, None, lambda model, X, y: (model.icl_, model.block_means_)),
    ResponseModel: Inputs(
        VALUES,
        TARGETS[:, 0],
        predict,
        two="tensor",
        quick={"max_epochs": 2},
        computes_in=np.float32,
    ),
    BayesianDecoder: Inputs(
        VALUES,
        TARGETS[:, 0],
        lambda model, X, y, **kw: (model.predict(X, **kw), model.predict_proba(X, **kw)),
        two="sessions",
    ),
    CrossSubjectClassifier: Inputs(
        VALUES,
        CLASSES,
        lambda model, X, y, **kw: model.predict_proba(X, **kw),
        two="subjects",
        quick={"cv": 2},
    ),
    CrossSubjectDecoder: Inputs(VALUES, TARGETS, predict, two="subjects"),
    MindBridgeDecoder: Inputs(VALUES, TARGETS, predict, two="subjects", quick={"max_steps": 2}),
    RidgeDecoder: Inputs(VALUES, TARGETS, predict, two="subjects"),
    HierarchicalRidgeDecoder: Inputs(VALUES, TARGETS, predict, two="subjects"),
    ProcrustesAligner: Inputs(VALUES, two="subjects"),
    SharedResponseModel: Inputs(VALUES, two="subjects", quick={"max_iter": 10}),
    PrototypeClassifier: Inputs(
        VALUES, CLASSES, lambda model, X, y: (model.predict(X), model.decision_function(X))
    ),
    FunctionalTypes: Inputs(
        VALUES,
        None,
        lambda model, X, y: (model.labels_, model.predict_proba(X)),
        quick={"n_init": 1, "n_bootstrap": 0},
    ),
    FacetedStimuli: Inputs(
        REFERENCE,
        None,
        lambda model, X, y: (model.facets_, model.responses_),
        quick={"n_steps": 2, "n_seeds": 20},
        computes_in=np.float32,
        fit=_with_reference_stimuli,
    ),
    MostDiscriminativeStimuli: Inputs(
        VALUES[:3], None, lambda model, X, y: model.predict_proba(X), fit=_typed_by_stimuli
    ),
    PopulationGeometry: Inputs(
        VALUES,
        CLASSES,
        lambda model, X, y: (model.condition_means_, model.dissimilarity_),
        quick={"n_permutations": 2, "n_bootstrap": 2},
    ),
    AffinityTensor: Inputs(VALUES, two="sessions"),
    CoupledFactorization: Inputs(
        VALUES, two="subjects", quick={"max_iter": 50, "tol": 1e-4}, fit=_beside_another
    ),
    DynamicFCMaskedAutoencoder: Inputs(
        VALUES[:, :3], two="sessions", quick={"max_epochs": 2}, computes_in=np.float32
    ),
    DynamicConnectome: Inputs(VALUES, two="sessions", quick={"max_iter": 20}),
}
ENTRIES = {f"{type(e.estimator).__name__}{i}": e for i, e in enumerate(TWO_DIMENSIONAL + CONTRACT)}


def model_of(entry):
    model, quick = clone(entry.estimator), INPUTS[type(entry.estimator)].quick
    known = model.get_params()
    quick = quick | {"random_state": 0}
    return model.set_params(**{name: value for name, value in quick.items() if name in known})


def names(X):
    return [f"unit{i}" for i in range(X.shape[1])]


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def table(X):
    return (
        pd.Series(X)
        if X.ndim == 1
        else pd.DataFrame(X, columns=names(X), index=range(7, 7 + len(X)))
    )


def data_array(X, order=None):
    dims = ("time", "unit", "y", "z")[: X.ndim]
    coords = {"unit": names(X)} if X.ndim == 2 else {}
    given = xr.DataArray(X, dims=dims, coords=coords)
    return given.transpose(*dims[1:], "time") if order == "time last" else given


def memory_mapped(X, folder):
    path = folder / f"{time.perf_counter_ns()}.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def recording(X, subject=""):
    return make_recording(X, units=names(X), modality="responses", key=(subject, "", ""))


def same(y):
    return y


ONE = {  # name: (form of X, form of y)
    "array": (same, same),
    "DataFrame": (table, table),
    "nested lists": (lambda X: X.tolist(), lambda y: y.tolist()),
    "recording": (recording, same),
    "masked array, nothing masked": (np.ma.masked_array, np.ma.masked_array),
    "read-only": (read_only, read_only),
    "float32": (
        lambda X: X.astype(np.float32),
        lambda y: y.astype(np.float32) if y.dtype.kind == "f" else y,
    ),
    "Fortran order": (np.asfortranarray, np.asfortranarray),
    "torch tensor": (torch.tensor, torch.tensor),
    "torch tensor with gradients": (
        lambda X: torch.tensor(X.astype(float), requires_grad=True),
        torch.tensor,
    ),
    "DataArray": (data_array, data_array),
    "DataArray, time last": (lambda X: data_array(X, "time last"), data_array),
    "object array": (lambda X: X.astype(object), same),
    "memmap": ("memmap", "memmap"),
    "nullable DataFrame": (
        lambda X: table(X).convert_dtypes(),
        lambda y: table(y).convert_dtypes(),
    ),
    "every second row of a larger array": (lambda X: np.repeat(X, 2, axis=0)[::2], same),
}


TABLES = ("DataFrame", "nullable DataFrame", "recording")


def boxes(parts):
    box = np.empty(len(parts), dtype=object)
    box[:] = parts
    return box


TWO = {
    "list": (list, list),
    "tuple": (tuple, tuple),
    "dict": (lambda parts: dict(zip("ab", parts, strict=True)),) * 2,
    "dict with NumPy keys": (lambda parts: dict(zip(np.arange(2), parts, strict=True)),) * 2,
    "list of DataFrames": (lambda parts: [table(part) for part in parts], list),
    "dict of DataFrames": (
        lambda parts: {k: table(part) for k, part in zip("ab", parts, strict=True)},
        lambda parts: {k: table(part) for k, part in zip("ab", parts, strict=True)},
    ),
    "list of recordings": (
        lambda parts: [recording(X, s) for s, X in zip("ab", parts, strict=True)],
        list,
    ),
    "recordings without subjects": (lambda parts: [recording(X) for X in parts], list),
    "list of masked arrays, nothing masked": (
        lambda parts: [np.ma.masked_array(part) for part in parts],
        list,
    ),
    "list of read-only arrays": (
        lambda parts: [read_only(part) for part in parts],
        lambda parts: [read_only(part) for part in parts],
    ),
    "list of float32": (lambda parts: [part.astype(np.float32) for part in parts], list),
    "list in Fortran order": (lambda parts: [np.asfortranarray(part) for part in parts], list),
    "list of torch tensors": (lambda parts: [torch.tensor(part) for part in parts], list),
    "list of DataArrays": (lambda parts: [data_array(part) for part in parts], list),
    "list of DataArrays, time last": (
        lambda parts: [data_array(part, "time last") for part in parts],
        list,
    ),
    "list of nested lists": (
        lambda parts: [part.tolist() for part in parts],
        lambda parts: [part.tolist() for part in parts],
    ),
    "3-D array": (np.stack, np.stack),
    "object array of arrays": (boxes, boxes),
    "dict of lists of sessions": (
        lambda parts: {k: [part[:10], part[10:]] for k, part in zip("ab", parts, strict=True)},
        lambda parts: {k: [part[:10], part[10:]] for k, part in zip("ab", parts, strict=True)},
    ),
}


WAYS = ("direct", "saved and loaded", "cloned", "Pipeline", "pandas output")


def run(way, model, inputs, given, folder, **keywords):
    """Fit and look at the output in one of the ways."""
    X, y = given
    if way == "cloned":
        model = clone(inputs.fit(clone(model), X, y, **keywords))
    if way == "Pipeline":
        pipe = inputs.fit(make_pipeline("passthrough", model), X, y)
        return inputs.output(pipe[-1] if isinstance(pipe, Pipeline) else pipe, X, y)
    if way == "pandas output":
        with config_context(transform_output="pandas"):
            return inputs.output(inputs.fit(model, X, y), X, y)
    model = inputs.fit(model, X, y, **keywords)
    if way == "saved and loaded":
        model = neuroml.load(neuroml.save(model, folder / "model.safetensors"))
    return inputs.output(model, X, y, **keywords)


def in_a_sentence(error):
    """Whether an exception was raised on purpose, by this library or by scikit-learn."""
    if type(error) not in (neuroml.exceptions.DataError, ValueError, TypeError):
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    file = Path(last.tb_frame.f_code.co_filename)
    ours = any(Path(m.__file__).parent in file.parents for m in (neuroml, sklearn))
    return ours and linecache.getline(str(file), last.tb_lineno).strip().startswith("raise")


def values_of(output):
    """An output as plain arrays; those of subjects in order, whatever their names."""
    if isinstance(output, FiberTensor):
        return [output.to_dense()]
    if isinstance(output, dict):
        return [array for part in output.values() for array in values_of(part)]
    if isinstance(output, tuple | list):
        return [array for part in output for array in values_of(part)]
    if hasattr(output, "toarray"):
        return [output.toarray()]
    return [np.asarray(output)]


def outcome(way, entry, given, folder, **keywords):
    """(arrays, None), or (None, the exception)."""
    inputs = INPUTS[type(entry.estimator)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        try:
            return values_of(run(way, model_of(entry), inputs, given, folder, **keywords)), None
        except Exception as error:
            return None, error


def agree(found, wanted, precision):
    """Whether all arrays are the same but for rounding, on the scale of each."""
    tolerance = np.sqrt(np.finfo(np.float32).eps) if precision == np.float32 else 1e-6
    return len(found) == len(wanted) and all(
        a.shape == b.shape
        and np.allclose(
            a.astype(float), b.astype(float), rtol=0, equal_nan=True,
            atol=tolerance * np.nanmax(np.abs(b.astype(float)), initial=0),
        )
        for a, b in zip(found, wanted, strict=True)
    )  # fmt: skip


def judge(way, entry, given, wanted, folder, *, single=False):
    """ "same", "refused", or what went wrong, given the (arrays, exception) that are wanted."""
    found, error = outcome(way, entry, given, folder)
    if error is not None:
        return "refused" if in_a_sentence(error) else f"foreign: {type(error).__name__}: {error}"
    if wanted[1] is not None:
        return "differs: it is taken"
    low = np.float32 if single else INPUTS[type(entry.estimator)].computes_in
    return "same" if agree(found, wanted[0], low) else "differs"


def formed(forms, X, y, folder):
    """X and y in a pair of forms."""
    made = [
        memory_mapped(given, folder) if form == "memmap" else form(given)
        for form, given in zip(forms, (X, y), strict=True)
        if given is not None
    ]
    return (*made, None)[:2]


def halves(X):
    return None if X is None else [X[: len(X) // 2], X[len(X) // 2 :]]


def expected_of_two(entry, folder):
    """What two recordings should give: in general, and where each of them has two sessions."""
    inputs = INPUTS[type(entry.estimator)]
    X, y = inputs.X, inputs.y
    if inputs.two == "refused":
        return (None, ValueError()), (None, ValueError())
    if inputs.two == "sessions":
        of_subjects = isinstance(entry.estimator, AffinityTensor | DynamicConnectome)
        groups = {"groups": HALVES} if of_subjects else {}
        quarters = np.repeat(range(4), 10)
        return (
            outcome("direct", entry, (X, y), folder, sessions=HALVES),
            outcome("direct", entry, (X, y), folder, sessions=quarters, **groups),
        )
    given = {
        "subjects": lambda one: None if one is None else dict(zip("ab", halves(one), strict=True)),
        "tensor": lambda one: None if one is None else np.stack(halves(one)),
    }[inputs.two]
    together = outcome("direct", entry, (given(X), given(y)), folder)
    takes = "sessions" in inspect.signature(type(entry.estimator).fit).parameters
    if inputs.two == "tensor" or not takes:
        return together, together
    sessions = {subject: np.repeat([0, 1], 10) for subject in "ab"}
    model = model_of(entry).fit(given(X), given(y), sessions=sessions)
    return together, (values_of(inputs.output(model, given(X), given(y))), None)


def cells(entry, folder):
    """(form, way, what is expected, what came) of every cell of one estimator."""
    inputs = INPUTS[type(entry.estimator)]
    plain = outcome("direct", entry, (inputs.X, inputs.y), folder)
    assert plain[1] is None
    refused = (None, ValueError())
    two = expected_of_two(entry, folder)
    arrays = {"3-D array", "list of nested lists"}  # one array where three axes are allowed
    wanted = {name: plain for name in ONE if inputs.X.ndim == 2 or name not in TABLES}
    if inputs.X.ndim == 2 and len(inputs.X) % 2 == 0:
        for name in TWO:
            readable = inputs.two != "tensor" or name in arrays
            wanted[name] = two["lists of sessions" in name] if readable else refused
    for name, expected in wanted.items():
        if name in ONE:
            given = formed(ONE[name], inputs.X, inputs.y, folder)
        else:
            given = formed(TWO[name], halves(inputs.X), halves(inputs.y), folder)
        for way in WAYS:
            taken = expected[1] is None and way != inputs.refuses_way
            came = judge(way, entry, given, expected, folder, single="float32" in name)
            yield name, way, "same" if taken else "refused", came


COUNTS_OF_CELLS = Counter()


def test_every_estimator_has_inputs():
    assert {type(entry.estimator) for entry in ENTRIES.values()} == set(INPUTS)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_every_form_gives_the_same_numbers_or_is_refused(entry, tmp_path):
    found = list(cells(entry, tmp_path))
    COUNTS_OF_CELLS.update(came for *_, came in found)
    assert [cell for cell in found if cell[2] != cell[3]] == []


def test_no_cell_differs_and_none_raises_something_foreign():
    print(dict(COUNTS_OF_CELLS))  # with -s: how many are the same, and refused on purpose
    assert set(COUNTS_OF_CELLS) <= {"same", "refused"}


def gaps(X):
    """Entries in three rows; for vectors the three rows."""
    gone = np.zeros(X.shape, dtype=bool)
    if X.ndim == 1:
        gone[3:6] = True
    else:
        gone[1, ..., 0] = gone[2, ..., 1] = True
    return gone


@pytest.mark.parametrize("what", ["X", "y"])
@pytest.mark.parametrize("two", [False, True], ids=["one array", "a list"])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_a_mask_means_nan(entry, what, two, tmp_path):
    """Whatever stands under a mask, and however few entries are masked."""
    inputs = INPUTS[type(entry.estimator)]
    values = getattr(inputs, what)
    if values is None or (two and (values.ndim > 2 or len(values) % 2)):
        pytest.skip("there is nothing to mask")
    gone = gaps(values)
    if type(entry.estimator) is WeightedSBM:
        gone |= gone.T

    def given(form):
        pair = {"X": inputs.X, "y": inputs.y} | {what: form}
        return tuple(halves(one) if two else one for one in pair.values())

    wanted = outcome("direct", entry, given(np.where(gone, np.nan, values)), tmp_path)
    assert wanted[1] is None or in_a_sentence(wanted[1]), wanted[1]
    for under in (0.0, 1e6):
        form = np.ma.masked_array(np.where(gone, under, values), mask=gone)
        came = judge("direct", entry, given(form), wanted, tmp_path)
        assert came == ("same" if wanted[1] is None else "refused")


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_columns_in_another_order_after_fit(entry, tmp_path):
    """They are brought into order by their names, or refused; other names are refused."""
    inputs = INPUTS[type(entry.estimator)]
    if inputs.X.ndim > 2 or type(entry.estimator) in (
        WeightedSBM, MostDiscriminativeStimuli, PopulationGeometry, CoupledFactorization,
    ):  # fmt: skip
        pytest.skip("there is nothing after fit that takes columns")
    X, y = table(inputs.X), inputs.y
    model = inputs.fit(model_of(entry), X, y)
    wanted = values_of(inputs.output(model, X, y))
    try:
        found = values_of(inputs.output(model, X[X.columns[::-1]], y))
    except ValueError as error:
        assert in_a_sentence(error)
    else:
        assert agree(found, wanted, inputs.computes_in)
    with pytest.raises(ValueError, match="other names|feature names"):
        inputs.output(model, X.rename(columns={"unit0": "other"}), y)


def text(X):
    return np.where(X > X.mean(), "left", "right")


@pytest.mark.parametrize(
    "bad",
    [
        lambda X: X[0].tolist() and [[1.0, 2.0], [3.0]],
        lambda X: [None, 1.0],
        lambda X: "a text",
        lambda X: {},
        lambda X: [],
        lambda X: text(X),
        lambda X: pd.DataFrame(text(X)) if X.ndim == 2 else text(X),
        lambda X: X.astype(complex) * 1j,
        lambda X: [X, None],
        lambda X: [X[0], X],
        lambda X: np.array("2020-01-01", dtype="datetime64[D]") + (64 * X).astype(int),
    ],
)
@pytest.mark.parametrize("two", [False, True], ids=["alone", "beside another"])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_what_is_no_data_is_refused_in_a_sentence(entry, bad, two, tmp_path):
    inputs = INPUTS[type(entry.estimator)]
    given = bad(inputs.X), inputs.y
    if two:
        given = [inputs.X, given[0]], None if inputs.y is None else [inputs.y, inputs.y]
    _, error = outcome("direct", entry, given, tmp_path)
    assert error is not None and in_a_sentence(error), repr(error)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_the_forms_are_documented(entry):
    kind = type(entry.estimator)
    told = " ".join(kind.fit.__doc__.split())
    forms = "n array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN"
    assert forms in told
    if INPUTS[kind].two in ("sessions", "subjects"):
        assert "A list has one for each" in told
        assert "a dict one, or a list of sessions, for each" in told
    if INPUTS[kind].two == "subjects":
        assert "voxel_names_" in kind.__doc__ or "unit_names_" in kind.__doc__
        assert hasattr(kind, "predict") == ("target_names_" in kind.__doc__)
