"""The step that looks for wrong labels by cached features: whose features judge, which images, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import suspects
from jobs.context import Context
from jobs.data.index import load_index
from jobs.data.split import split_index
from tests.jobs.conftest import CLASSES, Bench
from tlbatch.errors import Stopped
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.tasks import Task

SPLIT = {"train": 36, "validation": 12, "test": 12, "seed": 42, "folds": None}
ALONE = [{"name": "linear", "runs": ["linear", "dense"]}]
TWO = [{"name": "linear", "runs": ["linear", "dense"]}, {"name": "other", "runs": ["other"]}]


def task_of(bench: Bench, judges: list[dict[str, Any]], **given: Any) -> Task:
    inputs = {role: ref for role, ref in bench.inputs.items() if role != "features"}
    params = {"split": SPLIT, "classes": CLASSES, "redraw": None, "judges": judges, **given}
    return Task("suspects", params, inputs)


def left_by(bench: Bench, task: Task) -> Artifact:
    context = Context(bench.store, task, "a", bench.root / "scratch")
    suspects.run(context)
    context.finish()
    artifact = open_artifact(bench.store, "suspects", task.key, bench.root / "cache")
    assert artifact is not None
    return artifact


def put_model(bench: Bench, role: str, right: float, sure: float = 2.0, **elsewhere: Any) -> None:
    """A model that is right on this share of twenty validation images, all about as sure."""
    logits = np.zeros((20, len(CLASSES)))
    logits[np.arange(20), [0 if i < 20 * right else 1 for i in range(20)]] = sure
    document = {"ids": [str(i) for i in range(20)], "labels": [0] * 20, "logits": logits.tolist(), **elsewhere}
    bench.put("finetune", role, {"validation.json": json.dumps(document).encode(), "card.json": role.encode()})


def relabelled(bench: Bench, count: int) -> set[str]:
    """Paths of images that get another class's label, in the index alone: what is seen of them stays."""
    features = {role: ref for role, ref in bench.inputs.items() if role != "dataset"}
    chosen = bench.entries[:: len(bench.entries) // count][:count]
    for entry in chosen:
        entry["label"] = CLASSES[(CLASSES.index(entry["label"]) + 1) % len(CLASSES)]
    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in bench.entries)
    bench.put("prepare", "dataset", {"index.jsonl": lines.encode()})
    bench.inputs |= features
    return {entry["path"] for entry in chosen}


def test_every_image_is_judged_and_wrong_labels_come_first(tmp_path: Path) -> None:
    """Fails when a part is left out, or images are judged by regressions that learnt their labels."""
    bench = Bench(tmp_path, n=600)
    bench.put_features(role="features:linear", signal=6)
    wrong = relabelled(bench, 5)
    asked = {**SPLIT, "train": 400, "validation": 100, "test": 100}
    task = task_of(bench, ALONE, split=asked)
    artifact = left_by(bench, task)
    rows, judged = artifact.read_json("suspects.json"), artifact.read_json("judged.json")
    assert {row["path"] for row in rows[:5]} == wrong
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    context = Context(bench.store, task, "b", bench.root / "scratch-b")
    split = split_index(load_index(context.input("dataset")), {**asked, "classes": CLASSES})
    part = {e.path: name for name in ("train", "validation", "test") for e in getattr(split, name)}
    assert {row["path"]: row["part"] for row in rows} == {row["path"]: part[row["path"]] for row in rows}
    assert judged == {
        "runs": ["linear", "dense"],
        "method": "logistic regressions on the cached features, out of fold, copies and groups kept together",
        "judged": 600,
        "parts": ["train", "validation", "test"],
        "found": len(rows),
    }


@pytest.mark.parametrize(
    ("models", "runs"),
    [
        ({"linear": 0.5, "dense": 0.6, "other": 0.8}, ["other"]),
        ({"linear": 0.5, "dense": 0.9, "other": 0.8}, ["dense", "linear"]),
        ({"linear": 0.9, "dense": 0.5, "other": 0.8}, ["linear", "dense"]),
    ],
)
def test_the_best_on_validation_judges(bench: Bench, models: dict[str, float], runs: list[str]) -> None:
    """Fails when the first of the study judges, or seeds and folds of a run are not all counted."""
    bench.put_features(role="features:linear", dim=8)
    bench.put_features(role="features:other", dim=12, signal=6)
    for run, right in models.items():
        apart = 0.4 if right == 0.5 else 0.0
        put_model(bench, f"model:{run}:0", right + apart)
        put_model(bench, f"model:{run}:1", right - apart)
    artifact = left_by(bench, task_of(bench, TWO))
    assert artifact.read_json("judged.json")["runs"] == runs
    role = "features:other" if runs == ["other"] else "features:linear"
    bench.inputs["features:linear"] = bench.inputs[role]
    alone = left_by(bench, task_of(bench, ALONE))
    assert artifact.read_json("suspects.json") == alone.read_json("suspects.json")


def test_what_a_run_gets_on_a_sources_images_says_nothing_beside_the_targets(bench: Bench) -> None:
    bench.put_features(role="features:linear", dim=8)
    bench.put_features(role="features:other", dim=12)
    put_model(bench, "model:linear:0", 0.5)
    put_model(bench, "model:dense:0", 0.4)
    put_model(bench, "model:other:0", 0.9, of=["source:films"])
    assert left_by(bench, task_of(bench, TWO)).read_json("judged.json")["runs"] == ["linear", "dense"]


def test_the_images_are_those_that_the_first_seed_draws(bench: Bench) -> None:
    bench.put_features(role="features:linear")
    few = {**SPLIT, "train": 12}
    found = [left_by(bench, task_of(bench, ALONE, split=few, redraw=seed)).read_json("judged.json") for seed in (None, 3)]
    assert [each["judged"] for each in found] == [36, 36]
    bytes_ = [left_by(bench, task_of(bench, ALONE, split=few, redraw=seed)).read_bytes("suspects.json") for seed in (1, 3)]
    assert bytes_[0] != bytes_[1]


def test_the_same_bytes_again_and_it_stops_when_asked(bench: Bench) -> None:
    bench.put_features(role="features:linear", signal=1)
    task = task_of(bench, ALONE)
    first = bench.contents(left_by(bench, task))
    bench.store.delete([stat.name for stat in bench.store.list(f"artifacts/suspects/{task.key}/")])
    assert bench.contents(left_by(bench, task)) == first
    with pytest.raises(Stopped):
        suspects.run(Context(bench.store, task, "c", bench.root / "scratch-c", stop=lambda: True))
