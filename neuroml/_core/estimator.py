"""The seam to scikit-learn and torch that every estimator shares: devices, and output as tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.base import TransformerMixin
from sklearn.utils._set_output import _wrap_data_with_container

from neuroml.exceptions import DataError

if TYPE_CHECKING:
    import torch

__all__ = ["DEVICE", "RANDOM_STATE", "TableOutputMixin", "check_option", "resolve_device"]

RANDOM_STATE: list[Any] = ["random_state", np.random.Generator]
DEVICE = "no_validation"  # `resolve_device` says more than scikit-learn's check could
_DEVICE_NAMES = '"auto", "cpu", "cuda", "cuda:0" (any number), "mps" or a torch.device'


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
    window, one an animal) does not take the index of X.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in {"transform", "fit_transform"} & vars(cls).keys():
            # scikit-learn's own wrapper stands around the method by now
            setattr(cls, name, _as_configured(vars(cls)[name].__wrapped__))

    # TransformerMixin's, without scikit-learn's wrapper: `transform` has made the table already
    fit_transform: Any = TransformerMixin.fit_transform.__wrapped__

    @property
    def _rows_are_samples(self) -> bool:
        """Whether the rows of the result are those of X."""
        return True
