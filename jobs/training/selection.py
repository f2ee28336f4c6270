"""Which epoch is kept, and when to stop waiting for a better one. Pure but for their own memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tlbatch.spec.train import EarlyStopping


@dataclass
class BestEpoch:
    """The epoch with the highest validation accuracy; among equals the lowest loss; among those the earliest."""

    epoch: int | None = None
    accuracy: float = -1.0
    loss: float = math.inf

    def observe(self, epoch: int, accuracy: float, loss: float) -> bool:
        """Whether this epoch (counted from 0) is the best so far."""
        if (accuracy, -loss) <= (self.accuracy, -self.loss):
            return False
        self.epoch, self.accuracy, self.loss = epoch, accuracy, loss
        return True


@dataclass
class Patience:
    """Counts epochs without improvement of the watched validation metric."""

    best: float = math.inf
    waited: int = 0

    def observe(self, rule: EarlyStopping, accuracy: float, loss: float) -> bool:
        """Whether to stop now: ``rule.patience`` epochs in a row did not improve by more than ``rule.min_delta``."""
        value = loss if rule.metric == "loss" else -accuracy
        if value < self.best - rule.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= rule.patience
