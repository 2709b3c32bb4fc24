"""The summary of an evaluation as people read it: whole, in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["SHOWN", "SummaryTable", "row_above", "row_shown"]

_WIDTH = 80
SHOWN = {
    "mean": "mean",
    "difference": "difference",
    "interval": "95 % interval",
    "above": "subjects above",
    "p": "p",
}
"""What is shown of a model, in this order, with its heading."""


class SummaryTable(pd.DataFrame):
    """A summary whose text shows all of it, where pandas' own leaves columns out.

    Only the text differs: what is taken from it, such as rows or a copy, is a plain DataFrame.
    """

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def __repr__(self) -> str:
        rows = [row_shown(str(row["model"]), row) for _, row in self.iterrows()]
        used = [key for key in SHOWN if any(row[key] for row in rows)]
        cells = [[row["name"], *(row[key] for key in used)] for row in rows]
        return _aligned(["model", *(SHOWN[key] for key in used)], cells)


def row_shown(name: str, row: Mapping[str, Any] | pd.Series) -> dict[str, str]:
    """One model's summary in texts: a name and what `SHOWN` has, empty where there is nothing."""
    low, high = row["ci_low"], row["ci_high"]
    return {
        "name": name,
        "mean": _number(row["mean"]),
        "difference": _number(row["difference"]),
        "interval": f"{_number(low)} to {_number(high)}" if np.isfinite(low) else "",
        "above": row_above(row),
        "p": _number(row["p"]),
    }


def row_above(row: Mapping[str, Any] | pd.Series) -> str:
    """In how many subjects a model is better; of one subject the difference says it all."""
    n = int(row["n_subjects"])
    compared = n > 1 and np.isfinite(row["difference"])
    return f"{int(row['n_subjects_above'])} of {n}" if compared else ""


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else ""


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side: headings in several lines, and long names in the first column too."""
    numbers = range(1, len(header))
    values = {j: max(len(row[j]) for row in rows) for j in numbers}
    widths = {j: max(values[j], *map(len, header[j].split())) for j in numbers}
    left = max(_WIDTH - sum(2 + width for width in widths.values()), 12)
    first = min(left, max(len(row[0]) for row in [header, *rows]))
    heads = [textwrap.wrap(header[j], max(widths[j], 1)) for j in numbers]
    tall = max(map(len, heads), default=1)
    heads = [[""] * (tall - len(head)) + head for head in heads]
    lines = [
        _line(header[0] if at == tall - 1 else "", first, [head[at] for head in heads], widths)
        for at in range(tall)
    ]
    for name, *told in rows:
        pieces = textwrap.wrap(name, first, subsequent_indent="  ") or [""]
        lines.append(_line(pieces[0], first, told, widths))
        lines += pieces[1:]
    return "\n".join(lines)


def _line(name: str, first: int, told: Sequence[str], widths: Mapping[int, int]) -> str:
    cells = [cell.rjust(widths[j]) for j, cell in enumerate(told, start=1)]
    return "  ".join([name.ljust(first), *cells]).rstrip()
