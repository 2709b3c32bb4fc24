"""Labels of choices: which classes there are, and the place of every label among them.

Kernels see places 0, 1, ..., n_classes - 1 alone. Labels are texts, booleans or whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.samples import code_names
from neuroml._core.validation import check_labels, list_some
from neuroml.exceptions import DataError

__all__ = ["WITH_CLASSES", "check_classes", "classes_of", "decode", "encode", "given_classes"]

WITH_CLASSES = ("bernoulli", "categorical")
_PROBLEMS = {"bernoulli": "y is not binary", "categorical": "y is not made of class labels"}


def check_classes(classes: ArrayLike | None, family: str) -> np.ndarray | None:
    """Classes that a user declares (n_classes,), in this order; None if there are none.

    Raises
    ------
    DataError
        If the family has no classes, or they are not as many, alike, or no labels.
    """
    if classes is None:
        return None
    if family not in WITH_CLASSES:
        raise DataError(
            f"the family {family!r} has no classes",
            expected=f"classes=None, or one of the families {list(WITH_CLASSES)}",
            found=f"classes={list_some(list(classes))}",  # type: ignore[arg-type]
            field="classes",
        )
    labels = check_labels(classes, len(classes), "classes")  # type: ignore[arg-type]
    n_distinct = len(set(labels.tolist()))
    enough = n_distinct == 2 if family == "bernoulli" else n_distinct > 1
    if n_distinct < len(labels) or not enough:
        raise DataError(
            "these are not the classes of a model",
            expected="two different labels" if family == "bernoulli" else "two or more, all unlike",
            found=list_some(labels.tolist()),
            field="classes",
        )
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        raise DataError(
            "classes are no labels",
            expected="texts, booleans or whole numbers",
            found=list_some(labels.tolist()),
            field="classes",
        )
    return labels


def given_classes(classes: ArrayLike | None, family: str, n_classes: int) -> np.ndarray | None:
    """Classes of a model with given parameters; 0, 1, ... if none are declared.

    Raises
    ------
    DataError
        As `check_classes`, or if the parameters are those of another number of classes.
    """
    declared = check_classes(classes, family)
    if declared is None:
        return np.arange(n_classes) if family in WITH_CLASSES else None
    if len(declared) != n_classes:
        raise DataError(
            "the classes are not those of the weights",
            expected=f"{n_classes} classes, one more than outputs",
            found=list_some(declared.tolist()),
            field="classes",
        )
    return declared


def encode(
    values: np.ndarray, names: np.ndarray | None, known: np.ndarray | None, family: str
) -> tuple[np.ndarray, np.ndarray]:
    """Place of every label among the classes, NaN where missing, and the classes.

    Parameters
    ----------
    values : ndarray of shape (n_bins,) or (n_bins, n_outputs)
        Numbers, NaN where missing; places among ``names`` if there are any.
    names : ndarray of str, or None
        Labels that are texts, as `code_names` found them.
    known : ndarray of shape (n_classes,), or None
        Declared, or those of the fit. None: those that occur, sorted.
    family : {"bernoulli", "categorical"}

    Raises
    ------
    DataError
        If a label is none of the classes, or the labels can be read in several ways.
    """
    missing = np.isnan(values)
    seen, place = np.unique(values[~missing], return_inverse=True)
    labels = seen if names is None else names[seen.astype(int)]
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.floor(labels))
        if not whole.all():
            raise _refusal(family, "texts, booleans or whole numbers", values, labels, ~whole)
        labels = labels.astype(np.int64)
    classes = _found(values, labels, family) if known is None else known
    # by equality: True is 1, and a text is no number
    table = {label: i for i, label in enumerate(classes.tolist())}
    places = np.array([table.get(label, -1) for label in labels.tolist()], dtype=int)
    if (places < 0).any():
        expected = f"{list_some(classes.tolist())}, or NaN where missing"
        fix = "Declare all classes in the fit: classes=[...]."
        raise _refusal(family, expected, values, labels, places < 0, fix)
    codes = np.full(values.shape, np.nan)
    codes[~missing] = places[place]
    return codes, classes


def classes_of(y: Any, family: str) -> np.ndarray:
    """The classes (n_classes,) that a fit to all of y finds, in their order.

    Parameters
    ----------
    y : array-like of shape (n_bins,)
        Labels, NaN or None where missing.
    family : {"bernoulli", "categorical"}

    Raises
    ------
    DataError
        As `encode`.
    """
    coded, names = code_names(y, keeps_missing=True)
    return encode(np.asarray(coded, dtype=np.float64), names, None, family)[1]


def decode(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Labels of places; numbers as floats, so that NaN may be put among them."""
    labels = classes[codes.astype(int)]
    return labels.astype(np.float64) if labels.dtype.kind in "iu" else labels


def _found(values: np.ndarray, labels: np.ndarray, family: str) -> np.ndarray:
    """The classes that occur (n_classes,), of sorted labels, where they can be read in one way."""
    if set(labels.tolist()) <= {0, 1}:  # no labels at all, too
        return np.array([False, True]) if labels.dtype.kind == "b" else np.arange(2)
    if len(labels) == 1:
        raise DataError(
            f"y has one class alone, {labels.tolist()[0]!r}",
            expected="two classes or more",
            found="1",
            fix="Declare the others too: classes=[...].",
            field="y",
        )
    if len(labels) == 2:
        return labels
    if family == "bernoulli":
        counts = np.unique(values[~np.isnan(values)], return_counts=True)[1]
        others = np.ones(len(labels), dtype=bool)
        others[np.argsort(-counts, kind="stable")[:2]] = False
        fix = "Use family='categorical' for more than two, and NaN for what is missing."
        raise _refusal(family, "0 or 1, or two other labels", values, labels, others, fix)
    if labels.dtype.kind in "iu" and labels[0] < 0:
        # -1 is the code of a class to some, and of a missed trial to others
        fix = (
            f"If these are classes: classes={labels.tolist()[:10]}; what is missing is NaN or None."
        )
        raise _refusal(family, "whole numbers from 0", values, labels, labels < 0, fix)
    return labels


def _refusal(
    family: str,
    expected: str,
    values: np.ndarray,
    labels: np.ndarray,
    bad: np.ndarray,
    fix: str | None = None,
) -> DataError:
    """An error that counts the entries with bad labels and shows the first."""
    table = values if values.ndim == 2 else values[:, None]
    seen = np.unique(values[~np.isnan(values)])
    t, output = (int(index) for index in np.argwhere(np.isin(table, seen[bad]))[0])
    label: Any = labels[np.searchsorted(seen, table[t, output])].item()
    shown = f"{label:g}" if isinstance(label, float) else repr(label)
    return DataError(
        _PROBLEMS[family],
        expected=expected,
        found=f"{int(np.isin(table, seen[bad]).sum())} others, the first {shown} at bin {t}"
        + (f", output {output}" if table.shape[1] > 1 else ""),
        fix=fix,
        field="y",
    )
