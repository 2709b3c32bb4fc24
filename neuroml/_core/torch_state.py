"""Computing in torch whatever the user has set there, and leaving that as it was.

torch holds a mode of gradients, a default device, autocasting and a random stream for the process
or the thread. None of them may change what a model computes, and no model may change them. The
default dtype, which all threads share, is never touched: tensors are made with the dtype they need.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import torch

__all__ = ["as_tensor", "own_torch_state", "seeded"]


@contextmanager
def own_torch_state(device: Any = "cpu") -> Iterator[None]:
    """Gradients and no autocasting in this thread, also as a decorator.

    Parameters
    ----------
    device : str or torch.device, default="cpu"
        Where tensors go that are made without a device if the user has set a default one.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # a mode that every call to torch passes through is entered only where it is needed
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device(device))
        yield


@contextmanager
def seeded(rng: np.random.Generator, device: torch.device | None = None) -> Iterator[None]:
    """A seed from ``rng`` for torch's own streams, which are put back afterwards.

    Parameters
    ----------
    rng : numpy.random.Generator
    device : torch.device, optional
        Whose stream is drawn from beside the CPU's; other devices' streams are left alone, which
        ``torch.manual_seed`` would not do.
    """
    import torch

    seed = int(rng.integers(2**31))
    kind = "cpu" if device is None else device.type
    with torch.random.fork_rng(devices=[device] if kind == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if kind == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        kept = torch.mps.get_rng_state() if kind == "mps" else None
        if kept is not None:
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            if kept is not None:
                torch.mps.set_rng_state(kept)


def as_tensor(
    values: ArrayLike, *, dtype: torch.dtype | None = None, device: Any = "cpu"
) -> torch.Tensor:
    """A tensor of an array, which may be read-only, memory-mapped or strided in any way.

    Memory is shared only with arrays that may be written to: torch cannot mark a tensor read-only.
    """
    import torch

    writable = np.require(values, requirements=["C", "W"])
    return torch.from_numpy(writable.reshape(np.shape(values))).to(device=device, dtype=dtype)
