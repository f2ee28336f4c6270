"""The finetune step as a whole: what it leaves, that it goes on bit for bit, that frozen means frozen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from jobs.context import Context
from jobs.finetune import run
from jobs.models.building import build_network
from jobs.models.pretrained import Pretrained
from jobs.training import checkpoints
from tlbatch.errors import DataError, Stopped, StudyError
from tlbatch.store.artifacts import Artifact, open_artifact

RANDOM_SQUEEZENET = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 3}}
RANDOM_MOBILENET = {"name": "mobilenet_v2", "weights": {"kind": "random", "seed": 3}}
LINEAR = {"dense": [], "dropout": 0.0, "batch_norm": False, "logistic": None}
LOGISTIC = {**LINEAR, "logistic": {"c": [0.001, 0.01, 0.1, 1.0], "folds": 4}}
AUGMENTED = {"flip": "horizontal", "shift": 0.1, "rotate": 10.0}


class Bench(Protocol):
    """See conftest."""

    n: int

    def params(self, **given: Any) -> dict[str, Any]: ...
    def context(self, params: dict[str, Any], name: str, stop: Callable[[], bool] = ...) -> Context: ...
    def put_features(self, dim: int = ..., views: int = ...) -> None: ...


def network_model(backbone: dict[str, Any], **head: Any) -> dict[str, Any]:
    return {"backbone": backbone, "layer": None, "pool": "avg", "head": {**LINEAR, **head}}


def finished(context: Context) -> Artifact:
    """Run the step to its end and open what it left."""
    run(context)
    context.finish()
    artifact = open_artifact(context.store, "finetune", context.task.key, context.cache)
    assert artifact is not None
    return artifact


def contents(artifact: Artifact) -> dict[str, bytes]:
    return {name: artifact.read_bytes(name) for name in artifact.names()}


def forget(bench: Any, params: dict[str, Any]) -> None:
    """Take the artifact away, so that the task can run again."""
    task = bench.task(params)
    names = [stat.name for folder in ("artifacts/finetune", "work") for stat in bench.store.list(f"{folder}/{task.key}/")]
    bench.store.delete(names)


# -- what it leaves -------------------------------------------------------------------------------------------------------


def test_a_scratch_network_learns_and_tells_of_itself(bench: Bench) -> None:
    context = bench.context(bench.params(train={"epochs": 25, "select": "last"}), "a")
    artifact = finished(context)
    assert artifact.names() == ["card.json", "history.json", "model.safetensors", "validation.json"]
    history, card = artifact.read_json("history.json"), artifact.read_json("card.json")
    assert [row["epoch"] for row in history["epochs"]] == list(range(1, 26))
    assert history["selected_epoch"] == card["selected_epoch"] == 25
    assert history["epochs"][-1]["validation_accuracy"] > 0.8
    validation = artifact.read_json("validation.json")
    assert len(validation["ids"]) == 12
    right = np.argmax(validation["logits"], axis=1) == np.array(validation["labels"])
    assert right.mean() == history["epochs"][-1]["validation_accuracy"]
    assert card["images"] == {"train": 36, "validation": 12}
    assert card["lr"] == 3e-3
    assert card["logistic"] is None
    assert context.made["images_per_s"] > 0
    assert len(context.made["epoch_seconds"]) == 25


def test_layers_say_shape_parameters_and_stage(bench: Bench) -> None:
    card = finished(bench.context(bench.params(train={"epochs": 1}), "a")).read_json("card.json")
    rows = {row["name"]: row for row in card["layers"]}
    assert rows["conv1.conv"] == {
        "name": "conv1.conv",
        "shape": [4, 16, 16],
        "parameters": 3 * 9 * 4 + 4,
        "trainable": True,
        "stage": "conv1",
    }
    assert rows["dense1.linear"]["shape"] == [12]
    assert rows["head.classifier"]["stage"] == "head"
    assert sum(row["parameters"] for row in card["layers"]) == card["parameters"] == card["trainable_parameters"]
    assert [stage["name"] for stage in card["stages"]] == ["conv1", "conv2", "dense1", "head"]


def test_the_model_file_gives_the_validation_logits_again(bench: Bench) -> None:
    params = bench.params(train={"epochs": 2}, augmentation=AUGMENTED)
    artifact = finished(bench.context(params, "a"))
    network = build_network(params["model"], params["input"], 3, None, seed=9, init="torch")
    state = {name: torch.from_numpy(tensor) for name, tensor in load_file(artifact.path("model.safetensors")).items()}
    network.load_state_dict(state)
    validation = artifact.read_json("validation.json")
    from jobs.data.index import load_index, read_encoded
    from jobs.data.pixels import load_pixels, normaliser

    dataset = bench.context(params, "b").input("dataset")
    entries = {entry.id: entry for entry in load_index(dataset)}
    pixels = [load_pixels(read_encoded(dataset, entries[name]), params["input"]) for name in validation["ids"]]
    with torch.no_grad():
        logits = network(normaliser(params["input"])(torch.stack(pixels)))
    np.testing.assert_allclose(logits.numpy(), validation["logits"], atol=1e-4)
    assert "augmented.jpg" in artifact


def test_test_images_are_never_read(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.data.index import load_index
    from jobs.data.split import split_index
    from jobs.training import loading

    params = bench.params(train={"epochs": 1})
    context = bench.context(params, "a")
    split = split_index(load_index(context.input("dataset")), {**params["split"], "classes": params["classes"]})
    read, plain = [], loading.read_encoded
    monkeypatch.setattr(loading, "read_encoded", lambda artifact, entry: read.append(entry.id) or plain(artifact, entry))
    finished(context)
    assert set(read) == {entry.id for entry in (*split.train, *split.validation)}
    assert not {entry.id for entry in split.test} & set(read)


# -- repeatable, and goes on ----------------------------------------------------------------------------------------------


def test_equal_tasks_give_equal_bytes(bench: Any) -> None:
    params = bench.params(augmentation=AUGMENTED, train={"epochs": 2})
    first = contents(finished(bench.context(params, "a")))
    forget(bench, params)
    torch.manual_seed(77)
    assert contents(finished(bench.context(params, "b"))) == first
    other = contents(finished(bench.context(bench.params(augmentation=AUGMENTED, train={"epochs": 2}, seed=1), "c")))
    assert other["model.safetensors"] != first["model.safetensors"]


GRADUAL = {"unfreeze": ["fire3", "fire4", "fire5"], "warm_up": 1, "gradual": 1, "lr_decay": 0.7}


def resumable(bench: Any) -> dict[str, dict[str, Any]]:
    bench.put_features(views=2)
    everything = {"epochs": 4, "lr": "auto", "lr_candidates": (1e-3, 1e-2), "ema": 0.9, "schedule": "cosine", "mixup": 0.3}
    small = {"unit": "squeezenet"} and {**network_model(RANDOM_SQUEEZENET), "layer": "fire5"}
    return {
        "scratch": bench.params(augmentation=AUGMENTED, train={"optimizer": "rmsprop"}),
        "head": bench.params(
            model=network_model(RANDOM_SQUEEZENET, dense=[6], dropout=0.3), strategy="features", views=2, augmentation=AUGMENTED
        ),
        "everything": bench.params(model=small, finetune=GRADUAL, augmentation=AUGMENTED, train=everything),
    }


@pytest.mark.parametrize("kind", ["scratch", "head", "everything"])
def test_stopped_anywhere_and_resumed_equals_uninterrupted(bench: Any, kind: str) -> None:
    params = resumable(bench)[kind]
    whole = contents(finished(bench.context(params, "whole")))
    forget(bench, params)
    stops, after = 0, 0
    for attempt, wait in enumerate((9, 4, 17, 6, 23, 30, 1, 55)):  # prime-like: in batches, in validation, at ends of epochs
        left = wait

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left <= 0

        context = bench.context(params, f"try{attempt}", stop)
        torch.manual_seed(attempt)
        try:
            run(context)
        except Stopped:
            stops += 1
            continue
        context.finish()
        after = attempt
        break
    else:
        after = len(contents(finished(bench.context(params, "last"))))
    assert stops >= 3
    assert after
    assert contents(open_again(bench, params)) == whole


def open_again(bench: Any, params: dict[str, Any]) -> Artifact:
    context = bench.context(params, "reader")
    artifact = open_artifact(bench.store, "finetune", context.task.key, context.cache)
    assert artifact is not None
    return artifact


# -- frozen ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unfreeze", ["none", ("last",)])
def test_frozen_stages_are_those_of_the_weights_to_the_bit(bench: Any, unfreeze: Any) -> None:
    params = bench.params(
        model=network_model(RANDOM_MOBILENET),
        finetune={"unfreeze": unfreeze, "batch_norm": "train"},
        train={"epochs": 1, "weight_decay": 0.1, "ema": 0.5},
    )
    artifact = finished(bench.context(params, "a"))
    before = build_network(params["model"], params["input"], 3, Pretrained("random", seed=3), seed=0, init="glorot")
    after = load_file(artifact.path("model.safetensors"))
    changed = {name for name, tensor in before.state_dict().items() if not np.array_equal(tensor.numpy(), after[name])}
    learning = {stage["name"] for stage in artifact.read_json("card.json")["stages"] if stage["trainable"]}
    assert learning == {"head", *(() if unfreeze == "none" else unfreeze)}
    for stage in before.stages:
        prefix = [f"backbone.body.{layer}." for layer in stage.layers] if stage.name != "head" else ["head."]
        touched = {name for name in changed if name.startswith(tuple(prefix))}
        assert bool(touched) == (stage.name in learning), stage.name
    if unfreeze != "none":
        assert any("running_mean" in name for name in changed)
