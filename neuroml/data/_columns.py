"""One column of a table as numbers, or as codes of its labels."""

from __future__ import annotations

import numbers
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroml.data._tables import ONE_COMMA, is_number, typed
from neuroml.exceptions import DataError

__all__ = ["as_numbers", "coded", "is_of_numbers", "refuse_decimal_commas"]


def coded(column: pd.Series, file: Path | None) -> tuple[np.ndarray, list[str]]:
    """Numbers as they are, or codes of labels and the labels; NaN where a cell is empty."""
    if is_of_numbers(column) and not pd.api.types.is_bool_dtype(column):
        return as_numbers(column, file), []
    present = column.notna().to_numpy()
    cells = column[present].tolist()
    first = {_kind(cell): cell for cell in reversed(cells)}
    refuse_decimal_commas(column.to_frame(), file)
    if len(first) > 1:
        raise DataError(
            "the column mixes labels and numbers",
            expected="one kind",
            found=" and ".join(repr(first[kind]) for kind in sorted(first)),
            fix="Name what stands for a missed trial in missing=, or correct the cells.",
            file=file,
            field=str(column.name),
        )
    if "object" in first:
        raise DataError(
            "the column holds neither labels nor numbers",
            found=repr(first["object"]),
            fix="Turn its cells into text or numbers.",
            file=file,
            field=str(column.name),
        )
    words = [str(cell).strip() for cell in cells]
    values = np.full(len(column), np.nan)
    amounts = typed(words, False)  # text where leading zeros make codes of them
    if "number" in first and is_of_numbers(amounts):
        values[present] = as_numbers(amounts.rename(str(column.name)), file)
        return values, []
    labels, values[present] = np.unique(np.asarray(words, dtype=str), return_inverse=True)
    return values, [str(label) for label in labels]


def _kind(cell: Any) -> str:
    if isinstance(cell, str | bool | np.bool_):
        return "number" if is_number(str(cell).strip()) else "label"
    return "number" if isinstance(cell, numbers.Real) else "object"


def is_of_numbers(column: pd.Series) -> bool:
    """Whether a column holds numbers (or yes and no), and no text."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def as_numbers(column: pd.Series, file: Path | None) -> np.ndarray:
    """A column of numbers, NaN where a cell is empty."""
    refuse_decimal_commas(column.to_frame(), file)
    are = is_of_numbers(column)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan) if are else np.zeros(0)
    if not are or np.isinf(values).any():
        wrong = np.isinf(values) if are else column.map(lambda cell: isinstance(cell, str))
        at = int(np.argmax(wrong))
        raise DataError(
            "a column is not of numbers",
            expected="finite numbers, and nothing where one is missing",
            found=f"{column.iloc[at]!r} in row {at + 1}",
            fix="Code its labels by numbers (which is 1 decides the sign of a weight), or leave "
            "the column out.",
            file=file,
            field=str(column.name),
        )
    return values


def refuse_decimal_commas(columns: pd.DataFrame, file: Path | None) -> None:
    """Refuse text that is numbers but for commas: decimals to some programs, to others not."""
    for name in columns:
        if is_of_numbers(columns[name]):
            continue
        cells = [str(cell).strip() for cell in columns[name].dropna()]
        commas = [cell for cell in cells if ONE_COMMA.fullmatch(cell)]
        if commas and all(cell in commas or is_number(cell) for cell in cells):
            raise DataError(
                "a column may be of numbers with decimal commas, or of text",
                expected="a point before decimals",
                found=repr(commas[0]),
                fix="Export the table with points; where the column is text, take it out or write "
                "it without commas.",
                file=file,
                field=str(name),
            )
