"""Networks of torch as they compute: what each module is given and returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from neuroml._core.validation import as_given
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    import torch

__all__ = ["calls_of", "check_networks", "evaluating", "like_weights"]


class Call(NamedTuple):
    """A module, its first input, and its output."""

    module: torch.nn.Module
    given: torch.Tensor
    output: torch.Tensor


def check_networks(*models: Any) -> None:
    """Refuse what is no network."""
    import torch

    for model in models:
        if not isinstance(model, torch.nn.Module):
            raise DataError(
                "this is no network",
                expected="a torch.nn.Module",
                found=type(model).__name__,
                field="model",
            )


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """As by ``eval()`` meanwhile: without dropout, and running statistics stay as they are."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def like_weights(x: Any, model: torch.nn.Module) -> torch.Tensor:
    """Samples in the type and on the device of the weights.

    Tensors of integers, such as the numbers of words, keep their type.
    """
    import torch

    weight = next(model.parameters(), torch.zeros(()))
    if isinstance(x, torch.Tensor) and not x.is_floating_point():
        return x.to(weight.device)
    given = x if isinstance(x, torch.Tensor) else as_given(x, "x")
    values = given.to_numpy() if hasattr(given, "to_numpy") else given
    return torch.as_tensor(values, dtype=weight.dtype, device=weight.device)


def calls_of(model: torch.nn.Module, x: Any, modules: Iterable[torch.nn.Module]) -> list[Call]:
    """What some modules are given and return while samples are computed, in order."""
    import torch

    found: list[Call] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            raise DataError(
                "a module's output is not one tensor of activity",
                expected="a module that returns a tensor",
                found=f"{type(module).__name__}, which returns {type(output).__name__}",
                field="layer",
            )
        given = inputs[0] if inputs else output
        found.append(Call(module, given.detach(), output.detach()))

    handles = [module.register_forward_hook(keep) for module in dict.fromkeys(modules)]
    try:
        with torch.no_grad(), evaluating(model):
            model(like_weights(x, model))
    finally:
        for handle in handles:
            handle.remove()
    return found
