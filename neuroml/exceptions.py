"""Errors and warnings: each says what was expected, what came, where, and what to do."""

from __future__ import annotations

from typing import Any

from sklearn.exceptions import ConvergenceWarning

__all__ = ["DataError", "MonotonicityWarning", "NotConvergedWarning", "RecipeError"]


class DataError(ValueError):
    """Input data that cannot be used as given.

    The message is put together from its parts, so that every reader says the same things in the
    same order: *where*: *problem*; expected ...; found ...; *fix*.

    Parameters
    ----------
    problem : str
        What is wrong, without a full stop.
    expected, found : object, optional
        What was asked for and what came instead.
    fix : str, optional
        What the user can do about it.
    file, subject, field : object, optional
        Where it was found.

    Examples
    --------
    >>> print(DataError("TR is 0", expected="seconds > 0", found=0.0, fix="Pass tr_s.", file="a"))
    file a: TR is 0; expected seconds > 0; found 0.0. Pass tr_s.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: object = None,
        found: object = None,
        fix: str | None = None,
        file: object = None,
        subject: object = None,
        field: object = None,
    ) -> None:
        self.problem = problem
        self.expected, self.found, self.fix = expected, found, fix
        self.file, self.subject, self.field = file, subject, field
        super().__init__(self._message())

    def _message(self) -> str:
        places = {"file": self.file, "subject": self.subject, "field": self.field}
        where = ", ".join(f"{name} {value}" for name, value in places.items() if value is not None)
        parts = [self.problem]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.found is not None:
            parts.append(f"found {self.found}")
        text = "; ".join(parts) + "."
        return (f"{where}: " if where else "") + text + (f" {self.fix}" if self.fix else "")

    def at(self, *, file: object = None, subject: object = None, field: object = None) -> DataError:
        """Return the same error with the places filled in that were not known where it arose."""
        return DataError(
            self.problem,
            expected=self.expected,
            found=self.found,
            fix=self.fix,
            file=self.file if self.file is not None else file,
            subject=self.subject if self.subject is not None else subject,
            field=self.field if self.field is not None else field,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_data_error, (
            self.problem,
            {k: v for k, v in vars(self).items() if k != "problem"},
        )


def _rebuild_data_error(problem: str, parts: dict[str, Any]) -> DataError:
    return DataError(problem, **parts)


class RecipeError(ValueError):
    """A recipe that cannot be run; the message names the key and the nearest valid one."""


class NotConvergedWarning(ConvergenceWarning):
    """An iterative fit stopped before its tolerance was met; its ``converged_`` is False."""


class MonotonicityWarning(RuntimeWarning):
    """An objective that theory says never falls did fall: a defect, or lost numerical precision."""
