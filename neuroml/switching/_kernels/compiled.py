"""How the loops of this family become machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]

_SUMS_MAY_BE_REORDERED = {"reassoc", "contract", "arcp", "nsz"}


def compiled(*, reorder: bool = True, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function on its first call, without the interpreter's lock.

    Machine code is kept on disk between processes where numba finds a folder it may write to;
    in a read-only installation without such a folder it is made afresh by every process.

    Parameters
    ----------
    reorder : bool
        Whether sums may be reordered, which lets loops run on vectors. NaN and infinity keep their
        meaning either way.
    inline : bool
        Whether the function becomes part of each function that calls it, where arguments that are
        constants there are constants in its loops. Functions that are not reordered always do.
    """
    inline |= not reorder
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",  # a check of every divisor would keep loops off vectors
        "forceinline": inline,
        # Wrappers that nobody calls cost compile time, which every first fit waits for: none calls
        # these functions from C, and the small ones that are inlined are not called from Python.
        "no_cfunc_wrapper": True,
        "no_cpython_wrapper": inline,
        "fastmath": _SUMS_MAY_BE_REORDERED if reorder else {"contract"},
    }

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            return numba.njit(**options)(function)

    return decorate
