"""Artifacts as the other steps leave them, drawn in a second: the report is tested without a study's hours behind it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jobs.context import Context
from tlbatch.store.artifacts import Manifest, artifact_files, commit
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import InputRef, Task, task_key

SIDE = 96


@dataclass(frozen=True)
class Trained:
    """A run of the fixture: how good it is (``margin``: mean logit of the right class) and what kind it is."""

    name: str
    margin: float
    role: str = "run"
    pretrained: bool = False
    control_of: str | None = None
    seeds: tuple[int, ...] = (0,)
    mismatched: bool = False
    epochs: int = 10
    strategy: Any = "scratch"
    layer: str | None = None


@dataclass
class StudyOnDisk:
    """A directory store with a study's artifacts, and the report's task document."""

    store: DirectoryStore
    root: Path
    classes: list[str]
    trained: list[Trained]
    n_test: int = 400
    contrasts: list[list[str]] = field(default_factory=list)
    inputs: dict[str, InputRef] = field(default_factory=dict)

    def put(self, step: str, role: str, files: dict[str, bytes], made: dict[str, Any] | None = None) -> None:
        """Commit an artifact and make it an input of the report."""
        key = task_key(step, {"role": role, "root": "fixture"}, {})
        local = {}
        for name, content in files.items():
            local[name] = self.root / "made" / key / name
            local[name].parent.mkdir(parents=True, exist_ok=True)
            local[name].write_bytes(content)
        entries = artifact_files(local, step, key, "a1")
        for name, path in local.items():
            self.store.upload(path, entries[name].path)
        facts = {
            "seconds": 12.5,
            "device": "cpu",
            "cpu": "Testium",
            "threads": 2,
            "versions": {"python": "3.12"},
            **(made or {}),
        }
        manifest = commit(self.store, Manifest(step, key, entries, facts), "a1")
        self.inputs[role] = InputRef(step, key, manifest.digest)

    def params(self) -> dict[str, Any]:
        return {
            "study": "fixture",
            "description": "Shapes on paper",
            "document": {"name": "fixture"},
            "runs": [_asked(trained) for trained in self.trained],
            "contrasts": self.contrasts,
            "seen": {"level": "unknown", "why": "nothing is known of what the weights were trained on"},
            "classes": self.classes,
            "split": {"train": 100, "validation": 40, "test": self.n_test, "seed": 42},
        }

    def context(self, scratch: str = "scratch") -> Context:
        """A context for the report's ``run``; its output lands in ``<root>/<scratch>/out``."""
        return Context(self.store, Task("report", self.params(), self.inputs, name="report"), "a1", self.root / scratch)


BuildStudy = Callable[..., StudyOnDisk]


@pytest.fixture
def build_study(tmp_path: Path) -> BuildStudy:
    """``build_study(classes, trained, contrasts, n_test=...)`` -> StudyOnDisk."""

    def build(classes: list[str], trained: list[Trained], contrasts: list[list[str]], n_test: int = 400) -> StudyOnDisk:
        study = StudyOnDisk(DirectoryStore(tmp_path / "store"), tmp_path, classes, trained, n_test, contrasts)
        index = [_entry(i, classes) for i in range(n_test + 140)]
        study.put("prepare", "dataset", _dataset_files(index, classes), {"images_per_s": 410.0})
        test = index[140:]
        for number, run in enumerate(trained):
            for seed in run.seeds if run.role != "zero_label" else ():
                study.put(
                    "finetune",
                    f"finetune:{run.name}:{seed}",
                    _finetune_files(run, seed, classes, index),
                    {"epoch_seconds": [3.0]},
                )
            if run.strategy == "features":
                study.put(
                    "extract", f"extract:{run.name}", {"features.json": b"{}"}, {"images_per_s": 88.0, "forward_passes": 5}
                )
            study.put("evaluate", f"evaluate:{run.name}", _evaluate_files(run, number, classes, test))
        return study

    return build


