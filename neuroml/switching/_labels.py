"""Labels of bins that whole sessions must share."""

from __future__ import annotations

import numpy as np

from neuroml.exceptions import DataError

__all__ = ["of_sessions"]


def of_sessions(starts: np.ndarray, labels: np.ndarray, field: str, what: str) -> np.ndarray:
    """Label of every session (n_sessions,), numbered from 0, of those of its bins.

    Parameters
    ----------
    starts : ndarray of int of shape (n_sessions + 1,)
        First bins of sessions, and the number of bins.
    labels : ndarray of shape (n_bins,)
    field : str
        The argument that holds them, for messages.
    what : str
        What one of them is.

    Raises
    ------
    DataError
        If their number is another, or a session has several.
    """
    if labels.shape != (starts[-1],):
        raise DataError(
            f"{field} do not match the data",
            expected=f"one label for each of {starts[-1]} bins",
            found=f"shape {labels.shape}",
            field=field,
        )
    _, codes = np.unique(labels, return_inverse=True)
    of_session = codes[starts[:-1]]
    mixed = np.flatnonzero(codes != np.repeat(of_session, np.diff(starts)))
    if len(mixed):
        raise DataError(
            f"a session lies in several {what}s",
            expected=f"one {what} in all bins of a session",
            found=f"another one at bin {mixed[0]}",
            fix="Pass sessions= that end where these labels change, or labels that sessions "
            "belong to.",
            field=field,
        )
    return of_session
