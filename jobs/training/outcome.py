"""What a training came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jobs.context import Context
from jobs.heads.fitting import FittedHead
from jobs.training.batches import TARGET
from jobs.training.fit import Trained
from jobs.training.phases import EVERYTHING, Phases


@dataclass(frozen=True)
class Outcome:
    """What a training came to: ``network`` holds the selected weights; ``shape`` is that of one input to it; ``phases`` says
    which of its stages learnt.

    ``logits`` [m, classes] of the validation images of the roles in ``judged_on``, one after the other; ``history`` as in
    history.json; ``fitted``: of a head that was fitted at once.
    ``facts``: what else its card says. ``documents``: other files of JSON that it leaves, by name. ``head``: as
    the card's model has it, where another one came of what the study asked for.
    """

    network: nn.Module
    shape: tuple[int, ...]
    logits: NDArray[np.float64]
    history: Mapping[str, Any]
    fitted: FittedHead | None = None
    phases: Phases = EVERYTHING
    judged_on: tuple[str, ...] = (TARGET,)
    facts: Mapping[str, Any] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, Any] | None = None


def outcome_of(context: Context, trained: Trained, shape: tuple[int, ...]) -> Outcome:
    """Of a network that the training loop trained; notes in ``made`` where and how fast."""
    trainer, place = trained.trainer, trained.trainer.place
    logits = trainer.validation_logits(context.check_deadline)
    history = {
        "epochs": place.epochs,
        "selected_epoch": trainer.selected_epoch + 1,
        "lr": {"chosen": trained.lr, "tried": [trial.to_json() for trial in trained.trials]},
        "stopped_early": place.stopped_early,
    }
    context.made |= {
        "device": _device_name(trainer.device),
        "epoch_seconds": place.seconds,
        "images_per_s": trainer.images_per_s,
        "input_share": trainer.input_share,
        "mfu": trainer.mfu(shape),
    }
    judged_on = trainer.judged_on
    return Outcome(trainer.judged, shape, logits.double().numpy(), history, phases=trainer.phases, judged_on=judged_on)


def fitted_outcome(
    context: Context, network: nn.Module, shape: tuple[int, ...], logits: NDArray[np.float64], fitted: FittedHead, **other: Any
) -> Outcome:
    """Of a head that was fitted at once: no epochs, on the CPU. ``other``: fields of Outcome."""
    context.made |= {"device": "cpu", "epoch_seconds": []}
    history = {"epochs": [], "selected_epoch": 0, "lr": {"chosen": None, "tried": []}, "stopped_early": False}
    return Outcome(network, shape, logits, history, fitted, **other)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
