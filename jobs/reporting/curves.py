"""Training and validation curves of a run, over its seeds and folds, and the sentence on overfitting. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.reporting.formatting import number, percent, points
from tlbatch import nouns

SERIES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
RISE = 0.05  #: validation loss this far (as a share) above its lowest counts as risen
GAP = 0.05  #: training accuracy this far above validation accuracy is worth a word
TAIL = 3  #: epochs at the end that are averaged, so that one lucky epoch says nothing


@dataclass(frozen=True)
class Curves:
    """``values[series]`` [trainings, epochs], epochs that every training reached. ``overfits_from`` counts from 1."""

    values: Mapping[str, NDArray[np.float64]]
    selected: tuple[int, ...]  #: the epoch kept, of each training, from 1
    overfits_from: int | None
    gap: float  #: training minus validation accuracy at the end, as a fraction
    sentence: str

    @property
    def epochs(self) -> int:
        return int(self.values["train_loss"].shape[1])

    def mean(self, series: str) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.values[series].mean(axis=0)
        return mean


def curves_of(histories: Sequence[Mapping[str, Any]]) -> Curves | None:
    """The curves of a run's ``history.json`` documents; None where none has epochs."""
    lists = [history["epochs"] for history in histories if history.get("epochs")]
    if not lists:
        return None
    length = min(len(epochs) for epochs in lists)
    values = {name: np.array([[epoch[name] for epoch in epochs[:length]] for epochs in lists], dtype=float) for name in SERIES}
    start = overfitting_start(values["train_loss"].mean(axis=0), values["validation_loss"].mean(axis=0))
    gap = float(_tail(values["train_accuracy"].mean(axis=0)) - _tail(values["validation_accuracy"].mean(axis=0)))
    selected = tuple(
        int(history.get("selected_epoch", len(history["epochs"]))) for history in histories if history.get("epochs")
    )
    return Curves(values, selected, start, gap, _sentence(values, start, gap, len(lists)))


def overfitting_start(train_loss: NDArray[np.float64], validation_loss: NDArray[np.float64]) -> int | None:
    """The epoch (from 1) after that of the lowest validation loss, if that loss then rose while training loss fell."""
    if np.isnan(validation_loss).any():
        return None
    lowest = int(validation_loss.argmin())
    if lowest + 1 >= len(validation_loss):
        return None
    rose = _tail(validation_loss[lowest + 1 :]) > validation_loss[lowest] * (1 + RISE)
    fell = _tail(train_loss[lowest + 1 :]) < train_loss[lowest]
    return lowest + 2 if rose and fell else None


def _sentence(values: Mapping[str, NDArray[np.float64]], start: int | None, gap: float, trainings: int) -> str:
    loss = values["validation_loss"].mean(axis=0)
    accuracy = values["validation_accuracy"].mean(axis=0)
    if np.isnan(loss).any():
        learned = percent(_tail(values["train_accuracy"].mean(axis=0)))
        return f"Without validation {nouns.items()} nothing tells of overfitting: training accuracy ends at {learned}."
    who = "Overfits" if trainings == 1 else f"Overfits (mean of {trainings} trainings)"
    apart = f"training accuracy ends {points(gap)} {'above' if gap > 0 else 'below'} validation accuracy"
    if start is not None:
        return (
            f"{who} from epoch {start}: validation loss rose from {number(float(loss.min()))} to {number(_tail(loss))} while "
            f"training loss went on falling; {apart}."
        )
    if gap > GAP:
        return f"Validation loss did not rise, but {apart}: the network knows its training {nouns.items()} better than others."
    still = (
        len(loss) > TAIL and float(loss[-1]) <= float(loss.min()) and float(loss[-1]) < float(loss[-TAIL - 1]) * (1 - RISE / 2)
    )
    more = " Validation loss was still falling at the end: more epochs may help." if still else ""
    return f"No overfitting seen: {apart}, at {percent(_tail(accuracy))}.{more}"


def _tail(values: NDArray[np.float64]) -> float:
    return float(values[-TAIL:].mean())
