"""A small prepared dataset of real image files, and finetune tasks on it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.context import Context
from jobs.data.features import groups
from jobs.data.row_store import write_rows
from jobs.finetune import run
from tlbatch.spec.train import Train
from tlbatch.store.artifacts import Artifact, Manifest, artifact_files, commit, open_artifact
from tlbatch.store.directory import DirectoryStore
from tlbatch.strategies.finetune import Finetune
from tlbatch.tasks import InputRef, Task, task_name

CLASSES = ["left", "right", "top"]
SIDE = 16
UNIT: dict[str, Any] = {
    "size": SIDE,
    "resize": "squash",
    "crop": 1.0,
    "interpolation": "bilinear",
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
    "channels": "rgb",
    "scale": "unit",
    "grayscale": False,
}
SCRATCH = {"channels": [4, 8], "kernel": 3, "padding": "same", "batch_norm": True, "dense": [12], "dropout": 0.2}
HEAD = {"dense": [], "dropout": 0.0, "batch_norm": False, "logistic": None}


def draw(number: int) -> Image.Image:
    """Noise, brighter in the third of the picture that its class names."""
    chance = np.random.default_rng(number)
    pixels = chance.integers(0, 150, (SIDE, SIDE, 3))
    at = [(slice(None), slice(0, 6)), (slice(None), slice(10, None)), (slice(0, 6), slice(None))][number % len(CLASSES)]
    pixels[at] += 90
    return Image.fromarray(pixels.astype(np.uint8))


@dataclass
class Bench:
    """A directory store with a prepared dataset of ``n`` pictures, a third of each class, and tasks on it."""

    root: Path
    n: int = 60
    store: DirectoryStore = field(init=False)
    entries: list[dict[str, Any]] = field(default_factory=list)
    inputs: dict[str, InputRef] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = DirectoryStore(self.root / "store")
        self._prepare()

    def put(self, step: str, role: str, files: dict[str, bytes]) -> None:
        """Commit an artifact and make it an input of the tasks to come."""
        key = hashlib.sha256(role.encode() + b"".join(files.values())).hexdigest()[:40]
        local = {name: self.root / "made" / key / name for name in files}
        for name, path in local.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
        entries = artifact_files(local, step, key, "a1")
        for name, path in local.items():
            self.store.upload(path, entries[name].path)
        manifest = commit(self.store, Manifest(step, key, entries), "a1")
        self.inputs[role] = InputRef(step, key, manifest.digest)

    def _prepare(self) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as shard:
            for number in range(self.n):
                self._add(shard, number)
        self.entries.sort(key=lambda entry: entry["id"])
        lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in self.entries)
        self.put("prepare", "dataset", {"index.jsonl": lines.encode(), "shards/00.tar": buffer.getvalue()})

    def _add(self, shard: tarfile.TarFile, number: int) -> None:
        kind = "png" if number % 2 else "jpg"
        encoded = io.BytesIO()
        draw(number).save(encoded, "PNG" if kind == "png" else "JPEG", quality=95)
        content, name = encoded.getvalue(), hashlib.sha256(f"picture {number}".encode()).hexdigest()[:40]
        member = tarfile.TarInfo(f"{name}.{kind}")
        member.size = len(content)
        offset = shard.offset + 512
        shard.addfile(member, io.BytesIO(content))
        label = CLASSES[number % len(CLASSES)]
        sides = dict.fromkeys(("width", "height", "source_width", "source_height"), SIDE)
        free = {"part": None, "group": None, "dup": None}
        place = {"shard": "shards/00.tar", "offset": offset, "size": len(content), "format": kind}
        self.entries.append({"id": name, "path": f"{label}/{number}.{kind}", "label": label, **sides, **free, **place})

    def put_features(self, dim: int = 10, views: int = 0, role: str = "features", signal: float = 3) -> None:
        """An extract artifact: the class's place in the first dimensions, plus noise of the picture's own."""
        files = {"features.json": json.dumps({"dim": dim, "layer": "last", "pool": "avg", "views": views}).encode()}
        by_id = {entry["id"]: entry for entry in self.entries}
        for kind, count in (("features", None), ("views", views)):
            for name, ids in groups(kind, by_id).items() if count != 0 else ():
                rows = [
                    _feature(by_id[image], dim, view, signal) for image in ids for view in (range(count) if count else [None])
                ]
                shape = (len(ids), count, dim) if count else (len(ids), dim)
                write_rows(self.root / "rows", kind, shape, ids, (row.tobytes() for row in rows))
                files[name] = (self.root / "rows").read_bytes()
        self.put("extract", role, files)

    def params(self, **given: Any) -> dict[str, Any]:
        """Of a scratch CNN; ``train`` and ``finetune`` (then ``strategy``) take a study's words."""
        train = Train(**{"epochs": 4, "batch_size": 8, "lr": 3e-3, **given.pop("train", {})}).model_dump(mode="json")
        if "finetune" in given:
            given["strategy"] = {"finetune": Finetune(**given.pop("finetune")).model_dump(mode="json")}
        split = {"train": 36, "validation": 12, "test": 12, "seed": 42, "folds": None}
        base = {"model": {"scratch": SCRATCH}, "strategy": "scratch", "input": UNIT, "augmentation": None, "train": train}
        base |= {"split": split, "classes": CLASSES, "seed": 0, "redraw": None, "fold": None, "precision": "fp32", "views": 0}
        return {**base, **given}

    def task(self, params: dict[str, Any]) -> Task:
        """Also stored, so that ``python -m jobs.finetune`` finds it."""
        inputs = {role: ref for role, ref in self.inputs.items() if role == "dataset" or params["strategy"] == "features"}
        task = Task("finetune", params, inputs)
        self.store.put(task_name(task.key), task.to_json())
        return task

    def context(self, params: dict[str, Any], name: str, stop: Callable[[], bool] = lambda: False) -> Context:
        return Context(self.store, self.task(params), name, self.root / f"scratch-{name}", stop=stop)

    @staticmethod
    def model(name: str, **head: Any) -> dict[str, Any]:
        """A backbone with random weights and a head, linear unless said otherwise."""
        backbone = {"name": name, "weights": {"kind": "random", "seed": 3}}
        return {"backbone": backbone, "layer": None, "pool": "avg", "head": {**HEAD, **head}}

    def finished(self, context: Context) -> Artifact:
        """Run the step to its end, and open what it left."""
        run(context)
        context.finish()
        return self.opened(context.params)

    @staticmethod
    def contents(artifact: Artifact) -> dict[str, bytes]:
        return {name: artifact.read_bytes(name) for name in artifact.names()}

    def opened(self, params: dict[str, Any]) -> Artifact:
        """What the task left."""
        artifact = open_artifact(self.store, "finetune", self.task(params).key, self.root / "cache")
        assert artifact is not None
        return artifact

    def forget(self, params: dict[str, Any]) -> None:
        """Take away what the task left, and its work, so that it can run again."""
        for folder in ("artifacts/finetune", "work"):
            self.store.delete([stat.name for stat in self.store.list(f"{folder}/{self.task(params).key}/")])


def _feature(entry: dict[str, Any], dim: int, view: int | None, signal: float) -> np.ndarray:
    chance = np.random.default_rng([int(entry["id"][:8], 16), 0 if view is None else view + 1])
    feature = chance.normal(size=dim).astype(np.float32)
    feature[CLASSES.index(entry["label"])] += signal
    return feature


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    import torch

    torch.set_num_threads(1)
    return Bench(tmp_path)
