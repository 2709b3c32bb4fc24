"""The tables of a job as CSV files, each beside a JSON file that says what its columns are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from sklearn.base import BaseEstimator

from neuroml._core.files import atomic_path, atomic_write
from neuroml.report import Context, tabulate
from neuroml.report.elements import last_step
from neuroml.report.exports import describe_table, parameters, posteriors

__all__ = ["left_out", "tables_of", "write_table", "write_with_sidecar"]

# A model of so many bytes has a million numbers or two, whose table is some 50 MB of text.
_MOST_BYTES = 16_000_000


def tables_of(model: BaseEstimator, context: Context, saved: Path) -> dict[str, pd.DataFrame]:
    """The tables of a fitted model by the name of their file; ``saved`` is the model's own."""
    found = {"table": tabulate(model, context), "posteriors": posteriors(model, context)}
    if saved.stat().st_size <= _MOST_BYTES:
        found["parameters"] = parameters(model, context)
    return {name: table for name, table in found.items() if table is not None}


def left_out(tables: Mapping[str, pd.DataFrame], model: BaseEstimator) -> list[str]:
    """What to say of parameters that were too many to write."""
    if "parameters" in tables or not hasattr(last_step(model), "to_frame"):
        return []
    return [
        "The parameters are too many for a table: load model.safetensors with neuroml.load, and "
        "call to_frame()."
    ]


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a CSV file, whole or not at all."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    return path


def write_with_sidecar(
    table: pd.DataFrame, path: Path, model: BaseEstimator, context: Context
) -> list[Path]:
    """Write a CSV file and its JSON file, and return both paths."""
    sidecar = path.with_suffix(".json")
    atomic_write(sidecar, json.dumps(describe_table(table, model, context), indent=1))
    return [write_table(table, path), sidecar]
