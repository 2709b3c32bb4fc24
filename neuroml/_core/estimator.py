"""The one seam to scikit-learn and torch: routing, parameters, scores, devices, output as tables.

scikit-learn's private names are imported here and nowhere else, so that a new version of it is
answered in one file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, _fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._metadata_requests import SIMPLE_METHODS
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import _check_feature_names_in as check_input_names
from sklearn.utils.validation import _num_samples as n_samples_of

from neuroml._core.validation import check_sample_weight
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike

__all__ = [
    "DEVICE",
    "RANDOM_STATE",
    "Estimator",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "TableOutputMixin",
    "WeightedScoreMixin",
    "check_input_names",
    "check_kind",
    "check_option",
    "given_requests",
    "metadata_keywords",
    "n_samples_of",
    "resolve_device",
    "safe_indexing",
    "set_requests",
    "validate_parameter_constraints",
    "validated_fit",
    "validated_meta_fit",
]

# Both check the parameters by `_parameter_constraints` before ``fit``. The first skips the checks
# of estimators that ``fit`` builds itself from checked parameters; the second is for an estimator
# that fits one the user gave, whose parameters nobody has checked yet.
validated_fit = _fit_context(prefer_skip_nested_validation=True)
validated_meta_fit = _fit_context(prefer_skip_nested_validation=False)

RANDOM_STATE: list[Any] = ["random_state", np.random.Generator]
DEVICE = "no_validation"  # `resolve_device` says more than scikit-learn's check could
_DEVICE_NAMES = '"auto", "cpu", "cuda", "cuda:0" (any number), "mps" or a torch.device'


_FITS = ("fit", "partial_fit", "score")  # whose second argument is the target, whatever its name


class Estimator(BaseEstimator):
    """The base of every estimator: what its methods take beside the data, it asks for by itself.

    With scikit-learn's metadata routing, a Pipeline or a search then hands on ``sessions``,
    ``groups``, ``subject``, or ``y`` where a prediction takes it, without a ``set_fit_request``.
    Only ``sample_weight`` is left undecided, as scikit-learn does: whether what weighs the score
    also weighs the fit is for the user to say.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for method in SIMPLE_METHODS:
            name = f"__metadata_request__{method}"
            before = {key for base in cls.__mro__[1:] for key in vars(base).get(name, ())}
            asked = dict.fromkeys(before, UNUSED)  # a keyword that this class no longer has
            asked |= dict.fromkeys(metadata_keywords(cls, method), True)
            asked |= vars(cls).get(f"_{cls.__name__.lstrip('_')}{name}", {})  # said in the class
            if asked:
                setattr(cls, name, asked)
        super().__init_subclass__(**kwargs)


def metadata_keywords(cls: type, method: str) -> list[str]:
    """What a method takes beside the data and ``sample_weight``; nothing if there is no such one.

    Parameters
    ----------
    cls : type
    method : str
        One that scikit-learn routes metadata to, such as "fit" or "predict".
    """
    function = getattr(cls, method, None)
    if not inspect.isfunction(function):
        return []
    n_data = 3 if method in _FITS else 2  # self, X and the target
    names = list(_named(function))
    return [name for name in names[n_data:] if name != "sample_weight"]


def _named(function: Callable[..., Any]) -> Iterator[str]:
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield name


def given_requests(estimator: BaseEstimator) -> dict[str, dict[str, Any]] | None:
    """What ``set_fit_request`` and its kin have set on an estimator, by method; None if nothing."""
    if "_metadata_request" not in vars(estimator):
        return None
    routing = estimator._get_metadata_request()
    return {method: dict(getattr(routing, method).requests) for method in SIMPLE_METHODS}


def set_requests(estimator: BaseEstimator, requests: dict[str, dict[str, Any]]) -> None:
    """The inverse of `given_requests`."""
    routing = estimator._get_metadata_request()
    for method, wanted in requests.items():
        request = getattr(routing, method)
        for name in set(request.requests) - set(wanted):
            request.add_request(param=name, alias=UNUSED)
        for name, alias in wanted.items():
            request.add_request(param=name, alias=alias)
    estimator._metadata_request = routing


