"""Warnings that point to the caller's own line, and are told once."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import joblib
import sklearn

import neuroml

__all__ = ["each_warning_once", "warn_caller"]

_INSIDE = (
    *(Path(str(part.__file__)).parent.as_posix() + "/" for part in (neuroml, sklearn, joblib)),
    Path(contextlib.__file__).as_posix(),
)


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line outside of this library, scikit-learn and joblib.

    Fits run under decorators, pipelines and searches, at no fixed depth.

    Parameters
    ----------
    message : str
    category : type of Warning
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and Path(frame.f_code.co_filename).as_posix().startswith(
        _INSIDE
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextlib.contextmanager
def each_warning_once() -> Iterator[None]:
    """Hold back the warnings of the block and give each of them once at its end.

    For functions that fit many times: a fact about the data is the same in every fit.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    told = dict.fromkeys((str(one.message), one.category) for one in caught)
    for message, category in told:
        warn_caller(message, category)
