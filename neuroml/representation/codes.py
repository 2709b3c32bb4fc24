"""Which units are active: binary codes of networks and of spike words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.validation import check_labels
from neuroml.exceptions import DataError
from neuroml.representation._checks import as_table, codes_of
from neuroml.representation._networks import calls_of, check_networks

if TYPE_CHECKING:
    import torch

__all__ = ["CodeSeparability", "activation_codes", "code_redundancy", "code_separability"]


def activation_codes(
    model: torch.nn.Module, X: Any, *, layers: list[str] | None = None
) -> np.ndarray:
    """Which units of a network are active, for each sample.

    Two samples with one code lie in the same linear piece of a network of rectifiers [1]_. The
    network is evaluated as by ``eval()``, and stays as it is.

    Parameters
    ----------
    model : torch.nn.Module
    X : Tensor or array-like of shape (n_samples, ...)
    layers : list of str, optional
        Names of the modules whose outputs are read; by default all `torch.nn.ReLU`.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_units)
        Units of all layers, in the order in which they are computed.

    Raises
    ------
    DataError
        If there are no such modules, or one of them is not run, or returns no tensor.

    References
    ----------
    .. [1] F. He, S. Lei, J. Ji, D. Tao (2021). Neural networks behave as hash encoders: an
       empirical study. arXiv:2101.05490.

    Examples
    --------
    >>> import torch
    >>> from neuroml.representation import activation_codes
    >>> net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU())
    >>> activation_codes(net, torch.tensor([[1.0, -1.0], [0.0, 2.0]]))
    array([[ True, False],
           [False,  True]])
    """
    import torch

    check_networks(model)
    modules = dict(model.named_modules())
    if layers is None:
        chosen = [m for m in modules.values() if isinstance(m, torch.nn.ReLU)]
    else:
        chosen = [modules[name] for name in layers if name in modules]
    if not chosen or (layers is not None and len(chosen) < len(layers)):
        raise DataError(
            "there are no such modules" if layers else "the network has no torch.nn.ReLU",
            expected=f"layers=, some of {list(modules)[1:]}",
            found=layers,
            field="layers",
        )
    kept = [one.output for one in calls_of(model, X, chosen)]
    if not kept:
        raise DataError("these modules are not run", expected="layers= of modules that are",
                        found=layers, field="layers")  # fmt: skip
    return np.asarray(torch.cat([(one > 0).reshape(len(one), -1) for one in kept], dim=1).cpu())


def _every_fifth(classes: np.ndarray) -> np.ndarray:
    """Whether a sample is every fifth of its class, so that no class is tested unlearned."""
    rank = np.asarray(pd.Series(classes).groupby(classes).cumcount())
    if rank.max() < 4:
        raise DataError(
            "no class has samples enough to leave every fifth out",
            expected="five or more samples of a class, or codes_test= and y_test=",
            found=f"at most {int(rank.max()) + 1}",
            field="y",
        )
    return np.asarray(rank % 5 == 4)


def _test_samples(
    codes: ArrayLike, y: ArrayLike | None, n_units: int, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bits of new samples, and the numbers of their classes."""
    bits = as_table(codes, "codes_test") > 0
    if y is None or bits.shape[1] != n_units:
        raise DataError(
            "the test samples do not go with the others",
            expected=f"codes of {n_units} units, and y_test",
            found=f"shape {bits.shape}, y_test {'missing' if y is None else 'given'}",
            field="codes_test",
        )
    given = check_labels(y, len(bits), "y_test")
    classes = np.searchsorted(names, given).clip(max=len(names) - 1)
    if (names[classes] != given).any():
        raise DataError(
            "test classes that were not learned",
            expected=names.tolist(),
            found=sorted(set(given.tolist()) - set(names.tolist())),
            field="y_test",
        )
    return bits, classes


def code_redundancy(codes: ArrayLike) -> float:
    """Share of samples whose code another sample had before: 0 if all codes differ.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_units)
        Active where above zero, such as what `activation_codes` returns, or spike counts in bins.

    Returns
    -------
    float
        (n_samples - number of different codes) / n_samples.

    Examples
    --------
    >>> from neuroml.representation import code_redundancy
    >>> code_redundancy([[1, 0], [1, 0], [0, 1], [1, 1]])
    0.25
    """
    bits = as_table(codes, "codes") > 0
    packed = np.packbits(bits, axis=1)
    return float(1 - len(np.unique(packed, axis=0)) / len(bits))


@dataclass(frozen=True)
class CodeSeparability:
    """How well classes can be told by codes: accuracy of three readouts on the test samples.

    Attributes
    ----------
    kmeans : float
        Clusters without labels, each matched to a class one to one.
    knn : float
        Nine nearest neighbors by the number of different bits.
    logistic : float
        Logistic regression of the bits.
    """

    kmeans: float
    knn: float
    logistic: float

    def to_frame(self) -> pd.DataFrame:
        """One row per readout: ``quantity, value``."""
        return pd.DataFrame(list(asdict(self).items()), columns=["quantity", "value"])


def code_separability(
    codes: ArrayLike,
    y: ArrayLike,
    codes_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    *,
    random_state: RandomState = 0,
) -> CodeSeparability:
    """Accuracy with which codes tell classes apart.

    Put the codes of the untrained network beside those of the trained one: of 60 units on
    handwritten digits, neighbors are right in .91 of the cases before and after training
    (``codes`` in tests/benchmarks/representation/run.py).

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_units)
        Active where above zero.
    y : array-like of shape (n_samples,)
        Classes.
    codes_test, y_test : array-like, optional
        New samples. Without them, every fifth of each class is tested and not learned from.
    random_state : int, RandomState, Generator or None, default=0
        Starts the clusters.

    Returns
    -------
    CodeSeparability

    Raises
    ------
    DataError
        If the two sets have other units, or test classes were not learned.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import code_separability
    >>> y = np.arange(100) % 2
    >>> code_separability(np.column_stack([y, 1 - y]), y).knn
    1.0
    """
    bits = as_table(codes, "codes") > 0
    names, classes = codes_of(y, len(bits))
    if codes_test is None:
        test = _every_fifth(classes)
        bits_test, classes_test = bits[test], classes[test]
        bits, classes = bits[~test], classes[~test]
    else:
        bits_test, classes_test = _test_samples(codes_test, y_test, bits.shape[1], names)
    (rng,) = spawn_generators(random_state, 1)
    seed = int(rng.integers(2**31))
    train, held = bits.astype(float), bits_test.astype(float)
    clusters = KMeans(len(names), n_init=10, random_state=seed).fit(train)
    everyone = range(len(names))
    table = confusion_matrix(classes, clusters.labels_, labels=everyone)
    # clusters and classes one to one, by the training samples; greedy matching depends on order
    which = dict(zip(*reversed(linear_sum_assignment(table, maximize=True)), strict=True))
    guessed = np.array([which[c] for c in clusters.predict(held)])
    neighbors = KNeighborsClassifier(min(9, len(train)), metric="hamming").fit(train, classes)
    readout = LogisticRegression(max_iter=2000).fit(train, classes)
    return CodeSeparability(
        kmeans=float((guessed == classes_test).mean()),
        knn=float(neighbors.score(held, classes_test)),
        logistic=float(readout.score(held, classes_test)),
    )
