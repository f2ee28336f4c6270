"""The finetune step as a whole: what it leaves, that frozen means frozen, what it says when it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from jobs.data.features import load_features
from jobs.evaluation.outputs import head_logits
from jobs.finetune import run
from jobs.models.building import build_network
from jobs.models.pretrained import Pretrained
from tlbatch.errors import DataError, StudyError

AUGMENTED = {"flip": "horizontal", "shift": 0.1, "rotate": 10.0}


# -- what it leaves -------------------------------------------------------------------------------------------------------


def test_a_scratch_network_learns_and_tells_of_itself(bench: Any) -> None:
    context = bench.context(bench.params(train={"epochs": 25, "select": "last"}), "a")
    artifact = bench.finished(context)
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


def test_layers_say_shape_parameters_and_stage(bench: Any) -> None:
    card = bench.finished(bench.context(bench.params(train={"epochs": 1}), "a")).read_json("card.json")
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


@pytest.mark.promise(4)
def test_the_model_file_gives_the_validation_logits_again(bench: Any) -> None:
    """Fails when training feeds pixels in [0, 1] whatever the run's normalisation is."""
    fed = {**bench.params()["input"], "mean": [0.3, 0.4, 0.5], "std": [0.2, 0.25, 0.3]}
    params = bench.params(train={"epochs": 2}, augmentation=AUGMENTED, input=fed)
    artifact = bench.finished(bench.context(params, "a"))
    network = build_network(params["model"], params["input"], 3, None, seed=9, init="torch")
    state = {name: torch.from_numpy(tensor) for name, tensor in load_file(artifact.path("model.safetensors")).items()}
    network.load_state_dict(state)
    validation = artifact.read_json("validation.json")
    from jobs.data.index import load_index, read_stored
    from jobs.kinds.image.pixels import load_pixels, normaliser

    dataset = bench.context(params, "b").input("dataset")
    entries = {entry.id: entry for entry in load_index(dataset)}
    pixels = [load_pixels(read_stored(dataset, entries[name]), params["input"]) for name in validation["ids"]]
    with torch.no_grad():
        logits = network(normaliser(params["input"])(torch.stack(pixels)))
    np.testing.assert_allclose(logits.numpy(), validation["logits"], atol=1e-4)
    assert "augmented.jpg" in artifact


