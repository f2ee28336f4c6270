"""Stages that never learn are run once: what a training then leaves is what it would have left, and goes on bit for bit."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jobs.extraction import engine
from jobs.extraction.computing import compute_batches
from jobs.extraction.extractor import Extractor
from jobs.finetune import run
from jobs.models.building import build_network
from jobs.models.pretrained import Pretrained
from jobs.strategies import frozen
from tlbatch.errors import Stopped

ONCE = "run once"
FLIPPED = {"flip": "both"}
TRAIN = {"epochs": 5, "optimizer": "sgd", "lr": 0.02}


@pytest.fixture(autouse=True)
def _pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """48 pictures are few, but shown more often than they have looks."""
    monkeypatch.setattr(frozen, "PAYS_FROM", 1)


def params_of(bench: Any, **given: Any) -> dict[str, Any]:
    """A backbone whose last stage learns, with dropout in what learns, after an epoch of its head alone."""
    model = {**bench.model("squeezenet1_1", dropout=0.2), "layer": "fire5"}
    options = {"unfreeze": ("stage2",), "warm_up": 1, "lr_decay": 0.7}
    asked = {"model": model, "finetune": options, "augmentation": FLIPPED, "train": TRAIN, **given}
    params: dict[str, Any] = bench.params(**asked)
    return params


def trained(bench: Any, params: dict[str, Any], name: str) -> dict[str, bytes]:
    contents: dict[str, bytes] = bench.contents(bench.finished(bench.context(params, name)))
    return contents


def every_epoch(bench: Any, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The same with the whole network in every epoch."""
    bench.forget(params)
    with monkeypatch.context() as patch:
        patch.setattr(frozen, "MOST_BYTES", 0)
        return trained(bench, params, "every")


def logits_of(contents: dict[str, bytes]) -> Any:
    return np.array(json.loads(contents["validation.json"])["logits"])


@pytest.mark.parametrize("augmentation", [None, {"flip": "horizontal"}, FLIPPED])
def test_what_is_learnt_is_what_the_whole_network_learns(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], augmentation: dict[str, str] | None
) -> None:
    """Losses of all epochs and logits, in float32. Fails when an item gets another look than the augmentation gives it."""
    params = params_of(bench, augmentation=augmentation)
    once = trained(bench, params, "once")
    assert ONCE in capsys.readouterr().out
    every = every_epoch(bench, params, monkeypatch)
    assert ONCE not in capsys.readouterr().out
    assert once.keys() == every.keys()
    assert logits_of(once) == pytest.approx(logits_of(every), abs=2e-2)
    losses = [[e["train_loss"] for e in json.loads(each["history.json"])["epochs"]] for each in (once, every)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    cards = [json.loads(each["card.json"]) for each in (once, every)]
    assert cards[0]["layers"] == cards[1]["layers"]  # the whole network's, of an item's shape


def test_the_artifact_has_all_weights_and_frozen_ones_to_the_bit(bench: Any) -> None:
    learns = {"unfreeze": ("last",), "batch_norm": "train"}
    params = params_of(bench, model=bench.model("mobilenet_v2"), finetune=learns, train={**TRAIN, "ema": 0.5})
    artifact = bench.finished(bench.context(params, "a"))
    after = load_file(artifact.path("model.safetensors"))
    before = build_network(params["model"], params["input"], 3, Pretrained("random", seed=3), seed=0, init="glorot")
    assert before.state_dict().keys() == after.keys()
    learning = {stage["name"] for stage in artifact.read_json("card.json")["stages"] if stage["trainable"]}
    for stage in before.stages:
        prefix = [f"backbone.body.{layer}." for layer in stage.layers] if stage.name != "head" else ["head."]
        names = [name for name in after if name.startswith(tuple(prefix))]
        same = all(np.array_equal(before.state_dict()[name].numpy(), after[name]) for name in names)
        assert same == (stage.name not in learning), stage.name


@pytest.mark.promise(3)
def test_stopped_anywhere_and_resumed_equals_uninterrupted(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """While the frozen stages are run, in a trial of a rate, in batches, in validation.

    Fails when what they put out depends on where the training was stopped, or a trial goes on with the whole network.
    """
    train = {**TRAIN, "epochs": 4, "lr": "auto", "lr_candidates": (1e-2, 1e-1), "ema": 0.9}
    params = params_of(bench, train=train)
    whole = trained(bench, params, "whole")
    bench.forget(params)
    for attempt, questions in enumerate((3, 40, 35, 60, 33)):
        context = bench.context(params, f"try{attempt}", after(questions))
        torch.manual_seed(attempt)
        with pytest.raises(Stopped):
            run(context)
    assert trained(bench, params, "last") == whole
    assert len(set(re.findall(r"going on from a checkpoint: (.*)", capsys.readouterr().out))) >= 3


def after(questions: int) -> Callable[[], bool]:
    asked = itertools.count(1)
    return lambda: next(asked) >= questions


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_neither_threads_nor_where_it_is_kept_change_a_bit(bench: Any, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Memory or a file, one core or three, compiled. Only the frozen stages are given other threads: training has its own."""
    monkeypatch.setattr(engine, "SMALL", 0)
    params = params_of(bench, precision=precision)
    whole = trained(bench, params, "whole")
    for name, threads, memory in (("file", 1, 0), ("threads", 3, frozen.IN_MEMORY_BYTES)):
        bench.forget(params)
        with monkeypatch.context() as patch:
            patch.setattr(frozen, "IN_MEMORY_BYTES", memory)
            patch.setattr(frozen, "Extractor", lambda *given, threads=threads, **other: Extractor(*given[:4], threads, **other))
            patch.setattr(frozen, "compute_batches", lambda *given, threads=threads: compute_batches(*given[:3], threads))
            assert trained(bench, params, name) == whole, name


@pytest.mark.parametrize(
    "given",
    [
        {"augmentation": {"flip": "horizontal", "rotate": 5.0}},
        {"augmentation": {"flip": "horizontal", "brightness": 0.1}},
        {"train": {**TRAIN, "mixup": 0.3}},
        {"train": {**TRAIN, "cutmix": 0.3}},
        {"train": {**TRAIN, "epochs": 2}},  # of four looks: three would be made for nothing
        {"finetune": {"unfreeze": "all"}},
    ],
)
def test_where_it_cannot_be_or_would_not_pay_the_whole_network_runs(
    bench: Any, capsys: pytest.CaptureFixture[str], given: dict[str, Any]
) -> None:
    trained(bench, params_of(bench, **given), "a")
    assert ONCE not in capsys.readouterr().out


def test_a_head_alone_is_trained_on_what_the_backbone_said_once(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = params_of(bench, finetune={"unfreeze": "none"})
    once = trained(bench, params, "once")
    assert "trained from head on" in capsys.readouterr().out
    assert logits_of(once) == pytest.approx(logits_of(every_epoch(bench, params, monkeypatch)), abs=1e-3)


def test_numbers_that_are_none_are_said(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of frozen stages, too: before a batch is trained on."""
    from tlbatch.errors import DataError

    monkeypatch.setattr(frozen.Extractor, "_open", lambda self, fed: _Nothing(self.batch))
    with pytest.raises(DataError, match="outputs of frozen stages are no finite numbers"):
        run(bench.context(params_of(bench), "a"))


class _Nothing:
    """A compiled network that puts out no numbers."""

    name = ""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, fed: torch.Tensor) -> Any:
        return np.full((len(fed), 4), np.nan, np.float32)