class WeightedScoreMixin(ClassifierMixin):
    """A classifier whose score refuses weights that are none."""

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Share of the samples, or of their weight, whose class is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float

        Raises
        ------
        DataError
            If weights do not fit the samples, are not finite or negative, or are all zero.
        """
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, np.shape(y)[0])
        return float(super().score(X, y, sample_weight))


def resolve_device(device: Any, *, double: bool = False) -> torch.device:
    """Return the torch device that a ``device`` parameter names, or refuse it.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes a GPU if there is one (CUDA, then Apple's), else the CPU.
    double : bool, default=False
        Whether the computation needs double precision, which "mps" does not have.

    Returns
    -------
    torch.device

    Raises
    ------
    DataError
        If there is no such device on this machine, or it cannot compute in double precision.
    """
    import torch

    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() and not double else "cpu")
    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda", "mps"):
        raise DataError(
            "this is not a device",
            expected=_DEVICE_NAMES,
            found=repr(device),
            field="device",
        )
    if found.type == "mps" and double:
        raise DataError(
            "this device does not compute in double precision",
            expected='"auto", "cpu" or "cuda"',
            found=repr(device),
            field="device",
        )
    available = _n_devices(found.type)
    if (found.index or 0) >= available:
        raise DataError(
            "this device is not there",
            expected=f"one of the {available} {found.type} devices that torch finds here",
            found=repr(device),
            fix='Use device="auto" to take a GPU where there is one, or "cpu".',
            field="device",
        )
    return found


def _n_devices(kind: str) -> int:
    """How many devices of a kind torch can compute on here."""
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return 1 if kind == "cpu" else int(torch.backends.mps.is_available())


def check_kind(estimator: Any, kinds: tuple[type, ...], name: str) -> Any:
    """Return an estimator that is of one of some classes, or refuse it.

    Raises
    ------
    DataError
        Naming the classes.
    """
    if not isinstance(estimator, kinds):
        raise DataError(
            f"{name} is of another kind",
            expected=" or ".join(kind.__name__ for kind in kinds),
            found=type(estimator).__name__,
            fix="Give the model by itself, not in a Pipeline.",
            field=name,
        )
    return estimator


def check_option(value: Any, options: Any, name: str) -> None:
    """Refuse an option of a public function that is none of those it has.

    Raises
    ------
    DataError
        Naming the options.
    """
    known = tuple(options)
    if not isinstance(value, str) or value not in known:
        raise DataError(
            f"{name} has no such option",
            expected=" or ".join(repr(option) for option in known),
            found=repr(value),
            field=name,
        )


def _as_configured(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Make a table as `set_output` asks of what `transform` returns, if that is one."""

    @wraps(transform)
    def wrapped(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        found = transform(self, X, *args, **kwargs)
        if not sparse.issparse(found) and np.ndim(found) != 2:
            return found
        # an index of X names the rows of the result only where rows are samples
        origin = X if self._rows_are_samples else None
        return _wrap_data_with_container("transform", found, origin, self)

    return wrapped


class TableOutputMixin(TransformerMixin, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """A transformer whose result is made a pandas or polars table only where it is one.

    scikit-learn wraps whatever ``transform`` returns. Tensors, a stack of matrices and one array
    per subject cannot be tables, and stay what they are; a result that has other rows than X (one a
    window, one a subject) does not take the index of X.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in {"transform", "fit_transform"} & vars(cls).keys():
            # scikit-learn's own wrapper stands around the method by now
            setattr(cls, name, _as_configured(vars(cls)[name].__wrapped__))

    def fit_transform(self, X: Any, y: Any = None, **metadata: Any) -> Any:
        """Fit, then transform the same data.

        Parameters
        ----------
        X, y
            As in ``fit``.
        **metadata
            The keywords of ``fit`` and of ``transform``, such as ``sessions``; each is given those
            that it takes.

        Returns
        -------
        What ``transform`` returns.
        """
        taken = set(metadata_keywords(type(self), "transform"))
        only_there = taken - set(metadata_keywords(type(self), "fit"))
        target = {} if y is None else {"y": y}
        given = {key: value for key, value in metadata.items() if key not in only_there}
        fitted: Any = self.fit(X, **target, **given)
        return fitted.transform(X, **{key: metadata[key] for key in taken & metadata.keys()})

    @property
    def _rows_are_samples(self) -> bool:
        """Whether the rows of the result are those of X."""
        return True
