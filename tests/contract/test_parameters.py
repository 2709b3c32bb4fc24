"""What the documentation says of options, seeds and devices is what is accepted."""

import importlib
import inspect
import re

import numpy as np
import pytest
import torch
from numpydoc.docscrape import ClassDoc, FunctionDoc
from registry import CONTRACT, TWO_DIMENSIONAL
from sklearn.base import clone
from sklearn.utils._param_validation import Options, StrOptions, validate_parameter_constraints

import neuroml
from neuroml.exceptions import DataError
from neuroml.switching.inference import forward_backward

ENTRIES = {
    f"{type(entry.estimator).__name__}-{number}": entry
    for number, entry in enumerate(TWO_DIMENSIONAL + CONTRACT)
}
MODULES = [
    *(name for name in neuroml._SUBMODULES if name != "data"),  # readers look at the file first
    "switching.inference",
    "decoding.metrics",
    "dendrites.layers",
]


def documented_options(doc):
    """Strings of every ``{"a", "b"}`` in a numpydoc section of parameters, by parameter."""
    return {
        parameter.name: set(re.findall(r'"([^"]*)"', found[1]))
        for parameter in doc["Parameters"]
        if (found := re.search(r"\{(.*?)\}", parameter.type))
    }


def accepted_options(constraints):
    """Strings that scikit-learn's constraints of one parameter let through."""
    if not isinstance(constraints, list):
        return set()
    return {
        option
        for constraint in constraints
        if isinstance(constraint, StrOptions | Options)
        for option in constraint.options
        if isinstance(option, str)
    }


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_options_of_estimators_are_those_documented(entry):
    documented = documented_options(ClassDoc(type(entry.estimator)))
    for name, constraints in entry.estimator._parameter_constraints.items():
        accepted = accepted_options(constraints)
        if name in documented or len(accepted) > 1:
            assert accepted == documented.get(name), name


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_every_parameter_is_checked(entry):
    assert set(entry.estimator._parameter_constraints) == set(
        entry.estimator.get_params(deep=False)
    )


def functions_with_options():
    for module_name in MODULES:
        module = importlib.import_module(f"neuroml.{module_name}")
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                for parameter, options in documented_options(FunctionDoc(function)).items():
                    yield pytest.param(
                        function, parameter, options, id=f"{module_name}.{name}-{parameter}"
                    )


def refusal(function, **chosen):
    """The error of a call whose other arguments are of no use."""
    signature = inspect.signature(function)
    empty = {
        name: None
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_KEYWORD
    }
    with pytest.raises(Exception) as caught:
        function(**empty | chosen)
        raise RuntimeError("nothing was refused")
    return caught.value


@pytest.mark.parametrize(("function", "parameter", "options"), [*functions_with_options()])
def test_options_of_functions_are_those_documented(function, parameter, options):
    error = refusal(function, **{parameter: "no such option"})
    assert isinstance(error, DataError) and error.field == parameter, repr(error)
    assert set(re.findall(r"'(.*?)'", error.expected)) == options
    for option in options:
        error = refusal(function, **{parameter: option})
        assert getattr(error, "field", None) != parameter, f"{option} is refused: {error}"


SEEDS = {
    "integer": lambda: 3,
    "NumPy integer": lambda: np.int64(3),
    "RandomState": lambda: np.random.RandomState(0),
    "Generator": lambda: np.random.default_rng(0),
    "None": lambda: None,
}
SEEDED = {k: e for k, e in ENTRIES.items() if "random_state" in e.estimator.get_params()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("entry", SEEDED.values(), ids=SEEDED)
def test_every_random_state_is_accepted(entry, seed):
    parameters = entry.estimator.get_params(deep=False) | {"random_state": SEEDS[seed]()}
    validate_parameter_constraints(
        entry.estimator._parameter_constraints, parameters, type(entry.estimator).__name__
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("entry", SEEDED.values(), ids=SEEDED)
def test_a_generator_gives_a_fit(entry):
    model = clone(entry.estimator).set_params(random_state=np.random.default_rng(0))
    assert model.fit(**entry.fit_arguments()) is model


@pytest.mark.parametrize("seed", ["text", 1.5, -1, [1, 2]])
def test_what_is_no_seed_is_refused(seed):
    from neuroml.simulate import make_pink_stimuli

    with pytest.raises(DataError, match="random_state: .*an integer >= 0"):
        make_pink_stimuli(2, (3, 4, 4), random_state=seed)


PLACED = {k: e for k, e in ENTRIES.items() if "device" in e.estimator.get_params()}
ABSENT = ["cuda", "cuda:0", "mps", torch.device("cuda"), "gpu", "meta", None, 3]


@pytest.fixture
def without_gpu(monkeypatch):
    """A machine without any accelerator, whatever this one has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", torch.device("cpu")])
@pytest.mark.parametrize("entry", PLACED.values(), ids=PLACED)
def test_every_device_that_is_there_is_taken(entry, device, without_gpu, tmp_path):
    model = clone(entry.estimator).set_params(device=device).fit(**entry.fit_arguments())
    loaded = neuroml.load(neuroml.save(model, tmp_path / "m.safetensors"))
    assert loaded.device == device


@pytest.mark.parametrize("device", ABSENT)
@pytest.mark.parametrize("entry", PLACED.values(), ids=PLACED)
def test_no_other_device_is_taken(entry, device, without_gpu):
    model = clone(entry.estimator).set_params(device=device)
    with pytest.raises(DataError, match="field device: .*found") as caught:
        model.fit(**entry.fit_arguments())
    assert caught.value.field == "device"
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.parametrize("device", ABSENT)
def test_functions_take_no_other_device(device, without_gpu):
    with pytest.raises(DataError, match="field device: .*found"):
        forward_backward(np.zeros((3, 2)), np.eye(2), [0.5, 0.5], device=device)
