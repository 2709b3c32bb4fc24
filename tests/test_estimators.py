"""scikit-learn's suite over every estimator that takes a 2-D X, and the contract for the others."""

import importlib
import inspect

import numpy as np
import pytest
from registry import CONTRACT, TWO_DIMENSIONAL
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted

import neuroml


def scikit_learn_checks():
    """The suite's checks of each estimator, those that are expected to fail marked as such."""
    for entry in TWO_DIMENSIONAL:
        for estimator, check in estimator_checks_generator(entry.estimator, mark=None):
            name = check.func.__name__
            if name in entry.left_out:
                continue
            reason = entry.expected_failures.get(name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(
                estimator, check, marks=marks, id=f"{type(estimator).__name__}-{_label(check)}"
            )


def _label(check):
    """The check's name with what it was called with, if anything."""
    settings = "-".join(f"{k}={v}" for k, v in check.keywords.items())
    return check.func.__name__ + (f"({settings})" if settings else "")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API.*")
@pytest.mark.parametrize(("estimator", "check"), list(scikit_learn_checks()))
def test_scikit_learn_suite(estimator, check):
    np.random.seed(0)  # noqa: NPY002 - some checks draw from the global stream
    check(estimator)


def test_every_public_estimator_is_registered():
    registered = {type(entry.estimator) for entry in TWO_DIMENSIONAL + CONTRACT}
    for family in neuroml._SUBMODULES:
        module = importlib.import_module(f"neuroml.{family}")
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) and issubclass(found, BaseEstimator):
                assert found in registered, f"{family}.{name} is missing from tests/registry.py"


@pytest.mark.parametrize("entry", TWO_DIMENSIONAL, ids=lambda e: type(e.estimator).__name__)
def test_at_most_three_exceptions_of_a_kind_each_with_a_reason(entry):
    names = {check.func.__name__ for _, check in estimator_checks_generator(entry.estimator)}
    for exceptions in (entry.expected_failures, entry.left_out):
        assert len(exceptions) <= 3 and set(exceptions) <= names
        assert all(len(reason) > 20 for reason in exceptions.values())


def fitted(entry):
    estimator = clone(entry.estimator)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    return estimator.fit(**entry.fit_arguments())


ALL = TWO_DIMENSIONAL + CONTRACT


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("entry", ALL, ids=lambda e: type(e.estimator).__name__)
class TestContract:
    def test_init_only_assigns(self, entry):
        parameters = entry.estimator.get_params(deep=False)
        twin = type(entry.estimator)(**parameters)
        assert all(getattr(twin, name) is value for name, value in parameters.items())
        with pytest.raises(NotFittedError):
            check_is_fitted(twin)

    def test_fit_returns_self_and_keeps_parameters(self, entry):
        estimator = clone(entry.estimator)
        before = repr(estimator.get_params())
        assert estimator.fit(**entry.fit_arguments()) is estimator
        check_is_fitted(estimator)
        assert repr(estimator.get_params()) == before

    def test_same_seed_same_result_and_refit_is_fresh(self, entry):
        first = fitted(entry)
        again = fitted(entry)
        again.fit(**entry.fit_arguments())
        compare(vars(first), vars(again))

    def test_save_and_load_round_trip_bit_for_bit(self, entry, tmp_path):
        estimator = fitted(entry)
        loaded = neuroml.load(neuroml.save(estimator, tmp_path / "model.safetensors"))
        compare(vars(estimator), vars(loaded))
        fresh = neuroml.load(neuroml.save(clone(entry.estimator), tmp_path / "fresh.safetensors"))
        compare(entry.estimator.get_params(), fresh.get_params())


def compare(first, second, where="estimator"):
    """Recursive equality of fitted attributes."""
    if isinstance(first, BaseEstimator):
        compare(vars(first), vars(second), where)
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            compare(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            compare(a, b, f"{where}[{i}]")
    elif isinstance(first, np.ndarray) and first.dtype == object:
        assert first.shape == second.shape and second.dtype == object, where
        compare(first.ravel().tolist(), second.ravel().tolist(), where)
    elif isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first, second, err_msg=where)
    elif hasattr(first, "state_dict"):
        compare(
            {k: v.numpy() for k, v in first.state_dict().items()},
            {k: v.numpy() for k, v in second.state_dict().items()},
            where,
        )
    elif hasattr(first, "factors"):
        compare([first.weights, *first.factors], [second.weights, *second.factors], where)
    elif hasattr(first, "equals"):
        assert first.equals(second), where
    else:
        assert first == second or (first != first and second != second), where