def _asked(run: Trained) -> dict[str, Any]:
    own = {
        "size": 224,
        "resize": "crop",
        "crop": 0.875,
        "interpolation": "bilinear",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "channels": "rgb",
        "scale": "unit",
        "grayscale": False,
    }
    fed = {**own, "size": 150, "interpolation": "nearest"} if run.mismatched else own
    backbone = {"backbone": {"name": "mobilenet_v2", "weights": {"kind": "named", "name": "V1", "sha256": "ab" * 32}}}
    model = (
        {**backbone, "layer": run.layer, "pool": "avg", "head": {"dense": []}}
        if run.pretrained
        else {"scratch": {"channels": [16]}}
    )
    return {
        "name": run.name,
        "role": run.role,
        "control_of": run.control_of,
        "pretrained": run.pretrained,
        "strategy": run.strategy,
        "model": model,
        "input": fed,
        "input_own": own if run.pretrained else None,
        "augmentation": None,
        "scratch": not run.pretrained,
        "seeds": list(run.seeds),
    }


def _entry(number: int, classes: list[str]) -> dict[str, Any]:
    label = classes[number % len(classes)]
    return {
        "id": f"{number:040x}",
        "path": f"{label}/{number}.jpg",
        "label": label,
        "width": SIDE,
        "height": SIDE,
        "source_width": SIDE,
        "source_height": SIDE,
        "part": None,
        "group": None,
        "dup": None,
        "format": "jpg",
    }


def picture(number: int, n_classes: int) -> bytes:
    """A shape whose hue tells its class, as JPEG."""
    hue = number % n_classes * 255 // n_classes
    image = Image.new("HSV", (SIDE, SIDE), (hue, 60, 235)).convert("RGB")
    offset = number * 7 % 30
    ImageDraw.Draw(image).ellipse((10 + offset, 15, 50 + offset, 70), fill=(40, 40, 60))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _dataset_files(index: list[dict[str, Any]], classes: list[str]) -> dict[str, bytes]:
    shard, lines = b"", []
    for number, entry in enumerate(index):
        content = picture(number, len(classes))
        lines.append(json.dumps({**entry, "shard": "shards/00.tar", "offset": len(shard), "size": len(content)}))
        shard += content  # no tar headers: the report reads by offset and size
    counts = {name: sum(entry["label"] == name for entry in index) for name in classes}
    duplicates = {
        "exact": [["a/1.jpg", "a/2.jpg"]],
        "near": [{"paths": ["b/3.jpg", "b/4.jpg"], "kind": "mirrored", "score": 0.99}],
        "conflicting": [],
    }
    card = {
        "counts": counts,
        "bad": 1,
        "duplicates": duplicates,
        "method": "thumbnails compared",
        "classes": classes,
        "empty_classes": [],
    }
    bad = json.dumps({"path": "a/9.jpg", "reason": "truncated: 12 bytes of image data missing"}) + "\n"
    return {
        "card.json": json.dumps(card).encode(),
        "index.jsonl": "\n".join(lines).encode(),
        "shards/00.tar": shard,
        "bad.jsonl": bad.encode(),
        "grid.jpg": picture(3, len(classes)),
    }


