"""The published numbers of the theory beside exact ones, with the misprints marked."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources

import pandas as pd

from neuroml.dendrites.theory import bank_false_match, false_match, false_negative
from neuroml.dendrites.unions import union_false_match, union_size_mean

__all__ = ["agrees", "published_values"]

_COUNTS = ("theta", "n", "s", "a", "v", "M")


def published_values() -> pd.DataFrame:
    """Recompute the numbers of Ahmad and Hawkins (2015, 2016) and Hawkins and Ahmad (2016).

    Returns
    -------
    DataFrame
        ``source``, ``item`` and ``quantity``; the parameters ``theta``, ``n``, ``s``, ``a``, ``v``,
        ``M`` (missing where they do not enter); ``trials`` of a published simulation; ``printed``,
        the published number as text, empty where its digits are not known; ``exact``, the true
        value to the same or more digits, as text; ``recomputed``, this library's value; ``note``,
        what is wrong with the printed one.

    Examples
    --------
    >>> from neuroml.dendrites import published_values
    >>> table = published_values()
    >>> wrong = table[table.note != ""].set_index("item")
    >>> print(wrong.loc["text", ["printed", "exact"]].to_dict())
    {'printed': '1.6e-18', 'exact': '1.6499e-15'}
    """
    file = resources.files("neuroml.dendrites") / "published.csv"
    with file.open(encoding="utf-8") as handle:
        table = pd.read_csv(handle, dtype=str, keep_default_na=False)
    for name in (*_COUNTS, "trials"):
        table[name] = pd.to_numeric(table[name].replace("", None)).astype("Int64")
    table["recomputed"] = [_recompute(row) for _, row in table.iterrows()]
    return table


def agrees(text: str, value: float, *, rtol: float = 1e-10) -> bool:
    """Whether ``value`` rounds to the number printed in ``text``.

    That is within half a unit of the last printed digit or, where more digits are printed than the
    authors' arithmetic had, within ``rtol``.
    """
    printed = Decimal(text)
    exponent = printed.as_tuple().exponent
    half_a_unit = Decimal(5).scaleb(int(exponent) - 1)
    difference = abs(Decimal(float(value)) - printed)
    return difference <= max(half_a_unit, Decimal(rtol) * abs(printed))


def _recompute(row: pd.Series) -> float:
    theta, n, s, a, v, M = (0 if pd.isna(row[c]) else int(row[c]) for c in _COUNTS)
    quantity = row["quantity"]
    if quantity == "false_negative":
        return float(false_negative(theta, s, a, v))
    if quantity in ("union_size_mean", "union_share"):
        return float(union_size_mean(n, s, M) / (n if quantity == "union_share" else 1))
    if quantity.startswith("union_"):
        return float(union_false_match(theta, n, s, a, M, method=quantity.removeprefix("union_")))
    p = false_match(theta, n, s, a)
    if quantity == "false_match":
        return float(p)
    if quantity == "bank_bound":
        return float(bank_false_match(p, M, method="bound"))
    bank = bank_false_match(p, M)
    return float(bank if quantity == "bank_false_match" else a / (a + bank * (n - a)))
