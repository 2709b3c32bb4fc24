"""One long table of what an estimator has learned, which R, MATLAB and spreadsheets read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["Quantity", "feature_labels", "long_frame", "names_or_numbers"]


@dataclass(frozen=True)
class Quantity:
    """Numbers of one kind, and what they belong to.

    Attributes
    ----------
    name : str
    values : array-like
    axes : mapping of str to sequence
        For each axis of the values in turn, its column and the label of every entry.
    se : array-like or None
        Standard errors, shaped as the values.
    fixed : mapping of str to object
        Columns that have one label for all values, such as the subject.
    paired : bool
        The values are 1-D, and each of ``axes`` has one label for every value: such as both units
        of a pair.
    """

    name: str
    values: ArrayLike
    axes: Mapping[str, Any] = field(default_factory=dict)
    se: ArrayLike | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    paired: bool = False

    def labels(self) -> dict[str, np.ndarray]:
        """The label of every value, flat, by column."""
        shape = np.shape(self.values)
        given = {column: _as_objects(labels) for column, labels in self.axes.items()}
        sizes = tuple(len(labels) for labels in given.values())
        if sizes != (shape * len(sizes) if self.paired else shape):
            raise ValueError(f"{self.name}: values of shape {shape} have {sizes} labels")
        one = {
            column: np.full(int(np.prod(shape)), label, object)
            for column, label in self.fixed.items()
        }
        if self.paired:
            return one | given
        places = [place.ravel() for place in np.indices(shape)]
        return one | {c: given[c][place] for c, place in zip(given, places, strict=True)}


def long_frame(quantities: Iterable[Quantity]) -> pd.DataFrame:
    """Put quantities below each other.

    Parameters
    ----------
    quantities : iterable of Quantity

    Returns
    -------
    DataFrame
        One value per row: ``quantity``, the columns of all axes in the order in which they come,
        ``value``, and ``se`` if any quantity has standard errors. A column of whole numbers is of
        pandas' Int64; labels are texts where any of a column is one. What a quantity does not have
        is missing.
    """
    blocks = []
    for one in quantities:
        block = pd.DataFrame({"quantity": one.name, **one.labels(), "value": np.ravel(one.values)})
        blocks.append(block if one.se is None else block.assign(se=np.ravel(one.se)))
    kept = [block for block in blocks if len(block)]
    own = ("quantity", "value", "se")
    axes = dict.fromkeys(str(c) for block in kept for c in block if c not in own)
    # one kind of label a column, chosen over all quantities before they are joined
    convert = {c: _conversion([block[c] for block in kept if c in block]) for c in axes}
    for block in kept:
        for column in axes.keys() & set(block):
            block[column] = convert[column](block[column])
    table = pd.concat(kept, ignore_index=True)
    return table[["quantity", *axes, "value", *(["se"] if "se" in table else [])]]


def names_or_numbers(names: Iterable[Any] | None, n: int) -> list[Any]:
    """The names, or 0, 1, ... where there are none."""
    return list(range(n)) if names is None else list(names)


def feature_labels(estimator: Any) -> list[Any]:
    """Names of the columns of X as fit met them, or their numbers."""
    return names_or_numbers(getattr(estimator, "feature_names_in_", None), estimator.n_features_in_)


def _as_objects(labels: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Labels as an array of objects; one label may be a tuple."""
    found = np.empty(len(labels), object)
    found[:] = list(labels)
    return found


def _conversion(columns: list[pd.Series]) -> Callable[[pd.Series], pd.Series]:
    """What makes whole numbers, numbers or, where any label is something else, texts of labels."""
    kind = pd.api.types.infer_dtype(pd.concat(columns), skipna=True)
    if kind == "integer":
        return lambda column: column.astype("Int64")
    if kind in ("floating", "mixed-integer-float"):
        return lambda column: column.astype("float64")
    return lambda column: column.map(str)
