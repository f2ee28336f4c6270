"""The training loop: learns, is repeatable, goes on after a stop bit for bit, keeps frozen stages as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jobs.randomness import generator
from jobs.strategies.finetune import phases_of
from jobs.training.batches import TARGET
from jobs.training.learning import Learning
from jobs.training.phases import Phases
from jobs.training.protocol import HEAD
from jobs.training.trainer import DivergedError, Recipe, Trainer
from tlbatch.errors import Stopped
from tlbatch.spec.train import EarlyStopping, Train
from tlbatch.strategies.finetune import Finetune

torch.set_num_threads(1)


class Stage:
    def __init__(self, name: str) -> None:
        self.name = name


class TinyNetwork(nn.Module):
    """Two convolution stages with BatchNorm and dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.low = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.high = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(24, 3))
        self.stages = (Stage("low"), Stage("high"), Stage(HEAD))
        self.unfrozen: set[str] = set()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.high(self.low(x)))

    def parameters_of(self, stage: str) -> Iterable[nn.Parameter]:
        return getattr(self, stage).parameters()

    def freeze(self, unfrozen: Iterable[str]) -> None:
        self.unfrozen = set(unfrozen)
        for stage in self.stages:
            getattr(self, stage.name).requires_grad_(stage.name in self.unfrozen)

    def train_mode(self, batch_norm: str, batch_size: int) -> None:
        for stage in self.stages:
            getattr(self, stage.name).train(stage.name in self.unfrozen)


class TinyFeed:
    """Bright spots in one of three columns, with noise drawn by place."""

    def __init__(self, n: int = 37, noise: float = 0.3) -> None:
        self.train_labels = torch.arange(n) % 3
        self.validation_labels = torch.arange(15) % 3
        self._noise = noise

    def _images(self, labels: Tensor, *place: int | str) -> Tensor:
        x = torch.randn((len(labels), 1, 6, 6), generator=generator(*place)) * self._noise
        for i, label in enumerate(labels.tolist()):
            x[i, 0, :, 2 * label : 2 * label + 2] += 1
        return x

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return self._images(self.train_labels[indices], "train", epoch, step)

    def validation_batches(self) -> Iterator[Tensor]:
        yield self._images(self.validation_labels[:8], "validation", 0)
        yield self._images(self.validation_labels[8:], "validation", 1)


def _recipe(**train: Any) -> Recipe:
    settings = {"epochs": 4, "batch_size": 8, "lr": 0.01, **train}
    return Recipe(Train(**settings), ["a", "b", "c"], seed=1, lr=float(settings["lr"]))


def fed(phases: Phases) -> Learning:
    return Learning({TARGET: TinyFeed()}, phases=phases)


def _state(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.judged.state_dict().items()}


def _assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def _record(trainer: Trainer) -> list[dict[str, Any]]:
    return trainer.place.epochs


def test_learns() -> None:
    trainer = Trainer(TinyNetwork(), TinyFeed(), _recipe(epochs=15))
    trainer.run()
    assert _record(trainer)[-1]["validation_accuracy"] > 0.9
    assert _record(trainer)[-1]["train_loss"] < _record(trainer)[0]["train_loss"] / 2


RECIPES: dict[str, Recipe] = {
    "adamw": _recipe(),
    "rmsprop, mixed, clipped": _recipe(optimizer="rmsprop", mixup=0.4, cutmix=1.0, clip_norm=1.0, label_smoothing=0.1),
    "sgd, averaged, cosine": _recipe(optimizer="sgd", ema=0.9, schedule="cosine", warmup_epochs=1, class_weights="balanced"),
    "plateau, stopping": _recipe(schedule="plateau", early_stopping=EarlyStopping(patience=1), lr=0.05, epochs=6),
    "steps": _recipe(steps_per_epoch=3, optimizer="adam"),
    "gradual": _recipe(epochs=5),
    "in pieces": _recipe(micro_batch_size=3, mixup=0.4, clip_norm=1.0, ema=0.9),
}
GRADUAL = phases_of(Finetune(warm_up=1, gradual=1, lr_decay=0.5, lr_scale={"low": 0.1}))


