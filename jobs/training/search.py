"""``lr: auto``: each candidate trains briefly from the same weights; the best on validation is taken.

Weights that were trained before show within an epoch which rate suits them. Random ones do not: for their first batches
every rate stays near chance, and running statistics are not resolved. So their trials are longer, and the three best of
a first round train once more, three times as long, before one of them is taken (successive halving: Jamieson and Talwalkar
2016). A trial is judged as the whole training would be: by its best epoch where that is what is kept, else by its last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.training.trainer import DivergedError, Recipe, Trainer
from tlbatch.spec.train import Train

TRIAL_SHARE, TRIAL_MOST = 0.1, 5  # of the epochs of the whole training; at most so many, where those hold enough batches
BATCHES, BATCHES_FROM_RANDOM = 50, 300  # what a trial needs at least to tell rates apart
FINALISTS, LONGER = 3, 3  # with two, a rate that was third after six epochs and best in the end was lost (docs/transfer.md)


def trial_epochs(train: Train, warm_up: int, steps: int, fresh: bool) -> int:
    """A tenth of the epochs (1 to 5, more where ``steps`` batches an epoch are few), after the epochs of the head alone."""
    enough = math.ceil((BATCHES_FROM_RANDOM if fresh else BATCHES) / steps)
    return min(train.epochs, warm_up + max(enough, min(TRIAL_MOST, math.ceil(train.epochs * TRIAL_SHARE))))


def trial_train(train: Train, epochs: int) -> Train:
    """The study's training, cut short."""
    return train.model_copy(update={"epochs": epochs, "early_stopping": None})


@dataclass(frozen=True)
class Trial:
    """A candidate, for how many epochs, and its validation accuracy and loss; None where training diverged."""

    lr: float
    accuracy: float | None
    loss: float | None
    epochs: int = 0

    def to_json(self) -> dict[str, Any]:
        judged = {"validation_accuracy": self.accuracy, "validation_loss": self.loss}
        return {"lr": self.lr, **judged, "epochs": self.epochs}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Trial:
        return Trial(document["lr"], document["validation_accuracy"], document["validation_loss"], document["epochs"])


@dataclass(frozen=True)
class Search:
    """Which rates are tried, one after the other, and for how long. A function of what the trials so far have shown."""

    candidates: tuple[float, ...]
    epochs: int
    longer: int = 0  #: epochs of the second round; 0: there is none

    @staticmethod
    def of(candidates: Sequence[float], train: Train, *, warm_up: int, steps: int, fresh: bool) -> Search:
        """``steps``: batches an epoch. ``fresh``: all that learns starts from random weights."""
        epochs = trial_epochs(train, warm_up, steps, fresh)
        again = fresh and len(candidates) > FINALISTS and epochs < train.epochs
        return Search(tuple(candidates), epochs, min(train.epochs, LONGER * epochs) if again else 0)

    @property
    def trials(self) -> int:
        """How many there will be at most."""
        return len(self.candidates) + (FINALISTS if self.longer else 0)

    @property
    def total_epochs(self) -> int:
        return len(self.candidates) * self.epochs + (FINALISTS * self.longer if self.longer else 0)

    def done_epochs(self, trials: int) -> int:
        """Epochs of the first so many trials."""
        first = min(trials, len(self.candidates))
        return first * self.epochs + (trials - first) * self.longer

    def next(self, trials: Sequence[Trial]) -> tuple[float, int] | None:
        """Rate and epochs of the trial after these; None: it is time to choose."""
        first, second = trials[: len(self.candidates)], trials[len(self.candidates) :]
        if len(first) < len(self.candidates):
            return self.candidates[len(first)], self.epochs
        finalists = ranked(first)[:FINALISTS] if self.longer else []
        if len(finalists) < FINALISTS or len(second) == FINALISTS:
            return None
        return finalists[len(second)].lr, self.longer

    def choose(self, trials: Sequence[Trial]) -> float:
        """The best of the second round; where there is none, or all of it diverged, of the first. Raises DivergedError."""
        first, second = trials[: len(self.candidates)], trials[len(self.candidates) :]
        failed = {trial.lr for trial in second if trial.accuracy is None}
        best = ranked(second) or ranked([trial for trial in first if trial.lr not in failed])
        if not best:
            tried = ", ".join(f"{lr:g}" for lr in self.candidates)
            raise DivergedError(
                f"train.lr auto: training diverged at every candidate ({tried}); name lower train.lr_candidates"
            )
        return best[0].lr


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Highest accuracy first; among equals the lowest loss, then the smaller rate. Those that diverged are left out."""
    through = [trial for trial in trials if trial.accuracy is not None and trial.loss is not None]
    return sorted(through, key=lambda trial: (-(trial.accuracy or 0.0), trial.loss, trial.lr))


def try_lr(recipe: Recipe, lr: float, epochs: int, build: Callable[[Recipe], Trainer]) -> Trial:
    """Train briefly at ``lr``; ``build`` makes the trainer (fresh, or put back where a checkpoint had it)."""
    short = replace(recipe, train=trial_train(recipe.train, epochs), lr=lr)
    trainer = build(short)
    try:
        trainer.run()
    except DivergedError:
        return Trial(lr, None, None, epochs)
    judged = trainer.place.epochs[trainer.selected_epoch]
    return Trial(lr, judged["validation_accuracy"], judged["validation_loss"], epochs)
