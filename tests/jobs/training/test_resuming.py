"""Stopped anywhere and started again, the finetune step leaves the very bytes it would have left at one go."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from jobs.finetune import run
from tlbatch.errors import Stopped
from tlbatch.tasks import task_name

AUGMENTED = {"flip": "horizontal", "shift": 0.1, "rotate": 10.0}


def test_equal_tasks_give_equal_bytes(bench: Any) -> None:
    params = bench.params(augmentation=AUGMENTED, train={"epochs": 2})
    first = bench.contents(bench.finished(bench.context(params, "a")))
    bench.forget(params)
    torch.manual_seed(77)
    assert bench.contents(bench.finished(bench.context(params, "b"))) == first
    other = bench.contents(
        bench.finished(bench.context(bench.params(augmentation=AUGMENTED, train={"epochs": 2}, seed=1), "c"))
    )
    assert other["model.safetensors"] != first["model.safetensors"]


GRADUAL = {"unfreeze": ("stage1", "stage2"), "warm_up": 1, "gradual": 1, "lr_decay": 0.7, "l2_sp": {"alpha": 0.1, "beta": 0.01}}


def resumable(bench: Any) -> dict[str, dict[str, Any]]:
    bench.put_features(views=2)
    everything = {"epochs": 4, "lr": "auto", "lr_candidates": (1e-3, 1e-2), "ema": 0.9, "schedule": "cosine", "mixup": 0.3}
    small = {**bench.model("squeezenet1_1"), "layer": "fire5"}
    return {
        "scratch": bench.params(augmentation=AUGMENTED, train={"optimizer": "rmsprop", "epochs": 9}),
        "head": bench.params(
            model=bench.model("squeezenet1_1", dense=[6], dropout=0.3),
            strategy="features",
            views=2,
            augmentation=AUGMENTED,
            train={"epochs": 9},
        ),
        "everything": bench.params(model=small, finetune=GRADUAL, augmentation=AUGMENTED, train=everything),
    }


@pytest.mark.parametrize("kind", ["scratch", "head", "everything"])
def test_stopped_anywhere_and_resumed_equals_uninterrupted(bench: Any, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    params = resumable(bench)[kind]
    whole = bench.contents(bench.finished(bench.context(params, "whole")))
    bench.forget(params)
    for attempt, questions in enumerate((9, 4, 17, 6, 9)):  # in batches, in validation, at ends of epochs
        context = bench.context(params, f"try{attempt}", after(questions))
        torch.manual_seed(attempt)  # another process has another state of the default generator
        with pytest.raises(Stopped):
            run(context)
    resumed = bench.contents(bench.finished(bench.context(params, "last")))
    assert resumed == whole
    told = capsys.readouterr().out
    places = set(re.findall(r"going on from a checkpoint: (.*)", told))
    assert len(places) == 5
    assert any("learning rates tried" in place for place in places) == (kind == "everything")


def after(questions: int) -> Callable[[], bool]:
    """A stop request that is there when it is asked for the n-th time."""
    asked = itertools.count(1)
    return lambda: next(asked) >= questions


@pytest.mark.slow
def test_sigterm_ends_with_143_and_the_next_start_goes_on(bench: Any) -> None:
    params = bench.params(augmentation=AUGMENTED, train={"epochs": 400, "select": "last"})
    task = bench.task(params)
    command = [sys.executable, "-m", "jobs.finetune", "--task", f"{bench.store.url}/{task_name(task.key)}"]
    environment = {**os.environ, "TLBATCH_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 7/"):
                break
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 143
    assert json.loads(bench.store.get(f"work/{task.key}/exit.json"))["code"] == 143
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on from a checkpoint" in done.stdout
    stopped = bench.opened(params).read_bytes("model.safetensors")
    assert not list(bench.store.list(f"work/{task.key}/checkpoints/"))
    bench.forget(params)
    assert subprocess.run(command, capture_output=True, env=environment, check=False).returncode == 0
    assert bench.opened(params).read_bytes("model.safetensors") == stopped


def flip(data: bytes) -> bytes:
    """One bit in the middle: a weight, or a digit."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "truncated": ("", lambda data: data[: len(data) // 2]),
    "empty": ("", lambda _: b""),
    "header": ("", lambda data: bytes([data[0] ^ 128]) + data[1:]),
    "flipped": ("", flip),
    "done is []": ("done.json", lambda _: b"[]"),
    "done flipped": ("done.json", flip),
}


@pytest.mark.promise(9)
def test_a_damaged_checkpoint_falls_back_and_ends_at_the_same_bytes(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Failed before: exit 1 for ever, or a flipped weight went into the result unseen. Fails when a checkpoint's hash is not
    compared.
    """
    params = bench.params(augmentation=AUGMENTED, train={"optimizer": "rmsprop", "epochs": 3})
    whole = bench.contents(bench.finished(bench.context(params, "whole")))
    bench.forget(params)
    for attempt, questions in enumerate((5, 9)):
        with pytest.raises(Stopped):
            run(bench.context(params, f"try{attempt}", after(questions)))
    there = f"work/{bench.task(params).key}/checkpoints/"
    left = {stat.name: bench.store.get(stat.name) for stat in bench.store.list(there)}
    numbers = sorted({name.removeprefix(there).split("/")[0] for name in left})
    assert len(numbers) == 2  # the newest, and the one before it
    for damage, damaged in [*((damage, numbers[-1:]) for damage in DAMAGES), ("flipped", numbers)]:
        bench.forget(params)
        hit, spoil = DAMAGES[damage]
        for name, data in left.items():
            number, _, file = name.removeprefix(there).partition("/")
            at = number in damaged and (file == hit if hit else file != "done.json")
            bench.store.put(name, spoil(data) if at else data)
        capsys.readouterr()
        context = bench.context(params, f"after {damage} {len(damaged)}")
        assert bench.contents(bench.finished(context)) == whole, damage
        told = capsys.readouterr().out
        assert [line.split()[1] for line in told.splitlines() if "is damaged" in line] == damaged[::-1], damage
        assert ("going on from a checkpoint" in told) == (damaged != numbers)