@pytest.mark.promise(2)
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("stop_at", [1, 7, "epoch", "validation"])
def test_stopped_and_resumed_equals_uninterrupted(name: str, stop_at: int | str) -> None:
    """Fails when going on leaves out the optimizer's state or the place in the epoch, does not seed dropout by the place in the
    training, or sets modes and stages only where an epoch begins (each was tried).
    """
    recipe, phases = RECIPES[name], GRADUAL if name == "gradual" else Phases()
    whole = Trainer(TinyNetwork(), fed(phases), recipe)
    whole.run()
    snapshots = []
    ticks, steps_before = 0, 0

    def tick(trainer: Trainer, epoch_end: bool) -> None:
        nonlocal ticks, steps_before
        ticks += 1
        in_validation = trainer.place.step == steps_before  # no batch since the tick before
        steps_before = trainer.place.step
        here = {"epoch": epoch_end and trainer.place.epoch == 2, "validation": in_validation and trainer.place.epoch == 1}
        if here.get(str(stop_at), ticks == stop_at):
            snapshots.append(trainer.snapshot())
            raise Stopped("now")

    stopped = Trainer(TinyNetwork(), fed(phases), recipe, tick)
    with pytest.raises(Stopped):
        stopped.run()
    torch.manual_seed(99)  # another process has another state of the default generator
    resumed = Trainer(TinyNetwork(), fed(phases), recipe)
    resumed.restore(snapshots[0])
    resumed.run()
    _assert_equal(_state(resumed), _state(whole))
    _assert_equal(resumed.snapshot().tensors, whole.snapshot().tensors)
    assert _record(resumed) == _record(whole)
    assert resumed.selected_epoch == whole.selected_epoch


@pytest.mark.promise(2)
def test_the_best_epoch_before_a_stop_is_kept() -> None:
    """The best is not found again after the stop. Fails when going on forgets its weights, or how good it was."""
    recipe = _recipe(epochs=8, select="best", lr=0.05)
    whole = Trainer(TinyNetwork(), TinyFeed(noise=3.0), recipe)
    whole.run()
    snapshots = []

    def tick(trainer: Trainer, epoch_end: bool) -> None:
        if epoch_end and trainer.place.epoch == whole.selected_epoch + 1:
            snapshots.append(trainer.snapshot())
            raise Stopped("now")

    with pytest.raises(Stopped):
        Trainer(TinyNetwork(), TinyFeed(noise=3.0), recipe, tick).run()
    resumed = Trainer(TinyNetwork(), TinyFeed(noise=3.0), recipe)
    resumed.restore(snapshots[0])
    resumed.run()
    assert resumed.selected_epoch == whole.selected_epoch < 7
    _assert_equal(_state(resumed), _state(whole))


def test_frozen_stages_are_untouched() -> None:
    network = TinyNetwork()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trainer = Trainer(network, fed(phases_of(Finetune(unfreeze=("high",)))), _recipe(ema=0.5, weight_decay=0.1))
    trainer.run()
    after = _state(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("low."))
    assert not torch.equal(before["high.0.weight"], after["high.0.weight"])
    assert not torch.equal(before["high.1.running_mean"], after["high.1.running_mean"])


def test_best_epoch_is_kept_and_last_when_asked() -> None:
    for select in ("best", "last"):
        trainer = Trainer(TinyNetwork(), TinyFeed(noise=1.5), _recipe(epochs=8, select=select, lr=0.05))
        trainer.run()
        rows = _record(trainer)
        keys = [(-row["validation_accuracy"], row["validation_loss"]) for row in rows]
        assert trainer.selected_epoch == (keys.index(min(keys)) if select == "best" else 7)


def test_divergence_is_a_sentence() -> None:
    trainer = Trainer(TinyNetwork(), TinyFeed(), _recipe(optimizer="sgd", lr=1e30))
    with pytest.raises(DivergedError, match="too large"):
        trainer.run()
