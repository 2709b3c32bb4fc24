"""Codes of windowed connectivity from filling in what is masked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    DEVICE,
    RANDOM_STATE,
    Estimator,
    Interval,
    TableOutputMixin,
    resolve_device,
    validated_fit,
)
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.samples import check_samples
from neuroml._core.torch_state import as_tensor, own_torch_state, seeded
from neuroml._core.training import train
from neuroml._core.validation import as_given, session_slices
from neuroml.exceptions import DataError

__all__ = ["DynamicFCMaskedAutoencoder"]

_ASYMMETRY = 1e-6  # share of the largest entry: more than the rounding of single precision


class DynamicFCMaskedAutoencoder(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator):
    """Codes of windows of connectivity, learned without labels by a masked graph autoencoder.

    Each window is a graph of regions. A network encodes it to a code, from which a decoder has to
    fill in what was masked: the connections of regions that were hidden from the encoder (in
    space), and the whole of a window whose neighbors before and after it were encoded (in time).
    The idea is that of [1]_, on far fewer data: a few dense layers, a learned embedding of the
    regions and a readout of all of them take the place of the published network, and connectivity
    keeps its weights and signs.

    **Compare it before you believe in it**, on the same held-out subjects and with the same
    readout, against the mean connectivity of a recording (static), `sklearn.decomposition.PCA` of
    the windows with as many components, and the tangent space
    (`nilearn.connectome.ConnectivityMeasure(kind="tangent")`). The published gains are of
    pretraining on tens of thousands of scans. Where simulated groups differ in dwell times alone,
    its codes told .86 of the people left out apart, those of `NonnegativeCP` .84 at a seventieth of
    the time, of PCA .72, and static connectivity .53, which is chance; with more noise PCA was
    ahead of it.

    Parameters
    ----------
    n_components : int, default=8
        Length of a code.
    hidden : int, default=16
        Features of a region inside the network.
    n_layers : int, default=1
        Steps in which regions exchange features along their connections.
    mask_ratio : float, default=0.3
        Share of the regions that are hidden, at least one.
    temporal_weight : float, default=1.0
        Weight of the reconstruction in time beside that in space; 0 for data without time.
    span : int, default=2
        Largest number of windows from the masked one to the encoded ones. Windows that overlap are
        filled in too easily: it should exceed the number of windows that share a sample.
    max_epochs : int, default=60
    batch_size : int, default=32
    learning_rate : float, default=3e-3
    weight_decay : float, default=1e-4
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where torch finds one.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        1 shows a bar over epochs, with the time that is left.

    Attributes
    ----------
    mean_ : ndarray of shape (n_pairs,)
        Mean of each pair over the windows, which is taken off.
    scale_ : float
        Standard deviation of what is left, which becomes 1.
    weights_ : dict of str to ndarray
        Of the network.
    history_ : list of dict
        ``epoch`` and ``loss``: squared error of masked entries, where predicting the mean gives
        about 1 for each of the two parts.
    n_regions_ : int
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of pairs.

    See Also
    --------
    SlidingWindowConnectivity : makes the windows.
    NonnegativeCP : patterns that can be read, in place of codes.

    Notes
    -----
    Codes have no order, sign or scale that would mean anything, and another ``random_state`` has
    other ones: give them to a readout, do not interpret them one by one.

    References
    ----------
    .. [1] J. Choi, S. Keum, E. Yun, B.-H. Kim and J. Lee (2023). A generative self-supervised
       framework using functional connectivity in fMRI data. arXiv:2312.01994.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import DynamicFCMaskedAutoencoder, SlidingWindowConnectivity
    >>> X = np.random.default_rng(0).normal(size=(200, 6))
    >>> W = SlidingWindowConnectivity(window=20, stride=10).fit_transform(X)
    >>> DynamicFCMaskedAutoencoder(2, max_epochs=2, random_state=0).fit_transform(W).shape
    (19, 2)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 0, None, closed="left")],
        "mask_ratio": [Interval(Real, 0, 1, closed="neither")],
        "temporal_weight": [Interval(Real, 0, None, closed="left")],
        "span": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "device": DEVICE,
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    }

    def __init__(  # noqa: PLR0913 - one keyword for each parameter
        self,
        n_components: int = 8,
        *,
        hidden: int = 16,
        n_layers: int = 1,
        mask_ratio: float = 0.3,
        temporal_weight: float = 1.0,
        span: int = 2,
        max_epochs: int = 60,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        device: Any = "cpu",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.n_layers = n_layers
        self.mask_ratio = mask_ratio
        self.temporal_weight = temporal_weight
        self.span = span
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @validated_fit
    def fit(
        self, X: Any, y: Any = None, *, sessions: ArrayLike | None = None
    ) -> DynamicFCMaskedAutoencoder:
        """Learn to fill in masked connectivity.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_pairs) or (n_windows, n_regions, n_regions)
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each session; a dict one, or a list of sessions, for each subject.
            Windows in order of time, as `SlidingWindowConnectivity` gives them: pairs i < j in row
            order, or symmetric matrices, whose diagonal is ignored. An array of three axes of which
            the last two differ in length is a list of sessions.
        y : ignored
        sessions : array-like of shape (n_windows,), optional
            Session of each window; nothing is filled in across their borders.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the columns are not the pairs of any number of regions (three or more), a matrix is
            not symmetric, windows never differ, or no session has three windows (unless
            ``temporal_weight=0``).
        """
        import torch

        from neuroml.connectome._masked_graph import masked_loss

        device = resolve_device(self.device)
        given: Any = check_samples(self, as_pairs(X), sessions=sessions, reset=True)
        values = np.asarray(given.X, dtype=np.float64)
        self.n_regions_ = _n_regions(values.shape[1])
        moments, reach = self._moments(given.sessions)
        self.mean_ = values.mean(axis=0)
        self.scale_ = float((values - self.mean_).std())
        if not self.scale_ > 1e-12 * np.abs(values).max(initial=1e-300):
            raise DataError(
                "connectivity never changes, so there is nothing to encode",
                expected="windows that differ",
                found=f"{len(values)} windows that are all the same",
                field="X",
            )
        weights_rng, order_rng, mask_rng = spawn_generators(self.random_state, 3)
        with own_torch_state(device):
            graphs = self._graphs(values, device)
            with seeded(weights_rng):
                network = self._network().to(device)

            def loss(rows: np.ndarray) -> torch.Tensor:
                triples = _triples(moments[rows], reach[rows], self.span, mask_rng)
                hidden = self._hide(len(rows), mask_rng)
                return masked_loss(
                    network,
                    graphs,
                    as_tensor(triples, device=device),
                    as_tensor(hidden, device=device),
                    self.temporal_weight,
                )

            def batches(_: int) -> Iterator[np.ndarray]:
                order = order_rng.permutation(len(moments))
                yield from np.array_split(order, math.ceil(len(order) / self.batch_size))

            optimizer = torch.optim.AdamW(
                network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
            training = train(
                network,
                loss,
                batches,
                optimizer,
                max_epochs=self.max_epochs,
                verbose=self.verbose,
            )
        self.weights_ = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}
        self.history_, self.n_iter_ = training.history, len(training.history)
        self._n_features_out = self.n_components
        return self

    def transform(self, X: Any, *, sessions: ArrayLike | None = None) -> np.ndarray:
        """Return the code of each window, of which nothing is masked.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_pairs) or (n_windows, n_regions, n_regions)
            As in `fit`.
        sessions : array-like of shape (n_windows,), optional
            As in `fit`; a code is of its window alone.

        Returns
        -------
        ndarray of float64 of shape (n_windows, n_components)
        """
        import torch

        check_is_fitted(self)
        device = resolve_device(self.device)
        given: Any = check_samples(self, as_pairs(X), sessions=sessions, reset=False)
        with own_torch_state(device), torch.no_grad():
            network = self._network().to(device)
            network.load_state_dict({k: as_tensor(v.copy()) for k, v in self.weights_.items()})
            graphs = self._graphs(np.asarray(given.X, dtype=np.float64), device)
            codes = [network.encode(part) for part in graphs.split(1024)]
        return torch.cat(codes).cpu().numpy().astype(np.float64)

    def _moments(self, sessions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Windows that are filled in, and how far their session goes on both sides of them."""
        lengths = [part.stop - part.start for part in session_slices(sessions)]
        number = np.arange(len(sessions))
        reach = np.concatenate([np.minimum(np.arange(n), np.arange(n)[::-1]) for n in lengths])
        if not self.temporal_weight:
            return number, reach
        if not reach.any():
            raise DataError(
                "no session is long enough to fill in a window from its neighbors",
                expected="a session of >= 3 windows",
                found=f"at most {max(lengths)}",
                fix="Use shorter windows or strides, or temporal_weight=0.",
                field="sessions",
            )
        return number[reach > 0], reach[reach > 0]

    def _hide(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Regions (n, n_regions) to be masked, as many in each."""
        n_hidden = min(max(1, round(self.mask_ratio * self.n_regions_)), self.n_regions_ - 1)
        return rng.uniform(size=(n, self.n_regions_)).argsort(axis=1) < n_hidden

    def _graphs(self, values: np.ndarray, device: Any) -> Any:
        """Standardized pairs as symmetric matrices (n, n_regions, n_regions), zero diagonal."""
        i, j = np.triu_indices(self.n_regions_, k=1)
        graphs = np.zeros((len(values), self.n_regions_, self.n_regions_), np.float32)
        graphs[:, i, j] = graphs[:, j, i] = (values - self.mean_) / self.scale_
        return as_tensor(graphs, device=device)

    def _network(self) -> Any:
        from neuroml.connectome._masked_graph import MaskedGraphNetwork

        return MaskedGraphNetwork(self.n_regions_, self.n_components, self.hidden, self.n_layers)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _triples(
    moments: np.ndarray, reach: np.ndarray, span: int, rng: np.random.Generator
) -> np.ndarray:
    """Windows before, at and after each moment (n, 3), as far as the session goes."""
    steps = rng.integers(1, np.maximum(np.minimum(reach, span), 1) + 1) * (reach > 0)
    return np.column_stack([moments - steps, moments, moments + steps])


def as_pairs(X: Any) -> Any:
    """Windows of matrices, alone or in a list or dict, as rows of pairs; others as they are."""
    if isinstance(X, Mapping):
        return {key: as_pairs(part) for key, part in X.items()}
    if isinstance(X, list | tuple) and any(getattr(part, "ndim", 0) == 3 for part in X):
        return [as_pairs(part) for part in X]
    if getattr(X, "ndim", 0) != 3 or X.shape[1] != X.shape[2]:
        return X  # three axes that are not square: sessions, windows and pairs
    matrices = np.asarray(as_given(X), dtype=np.float64)
    i, j = np.triu_indices(matrices.shape[1], k=1)
    apart = np.abs(matrices[:, i, j] - matrices[:, j, i])
    if (apart > _ASYMMETRY * np.abs(matrices).max(initial=0)).any():
        raise DataError(
            "windows of connectivity are not symmetric",
            expected="the same value from i to j as from j to i",
            found=f"differences up to {apart.max():.3g}",
            fix="Take the mean of both, or give the pairs i < j.",
            field="X",
        )
    return matrices[:, i, j]


def _n_regions(n_pairs: int) -> int:
    """Number of regions that have so many pairs."""
    n = (1 + math.isqrt(1 + 8 * n_pairs)) // 2
    if n * (n - 1) // 2 != n_pairs or n < 3:
        raise DataError(
            "the columns are not all pairs of some number of regions",
            expected="n (n - 1) / 2 columns for n >= 3 regions",
            found=f"{n_pairs} columns",
            fix="Give whole matrices, or every pair i < j.",
            field="X",
        )
    return n
