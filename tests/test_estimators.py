"""scikit-learn's suite over every estimator that takes a 2-D X, and the contract for the others."""

import importlib
import inspect

import numpy as np
import pytest
from registry import CONTRACT, TWO_DIMENSIONAL
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import neuroml

EXPECTED = {type(entry.estimator): entry.expected_failures for entry in TWO_DIMENSIONAL}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API.*")
@parametrize_with_checks(
    [entry.estimator for entry in TWO_DIMENSIONAL],
    expected_failed_checks=lambda estimator: EXPECTED[type(estimator)],
    xfail_strict=True,
)
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
def test_at_most_three_expected_failures_each_with_a_reason(entry):
    assert len(entry.expected_failures) <= 3
    assert all(len(reason) > 20 for reason in entry.expected_failures.values())


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
