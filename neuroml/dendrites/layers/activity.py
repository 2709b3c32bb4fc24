"""Measurement of how many units of a network are active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from neuroml.dendrites._counts import check_counts
from neuroml.exceptions import DataError

__all__ = ["ActivationMeter"]


class ActivationMeter:
    """Count which units are active while a model runs, in 64-bit integers.

    Use it as a context manager around any number of forward passes. A unit is active where the
    magnitude of its output is above ``threshold``.

    Parameters
    ----------
    model : torch.nn.Module
    layers : sequence of str
        Names of the submodules to watch, as in ``model.named_modules()``.
    threshold : float, default=0.0
    unit_dim : int, default=-1
        Axis of the units in the outputs: -1 for linear layers and transformers, 1 for convolutions.
        All other axes are samples.

    Attributes
    ----------
    n_samples : dict of str to int
        Number of samples so far.
    counts : dict of str to ndarray of int64 of shape (n_units,)
        Number of samples in which each unit was active.

    Raises
    ------
    DataError
        If a layer does not exist, or changes its number of units.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import ActivationMeter, KWinners
    >>> model = torch.nn.Sequential(torch.nn.Linear(10, 40), KWinners(40, k=4))
    >>> with ActivationMeter(model, ["1"]) as meter:
    ...     _ = model(torch.randn(100, 10))
    >>> meter.density("1")
    0.1
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[str], *, threshold: float = 0.0, unit_dim: int = -1
    ) -> None:
        modules = dict(model.named_modules())
        missing = [name for name in layers if name not in modules]
        if missing or not layers:
            raise DataError(
                "no such layers",
                expected=f"some of {sorted(modules)}",
                found=missing,
                field="layers",
            )
        self._modules = {name: modules[name] for name in layers}
        self.threshold, self.unit_dim = threshold, unit_dim
        self.n_samples = dict.fromkeys(layers, 0)
        self.counts: dict[str, np.ndarray] = {}
        self._last_active: dict[str, np.ndarray] = {}

    def __enter__(self) -> ActivationMeter:
        """Watch the layers; counts go on from where they were."""
        self._hooks = [
            module.register_forward_hook(
                lambda _module, _inputs, output, name=name: self._count(name, output)
            )
            for name, module in self._modules.items()
        ]
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the hooks; the counts stay."""
        for hook in self._hooks:
            hook.remove()

    def density(self, layer: str) -> float:
        """Return the share of a layer's outputs that were active."""
        return float(self.unit_density(layer).mean())

    def unit_density(self, layer: str) -> np.ndarray:
        """Return the share of the samples in which each unit was active, (n_units,)."""
        return self._seen(layer) / self.n_samples[layer]

    def dead(self, layer: str, within: int | None = None) -> np.ndarray:
        """Return which units were silent throughout, or throughout the latest samples.

        Parameters
        ----------
        layer : str
        within : int, optional
            Consider the latest ``within`` samples only: units that are silent in these may become
            active again.

        Returns
        -------
        ndarray of bool of shape (n_units,)
        """
        counts = self._seen(layer)
        if within is None:
            return counts == 0
        check_counts(within=within)
        return self._last_active[layer] <= self.n_samples[layer] - within

    def table(self, within: int | None = None) -> pd.DataFrame:
        """Tabulate units, samples, density and share of dead units (see `dead`) of each layer."""
        return pd.DataFrame(
            {
                "n_units": {name: len(counts) for name, counts in self.counts.items()},
                "n_samples": {name: self.n_samples[name] for name in self.counts},
                "density": {name: self.density(name) for name in self.counts},
                "dead": {name: self.dead(name, within).mean() for name in self.counts},
            }
        ).rename_axis("layer")

    def _seen(self, layer: str) -> np.ndarray:
        if layer not in self.counts:
            raise DataError(
                "nothing was counted",
                expected=f"a watched layer that has run, of {sorted(self._modules)}",
                found=layer,
                field="layer",
            )
        return self.counts[layer]

    def _count(self, name: str, output: Any) -> None:
        rows = output.detach().movedim(self.unit_dim, -1).flatten(0, -2)
        active = (rows.abs() > self.threshold).to("cpu").numpy()
        n_rows, n_units = active.shape
        if n_rows == 0:
            return
        counts = self.counts.setdefault(name, np.zeros(n_units, np.int64))
        last = self._last_active.setdefault(name, np.zeros(n_units, np.int64))
        if len(counts) != n_units:
            raise DataError(
                "a layer changed its number of units",
                expected=len(counts),
                found=n_units,
                field=name,
            )
        counts += active.sum(axis=0)
        alive = active.any(axis=0)
        latest = n_rows - active[::-1].argmax(axis=0)
        last[alive] = self.n_samples[name] + latest[alive]
        self.n_samples[name] += n_rows
