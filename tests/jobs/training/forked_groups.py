"""Processes that train one network together, forked and met by real gloo. ``test_group`` runs these in a pytest of their own.

A fork inherits the locks of libraries' threads but not the threads: who has computed with OpenMP or BLAS before may wait for
ever after it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from jobs.context import Context
from jobs.finetune import run
from jobs.ranks import Member
from jobs.training.batches import TARGET
from jobs.training.group import Group, join
from jobs.training.learning import Learning
from jobs.training.trainer import Trainer
from tests.jobs.training.test_trainer import TinyFeed, TinyNetwork, _recipe
from tests.jobs.training.together import together
from tlbatch.spec.train import EarlyStopping

AUGMENTED = {"flip": "horizontal", "shift": 0.1, "rotate": 10.0}
RECIPES: dict[str, dict[str, Any]] = {
    "sgd, clipped, averaged": {"optimizer": "sgd", "clip_norm": 1.0, "ema": 0.9},
    "rmsprop, mixed, smoothed": {"optimizer": "rmsprop", "eps": 1e-3, "mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1},
    "weighted, stopping early": {"optimizer": "sgd", "class_weights": "balanced", "early_stopping": EarlyStopping(patience=1)},
    "in pieces": {"optimizer": "sgd", "micro_batch_size": 3, "clip_norm": 1.0, "class_weights": "balanced"},
    "in pieces that are mixed": {"optimizer": "sgd", "micro_batch_size": 2, "mixup": 0.4, "cutmix": 1.0, "ema": 0.9},
}

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_THREADS", "1")


def never() -> bool:
    return False


# -- trained together ----------------------------------------------------------------------------------------------------


def trained(recipe: dict[str, Any], group: Group | None = None) -> Trainer:
    given = {} if group is None else {"group": group}
    trainer = Trainer(TinyNetwork(), Learning({TARGET: TinyFeed()}), _recipe(**recipe), **given)
    trainer.run()
    return trainer


def _kept(trainer: Trainer) -> dict[str, Tensor]:
    losses = torch.tensor([[each["train_loss"], each["validation_loss"]] for each in trainer.place.epochs])
    return {**trainer.judged.state_dict(), "losses": losses, "counts": torch.tensor(trainer.place.best.epoch or 0)}


@pytest.mark.parametrize("name", RECIPES)
def test_two_and_three_processes_end_where_one_does(name: str, tmp_path: Path) -> None:
    """37 images in batches of 8: the last one, of 5, is uneven for both. With BatchNorm over the whole batch (or the whole
    piece of it: some are smaller than there are processes), and dropout.

    Fails when gradients are averaged without regard to how many rows each had, when BatchNorm takes its own rows' statistics,
    or when validation batches are put together in another order.
    """
    alone = _kept(trained(RECIPES[name]))
    for size in (2, 3):

        def work(member: Member) -> None:
            save_file(_kept(trained(RECIPES[name], join(member, never))), tmp_path / f"{member.rank}")

        assert together(size, work) == [0] * size
        found = [load_file(tmp_path / f"{rank}") for rank in range(size)]
        for tensor in alone:
            torch.testing.assert_close(found[0][tensor], alone[tensor], rtol=1e-4, atol=1e-5)
            assert all(torch.equal(each[tensor], found[0][tensor]) for each in found), tensor


def test_more_processes_than_rows_of_the_last_batch(tmp_path: Path) -> None:
    """10 images in batches of 8: a last batch of two for three processes; the one without a row takes part for nothing."""

    def feed() -> Learning:
        return Learning({TARGET: TinyFeed(n=10)})

    recipe = _recipe(optimizer="sgd")
    alone = Trainer(TinyNetwork(), feed(), recipe)
    alone.run()

    def work(member: Member) -> None:
        trainer = Trainer(TinyNetwork(), feed(), recipe, group=join(member, never))
        trainer.run()
        save_file(_kept(trainer), tmp_path / f"{member.rank}")

    assert together(3, work) == [0, 0, 0]
    found = load_file(tmp_path / "0")
    for name, tensor in _kept(alone).items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


# -- the step ------------------------------------------------------------------------------------------------------------


class Dying(Context):
    """A rank that is killed, or asked to stop, when it has been asked so many times whether to stop."""

    dies_at: int | None = None
    stops_at: int | None = None
    asked = 0

    def stop_requested(self) -> bool:
        self.asked += 1
        if self.asked == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.stops_at is not None and self.asked >= self.stops_at


def attempt(bench: Any, params: dict[str, Any], size: int, **when: int) -> list[int]:
    """Train with so many processes; ``when``: of rank 1."""

    def work(member: Member) -> None:
        own = f"{size}-{member.rank}-{os.getpid()}"
        context = Dying(bench.store, bench.task(params), own, bench.root / own, member=member)
        for name, value in when.items() if member.rank == 1 else ():
            setattr(context, name, value)
        run(context)
        context.finish()

    return together(size, work)


def params_of(bench: Any) -> dict[str, Any]:
    """A backbone with BatchNorm, of whole batches of at least 32, and drop path; a last batch of four; augmented."""
    train = {"epochs": 3, "batch_size": 32, "optimizer": "sgd", "lr": 0.05, "momentum": 0.0, "select": "last"}
    params: dict[str, Any] = bench.params(augmentation=AUGMENTED, train=train)
    return params


def left(bench: Any, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    artifact = bench.opened(params)
    return load_file(artifact.path("model.safetensors")), artifact.read_json("validation.json")


def assert_near(one: tuple[dict[str, Any], dict[str, Any]], other: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for name, tensor in one[0].items():
        torch.testing.assert_close(other[0][name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert one[1]["ids"] == other[1]["ids"]
    np.testing.assert_allclose(one[1]["logits"], other[1]["logits"], rtol=1e-3, atol=1e-3)


def test_the_step_by_two_processes_leaves_what_one_leaves(bench: Any) -> None:
    params = params_of(bench)
    bench.finished(bench.context(params, "alone"))
    alone, files = left(bench, params), bench.opened(params).names()
    bench.forget(params)
    assert attempt(bench, params, 2) == [0, 0]
    assert bench.opened(params).names() == files
    assert bench.opened(params).manifest.made["processes"] == 2
    assert_near(alone, left(bench, params))


def test_frozen_stages_that_are_run_once_are_the_same_to_all(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each process runs them for all items, and trains on its rows. Fails when a row gets the look of another place."""
    monkeypatch.setattr("jobs.strategies.frozen.PAYS_FROM", 1)
    model = {**bench.model("squeezenet1_1"), "layer": "fire5"}
    train = {"epochs": 3, "optimizer": "sgd", "lr": 0.02, "select": "last"}
    params = bench.params(model=model, finetune={"unfreeze": ("stage2",)}, augmentation={"flip": "horizontal"}, train=train)
    bench.finished(bench.context(params, "alone"))
    alone = left(bench, params)
    bench.forget(params)
    assert attempt(bench, params, 2) == [0, 0]
    assert capfd.readouterr().out.count("are run once for each of 2 looks") == 2  # alone, and by the first of the two
    assert_near(alone, left(bench, params))


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_with_75_and_all_go_on_to_the_same_bits(bench: Any) -> None:
    """And on another number of processes within the tolerance. Fails when only one rank goes on from the checkpoint."""
    params = params_of(bench)
    assert attempt(bench, params, 2) == [0, 0]
    whole, bits = left(bench, params), bench.contents(bench.opened(params))
    for size in (2, 3, 1):
        bench.forget(params)
        assert attempt(bench, params, 2, stops_at=4) == [143, 143]  # one is asked, both stop, after a checkpoint
        assert bench.context(params, "look").latest_checkpoint() is not None
        assert attempt(bench, params, 2, dies_at=3) == [75, -9]
        assert attempt(bench, params, size) == [0] * size if size > 1 else bench.finished(bench.context(params, "last"))
        assert_near(whole, left(bench, params))
        if size == 2:
            assert bench.contents(bench.opened(params)) == bits
