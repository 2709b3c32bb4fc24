"""The one torch minibatch loop: early stopping, finite check, history, progress."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroml._core.parallel import show_progress
from neuroml._core.persistence import read_state, write_state
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError, NotConvergedWarning

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Checkpoint", "Training", "train"]


@dataclass(frozen=True)
class Training:
    """How a training went.

    Attributes
    ----------
    history : list of dict
        Per epoch: ``epoch``, ``loss`` (mean over batches), ``validation`` (if there is one).
    best_epoch : int
        The epoch whose weights were kept; the last one without validation.
    converged : bool
        True if validation stopped improving before ``max_epochs``; without validation, the schedule
        is the criterion and a completed one counts.
    stop_reason : {"patience", "max_epochs"}
    """

    history: list[dict[str, float]]
    best_epoch: int
    converged: bool
    stop_reason: str


@dataclass
class _Progress:
    """Where a training stands after an epoch, apart from module, optimizer and random streams."""

    best_weights: dict[str, torch.Tensor]
    best: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds all that a training needs to go on as if it had never been interrupted.

    Attributes
    ----------
    path : Path
        Written after every epoch, whole or not at all.
    training : str
        Says which training it is: a fingerprint of its data and settings.
    parts : dict
        ``{name: (read, write)}`` for everything that changes in training beside the module:
        ``read()`` gives its state as plain data, arrays and tensors, ``write(state)`` takes it.
    """

    path: Path
    training: str
    parts: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]

    def keep(self, module: nn.Module, progress: _Progress) -> None:
        """Write the state after an epoch."""
        parts = {name: read() for name, (read, _) in self.parts.items()}
        weights = {"best_weights": dict(progress.best_weights)}
        state = {
            "training": self.training,
            "weights": dict(module.state_dict()),
            "progress": vars(progress) | weights,
            "parts": parts,
        }
        write_state(state, self.path)

    def restore(self, module: nn.Module, progress: _Progress, max_epochs: int) -> _Progress:
        """Go back to what the file says, or to ``progress`` if there is no file yet.

        Raises
        ------
        DataError
            If the file is of another training, or of more epochs than ``max_epochs``.
        """
        if not self.path.exists():
            return progress
        state = read_state(self.path)
        if state["training"] != self.training:
            raise DataError(
                "the checkpoint is of another training",
                expected="one with the same data and parameters, as far as they change the numbers",
                fix="Remove the file to start anew, or pass another path.",
                file=self.path,
                field="checkpoint",
            )
        n_epochs = len(state["progress"]["history"])
        if n_epochs > max_epochs:
            raise DataError(
                "the checkpoint has gone on for longer than it should",
                expected=f"at most max_epochs={max_epochs}",
                found=f"{n_epochs} epochs",
                file=self.path,
                field="max_epochs",
            )
        module.load_state_dict(state["weights"])
        for name, (_, write) in self.parts.items():
            write(state["parts"][name])
        return _Progress(**state["progress"])


def train(  # noqa: PLR0913
    module: nn.Module,
    loss: Callable[[Any], torch.Tensor],
    batches: Callable[[int], Iterable[Any]],
    optimizer: torch.optim.Optimizer,
    *,
    max_epochs: int,
    validate: Callable[[], float] | None = None,
    patience: int = 10,
    scheduler: Any = None,
    callback: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    verbose: int = 0,
) -> Training:
    """Train ``module`` in place and leave it in eval mode with its best weights.

    Parameters
    ----------
    module : torch.nn.Module
    loss : callable
        ``loss(batch) -> scalar tensor``.
    batches : callable
        ``batches(epoch) -> iterable of batches``; the caller owns the order and its random stream.
    optimizer : torch.optim.Optimizer
    max_epochs : int
    validate : callable, optional
        ``validate() -> float`` after each epoch, smaller is better, called in eval mode without
        gradients. The weights of the best epoch are restored at the end.
    patience : int
        Epochs without improvement before training stops; used only with ``validate``.
    scheduler : torch learning-rate scheduler, optional
        Stepped after every batch.
    callback : callable, optional
        Called with each epoch's history entry.
    checkpoint : Checkpoint, optional
        Go on from where its file says, and write it after each epoch. More epochs or patience than
        before make a training go on that had come to its end.
    verbose : int
        1 shows a bar over epochs.

    Raises
    ------
    DataError
        If the checkpoint is of another training, or has gone on for more than ``max_epochs``.
    FloatingPointError
        If a loss is not finite; the message says where.

    Warns
    -----
    NotConvergedWarning
        If validation was still improving at ``max_epochs``.
    """
    import torch

    progress = _Progress(module.state_dict())
    if checkpoint is not None:
        progress = checkpoint.restore(module, progress, max_epochs)
    history = progress.history

    def waited() -> bool:
        return validate is not None and len(history) - 1 - progress.best_epoch >= patience

    def epochs() -> Iterator[int]:
        while len(history) < max_epochs and not waited():
            yield len(history)

    left = max_epochs - len(history)
    for epoch in show_progress(epochs(), left, "epochs", verbose):
        module.train()
        mean = _one_epoch(batches(epoch), loss, optimizer, scheduler, f"epoch {epoch}")
        module.eval()
        entry = {"epoch": float(epoch), "loss": mean}
        if validate is not None:
            with torch.no_grad():
                entry["validation"] = _finite(float(validate()), f"validation of epoch {epoch}")
            if entry["validation"] < progress.best:
                progress.best, progress.best_epoch = entry["validation"], epoch
                progress.best_weights = copy.deepcopy(module.state_dict())
        history.append(entry)
        if callback is not None:
            callback(entry)
        if checkpoint is not None:
            checkpoint.keep(module, progress)
    module.eval()
    if validate is None:
        return Training(history, max_epochs - 1, True, "max_epochs")
    module.load_state_dict(progress.best_weights)
    if waited():
        return Training(history, progress.best_epoch, True, "patience")
    warn_caller(
        f"Training reached max_epochs={max_epochs} with its best validation at epoch "
        f"{progress.best_epoch}; more epochs may improve it.",
        NotConvergedWarning,
    )
    return Training(history, progress.best_epoch, False, "max_epochs")


def _one_epoch(
    batches: Iterable[Any],
    loss: Callable[[Any], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    where: str,
) -> float:
    """One step for each batch, and the mean loss."""
    total, count = 0.0, 0
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        value = loss(batch)
        total += _finite(value.item(), f"{where}, batch {count}")
        count += 1
        value.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return total / max(count, 1)


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"The loss became {value} in {where}. "
            "Lower the learning rate, or check the scale of inputs and targets."
        )
    return value