def _finetune_files(run: Trained, seed: int, classes: list[str], index: list[dict[str, Any]]) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    epochs = []
    for epoch in range(run.epochs):
        loss = 0.7 * np.exp(-epoch / 3) + 0.02 * rng.random()
        turn = 0.05 * max(0, epoch - 5)
        epochs.append(
            {
                "epoch": epoch + 1,
                "train_loss": loss,
                "train_accuracy": 1 - loss / 2,
                "lr": 1e-3,
                "validation_loss": loss + 0.1 + turn,
                "validation_accuracy": 0.9 - loss / 2 - turn / 10,
            }
        )
    layers = [{"name": f"block{i}", "shape": [16 * i, 8, 8], "parameters": 1000 * i, "trainable": i > 1} for i in range(1, 4)]
    card = {
        "classes": classes,
        "strategy": run.strategy,
        "precision": "fp32",
        "layers": layers,
        "stages": layers,
        "parameters": 6000,
        "trainable_parameters": 5000,
        "train": 100,
        "seed": seed,
        "selected_epoch": run.epochs,
    }
    history = {"epochs": epochs, "selected_epoch": run.epochs, "lr": {"chosen": 1e-3, "tried": []}, "stopped_early": False}
    validation = {"ids": [e["id"] for e in index[100:140]], "labels": [i % len(classes) for i in range(100, 140)], "logits": []}
    files = {"card.json": card, "history.json": history, "validation.json": validation}
    return {name: json.dumps(content).encode() for name, content in files.items()} | {"model.safetensors": b"\x00" * 8}


def _evaluate_files(run: Trained, number: int, classes: list[str], test: list[dict[str, Any]]) -> dict[str, bytes]:
    labels = np.array([classes.index(entry["label"]) for entry in test])
    probabilities = {}
    for seed in run.seeds:
        rng = np.random.default_rng([number, seed])
        logits = rng.normal(size=(len(test), len(classes)))
        logits[np.arange(len(test)), labels] += run.margin
        probabilities[str(seed)] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = {
        "ids": [e["id"] for e in test],
        "paths": [e["path"] for e in test],
        "labels": labels.tolist(),
        "groups": [e["id"] for e in test],
        "probabilities": {s: p.round(6).tolist() for s, p in probabilities.items()},
    }
    files = {"metrics.json": _metrics(classes, labels, probabilities), "predictions.json": predictions}
    errors = [
        {
            "file": f"gallery/errors-{i}.jpg",
            "path": test[i]["path"],
            "label": test[i]["label"],
            "predicted": classes[(labels[i] + 1) % len(classes)],
            "confidence": 0.99 - i / 100,
        }
        for i in range(6)
    ]
    suspects = [
        {
            "id": "0" * 40,
            "path": "a/5.jpg",
            "label": classes[0],
            "predicted": classes[1],
            "p_label": 0.02,
            "margin": 0.9,
            "part": "train",
        }
    ]
    encoded = {name: json.dumps(content).encode() for name, content in files.items()}
    encoded |= {"gallery/gallery.json": json.dumps({"errors": errors}).encode(), "suspects.json": json.dumps(suspects).encode()}
    table = io.StringIO()
    csv.writer(table).writerow(["seed", "id", "path", "label", "predicted", "confidence"])
    encoded["predictions.csv"] = table.getvalue().encode()
    return encoded | {f"gallery/errors-{i}.jpg": picture(i, len(classes)) for i in range(6)} | {"featuremap.png": b""}


def _metrics(classes: list[str], labels: Any, probabilities: dict[str, Any]) -> dict[str, Any]:
    seeds = {}
    for seed, p in probabilities.items():
        right = float((p.argmax(1) == labels).mean())
        half = 1.96 * float(np.sqrt(right * (1 - right) / len(labels)))
        one = {"value": right, "low": max(0.0, right - half), "high": min(1.0, right + half), "n": len(labels)}
        seeds[seed] = {"accuracy": one, "balanced_accuracy": one, "macro_f1": one}
    values = [seed["accuracy"]["value"] for seed in seeds.values()]
    first = next(iter(probabilities.values()))
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(confusion, (labels, first.argmax(1)), 1)
    mean = {
        "accuracy": {
            **seeds[min(seeds)]["accuracy"],
            "value": float(np.mean(values)),
            "sd": float(np.std(values, ddof=len(values) > 1)),
        }
    }
    return {
        "n": len(labels),
        "classes": classes,
        "seeds": seeds,
        "mean": mean,
        "temperature": 1.2,
        "confusion": confusion.tolist(),
    }
