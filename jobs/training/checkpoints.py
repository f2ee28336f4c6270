"""Checkpoints of a training: one safetensors file, its tensors and (as metadata) where the training is.

No generator state is in it: random numbers depend on the place in the training alone (see randomness).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from jobs.context import Context
from jobs.training.group import ALONE, Alone
from tlbatch.errors import DeadlineError, Stopped
from tlbatch.store.documents import parse

STEP_EVERY_S = 45.0  # in mid-epoch: at least once a minute, with time to write it
EPOCH_EVERY_S = 5.0  # at the end of an epoch: epochs of a small head take milliseconds, a checkpoint may take more
NAME = "training.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """``tensors`` by name, on the CPU; ``place`` is JSON: epoch, step, history, …"""

    tensors: dict[str, Tensor]
    place: dict[str, Any]


class Checkpointed(Protocol):
    """What can be saved at any batch boundary."""

    def snapshot(self) -> Snapshot: ...


class Keeper:
    """Saves when time has come, and before the task ends by a stop request or its deadline."""

    def __init__(
        self,
        context: Context,
        *,
        step_every_s: float = STEP_EVERY_S,
        epoch_every_s: float = EPOCH_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context
        self.extra: dict[str, Any] = {}  #: goes with every snapshot's place: what is known outside of the loop
        self._step_every_s, self._epoch_every_s, self._clock = step_every_s, epoch_every_s, clock
        self._saved_at, self._number = clock(), 0

    @property
    def group(self) -> Alone:
        return self.context.group or ALONE

    def load(self) -> Snapshot | None:
        """The newest complete checkpoint; of several processes all load the one that rank 0 found."""
        if self.group.leads:
            found = self._read(self.context.latest_checkpoint())
            self.group.decided(self._number)
            return found
        number = self.group.decided(0)
        return self._read(self.context.checkpoint(number)) if number else None

    def _read(self, files: dict[str, Path] | None) -> Snapshot | None:
        if files is None:
            return None
        with safe_open(files[NAME], framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            place = parse(file.metadata()["place"])
        self._number = place["number"]
        return Snapshot(tensors, place)

    def save(self, what: Checkpointed) -> None:
        snapshot = what.snapshot()
        self._number += 1
        place = {**snapshot.place, **self.extra, "number": self._number}
        path = self.context.scratch / NAME
        save_file({name: t.contiguous().cpu() for name, t in snapshot.tensors.items()}, path, {"place": json.dumps(place)})
        self.context.save_checkpoint(self._number, {NAME: path})
        self._saved_at = self._clock()

    def tick(self, what: Checkpointed, done: float, total: float, note: str, *, epoch_end: bool = False) -> None:
        """Between batches. Raises Stopped or DeadlineError, each after a checkpoint."""
        since_s = self._clock() - self._saved_at
        if self.group.size > 1:
            due = since_s >= (self._epoch_every_s if epoch_end else self._step_every_s)
            self._tick_together(what, due, lambda: self.context.progress(done, total, "epochs", note))
            return
        stop = self.context.stop_requested()  # asked once: a later request must not end the task without a checkpoint
        if stop or since_s >= (self._epoch_every_s if epoch_end else self._step_every_s):
            self.save(what)
        if stop:
            self.context.check_stop()
        try:
            self.context.progress(done, total, "epochs", note)
        except DeadlineError:
            self.save(what)
            raise

    def _tick_together(self, what: Checkpointed, due: bool, progress: Callable[[], None]) -> None:
        """The same by several processes: what one of them is asked all do, at one batch. Rank 0 has the clocks, and saves."""
        wish = Wish.SAVE if due and self.group.leads else Wish.GO_ON
        try:
            if self.group.leads:
                progress()
        except DeadlineError as error:
            wish, late = Wish.END, str(error)
        else:
            late = "over its deadline of run time (resources.deadline); raise it to go on"
        wish = Wish(self.group.agree(Wish.STOP if self.context.stop_requested() else wish))
        if wish and self.group.leads:
            self.save(what)
        if wish == Wish.STOP:
            raise Stopped("asked to stop, one process or all; a later start goes on from here")
        if wish == Wish.END:
            raise DeadlineError(late)


class Wish(IntEnum):
    """What a process of several wants at a batch's end; the highest is done."""

    GO_ON, SAVE, END, STOP = range(4)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """``optimizer.<place of the parameter>.<name>`` -> tensor; other entries of its state are none or constant."""
    tensors = {}
    for i, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{i}.{name}"] = value
    return tensors


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put ``optimizer_tensors`` back, in the parameters' own memory layout: another one may round otherwise."""
    for i, parameter in enumerate(_parameters(optimizer)):
        prefix = f"optimizer.{i}."
        for name, value in tensors.items():
            if not name.startswith(prefix):
                continue
            like_parameter = value.shape == parameter.shape and value.dim() > 0
            held = torch.empty_like(parameter, requires_grad=False).copy_(value) if like_parameter else value.clone()
            optimizer.state[parameter][name.removeprefix(prefix)] = held


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
