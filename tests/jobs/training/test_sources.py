"""What a training is handed of sources: their own images or features, and never one that the target holds back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from jobs.context import Context
from jobs.training.loading import feature_feed, item_feed, load_run_features
from jobs.training.settings import Settings
from jobs.training.split_data import load_parts
from tests.jobs.conftest import CLASSES, Bench
from tlbatch.contracts.models import FinetuneParams
from tlbatch.tasks import Task

FILMS = "source:films"


def context_of(bench: Bench, **given: Any) -> tuple[Context, Settings]:
    """A task whose source is the very dataset that is its target, whole: what it tests on, too."""
    bench.inputs[FILMS] = bench.inputs["dataset"]
    params = bench.params(sources={"films": {"split": {}, "classes": CLASSES}}, **given)
    context = Context(bench.store, Task("finetune", params, bench.inputs), "a1", bench.root / "scratch")
    return context, Settings.of(context.read_params(FinetuneParams))


@pytest.mark.promise(5)
def test_a_source_that_is_the_target_trains_what_the_target_trains(bench: Bench) -> None:
    """Fails when a source's pictures are not held against the target's: the test images would train."""
    parts = load_parts(*context_of(bench))
    assert parts.roles == ["target", FILMS]
    assert {entry.id for entry in parts.of(FILMS).train} == {entry.id for entry in parts.train}
    assert len(parts.train) == 36


def test_with_folds_it_trains_nothing_of_the_fold_held_out(bench: Bench) -> None:
    split = {"train": 36, "validation": 12, "test": 12, "seed": 42, "folds": 3}
    parts = load_parts(*context_of(bench, split=split, fold=1))
    held_out = {entry.id for entry in parts.validation}
    assert held_out
    assert not held_out & {entry.id for entry in parts.of(FILMS).train}


def test_items_of_each_role_come_from_its_own_artifact(bench: Bench) -> None:
    """Alike items are varied otherwise in each role: chance is the role's own."""
    context, settings = context_of(bench, augmentation={"rotate": 30.0})
    parts, cpu = load_parts(context, settings), torch.device("cpu")
    target, films = (item_feed(context, settings, parts, cpu, role) for role in parts.roles)
    rows = torch.arange(4)
    assert torch.equal(target.plain(rows), films.plain(rows))
    assert not torch.equal(target.batch(rows, 0, 0), films.batch(rows, 0, 0))
    assert torch.equal(target.train_labels, films.train_labels)


def test_features_of_each_role_come_from_its_own_extraction(bench: Bench) -> None:
    bench.put_features(views=2)
    bench.inputs["features:films"] = bench.inputs["features"]
    context, settings = context_of(bench, model=bench.model("vgg16"), strategy="features", views=2)
    parts = load_parts(context, settings)
    target, films = (load_run_features(context, settings, parts, role) for role in parts.roles)
    assert target.train.shape == (3, 36, 10)
    assert films.train.shape == (1, 36, 10)  # views are of the target's training images
    feed = feature_feed(films, parts.of(FILMS), settings.seed, torch.device("cpu"))
    assert len(feed.train_labels) == 36
    assert list(feed.validation_batches()) == []


def test_classes_of_its_own_are_numbered_by_their_own_names(bench: Bench) -> None:
    context, settings = context_of(bench)
    asked = settings.params.sources["films"].model_copy(update={"classes": ("top", "left")})
    params = settings.params.model_copy(update={"sources": {"films": asked}})
    entry = replace(settings.strategy_entry, shared_classes=False)
    source = load_parts(context, replace(settings, params=params, strategy_entry=entry)).of(FILMS)
    assert list(source.classes) == ["top", "left"]
    assert set(source.labels(source.train).tolist()) == {0, 1}
