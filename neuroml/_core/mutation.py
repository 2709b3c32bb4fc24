"""Methods that change a fitted estimator: they change all of it, or nothing if they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["all_or_nothing"]


@contextmanager
def all_or_nothing(estimator: object) -> Iterator[None]:
    """Give an estimator its attributes back if the block raises.

    Attributes are compared by identity, so the block must rebind them, not write into their values:
    ``self.basis_ = self.basis_ | {subject: basis}``.

    Parameters
    ----------
    estimator : object

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(n_calls_=1)
    >>> try:
    ...     with all_or_nothing(model):
    ...         model.n_calls_ = 2
    ...         raise ValueError
    ... except ValueError:
    ...     model.n_calls_
    1
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
