"""Starting weights of networks: of a given rank, or like a connectome."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError
from neuroml.representation._checks import as_count, as_table

__all__ = ["connectome_init", "rank_limited_init"]


def rank_limited_init(W: ArrayLike, rank: int) -> np.ndarray:
    """Keep the leading singular directions of a matrix, at the norm that it had.

    The norm is kept since it decides by itself how lazily a network learns [1]_.

    Parameters
    ----------
    W : array-like of shape (n_rows, n_columns)
    rank : int

    Returns
    -------
    ndarray of shape (n_rows, n_columns)

    Raises
    ------
    DataError
        If the rank is below 1 or above that of the shape.

    References
    ----------
    .. [1] Y. H. Liu, A. Baratin, J. Cornford, S. Mihalas, E. Shea-Brown, G. Lajoie (2024). How
       connectivity structure shapes rich and lazy learning in neural circuits. ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import rank_limited_init
    >>> W = np.random.default_rng(0).normal(size=(6, 6))
    >>> V = rank_limited_init(W, 2)
    >>> int(np.linalg.matrix_rank(V)), bool(np.isclose(np.linalg.norm(V), np.linalg.norm(W)))
    (2, True)
    """
    table = as_table(W, "W")
    if as_count(rank, "rank") > min(table.shape):
        raise DataError(
            "there is no such rank",
            expected=f"1 to {min(table.shape)}",
            found=rank,
            field="rank",
        )
    left, values, right = np.linalg.svd(table, full_matrices=False)
    kept = (left[:, :rank] * values[:rank]) @ right[:rank]
    norm = np.linalg.norm(kept)
    return kept * (np.linalg.norm(table) / norm) if norm > 0 else kept


def connectome_init(
    C: ArrayLike, n: int, *, gain: float = 1.25, random_state: RandomState = None
) -> np.ndarray:
    r"""Draw recurrent weights whose strength between groups of units is that of a connectome.

    Units are shared out over the regions, in order and as evenly as possible. A weight is normal
    with a variance in proportion to the connection between its regions, and all are scaled to
    :math:`\|W\|_F = g \sqrt{n}`, the norm of independent weights of deviation
    :math:`g / \sqrt{n}`.

    Parameters
    ----------
    C : array-like of shape (n_regions, n_regions)
        Strengths of connections from region (column) to region (row), not negative.
    n : int
        Number of units, at least one for each region.
    gain : float, default=1.25
        g, that of Liu et al. (2024).
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    ndarray of shape (n, n)

    Raises
    ------
    DataError
        If C is not square, has negative entries or none above zero, or n is too small.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import connectome_init
    >>> W = connectome_init([[1.0, 0.0], [0.5, 1.0]], 10, random_state=0)
    >>> W.shape, bool((W[:5, 5:] == 0).all()), float(np.linalg.norm(W) / np.sqrt(10)).__round__(6)
    ((10, 10), True, 1.25)
    """
    table = as_table(C, "C")
    if table.shape[0] != table.shape[1] or (table < 0).any() or not table.any():
        raise DataError(
            "this is no connectome",
            expected="a square matrix of strengths >= 0, some above zero",
            found=f"shape {table.shape}, minimum {table.min():.3g}",
            field="C",
        )
    if as_count(n, "n") < len(table):
        raise DataError(
            "there are fewer units than regions",
            expected=f"at least {len(table)}",
            found=n,
            field="n",
        )
    region = np.arange(n) * len(table) // n
    (rng,) = spawn_generators(random_state, 1)
    W = rng.normal(size=(n, n)) * np.sqrt(table[np.ix_(region, region)])
    return W * (gain * np.sqrt(n) / np.linalg.norm(W))
