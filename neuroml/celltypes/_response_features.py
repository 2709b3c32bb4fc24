"""Features of responses to known stimuli: few components per stimulus, and a response's quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import SparsePCA
from sklearn.utils.extmath import svd_flip

from neuroml._core.validation import as_given, as_numbers, check_labels
from neuroml.exceptions import DataError

__all__ = ["block_labels", "block_projection", "quality_index", "scale_cells"]

# Shuffled responses that a component has to exceed, all of them: the largest of 20 is passed by
# noise in about one block of 20.
_N_SHUFFLES = 20


def block_labels(blocks: Any, n_samples: int) -> np.ndarray:
    """Stimulus 0, 1, ... of each column (n_samples,), -1 for columns of none.

    Parameters
    ----------
    blocks : None, array-like of shape (n_samples,), or sequence or mapping of slices or columns
        As in `FunctionalTypes.fit`.
    n_samples : int

    Raises
    ------
    DataError
        If columns are in two blocks or not there, or a block has fewer than two.
    """
    if blocks is None:
        return np.zeros(n_samples, dtype=int)
    parts = list(blocks.values()) if isinstance(blocks, Mapping) else blocks
    if _are_columns(parts):
        labels = _labels_from_columns(parts, n_samples)
    else:
        labels = np.unique(check_labels(parts, n_samples, "blocks"), return_inverse=True)[1]
    sizes = np.bincount(labels[labels >= 0])
    if sizes.min() < 2:
        raise DataError(
            "a block has too few columns for a response over time",
            expected="two or more columns for each stimulus",
            found=f"{sizes.min()} in block {int(sizes.argmin())}",
            field="blocks",
        )
    return labels


def _are_columns(parts: Any) -> bool:
    """Whether this names the columns of each block, and not the block of each column."""
    listed = isinstance(parts, list | tuple) and len(parts) > 0
    return listed and all(isinstance(part, slice) or np.ndim(part) == 1 for part in parts)


def _labels_from_columns(parts: Sequence[Any], n_samples: int) -> np.ndarray:
    labels = np.full(n_samples, -1)
    for number, part in enumerate(parts):
        try:
            chosen = part if isinstance(part, slice) or len(part) else slice(0)
            columns = np.arange(n_samples)[chosen if isinstance(chosen, slice) else np.array(part)]
        except IndexError as error:
            raise DataError(
                "a block names columns that are not there",
                expected=f"columns from 0 to {n_samples - 1}",
                found=f"block {number}: {error}",
                field="blocks",
            ) from error
        if len(columns) == 0 or (labels[columns] >= 0).any() or len(set(columns)) < len(columns):
            raise DataError(
                "blocks overlap or are empty",
                expected="each column in one block at most, and columns in each block",
                found=f"block {number} with {len(columns)} columns",
                field="blocks",
            )
        labels[columns] = number
    return labels


def scale_cells(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Responses (n_cells, n_samples) about their mean in each block, over the cell's deviation.

    One scale serves all blocks of a cell: a scale for each would blow up the noise of a stimulus
    that the cell does not respond to. Columns of no block, and cells without variation, are 0.
    """
    centered = np.zeros(X.shape)
    for block in np.unique(labels[labels >= 0]):
        columns = labels == block
        centered[:, columns] = X[:, columns] - X[:, columns].mean(axis=1, keepdims=True)
    sd = np.sqrt((centered**2).sum(axis=1, keepdims=True) / (labels >= 0).sum())
    # rounding of a mean is no variation
    varies = sd > np.finfo(float).eps * np.abs(X).max(axis=1, keepdims=True) * X.shape[1]
    return np.where(varies, centered, 0.0) / np.where(varies, sd, 1.0)


