"""Networks that adapt, as the finetune step trains them: which labels they read, what they leave, and that they go on."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from jobs.context import Context
from jobs.finetune import run
from jobs.models.building import build_network
from jobs.training.loading import item_feed
from jobs.training.settings import Settings
from jobs.training.split_data import load_parts
from jobs.training.validation import validation_logits
from tests.jobs.adaptation.bench import FILMS, TwoDomains
from tests.jobs.conftest import CLASSES, HEAD, SCRATCH, UNIT, Bench
from tlbatch.contracts.models import FinetuneParams
from tlbatch.errors import DataError, Stopped
from tlbatch.tasks import Task

LONG = partial(pytest.param, marks=pytest.mark.slow)
SMALL = {"domain_layers": (8,)}
METHODS: dict[str, dict[str, Any]] = {
    "source_only": {"method": "source_only"},
    "deep_coral": {"method": "deep_coral", "weight": 3.0},
    "dann": {"method": "dann", **SMALL},
}


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoDomains:
    monkeypatch.setenv("TLBATCH_THREADS", "1")
    torch.set_num_threads(1)
    return TwoDomains(Bench(tmp_path, 120))


def scratch(two: TwoDomains, settings: dict[str, Any], **train: Any) -> dict[str, Any]:
    asked = {"epochs": 2, "batch_size": 8, "lr": 3e-3, **train}
    return two.params("adapt_network", settings=settings, model={"scratch": SCRATCH}, train=asked)


@pytest.mark.promise(5)
@pytest.mark.parametrize("method", [LONG("source_only"), LONG("deep_coral"), "dann"])
def test_other_target_labels_lead_to_the_same_bytes(two: TwoDomains, method: str) -> None:
    """Labels of the target's training and validation images are shuffled. Fails when any of them is read: to learn, to choose
    the rate or the epoch, to calibrate, or to draw."""
    params = scratch(two, METHODS[method], lr="auto", lr_candidates=(1e-3, 1e-2), class_weights="balanced")
    first = two.outputs(params, two.target, two.source)
    assert two.outputs(params, two.relabelled(), two.source) == first
    held = json.loads(first["validation.json"])
    assert held["of"] == [FILMS]
    assert sorted(held["ids"]) == sorted(entry["id"] for entry in two.source if entry["part"] == "validation")
    card = json.loads(first["card.json"])["adaptation"]
    assert (card["target_labels_read"], card["calibrated_on"], card["chosen_by"]) == (0, [FILMS], "what films holds out")


@pytest.mark.parametrize("labels", ["few", "all"])
@pytest.mark.parametrize("method", [LONG("target_only"), "dann"])
def test_those_that_are_to_be_read_are(two: TwoDomains, method: str, labels: str) -> None:
    """And with few, none of validation."""
    own = {"method": method, "target_labels": labels, "few": 2, **(SMALL if method == "dann" else {})}
    params = scratch(two, own, epochs=2, select="last")  # nothing is chosen, so that what differs was learnt
    first = two.outputs(params, two.target, two.source)
    assert two.outputs(params, two.relabelled(("train",)), two.source)["model.safetensors"] != first["model.safetensors"]
    again = two.outputs(params, two.relabelled(("validation",)), two.source)
    assert (again == first) == (labels == "few")
    card = json.loads(first["card.json"])["adaptation"]
    assert card["target_labels_read"] == (6 if labels == "few" else 48)
    assert card["calibrated_on"] == ([FILMS] if labels == "few" else ["target"])
    source = [{**entry, "label": CLASSES[(CLASSES.index(entry["label"]) + 1) % 3]} for entry in two.source]
    taught = two.outputs(params, two.target, source)["model.safetensors"] != first["model.safetensors"]
    assert taught == (method == "dann")


def test_methods_differ_and_what_is_published_is_the_network_alone(two: TwoDomains) -> None:
    """The very weights of the architecture, with the target's statistics. The source's, by which its images were judged, are
    not among them: only where there was one domain do they give the validation logits again."""
    files = {method: two.outputs(scratch(two, own, epochs=6), two.target, two.source) for method, own in METHODS.items()}
    assert len({found["model.safetensors"] for found in files.values()}) == 3
    params = scratch(two, METHODS["dann"])
    context = two.context(params, "look", lambda: False)
    settings = Settings.of(context.read_params(FinetuneParams))
    held_out = item_feed(context, settings, load_parts(context, settings), torch.device("cpu"), FILMS)
    for method, found in files.items():
        network = build_network({"scratch": SCRATCH}, UNIT, 3, None, seed=0, init="glorot")
        network.load_state_dict(load(found["model.safetensors"]))
        logits = validation_logits(network, held_out, False).numpy()
        assert np.allclose(logits, json.loads(found["validation.json"])["logits"], atol=1e-4) == (method == "source_only")
        seen = json.loads(found["adaptation.json"])
        assert seen.keys() == {"method", "distance", "places"}
        assert {role: len(rows) for role, rows in seen["places"]["after"].items()} == {"target": 48, FILMS: 32}
        assert seen["method"] == method


@pytest.mark.parametrize("method", ["source_only", LONG("dann")])
def test_the_sources_alone_are_learnt_from_whatever_the_target_shows(two: TwoDomains, method: str) -> None:
    """Its pictures are exchanged among its training images: the model is another only where they are looked at."""
    params = scratch(two, METHODS[method])
    trains = [entry for entry in two.target if entry["part"] == "train"]
    place = ("offset", "size", "format")
    moved = {
        entry["id"]: {name: other[name] for name in place}
        for entry, other in zip(trains, [*trains[1:], trains[0]], strict=True)
    }
    exchanged = [{**entry, **moved.get(entry["id"], {})} for entry in two.target]
    first = two.outputs(params, two.target, two.source)["model.safetensors"]
    again = two.outputs(params, exchanged, two.source)["model.safetensors"]
    assert (first == again) == (method == "source_only")


def test_of_a_backbone_only_the_named_stages_learn(two: TwoDomains) -> None:
    model = {"backbone": {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 3}}, "layer": "fire5", "pool": "avg"}
    given: dict[str, Any] = {"model": {**model, "head": HEAD}, "input": {**UNIT, "size": 32}, "train": {"epochs": 1}}
    own = {**METHODS["dann"], "unfreeze": ("stage2",), "l2_sp": {"alpha": 0.1, "beta": 0.01}}
    files = two.outputs(two.params("adapt_network", settings=own, **given), two.target, two.source)
    card = json.loads(files["card.json"])
    assert {row["name"] for row in card["stages"] if row["trainable"]} == {"stage2", "head"}
    alone = {**own, "method": "source_only", "domain_layers": (1024, 1024)}
    plain = two.outputs(two.params("adapt_network", settings=alone, **given), two.target, two.source)
    ours, theirs = (load(each["model.safetensors"]) for each in (files, plain))
    moved = {name.removeprefix("backbone.body.") for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])}
    frozen = [row["name"] for row in card["layers"] if not row["trainable"] and row["parameters"]]
    assert len(frozen) > 5
    assert any(not name.startswith("head.") for name in moved)
    assert not [name for name in moved for layer in frozen if name.startswith(f"{layer}.")]


@pytest.mark.promise(2)
@pytest.mark.parametrize("method", [LONG("source_only"), LONG("deep_coral"), "dann"])
def test_stopped_at_three_points_and_resumed_equals_uninterrupted(two: TwoDomains, method: str) -> None:
    """In a trial of rates, in mid-epoch, in validation; the bytes of all files. Fails when a snapshot leaves out what tells the
    domains apart."""
    params = scratch(two, METHODS[method], lr="auto", lr_candidates=(1e-3, 1e-2), ema=0.9)
    whole = two.outputs(params, two.target, two.source)
    two.forget(params)
    for attempt, questions in enumerate((5, 16, 11)):
        asked = itertools.count(1)
        context = two.context(params, f"try{attempt}", lambda asked=asked, most=questions: next(asked) >= most)
        torch.manual_seed(attempt)
        with pytest.raises(Stopped):
            run(context)
    assert two.outputs(params, two.target, two.source) == whole


def test_who_has_nothing_to_choose_by_says_so(two: TwoDomains) -> None:
    params = scratch(two, METHODS["dann"])
    source = [{**entry, "part": "train"} for entry in two.source]
    with pytest.raises(DataError, match=r"the sources hold out no images to choose by: give one split"):
        two.outputs(params, two.target, source)
    last = two.outputs(scratch(two, METHODS["dann"], select="last"), two.target, source)
    assert json.loads(last["card.json"])["adaptation"]["chosen_by"].startswith("nothing that was measured: its last epoch")
    assert json.loads(last["validation.json"])["logits"] == []


def test_what_it_chose_is_the_best_epoch_on_the_source(two: TwoDomains) -> None:
    files = two.outputs(scratch(two, METHODS["deep_coral"], epochs=6), two.target, two.source)
    history, held = json.loads(files["history.json"]), json.loads(files["validation.json"])
    rows = [(-row["validation_accuracy"], row["validation_loss"]) for row in history["epochs"]]
    assert rows.index(min(rows)) + 1 == history["selected_epoch"]
    right = np.mean(np.array(held["logits"]).argmax(axis=1) == np.array(held["labels"]))
    assert right == pytest.approx(-min(rows)[0])
    assert set(held["labels"]) == {0, 1, 2}


def test_who_may_not_read_them_is_not_handed_them(two: TwoDomains) -> None:
    params = scratch(two, METHODS["dann"])
    context = Context(two.bench.store, Task("finetune", params, two.inputs(two.target, two.source)), "a1", two.bench.root / "s")
    parts = load_parts(context, Settings.of(context.read_params(FinetuneParams)))
    assert set(parts.labels(parts.train).tolist()) == set(parts.labels(parts.validation).tolist()) == {-1}
