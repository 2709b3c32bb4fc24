"""MATLAB v5 files (``save`` up to -v7), parsed so that no damage in them can do harm.

SciPy's reader ends the process on some damaged files; here every size is compared with the bytes
that are there before they are used. Format: "MAT-File Format", The MathWorks, chapter 1.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuroml.exceptions import DataError

__all__ = ["read_mat5"]

_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXT = {**_NUMBERS, 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _FIRST_NUMERIC, _LAST_NUMERIC = 1, 2, 4, 6, 15
_CLASSES = dict(zip(range(6, 16), "f8 f4 i1 u1 i2 u2 i4 u4 i8 u8".split(), strict=True))
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_DEEPEST = 20


class _DamagedError(ValueError):
    """The bytes contradict the format."""


def read_mat5(path: Path) -> dict[str, Any]:
    """Read all variables of a MATLAB v5 file.

    Returns
    -------
    dict
        Per variable an ndarray (numbers), a str (text), a list (cell array, or array of
        structures, in MATLAB's column order), a dict (structure), or None for what MATLAB alone
        understands (objects, functions, sparse matrices).

    Raises
    ------
    DataError
        If the file is not of this format, or is truncated or damaged.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise DataError(
            "this is not a MATLAB file of version 5 to 7.3",
            fix="In MATLAB, save it again with save(..., '-v7').",
            file=path,
        )
    variables: dict[str, Any] = {}
    try:
        for element in _elements(memoryview(content)[128:], order):
            if element.kind == _COMPRESSED:
                (element,) = _elements(memoryview(_inflate(element.data)), order)
            if element.kind != _MATRIX:
                raise _DamagedError(f"element type {element.kind} where a variable should stand")
            name, value = _matrix(element.data, order)
            variables[name] = value
    except (ValueError, zlib.error, OverflowError) as error:
        raise DataError(
            f"the file is truncated or damaged ({error})", fix="Copy or save it again.", file=path
        ) from error
    variables.pop("", None)  # MATLAB's own bookkeeping has no name
    return variables


def _inflate(data: memoryview) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data) + stream.flush()
    if not stream.eof:
        raise _DamagedError("a compressed variable ends early")
    return content


@dataclass(frozen=True)
class _Element:
    kind: int
    data: memoryview


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """Walk over the tagged elements that fill ``data``."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise _DamagedError("an element's tag is cut off")
        first, size = (int(n) for n in np.frombuffer(data[at : at + 8], dtype=order + "u4"))
        if first >> 16:  # small element: size, kind and up to four bytes of data in one tag
            kind, size, start = first & 0xFFFF, first >> 16, at + 4
            following = at + 8
            if size > 4:
                raise _DamagedError(f"a small element claims {size} bytes")
        else:
            kind, start = first, at + 8
            padding = 0 if kind == _COMPRESSED else -size % 8
            following = start + size + padding
        if start + size > len(data):
            raise _DamagedError(f"an element claims {size} bytes of {len(data) - start}")
        yield _Element(kind, data[start : start + size])
        at = following


def _numbers(element: _Element, order: str) -> np.ndarray:
    if element.kind not in _NUMBERS:
        raise _DamagedError(f"element type {element.kind} where numbers should stand")
    return np.frombuffer(element.data, dtype=order + _NUMBERS[element.kind])


def _matrix(data: memoryview, order: str, depth: int = 0) -> tuple[str, Any]:
    """Name and value of one miMATRIX element."""
    if depth > _DEEPEST:
        raise _DamagedError(f"cells or structures nested deeper than {_DEEPEST}")
    if not len(data):
        return "", np.zeros((0, 0))
    parts = list(_elements(data, order))
    if len(parts) < 3:
        raise _DamagedError("a variable without flags, size or name")
    flags = int(_numbers(parts[0], order)[:1].sum())
    shape = tuple(int(n) for n in _numbers(parts[1], order))
    name = bytes(parts[2].data).decode("latin-1")
    if min(shape, default=-1) < 0:
        raise _DamagedError(f"{name!r} has shape {shape}")
    body, kind = parts[3:], flags & 0xFF
    if _FIRST_NUMERIC <= kind <= _LAST_NUMERIC:
        return name, _numeric(body, flags, shape, order)
    if kind == _CHAR:
        return name, _text(body, order)
    if kind == _CELL:
        return name, _values(body, math.prod(shape), order, depth)
    if kind == _STRUCT:
        return name, _structure(body, math.prod(shape), order, depth)
    return name, None


def _numeric(body: list[_Element], flags: int, shape: tuple[int, ...], order: str) -> np.ndarray:
    n_parts = 2 if flags & _COMPLEX else 1
    parts = [_numbers(element, order) for element in body]
    if len(parts) != n_parts or any(len(part) != math.prod(shape) for part in parts):
        raise _DamagedError(f"shape {shape} but {[len(part) for part in parts]} numbers")
    values = parts[0] + 1j * parts[1] if n_parts == 2 else parts[0]
    dtype = bool if flags & _LOGICAL else _CLASSES[flags & 0xFF]
    return (values if n_parts == 2 else values.astype(dtype)).reshape(shape, order="F")


def _text(body: list[_Element], order: str) -> str:
    if not body:
        return ""
    encoding = _TEXT.get(body[0].kind)
    if encoding is None:
        raise _DamagedError(f"element type {body[0].kind} where text should stand")
    if encoding == "utf-8":
        return bytes(body[0].data).decode()
    if encoding.startswith("utf"):
        return bytes(body[0].data).decode(encoding + ("-le" if order == "<" else "-be"))
    return "".join(chr(int(code)) for code in _numbers(body[0], order) if code >= 0)


def _values(body: list[_Element], count: int, order: str, depth: int) -> list[Any]:
    if len(body) != count or any(element.kind != _MATRIX for element in body):
        raise _DamagedError(f"a cell array of {count} with {len(body)} values")
    return [_matrix(element.data, order, depth + 1)[1] for element in body]


def _structure(body: list[_Element], count: int, order: str, depth: int) -> Any:
    if len(body) < 2:
        raise _DamagedError("a structure without field names")
    width = int(_numbers(body[0], order)[:1].sum())
    block = bytes(body[1].data)
    if width < 1 or len(block) % width:
        raise _DamagedError(f"field names of {width} bytes in a block of {len(block)}")
    starts = range(0, len(block), width)
    names = [block[at : at + width].split(b"\0")[0].decode("latin-1") for at in starts]
    values = _values(body[2:], count * len(names), order, depth)
    rows = [
        dict(zip(names, values[at * len(names) : (at + 1) * len(names)], strict=True))
        for at in range(count)
    ]
    return rows[0] if count == 1 else rows
