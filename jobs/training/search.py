"""``lr: auto``: each candidate trains briefly from the same weights; the best on validation is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.training.trainer import DivergedError, Recipe, Trainer
from tlbatch.spec.train import Train

TRIAL_SHARE, TRIAL_MOST = 0.1, 5  # of the epochs of the whole training; at most so many


def trial_epochs(train: Train, warm_up: int) -> int:
    """A tenth of the epochs (1 to 5), after the epochs of the head alone, so that what follows them is tried too."""
    return min(train.epochs, warm_up + min(TRIAL_MOST, math.ceil(train.epochs * TRIAL_SHARE)))


def trial_train(train: Train, warm_up: int) -> Train:
    """The study's training, cut short."""
    return train.model_copy(update={"epochs": trial_epochs(train, warm_up), "early_stopping": None, "select": "last"})


@dataclass(frozen=True)
class Trial:
    """A candidate and its last validation accuracy and loss; None where training diverged."""

    lr: float
    accuracy: float | None
    loss: float | None

    def to_json(self) -> dict[str, Any]:
        return {"lr": self.lr, "validation_accuracy": self.accuracy, "validation_loss": self.loss}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Trial:
        return Trial(document["lr"], document["validation_accuracy"], document["validation_loss"])


def choose(trials: Sequence[Trial]) -> float:
    """Highest accuracy; among equals the lowest loss, then the smaller rate. Raises DivergedError if none came through."""
    through = [trial for trial in trials if trial.accuracy is not None and trial.loss is not None]
    if not through:
        tried = ", ".join(f"{trial.lr:g}" for trial in trials)
        raise DivergedError(f"train.lr auto: training diverged at every candidate ({tried}); name lower train.lr_candidates")
    return min(through, key=lambda trial: (-(trial.accuracy or 0.0), trial.loss, trial.lr)).lr


def try_lr(recipe: Recipe, lr: float, build: Callable[[Recipe], Trainer]) -> Trial:
    """Train briefly at ``lr``; ``build`` makes the trainer (fresh, or put back where a checkpoint had it)."""
    warm_up = recipe.finetune.warm_up if recipe.finetune else 0
    short = Recipe(trial_train(recipe.train, warm_up), recipe.classes, recipe.seed, lr, recipe.finetune, recipe.bf16)
    trainer = build(short)
    try:
        trainer.run()
    except DivergedError:
        return Trial(lr, None, None)
    last = trainer.place.epochs[-1]
    return Trial(lr, last["validation_accuracy"], last["validation_loss"])