@pytest.mark.promise(7)
def test_test_images_are_never_read(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the test images are validated on."""
    from jobs.data.index import load_index
    from jobs.data.split import split_index
    from jobs.training import loading

    params = bench.params(train={"epochs": 1})
    context = bench.context(params, "a")
    split = split_index(load_index(context.input("dataset")), {**params["split"], "classes": params["classes"]})
    read, plain = [], loading.read_stored
    monkeypatch.setattr(loading, "read_stored", lambda artifact, entry: read.append(entry.id) or plain(artifact, entry))
    bench.finished(context)
    assert set(read) == {entry.id for entry in (*split.train, *split.validation)}
    assert not {entry.id for entry in split.test} & set(read)


def test_on_drawn_labels_it_trains_on_those_of_the_label_curve_alone(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when other images train than the ones that heads are fitted to in that draw; the validation images stay."""
    from jobs.curves.draws import draws_of
    from jobs.data.index import load_index
    from jobs.data.split import split_index
    from jobs.training import loading
    from tlbatch.errors import DataError

    params = bench.params(train={"epochs": 1}, drawn={"labels": 3, "draw": 1})
    context = bench.context(params, "a")
    split = split_index(load_index(context.input("dataset")), {**params["split"], "classes": params["classes"]})
    places = draws_of(split.train, params["classes"], 5, params["split"]["seed"])[1].labelled(3)
    read, plain = [], loading.read_stored
    monkeypatch.setattr(loading, "read_stored", lambda artifact, entry: read.append(entry.id) or plain(artifact, entry))
    card = bench.finished(context).read_json("card.json")
    assert card["images"] == {"train": 3 * len(params["classes"]), "validation": len(split.validation)}
    assert set(read) == {split.train[place].id for place in places} | {entry.id for entry in split.validation}
    with pytest.raises(DataError, match=r"trains with 1. images, and 40 labels a class are asked for"):
        bench.finished(bench.context({**params, "drawn": {"labels": 40, "draw": 0}}, "b"))


# -- frozen ---------------------------------------------------------------------------------------------------------------


@pytest.mark.promise(3)
@pytest.mark.parametrize("unfreeze", ["none", ("last",)])
def test_frozen_stages_are_those_of_the_weights_to_the_bit(bench: Any, unfreeze: Any) -> None:
    """Fails when frozen stages train their BatchNorm statistics."""
    params = bench.params(
        model=bench.model("mobilenet_v2"),
        finetune={"unfreeze": unfreeze, "batch_norm": "train"},
        train={"epochs": 1, "weight_decay": 0.1, "ema": 0.5},
    )
    artifact = bench.finished(bench.context(params, "a"))
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


@pytest.mark.slow
def test_vgg16_trains_blocks_4_and_5_alone(bench: Any) -> None:
    model = {**bench.model("vgg16", dense=[16], dropout=0.3), "layer": "block5", "pool": "flatten"}
    params = bench.params(
        model=model,
        finetune={"unfreeze": ("block4", "block5")},
        input={**bench.params()["input"], "size": 150},
        train={"epochs": 1, "batch_size": 18, "optimizer": "rmsprop", "lr": 1e-5, "weight_decay": 0.1},
    )
    artifact = bench.finished(bench.context(params, "a"))
    card = artifact.read_json("card.json")
    assert [row["parameters"] for row in card["layers"] if row["name"] == "head.dense1"] == [8192 * 16 + 16]
    before = build_network(model, params["input"], 3, Pretrained("random", seed=3), seed=0, init="glorot")
    after = load_file(artifact.path("model.safetensors"))
    for stage in before.stages[:-1]:
        names = [name for name in after if stage.holds(name.removeprefix("backbone.body."))]
        same = [np.array_equal(before.state_dict()[name].numpy(), after[name]) for name in names]
        assert names
        assert set(same) == {stage.name in ("block1", "block2", "block3")}, stage.name


# -- heads on features ----------------------------------------------------------------------------------------------------


def test_a_head_on_features_is_trained_and_kept_alone(bench: Any) -> None:
    bench.put_features()
    params = bench.params(model=bench.model("squeezenet1_1", dense=[6]), strategy="features", train={"epochs": 30})
    artifact = bench.finished(bench.context(params, "a"))
    assert set(load_file(artifact.path("model.safetensors"))) == {
        "head.dense1.weight",
        "head.dense1.bias",
        "head.classifier.weight",
        "head.classifier.bias",
    }
    assert artifact.read_json("history.json")["epochs"][-1]["validation_accuracy"] >= 0.9
    assert artifact.read_json("card.json")["parameters"] == 10 * 6 + 6 + 6 * 3 + 3


@pytest.mark.parametrize("views", [0, 2])
def test_a_logistic_regression_chooses_its_c_and_leaves_logits(bench: Any, views: int) -> None:
    bench.put_features(views=views)
    augmentation = AUGMENTED if views else None
    model = bench.model("squeezenet1_1", logistic={"c": [0.001, 0.01, 0.1, 1.0], "folds": 4})
    params = bench.params(model=model, strategy="features", views=views, augmentation=augmentation)
    artifact = bench.finished(bench.context(params, "a"))
    card = artifact.read_json("card.json")
    assert card["logistic"]["c"] == min(card["logistic"]["cv"], key=lambda row: row["log_loss"])["c"]
    assert artifact.read_json("history.json")["epochs"] == []
    validation = artifact.read_json("validation.json")
    assert (np.argmax(validation["logits"], axis=1) == validation["labels"]).mean() >= 0.9
    assert set(load_file(artifact.path("model.safetensors"))) == {"head.classifier.weight", "head.classifier.bias"}


@pytest.mark.parametrize(("name", "settings"), [("prototypes", {"scale": 10.0}), ("knn", {"k": [1, 3, 5], "folds": 4})])
@pytest.mark.parametrize("views", [0, 2])
def test_heads_for_few_labels_leave_ordinary_models(bench: Any, name: str, settings: dict[str, Any], views: int) -> None:
    """A file of tensors and a card, from which evaluation and prediction build the same head; twice the same bytes."""
    bench.put_features(views=views)
    model = bench.model("squeezenet1_1", **{name: settings})
    params = bench.params(model=model, strategy="features", views=views, augmentation=AUGMENTED if views else None)
    context = bench.context(params, "a")
    artifact = bench.finished(context)
    card, validation = artifact.read_json("card.json"), artifact.read_json("validation.json")
    assert card[name]
    assert card["logistic"] is None
    assert (np.argmax(validation["logits"], axis=1) == validation["labels"]).mean() >= 0.9
    features = load_features(context.input("features"), validation["ids"])
    np.testing.assert_allclose(head_logits(artifact, features, torch.device("cpu")), validation["logits"], atol=1e-5)
    first = artifact.path("model.safetensors").read_bytes()
    again = bench.context(params, "b")
    run(again)
    assert again.out("model.safetensors").read_bytes() == first


# -- splits ---------------------------------------------------------------------------------------------------------------


def test_folds_hold_out_every_image_once(bench: Any) -> None:
    split = {"train": 36, "validation": 12, "test": 12, "seed": 42, "folds": 3}
    held: list[str] = []
    for fold in range(3):
        artifact = bench.finished(bench.context(bench.params(split=split, fold=fold, train={"epochs": 1}), f"fold{fold}"))
        held += artifact.read_json("validation.json")["ids"]
        assert artifact.read_json("card.json")["images"] == {"train": 32, "validation": 16}
    assert len(set(held)) == len(held) == 48


def test_redraw_changes_the_training_images_alone(bench: Any) -> None:
    split = {"train": 24, "validation": 12, "test": 12, "seed": 42, "folds": None}
    drawn = [
        bench.finished(bench.context(bench.params(split=split, redraw=redraw, train={"epochs": 1}), f"redraw{redraw}"))
        for redraw in (None, 1)
    ]
    assert drawn[0].read_json("validation.json")["ids"] == drawn[1].read_json("validation.json")["ids"]
    assert drawn[0].read_bytes("model.safetensors") != drawn[1].read_bytes("model.safetensors")


def test_without_validation_images_the_last_epoch_is_kept(bench: Any) -> None:
    split = {"train": 48, "validation": 0, "test": 12, "seed": 42, "folds": None}
    artifact = bench.finished(bench.context(bench.params(split=split, train={"epochs": 2, "select": "last"}), "a"))
    assert artifact.read_json("history.json")["epochs"][-1]["validation_loss"] is None
    assert artifact.read_json("validation.json") == {"ids": [], "labels": [], "logits": []}
    with pytest.raises(DataError, match="no validation images to choose by"):
        run(bench.context(bench.params(split=split), "b"))


# -- sentences ------------------------------------------------------------------------------------------------------------


def test_an_unknown_stage_is_said_before_anything_is_decoded(bench: Any) -> None:
    params = bench.params(model=bench.model("mobilenet_v2"), finetune={"unfreeze": ("stage9",)})
    context = bench.context(params, "a", stop=lambda: True)  # decoding would stop
    with pytest.raises(StudyError, match="no stage 'stage9' in this network: it has stem, stage1"):
        run(context)


def test_divergence_is_said_with_the_rate(bench: Any) -> None:
    with pytest.raises(StudyError, match=r"train\.lr 1e\+30 is too large"):
        run(bench.context(bench.params(train={"optimizer": "sgd", "lr": 1e30}), "a"))


def test_a_fold_without_a_class_is_said(bench: Any) -> None:
    split = {"train": 4, "validation": 0, "test": 12, "seed": 42, "folds": 3}
    with pytest.raises(DataError, match=r"the training images of fold 1 show nothing of"):
        run(bench.context(bench.params(split=split, fold=0, train={"epochs": 1}), "a"))
