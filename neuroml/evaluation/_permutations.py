"""Permutations of rows under restrictions, and the linear model that is fitted to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaincc

from neuroml._core.validation import check_labels
from neuroml.exceptions import DataError

__all__ = ["NOTHING", "Design", "Exchange"]

# What is left of a column after a regression is rounding if it is below this share of the column's
# length: rounding is about 1e-16 per step, over at most some thousand steps.
NOTHING = 1e-10


@dataclass(frozen=True)
class Exchange:
    """Which rows may take which places.

    Attributes
    ----------
    blocks : ndarray of int of shape (n_rows,)
        Rows move within these.
    strata : ndarray of int of shape (n_units,)
        Units that move (single rows, or rows that are kept together) do so within these: those of
        the same block and size.
    rows : ndarray of int of shape (n_rows,)
        Sorted by unit.
    units : ndarray of int of shape (n_rows,)
        Unit of each of ``rows``.
    starts : ndarray of int of shape (n_units,)
        The first of ``rows`` of each unit.
    """

    blocks: np.ndarray
    strata: np.ndarray
    rows: np.ndarray
    units: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, within: Any, together: Any, n_rows: int) -> Exchange:
        """Read ``exchange_within`` and ``keep_together``, or refuse them."""
        blocks = _codes(within, n_rows, "exchange_within", np.zeros(n_rows, dtype=int))
        units = _codes(together, n_rows, "keep_together", np.arange(n_rows))
        rows = np.argsort(units, kind="stable")
        sizes = np.bincount(units)
        starts = np.cumsum(sizes) - sizes
        own = blocks[rows][starts]
        if (own[units] != blocks).any():
            raise DataError(
                "rows that are kept together could not be exchanged together",
                expected="one label of exchange_within for all rows of a label of keep_together",
                found=f"several for {int(np.unique(units[own[units] != blocks]).size)} of them",
                field="keep_together",
            )
        strata = np.unique(np.column_stack([own, sizes]), axis=0, return_inverse=True)[1].ravel()
        if np.bincount(strata).max() < 2:
            raise DataError(
                "no rows could be exchanged",
                expected="two rows of the same label of exchange_within, or two blocks of the same "
                "size that are kept together",
                found="none",
                field="exchange_within" if together is None else "keep_together",
            )
        return cls(blocks, strata, rows, units[rows], starts)

    def draw(self, rng: np.random.Generator, n_permutations: int) -> np.ndarray:
        """Orders of rows (n_permutations, n_rows), each possible one equally likely."""
        n_units = len(self.strata)
        # sorting by stratum plus a random number below 1 shuffles within the strata
        dealt = np.argsort(self.strata + rng.random((n_permutations, n_units)), axis=1)
        moved = np.empty_like(dealt)
        moved[:, np.argsort(self.strata, kind="stable")] = dealt
        offset = np.arange(len(self.rows)) - self.starts[self.units]
        orders = np.empty((n_permutations, len(self.rows)), dtype=int)
        orders[:, self.rows] = self.rows[self.starts[moved[:, self.units]] + offset]
        return orders


def _codes(labels: Any, n_rows: int, field: str, default: np.ndarray) -> np.ndarray:
    if labels is None:
        return default
    return np.asarray(pd.factorize(check_labels(labels, n_rows, field))[0])


@dataclass(frozen=True)
class Design:
    """What features are compared with, as an orthonormal basis.

    Attributes
    ----------
    kinds : list of str
        "correlation" or "anova", of each target.
    blocks : ndarray of int of shape (n_rows,)
        Whose means are taken off.
    nuisance : ndarray of shape (n_rows, rank)
        Basis of the confounds.
    columns : list of ndarray of shape (n_rows, df)
        Basis of what confounds leave of each target.
    """

    kinds: list[str]
    blocks: np.ndarray
    nuisance: np.ndarray
    columns: list[np.ndarray]

    @classmethod
    def of(
        cls,
        targets: Mapping[Any, tuple[str, np.ndarray]],
        confounds: np.ndarray,
        blocks: np.ndarray,
    ) -> Design:
        """Put together what features are compared with.

        Parameters
        ----------
        targets : mapping of str to (kind, ndarray of shape (n_rows, n))
            Numbers, or indicators of categories.
        confounds : ndarray of shape (n_rows, n_confounds)
        blocks : ndarray of int of shape (n_rows,)

        Raises
        ------
        DataError
            If a target does not vary within the blocks, or there are too few rows.
        """
        bare = cls([], blocks, np.empty((len(blocks), 0)), [])
        bare = cls([], blocks, _basis(bare.residuals(confounds), confounds), [])
        kinds, columns = [], []
        for name, (kind, values) in targets.items():
            column = _basis(bare.residuals(values), values)
            if not column.shape[1]:
                raise DataError(
                    "a target does not vary where rows could be exchanged",
                    expected="differences between rows of a label of exchange_within that "
                    "confounds do not explain",
                    found="none",
                    fix="For a target of whole sessions or subjects, give these as keep_together, "
                    "or one row for each.",
                    field=f"target[{name!r}]",
                )
            kinds.append(kind)
            columns.append(column)
        found = cls(kinds, blocks, bare.nuisance, columns)
        if (found.df_residual < 1).any():
            raise DataError(
                "there are too few rows for the targets and confounds",
                expected="more rows than labels of exchange_within, confounds and categories",
                found=f"{len(blocks)} rows",
                field="target",
            )
        return found

    @property
    def df(self) -> np.ndarray:
        """Degrees of freedom of each target, as a column."""
        return np.array([column.shape[1] for column in self.columns])[:, None]

    @property
    def df_residual(self) -> np.ndarray:
        return len(self.blocks) - len(np.unique(self.blocks)) - self.nuisance.shape[1] - self.df

    def residuals(self, values: np.ndarray) -> np.ndarray:
        """Take off the means of the blocks and what confounds explain."""
        sums = np.zeros((self.blocks.max() + 1, values.shape[1]))
        np.add.at(sums, self.blocks, values)
        centered = values - (sums / np.bincount(self.blocks)[:, None])[self.blocks]
        return np.asarray(centered - self.nuisance @ (self.nuisance.T @ centered))

    def shares(self, residuals: np.ndarray) -> np.ndarray:
        """Share of variance that each target explains beside the confounds.

        Parameters
        ----------
        residuals : ndarray of shape (n, n_rows, n_features)
            Features in some order of rows, of length one and with a mean of zero in all blocks.

        Returns
        -------
        ndarray of shape (n, n_targets, n_features)
        """
        loads = np.matmul(np.hstack([self.nuisance, *self.columns]).T, residuals) ** 2
        rank = self.nuisance.shape[1]
        # Freedman-Lane's second regression: in another order, confounds explain residuals again
        left = 1 - loads[:, :rank].sum(axis=1, keepdims=True)
        starts = np.cumsum(self.df) - self.df.ravel()
        explained = np.add.reduceat(loads[:, rank:], starts, axis=1)
        return np.clip(explained / np.maximum(left, np.finfo(float).tiny), 0, 1)

    def statistics(self, residuals: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Correlations with their signs, and F statistics (n_targets, n_features)."""
        found = np.empty_like(shares)
        df, df_residual = self.df, self.df_residual
        for k, kind in enumerate(self.kinds):
            if kind == "correlation":
                found[k] = np.copysign(np.sqrt(shares[k]), self.columns[k][:, 0] @ residuals)
            else:
                with np.errstate(divide="ignore"):
                    found[k] = shares[k] / df[k] / ((1 - shares[k]) / df_residual[k])
        return found

    def surprise(self, shares: np.ndarray) -> np.ndarray:
        """-log p of shares (..., n_targets, n_features) if residuals were normal."""
        p = betaincc(self.df / 2, self.df_residual / 2, shares)
        return np.asarray(-np.log(np.maximum(p, np.finfo(float).tiny)))


def _basis(residuals: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Orthonormal basis of residuals (n_rows, n) of values, the first not turned around."""
    lengths = np.linalg.norm(values, axis=0)
    scaled = residuals / np.where(lengths > 0, lengths, 1)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    basis = left[:, singular > NOTHING]
    if values.shape[1] == basis.shape[1] == 1:
        basis = basis * np.sign(basis.T @ scaled)
    return np.asarray(basis)
