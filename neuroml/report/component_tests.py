"""What a report says of the tests of components: a table, and which ones nothing supports."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["tested"]

_LEVEL = 0.05
_NULLS = {"shift": "unrelated units", "matched-covariance": "units whose relations never change"}


def tested(tests: pd.DataFrame, n_surrogates: int) -> dict[str, Any]:
    """Say of each component whether it is more than chance.

    Parameters
    ----------
    tests : DataFrame
        One row per null and component: ``null``, ``component``, ``weight``, ``contrast``,
        ``weight_p``, ``contrast_p``, and ``p`` of the component.
    n_surrogates : int
        Of each null.

    Returns
    -------
    dict
        ``rows`` as text, and ``notes``: a sentence for each component.

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroml.report.component_tests import tested
    >>> row = {"null": "shift", "component": 0, "weight": 2.0, "contrast": 0.1}
    >>> tests = pd.DataFrame([row | {"weight_p": 0.4, "contrast_p": 0.5, "p": 0.8}])
    >>> tested(tests, 99)["notes"][0].split(":")[0]
    'No null supports component 0'
    """
    rows = [
        {
            "null": _NULLS.get(row["null"], row["null"]),
            "component": str(row["component"]),
            **{
                name: f"{row[name]:.3g}"
                for name in ("weight", "contrast", "weight_p", "contrast_p", "p")
            },
        }
        for _, row in tests.iterrows()
    ]
    n_tests = 2 * tests["null"].nunique()
    if n_tests / (n_surrogates + 1) > _LEVEL:
        least = round(n_tests / _LEVEL) - 1
        few = f"{n_surrogates} surrogates are too few to support a component: "
        return {"rows": rows, "notes": [f"{few}n_permutations = {least} or more can."]}
    parts = tests.groupby("component", sort=False)
    return {"rows": rows, "notes": [_sentence(int(str(r)), part) for r, part in parts]}


def _sentence(component: int, part: pd.DataFrame) -> str:
    p = float(part["p"].iloc[0])
    if p > _LEVEL:
        return (
            f"No null supports component {component}: chance makes components of this weight and "
            f"block contrast (p {p:.2g})."
        )
    better = part[part[["weight_p", "contrast_p"]].min(axis=1) * 2 * len(part) <= _LEVEL]
    against = " and ".join(_NULLS.get(str(null), str(null)) for null in better["null"])
    return f"Component {component} is more than {against} would give (p {p:.2g})."
