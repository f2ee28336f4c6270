"""A task's whole training: the rate where it is ``auto``, then the training itself; goes on from the newest checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from jobs.context import Context
from jobs.training.batches import Feed
from jobs.training.checkpoints import Keeper, Snapshot
from jobs.training.learning import Learning, learning_of
from jobs.training.pieces import in_words
from jobs.training.search import Search, Trial, try_lr
from jobs.training.settings import Settings
from jobs.training.tasks_together import learn_together
from jobs.training.trainer import Recipe, Trainer


@dataclass(frozen=True)
class Trained:
    """The trainer at its end, the base rate it had, and the rates that were tried for it."""

    trainer: Trainer
    lr: float
    trials: tuple[Trial, ...] = ()


def train(
    context: Context, settings: Settings, build: Callable[[], nn.Module], feed: Feed | Learning, keeper: Keeper | None = None
) -> Trained:
    """Train what ``build`` makes: every call gives the same network with its initial weights, on the feed's device.

    ``feed``: the target's, or what a strategy hands the loop.

    Raises Stopped and DeadlineError, each after a checkpoint; DivergedError where the loss is no number any more.
    """
    learning = learning_of(feed)
    if settings.tasks:
        learning, build = learn_together(settings, learning, build)
    return _Course(context, settings, build, learning, keeper or Keeper(context)).run()


class _Course:
    """``trials`` that are over go with every checkpoint, so a checkpoint of n trials was taken in trial n or, after the last,
    in the training itself."""

    def __init__(
        self, context: Context, settings: Settings, build: Callable[[], nn.Module], learning: Learning, keeper: Keeper
    ) -> None:
        self._context, self._settings, self._build, self._learning = context, settings, build, learning
        self._keeper, self._search = keeper, _search(settings, learning)
        self._total = self._search.total_epochs + settings.train.epochs
        self._trials: list[Trial] = []
        self._found: Snapshot | None = None
        self._said_pieces = False

    def run(self) -> Trained:
        self._found = self._keeper.load()
        if self._found is not None:
            self._trials = [Trial.from_json(document) for document in self._found.place["trials"]]
            self._say(f"going on from a checkpoint: {_standing(self._found)}")
        self._note_trials()
        while (after := self._search.next(self._trials)) is not None:
            lr, epochs = after
            trial = try_lr(self._settings.recipe(lr), lr, epochs, self._trainer)
            self._trials.append(trial)
            self._note_trials()
            self._say(f"lr {lr:g}, {epochs} epochs: {_judged(trial)}")
        lr = self._search.choose(self._trials) if self._trials else float(self._settings.train.lr)
        trainer = self._trainer(self._settings.recipe(lr))
        trainer.run()
        return Trained(trainer, lr, tuple(self._trials))

    def _note_trials(self) -> None:
        self._keeper.extra["trials"] = [trial.to_json() for trial in self._trials]

    def _trainer(self, recipe: Recipe) -> Trainer:
        """Fresh, or where the checkpoint had it."""
        trainer = Trainer(self._build(), self._learning, recipe, self._tick, self._keeper.group)
        if recipe.train.micro_batch_size is not None and not self._said_pieces:
            self._say(in_words(trainer.network, trainer.phases, recipe.train))
            self._said_pieces = True
        if self._found is not None:
            trainer.restore(self._found)
            self._found = None
        return trainer

    def _tick(self, trainer: Trainer, epoch_end: bool) -> None:
        before = self._search.done_epochs(len(self._trials))
        trying = self._search.next(self._trials) is not None
        note = _note(trainer, trying)
        self._keeper.tick(trainer, before + trainer.done_epochs, self._total, note, epoch_end=epoch_end)
        if epoch_end and not trying:
            self._say(note)

    def _say(self, words: str) -> None:
        if self._keeper.group.leads:
            print(words, flush=True)


def _search(settings: Settings, learning: Learning) -> Search:
    """Of a task whose rate is ``auto``; without candidates where the study names it."""
    train, warm_up = settings.train, learning.phases.warm_up
    steps = learning.sampler(train, settings.seed).steps
    return Search.of(settings.lr_candidates, train, warm_up=warm_up, steps=steps, fresh=settings.fresh)


def _standing(found: Snapshot) -> str:
    place = found.place["trainer"]
    tried = f"{len(found.place['trials'])} learning rates tried, " if found.place["trials"] else ""
    return f"{tried}epoch {place['epoch'] + 1}, batch {place['step'] + 1}"


def _judged(trial: Trial) -> str:
    return "diverged" if trial.accuracy is None else f"validation accuracy {trial.accuracy:.3f}, loss {trial.loss:.3f}"


def _note(trainer: Trainer, trying: bool) -> str:
    """For people: ``epoch 3/10, loss 0.41, val 0.87``."""
    place, epochs = trainer.place, trainer.recipe.train.epochs
    running = place.step > 0 or not place.epochs
    note = f"epoch {place.epoch + running}/{epochs}"
    if place.epochs:
        last = place.epochs[-1]
        note += f", loss {last['train_loss']:.3g}"
        note += f", val {last['validation_accuracy']:.3f}" if last["validation_accuracy"] is not None else ""
    return f"trying lr {trainer.recipe.lr:g}: {note}" if trying else note