def block_projection(
    responses: np.ndarray, rng: np.random.Generator, *, max_components: int, sparse: bool
) -> np.ndarray:
    """Weights (n_columns, n_components) of one block's components, of responses and derivatives.

    Parameters
    ----------
    responses : ndarray of shape (n_cells, n_columns)
        From `scale_cells`.
    rng : numpy.random.Generator
    max_components : int
        Of the responses, and of the derivatives.
    sparse : bool
        Whether components have few columns each (`sklearn.decomposition.SparsePCA`).

    Returns
    -------
    ndarray
        Without columns where no component explains more than in responses of shuffled cells.
    """
    centered = responses - responses.mean(axis=0)
    # cells shuffled in each column alone: the columns' variances without what cells share. The
    # derivative is taken of the same shuffled responses, since neighboring differences correlate.
    shuffled = [rng.permuted(centered, axis=0) for _ in range(_N_SHUFFLES)]
    derivative = np.diff(np.eye(responses.shape[1]), axis=1)
    found = []
    for change in (np.eye(responses.shape[1]), derivative):
        values = centered @ change
        limit = max(np.linalg.norm(one @ change, 2) for one in shuffled)
        u, spectrum, v = np.linalg.svd(values, full_matrices=False)
        n_components = min(int((spectrum > limit).sum()), max_components)
        if n_components == 0:
            continue
        weights = svd_flip(u, v, u_based_decision=False)[1][:n_components].T
        if sparse:
            pca = SparsePCA(n_components, random_state=int(rng.integers(2**31)))
            pca.set_output(transform="default").fit(values)
            # what it does to data is linear: its weights are the images of the unit vectors
            weights = pca.transform(np.eye(len(weights)) + pca.mean_)
        found.append(change @ weights)
    return np.hstack(found) if found else np.empty((responses.shape[1], 0))


def quality_index(repeats: ArrayLike) -> np.ndarray:
    r"""How much of a cell's response is the same in every repeat of a stimulus.

    .. math::
        Q = \frac{\mathrm{Var}_t\, \langle C \rangle_r}{\langle \mathrm{Var}_t\, C \rangle_r}

    with :math:`C` the response at time :math:`t` in repeat :math:`r` [1]_.

    Parameters
    ----------
    repeats : array-like of shape (n_repeats, n_samples, n_cells)
        Two or more repeats; NaN marks repeats that a cell was not recorded in.

    Returns
    -------
    ndarray of shape (n_cells,)
        1 if all repeats are the same; about 1 over the number of repeats, not 0, for noise alone.
        NaN for cells without variation, or with fewer than two whole repeats.

    Raises
    ------
    DataError
        If the shape does not fit, values are infinite, or a repeat is recorded in part.

    References
    ----------
    .. [1] T. Baden, P. Berens, K. Franke, et al. (2016). The functional diversity of retinal
       ganglion cells in the mouse. Nature 529, 345-350.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.celltypes import quality_index
    >>> signal = np.sin(np.arange(50.0))[:, None]
    >>> quality_index(np.stack([signal, signal])).round(3)
    array([1.])
    >>> quality_index(np.stack([signal, -signal])).round(3)
    array([0.])
    """
    array = as_numbers(as_given(repeats, "repeats"), "repeats").astype(np.float64)
    if array.ndim != 3 or len(array) < 2 or array.shape[1] < 2:
        raise DataError(
            "a response's quality needs repeats",
            expected="shape (n_repeats, n_samples, n_cells), at least 2 repeats and 2 samples",
            found=f"shape {array.shape}",
            field="repeats",
        )
    recorded = np.asarray(np.isfinite(array).all(axis=1))
    absent = np.asarray(np.isnan(array).all(axis=1))
    if not (recorded | absent).all():
        partial = np.argwhere(~(recorded | absent))
        raise DataError(
            "some repeats are recorded in part, or not finite",
            expected="numbers throughout, or NaN throughout, for each cell in each repeat",
            found=f"{len(partial)} others; the first: repeat {partial[0, 0]}, cell {partial[0, 1]}",
            fix="Leave the missing samples out of all repeats, or set the whole repeat to NaN.",
            field="repeats",
        )
    count = recorded.sum(axis=0)
    filled = np.where(recorded[:, None], array, 0.0)
    mean_variance = filled.var(axis=1).sum(axis=0) / np.maximum(count, 1)
    of_mean = (filled.sum(axis=0) / np.maximum(count, 1)).var(axis=0)
    known = (count >= 2) & (mean_variance > 0)
    return np.divide(of_mean, mean_variance, out=np.full(len(count), np.nan), where=known)
