"""The study's own CNN, trained from random weights: convolution, ReLU, pooling; then dense layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from jobs.models.stages import Division, divide
from tlbatch.errors import StudyError


def scratch_body(scratch: Mapping[str, Any], channels: int, size: int) -> nn.Sequential:
    """``scratch`` as in a study (tlbatch.spec.model.Scratch), fed with [n, channels, size, size].

    Children conv1, conv2, … and, flattened, dense1, …; what comes out feeds the head. Raises StudyError where nothing of
    an image is left after the pools.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    side, kernel = size, int(scratch["kernel"])
    for number, wide in enumerate(scratch["channels"], start=1):
        parts[f"conv{number}"] = _convolution(channels, wide, scratch)
        side = (side if scratch["padding"] == "same" else side - kernel + 1) // 2
        if side < 1:
            raise StudyError(
                f"scratch: an image of {size} pixels is used up at conv{number}; raise input.size or name fewer channels"
            )
        channels = wide
    values = channels * side * side
    for number, wide in enumerate(scratch["dense"], start=1):
        if number == 1:
            parts["flatten"] = nn.Flatten()
        parts[f"dense{number}"] = _dense(values, wide, float(scratch["dropout"]))
        values = wide
    return nn.Sequential(parts)


def _convolution(channels: int, wide: int, scratch: Mapping[str, Any]) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(channels, wide, scratch["kernel"], padding=scratch["padding"])
    if scratch["batch_norm"]:
        parts["norm"] = nn.BatchNorm2d(wide)
    parts["relu"] = nn.ReLU(inplace=True)
    parts["pool"] = nn.MaxPool2d(2)
    return nn.Sequential(parts)


def _dense(values: int, wide: int, dropout: float) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict([("linear", nn.Linear(values, wide)), ("relu", nn.ReLU(inplace=True))])
    if dropout:
        parts["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(parts)


def scratch_division(scratch: Mapping[str, Any]) -> Division:
    """A stage for each convolution and each dense layer; the last one feeds the head."""
    stages = {f"conv{i}": (f"conv{i}",) for i in range(1, len(scratch["channels"]) + 1)}
    stages |= {f"dense{i}": (*(("flatten",) if i == 1 else ()), f"dense{i}") for i in range(1, len(scratch["dense"]) + 1)}
    return divide(stages, {name: name for name in stages}, list(stages)[-1])
