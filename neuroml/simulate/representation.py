"""Tasks whose inputs have a dialled alignment with their labels."""

from __future__ import annotations

import numpy as np
from scipy.linalg import hadamard
from sklearn.utils import Bunch

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError

__all__ = ["make_aligned_task"]


def make_aligned_task(
    n_conditions: int = 32,
    n_targets: int = 1,
    *,
    alignment: float = 0.3,
    n_features: int = 100,
    n_samples: int = 0,
    noise: float = 0.1,
    random_state: RandomState = None,
) -> Bunch:
    r"""Make inputs whose centered kernel has a given cosine with that of their labels.

    Labels are columns of a Hadamard matrix: balanced, and independent of each other. With
    :math:`K_Y` of the labels and a random kernel :math:`K_\perp` of the remaining columns,
    :math:`K_X = K_\perp + a K_Y` with
    :math:`a = c \|K_\perp\| / (\sqrt{1 - c^2} \|K_Y\|)` has exactly the alignment c [1]_.

    Parameters
    ----------
    n_conditions : int, default=32
        A power of two, above ``n_targets + 1``.
    n_targets : int, default=1
    alignment : float, default=0.3
        c, from 0 (labels are unrelated to what is alike in the inputs) to below 1.
    n_features : int, default=100
        Dimensions of the inputs, at least ``n_conditions - 1``.
    n_samples : int, default=0
        Samples of each condition with noise; 0 for the conditions alone.
    noise : float, default=0.1
        Standard deviation of the samples, in each dimension.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    Bunch
        ``X (n_conditions, n_features)``, ``y (n_conditions, n_targets)`` of -1 and 1, and with
        ``n_samples``, ``samples``, ``sample_targets`` and ``sample_conditions``.

    Raises
    ------
    DataError
        If a number is outside its range.

    References
    ----------
    .. [1] M. Alleman, J. Lindsey, S. Fusi (2024). Task structure and nonlinearity jointly determine
       learned representational geometry. ICLR.

    Examples
    --------
    >>> from neuroml.representation import cka
    >>> from neuroml.simulate import make_aligned_task
    >>> task = make_aligned_task(alignment=0.3, random_state=0)
    >>> round(cka(task.X, task.y), 6)
    0.3
    """
    if n_conditions < 4 or n_conditions & (n_conditions - 1):
        raise DataError(
            "there is no Hadamard matrix of this size",
            expected="a power of two from 4 on", found=n_conditions, field="n_conditions",
        )  # fmt: skip
    if not 1 <= n_targets <= n_conditions - 2:
        raise DataError(
            "too many targets", expected=f"1 to {n_conditions - 2}", found=n_targets,
            field="n_targets",
        )  # fmt: skip
    if not 0 <= alignment < 1:
        raise DataError(
            "alignment is out of range", expected="0 <= alignment < 1", found=alignment,
            field="alignment",
        )  # fmt: skip
    if n_features < n_conditions - 1:
        raise DataError(
            "too few features for the kernel", expected=f"at least {n_conditions - 1}",
            found=n_features, field="n_features",
        )  # fmt: skip
    (rng,) = spawn_generators(random_state, 1)
    columns = hadamard(n_conditions)[:, 1:].astype(float)
    columns = columns[rng.permutation(n_conditions)][:, rng.permutation(n_conditions - 1)]
    y, others = columns[:, :n_targets], columns[:, n_targets:]
    shares = rng.dirichlet(np.ones(others.shape[1]))
    # orthogonal columns of length n: K = sum_j l_j h_j h_j^T has the norm n |l|
    unaligned, aligned = np.linalg.norm(shares), np.sqrt(n_targets)
    a = alignment * unaligned / (np.sqrt(1 - alignment**2) * aligned)
    scaled = np.column_stack([others * np.sqrt(shares), y * np.sqrt(a)])
    rotation = np.linalg.qr(rng.normal(size=(n_features, scaled.shape[1])))[0]
    X = scaled @ rotation.T
    found = Bunch(X=X, y=y)
    if n_samples:
        which = np.repeat(np.arange(n_conditions), n_samples)
        found.samples = X[which] + noise * rng.normal(size=(len(which), n_features))
        found.sample_targets, found.sample_conditions = y[which], which
    return found
