"""A target and a source as two prepared datasets with parts of their own, and adaptations between them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.context import Context
from jobs.finetune import run
from tests.jobs.conftest import CLASSES, HEAD, Bench
from tlbatch.store.artifacts import open_artifact
from tlbatch.strategies import STRATEGIES
from tlbatch.tasks import InputRef, Task

FILMS = "source:films"
LOGISTIC = {**HEAD, "logistic": {"c": [0.1, 1.0], "folds": 3}}


@dataclass
class TwoDomains:
    """Of the bench's pictures the first two thirds are the target's, the others a source's."""

    bench: Bench

    def __post_init__(self) -> None:
        self.bench.put_features()
        third = len(self.bench.entries) // 3
        self.target = [{**e, "part": _part(i)} for i, e in enumerate(self.bench.entries[: 2 * third])]
        self.source = [
            {**e, "part": "validation" if i % 5 == 0 else "train"} for i, e in enumerate(self.bench.entries[2 * third :])
        ]
        self.shards = dict.fromkeys(("shards/00.tar",), _shard(self.bench))

    def inputs(self, target: list[dict[str, Any]], source: list[dict[str, Any]]) -> dict[str, InputRef]:
        for role, entries in (("dataset", target), (FILMS, source)):
            lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in entries)
            self.bench.put("prepare", role, {"index.jsonl": lines.encode(), **self.shards})
        found = {**self.bench.inputs}
        return found | {"features:films": found["features"]}

    def params(self, strategy: str, **given: Any) -> dict[str, Any]:
        model = {"backbone": {"name": "vgg16", "weights": {"kind": "random", "seed": 3}}, "layer": None, "pool": "avg"}
        sources = {"films": {"split": {}, "classes": CLASSES}}
        model_of = STRATEGIES[strategy].settings
        assert model_of is not None
        settings = model_of.of(given.pop("settings", {})).model_dump(mode="json")
        base = {"model": {**model, "head": LOGISTIC}, "sources": sources, "strategy": {strategy: settings}}
        return self.bench.params(**{**base, **given})

    def outputs(self, params: dict[str, Any], target: list[dict[str, Any]], source: list[dict[str, Any]]) -> dict[str, bytes]:
        """Run to the end on these: every file by name."""
        task = Task("finetune", params, self.inputs(target, source))
        context = Context(self.bench.store, task, "a1", self.bench.root / f"scratch-{task.key[:8]}")
        run(context)
        context.finish()
        artifact = open_artifact(self.bench.store, "finetune", task.key, self.bench.root / "cache")
        assert artifact is not None
        return self.bench.contents(artifact)

    def context(self, params: dict[str, Any], name: str, stop: Callable[[], bool]) -> Context:
        task = Task("finetune", params, self.inputs(self.target, self.source))
        return Context(self.bench.store, task, name, self.bench.root / f"scratch-{name}", stop=stop)

    def forget(self, params: dict[str, Any]) -> None:
        """Take away what the task left, and its work, so that it can run again."""
        task = Task("finetune", params, self.inputs(self.target, self.source))
        for folder in ("artifacts/finetune", "work"):
            self.bench.store.delete([stat.name for stat in self.bench.store.list(f"{folder}/{task.key}/")])

    def relabelled(self, parts: tuple[str, ...] = ("train", "validation")) -> list[dict[str, Any]]:
        """The target with the labels of these parts shuffled among all."""
        there = [entry for entry in self.target if entry["part"] in parts]
        labels = [entry["label"] for entry in there]
        random.Random(5).shuffle(labels)
        new = {entry["id"]: label for entry, label in zip(there, labels, strict=True)}
        assert sum(new[entry["id"]] != entry["label"] for entry in there) > len(there) / 3
        return [{**entry, "label": new.get(entry["id"], entry["label"])} for entry in self.target]


def _part(number: int) -> str:
    return ("train", "train", "validation", "train", "test")[number % 5]


def _shard(bench: Bench) -> bytes:
    artifact = bench.inputs["dataset"]
    found = open_artifact(bench.store, artifact.step, artifact.key, bench.root / "cache")
    assert found is not None
    return found.read_bytes("shards/00.tar")
