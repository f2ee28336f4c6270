"""The finetune step as a whole: what it leaves, that it goes on bit for bit, that frozen means frozen."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from jobs.context import Context
from jobs.finetune import run
from jobs.models.building import build_network
from jobs.models.pretrained import Pretrained
from tlbatch.errors import DataError, Stopped, StudyError
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task, task_name

RANDOM_SQUEEZENET = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 3}}
RANDOM_MOBILENET = {"name": "mobilenet_v2", "weights": {"kind": "random", "seed": 3}}
LINEAR = {"dense": [], "dropout": 0.0, "batch_norm": False, "logistic": None}
AUGMENTED = {"flip": "horizontal", "shift": 0.1, "rotate": 10.0}


class Bench(Protocol):
    """A prepared dataset, and tasks on it: see conftest."""

    store: DirectoryStore

    def params(self, **given: Any) -> dict[str, Any]: ...
    def task(self, params: dict[str, Any]) -> Task: ...
    def context(self, params: dict[str, Any], name: str, stop: Callable[[], bool] = ...) -> Context: ...
    def opened(self, params: dict[str, Any]) -> Artifact: ...
    def forget(self, params: dict[str, Any]) -> None: ...
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


def test_test_images_are_never_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_equal_tasks_give_equal_bytes(bench: Bench) -> None:
    params = bench.params(augmentation=AUGMENTED, train={"epochs": 2})
    first = contents(finished(bench.context(params, "a")))
    bench.forget(params)
    torch.manual_seed(77)
    assert contents(finished(bench.context(params, "b"))) == first
    other = contents(finished(bench.context(bench.params(augmentation=AUGMENTED, train={"epochs": 2}, seed=1), "c")))
    assert other["model.safetensors"] != first["model.safetensors"]


GRADUAL = {"unfreeze": ("stage1", "stage2"), "warm_up": 1, "gradual": 1, "lr_decay": 0.7}


def resumable(bench: Bench) -> dict[str, dict[str, Any]]:
    bench.put_features(views=2)
    everything = {"epochs": 4, "lr": "auto", "lr_candidates": (1e-3, 1e-2), "ema": 0.9, "schedule": "cosine", "mixup": 0.3}
    small = {**network_model(RANDOM_SQUEEZENET), "layer": "fire5"}
    return {
        "scratch": bench.params(augmentation=AUGMENTED, train={"optimizer": "rmsprop", "epochs": 9}),
        "head": bench.params(
            model=network_model(RANDOM_SQUEEZENET, dense=[6], dropout=0.3),
            strategy="features",
            views=2,
            augmentation=AUGMENTED,
            train={"epochs": 9},
        ),
        "everything": bench.params(model=small, finetune=GRADUAL, augmentation=AUGMENTED, train=everything),
    }


@pytest.mark.parametrize("kind", ["scratch", "head", "everything"])
def test_stopped_anywhere_and_resumed_equals_uninterrupted(bench: Bench, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    params = resumable(bench)[kind]
    whole = contents(finished(bench.context(params, "whole")))
    bench.forget(params)
    for attempt, questions in enumerate((9, 4, 17, 6, 23, 30, 55)):  # in batches, in validation, at ends of epochs
        context = bench.context(params, f"try{attempt}", after(questions))
        torch.manual_seed(attempt)  # another process has another state of the default generator
        with pytest.raises(Stopped):
            run(context)
    resumed = contents(finished(bench.context(params, "last")))
    assert resumed == whole
    told = capsys.readouterr().out
    places = set(re.findall(r"going on from a checkpoint: (.*)", told))
    assert len(places) >= 4
    assert any("learning rates tried" in place for place in places) == (kind == "everything")


def after(questions: int) -> Callable[[], bool]:
    """A stop request that is there when it is asked for the n-th time."""
    asked = itertools.count(1)
    return lambda: next(asked) >= questions


@pytest.mark.slow
def test_sigterm_ends_with_143_and_the_next_start_goes_on(bench: Bench) -> None:
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


# -- frozen ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unfreeze", ["none", ("last",)])
def test_frozen_stages_are_those_of_the_weights_to_the_bit(bench: Bench, unfreeze: Any) -> None:
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


# -- heads on features ----------------------------------------------------------------------------------------------------


def test_a_head_on_features_is_trained_and_kept_alone(bench: Bench) -> None:
    bench.put_features()
    params = bench.params(model=network_model(RANDOM_SQUEEZENET, dense=[6]), strategy="features", train={"epochs": 30})
    artifact = finished(bench.context(params, "a"))
    assert set(load_file(artifact.path("model.safetensors"))) == {
        "head.dense1.weight",
        "head.dense1.bias",
        "head.classifier.weight",
        "head.classifier.bias",
    }
    assert artifact.read_json("history.json")["epochs"][-1]["validation_accuracy"] >= 0.9
    assert artifact.read_json("card.json")["parameters"] == 10 * 6 + 6 + 6 * 3 + 3


@pytest.mark.parametrize("views", [0, 2])
def test_a_logistic_regression_chooses_its_c_and_leaves_logits(bench: Bench, views: int) -> None:
    bench.put_features(views=views)
    augmentation = AUGMENTED if views else None
    model = network_model(RANDOM_SQUEEZENET, logistic={"c": [0.001, 0.01, 0.1, 1.0], "folds": 4})
    params = bench.params(model=model, strategy="features", views=views, augmentation=augmentation)
    artifact = finished(bench.context(params, "a"))
    card = artifact.read_json("card.json")
    assert card["logistic"]["c"] == min(card["logistic"]["cv"], key=lambda row: row["log_loss"])["c"]
    assert artifact.read_json("history.json")["epochs"] == []
    validation = artifact.read_json("validation.json")
    assert (np.argmax(validation["logits"], axis=1) == validation["labels"]).mean() >= 0.9
    assert set(load_file(artifact.path("model.safetensors"))) == {"head.classifier.weight", "head.classifier.bias"}


# -- splits ---------------------------------------------------------------------------------------------------------------


def test_folds_hold_out_every_image_once(bench: Bench) -> None:
    split = {"train": 36, "validation": 12, "test": 12, "seed": 42, "folds": 3}
    held: list[str] = []
    for fold in range(3):
        artifact = finished(bench.context(bench.params(split=split, fold=fold, train={"epochs": 1}), f"fold{fold}"))
        held += artifact.read_json("validation.json")["ids"]
        assert artifact.read_json("card.json")["images"] == {"train": 32, "validation": 16}
    assert len(set(held)) == len(held) == 48


def test_redraw_changes_the_training_images_alone(bench: Bench) -> None:
    split = {"train": 24, "validation": 12, "test": 12, "seed": 42, "folds": None}
    drawn = [
        finished(bench.context(bench.params(split=split, redraw=redraw, train={"epochs": 1}), f"redraw{redraw}"))
        for redraw in (None, 1)
    ]
    assert drawn[0].read_json("validation.json")["ids"] == drawn[1].read_json("validation.json")["ids"]
    assert drawn[0].read_bytes("model.safetensors") != drawn[1].read_bytes("model.safetensors")


def test_without_validation_images_the_last_epoch_is_kept(bench: Bench) -> None:
    split = {"train": 48, "validation": 0, "test": 12, "seed": 42, "folds": None}
    artifact = finished(bench.context(bench.params(split=split, train={"epochs": 2, "select": "last"}), "a"))
    assert artifact.read_json("history.json")["epochs"][-1]["validation_loss"] is None
    assert artifact.read_json("validation.json") == {"ids": [], "labels": [], "logits": []}
    with pytest.raises(DataError, match="no validation images to choose by"):
        run(bench.context(bench.params(split=split), "b"))


# -- sentences ------------------------------------------------------------------------------------------------------------


def test_an_unknown_stage_is_said_before_anything_is_decoded(bench: Bench) -> None:
    params = bench.params(model=network_model(RANDOM_MOBILENET), finetune={"unfreeze": ("stage9",)})
    context = bench.context(params, "a", stop=lambda: True)  # decoding would stop
    with pytest.raises(StudyError, match="no stage 'stage9' in this network: it has stem, stage1"):
        run(context)


def test_divergence_is_said_with_the_rate(bench: Bench) -> None:
    with pytest.raises(StudyError, match=r"train\.lr 1e\+30 is too large"):
        run(bench.context(bench.params(train={"optimizer": "sgd", "lr": 1e30}), "a"))


def test_a_fold_without_a_class_is_said(bench: Bench) -> None:
    split = {"train": 4, "validation": 0, "test": 12, "seed": 42, "folds": 3}
    with pytest.raises(DataError, match=r"the training images of fold 1 show nothing of"):
        run(bench.context(bench.params(split=split, fold=0, train={"epochs": 1}), "a"))
