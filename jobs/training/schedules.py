"""The learning rate over a training: warm-up, then a schedule. Factors on ``lr``; pure but for the plateau's memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

STEP_AT, STEP_FACTOR = (0.5, 0.75), 0.1  # share of the training, He et al. (2015)
PLATEAU_PATIENCE, PLATEAU_FACTOR, PLATEAU_MIN = 3, 0.3, 1e-3


def _constant(_: float) -> float:
    return 1.0


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _linear(share: float) -> float:
    return max(0.0, 1.0 - share)


def _step(share: float) -> float:
    return STEP_FACTOR ** sum(share >= at for at in STEP_AT)


def _inverse(share: float) -> float:
    return float((1 + 10 * share) ** -0.75)


#: share of the training done (0 to 1, after warm-up) -> factor on the learning rate
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "step": _step,
    "inverse": _inverse,  # Ganin and Lempitsky (2015), section 4: of DANN
    "plateau": _constant,  # and a factor of its own, see Plateau
}


def lr_factor(schedule: str, step: int, total: int, warm_up: float) -> float:
    """Factor for batch ``step`` of ``total`` (from 0); ``warm_up`` in batches, rising linearly from 1 / warm_up to 1."""
    if step < warm_up:
        return min(1.0, (step + 1) / warm_up)
    return SCHEDULES[schedule]((step - warm_up) / max(1.0, total - warm_up))


@dataclass
class Plateau:
    """Lowers the rate by 0.3 when the watched loss has not improved for 3 epochs."""

    best: float = math.inf
    waited: int = 0
    factor: float = 1.0

    def observe(self, loss: float) -> None:
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= PLATEAU_PATIENCE:
            self.factor, self.waited = max(PLATEAU_MIN, self.factor * PLATEAU_FACTOR), 0
