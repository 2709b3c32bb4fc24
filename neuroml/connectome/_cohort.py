"""A cohort in any of the forms it may be given in, as arrays."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr

from neuroml._core.recording import stack

__all__ = ["as_arrays", "as_list"]


def as_arrays(X: Any, sessions: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Recordings as arrays with their own sessions and animals; anything else as it is."""
    if isinstance(X, list | tuple) and len(X) and isinstance(X[0], xr.Dataset):
        arrays = stack(X)
        return pd.DataFrame(arrays.X, columns=arrays.units), arrays.sessions, arrays.groups
    return X, sessions, groups


def as_list(X: Any) -> Any:
    """A three-dimensional array as a list with one array per animal; anything else as it is."""
    return list(X) if getattr(X, "ndim", 0) == 3 else X
