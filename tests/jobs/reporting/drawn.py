"""Artifacts as the other steps leave them, drawn in a second: the report is tested without a study's hours behind it.

Metrics are computed by jobs.metrics, as the evaluate step does; parameters are those that tlbatch.planning.report_task writes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from jobs.context import Context
from jobs.data.index import IndexEntry, Shared
from jobs.data.split import Split, split_index
from jobs.metrics.calibration import reliability
from jobs.metrics.coverage import coverage_curve
from jobs.metrics.per_class import class_report
from jobs.metrics.ranking import curves
from jobs.metrics.summary import summarise
from jobs.statistics.predictions import Predictions
from tlbatch.planning.runs import ResolvedRun, contrasts
from tlbatch.records.executions import Execution
from tlbatch.store.artifacts import Manifest, artifact_files, commit
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import InputRef, Task, task_key, task_name

SIDE = 96
TRAIN, VALIDATION = 120, 60
OWN = {
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


@dataclass(frozen=True)
class Trained:
    """A run of the fixture: how good it is (``margin``: mean logit of the right class) and what kind it is.

    ``control_for`` makes it a control of these runs, ``zero_label`` the row without labels.
    """

    name: str
    margin: float
    pretrained: bool = False
    control_for: tuple[str, ...] = ()
    zero_label: bool = False
    seeds: tuple[int, ...] = (0,)
    mismatched: bool = False
    epochs: int = 10
    strategy: Any = "scratch"
    layer: str | None = None
    deterministic: bool = False  #: every seed gives the same model
    redraw: bool = False
    prompts: Any = None  #: of a row without labels: class -> texts
    validation_margin: float | None = None  #: where validation and test are to disagree
    used: Mapping[str, float] = field(default_factory=dict)  #: of the hardware, as manifests have it

    @property
    def role(self) -> str:
        return "zero_label" if self.zero_label else "control" if self.control_for else "run"

    @property
    def model(self) -> dict[str, Any]:
        if not (self.pretrained or self.control_for):
            return {"scratch": {"channels": [16, 64], "dense": [64]}}
        weights = {"kind": "named", "name": "V1", "sha256": "ab" * 32} if self.pretrained else {"kind": "random", "seed": 0}
        backbone = {"name": "mobilenet_v2", "weights": weights}
        return {"backbone": backbone, "layer": self.layer, "pool": "avg", "head": {"dense": []}}


@dataclass
class StudyOnDisk:
    """A directory store with a study's artifacts, and the report's task document."""

    store: DirectoryStore
    root: Path
    classes: list[str]
    trained: list[Trained]
    n_test: int
    seen: dict[str, str]
    inputs: dict[str, InputRef] = field(default_factory=dict)

    @property
    def split(self) -> dict[str, Any]:
        return {
            "train": TRAIN * len(self.classes) // 2,
            "validation": VALIDATION,
            "test": self.n_test,
            "seed": 42,
            "folds": None,
        }

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
            "document": {"name": "fixture", "runs": []},
            "runs": [_asked(trained) for trained in self.trained],
            "contrasts": contrasts(*_resolved(self.trained)),
            "seen": self.seen,
            "classes": self.classes,
            "split": self.split,
        }

    def execution(self, name: str) -> Execution:
        """The study as an execution of its store, its report done."""
        task = Task("report", self.params(), self.inputs, name="report")
        self.store.put(task_name(task.key), task.to_json())
        found = Execution(self.store, name)
        found.save_study(f"name: fixture\ndescription: {name}\n")
        found.save_status({"state": "succeeded", "study": "fixture", "tasks": {"report": {"key": task.key, "state": "done"}}})
        return found

    def context(self, scratch: str = "scratch") -> Context:
        """A context for the report's ``run``; its output lands in ``<root>/<scratch>/out``."""
        return Context(self.store, Task("report", self.params(), self.inputs, name="report"), "a1", self.root / scratch)


def draw_study(
    root: Path, classes: list[str], trained: list[Trained], n_test: int = 400, seen: dict[str, str] | None = None
) -> StudyOnDisk:
    """A study with all its artifacts under ``root``."""
    unknown = {"level": "unknown", "why": "nothing is known about the images the weights were trained on"}
    study = StudyOnDisk(DirectoryStore(root / "store"), root, classes, trained, n_test, unknown if seen is None else seen)
    total = n_test + VALIDATION + study.split["train"] + len(classes)
    index = [_entry(i, classes) for i in range(total)]
    study.put("prepare", "dataset", _dataset_files(index, classes), {"images_per_s": 410.0})
    entries = [Shared().entry({**entry, "shard": "", "offset": 0, "size": 0}) for entry in index]
    split = split_index(entries, {**study.split, "classes": classes})
    for number, run in enumerate(trained):
        for seed in () if run.zero_label else run.seeds:
            made = {"epoch_seconds": [3.0] * run.epochs, "images_per_s": 230.0, **run.used}
            study.put("finetune", f"finetune:{run.name}:{seed}", _finetune_files(run, seed, classes, split), made)
        if run.strategy == "features":
            made = {"images_per_s": 88.0, "forward_passes": 5}
            study.put("extract", f"extract:{run.name}", {"features.json": b"{}"}, made)
        study.put("evaluate", f"evaluate:{run.name}", _evaluate_files(run, number, classes, split))
    sharing = [run.name for run in trained if run.strategy == "features" and run.role == "run"]
    if sharing:
        study.put("suspects", "suspects", _suspects_files(sharing, classes, split))
    return study


def _resolved(trained: list[Trained]) -> tuple[list[ResolvedRun], list[ResolvedRun]]:
    """Runs and controls as far as planning's contrasts look at them."""
    from tlbatch.planning.weights import ResolvedWeights

    def resolve(run: Trained) -> ResolvedRun:
        weights = ResolvedWeights({"kind": "named" if run.pretrained else "random"}) if "backbone" in run.model else None
        return ResolvedRun(
            run.name, run.model, run.strategy, OWN, OWN, {}, "fp32", weights=weights, control_for=run.control_for
        )

    rows = [run for run in trained if not run.zero_label]
    return [resolve(run) for run in rows if not run.control_for], [resolve(run) for run in rows if run.control_for]


def _asked(run: Trained) -> dict[str, Any]:
    fed = {**OWN, "size": 150, "interpolation": "nearest"} if run.mismatched else OWN
    train = {"epochs": run.epochs, "optimizer": "adamw", "lr": 1e-3, "select": "best", "batch_size": 32}
    return {
        "name": run.name,
        "role": run.role,
        "control_for": list(run.control_for),
        "pretrained": run.pretrained,
        "scratch": not run.pretrained and not run.control_for,
        "strategy": None if run.zero_label else run.strategy,
        "model": {"backbone": run.model["backbone"]} if run.zero_label else run.model,
        "input": fed,
        "input_own": OWN,
        "augmentation": None,
        "train": None if run.zero_label else train,
        "trained_on": "ImageNet" if run.pretrained else "",
        "seeds": [] if run.zero_label else list(run.seeds),
        "folds": None,
        **({"prompts": run.prompts} if run.prompts else {}),
    }


# -- prepare --------------------------------------------------------------------------------------------------------------


def _entry(number: int, classes: list[str]) -> dict[str, Any]:
    label = classes[number % len(classes)]
    return {
        "id": f"{number * 2654435761 % 2**32:08x}{number:032x}",
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
    shard, lines = bytearray(), []
    for number, entry in enumerate(index):
        content = picture(number, len(classes))
        lines.append(json.dumps({**entry, "shard": "shards/00.tar", "offset": len(shard), "size": len(content)}))
        shard += content  # no tar headers: the report reads by offset and size
    duplicates = {
        "exact": [["a/1.jpg", "a/2.jpg"]],
        "near": [{"paths": ["b/3.jpg", "b/4.jpg"], "kind": "mirrored", "score": 0.99}],
        "conflicting": [],
    }
    card = {
        "counts": {name: sum(entry["label"] == name for entry in index) for name in classes},
        "bad": 1,
        "duplicates": duplicates,
        "method": "Thumbnails of all pictures were compared, as they are and mirrored.",
        "classes": classes,
        "empty_classes": [],
    }
    bad = json.dumps({"path": "a/9 <b>.jpg", "reason": "truncated: 12 bytes of image data missing"}) + "\n"
    return {
        "card.json": json.dumps(card).encode(),
        "index.jsonl": "\n".join(lines).encode(),
        "shards/00.tar": bytes(shard),
        "bad.jsonl": bad.encode(),
        "grid.jpg": picture(3, len(classes)),
    }


# -- finetune -------------------------------------------------------------------------------------------------------------


def _finetune_files(run: Trained, seed: int, classes: list[str], split: Split) -> dict[str, bytes]:
    layers = [
        {"name": f"conv{i}", "stage": f"block{i}", "shape": [16 * i, 8, 8], "parameters": 1000 * i, "trainable": i > 1}
        for i in range(1, 4)
    ]
    stages = [{"name": layer["stage"], "parameters": layer["parameters"], "trainable": layer["trainable"]} for layer in layers]
    card = {
        "model": run.model,
        "classes": classes,
        "strategy": run.strategy,
        "precision": "fp32",
        "layers": layers,
        "stages": stages,
        "parameters": 6000,
        "trainable_parameters": 5000,
        "images": {"train": len(split.train), "validation": len(split.validation)},
        "seed": seed,
        "redraw": seed if run.redraw else None,
        "selected_epoch": run.epochs,
        "logistic": None,
        "lr": 1e-3,
    }
    epochs = _epochs(run, seed)
    history = {"epochs": epochs, "selected_epoch": run.epochs, "lr": {"chosen": 1e-3, "tried": []}, "stopped_early": False}
    labels = np.array([classes.index(entry.label) for entry in split.validation])
    rng = np.random.default_rng([7, seed, len(run.name)])
    margin = run.margin if run.validation_margin is None else run.validation_margin
    logits = _logits(rng, labels, len(classes), margin)
    validation = {"ids": [e.id for e in split.validation], "labels": labels.tolist(), "logits": logits.round(4).tolist()}
    files = {"card.json": card, "history.json": history, "validation.json": validation}
    return {name: json.dumps(content).encode() for name, content in files.items()} | {"model.safetensors": b"\x00" * 8}


def _epochs(run: Trained, seed: int) -> list[dict[str, Any]]:
    """Scratch runs overfit from epoch 7; the others do not."""
    rng = np.random.default_rng(seed)
    epochs = []
    for epoch in range(run.epochs):
        loss = 0.7 * np.exp(-epoch / 3) + 0.02 * rng.random()
        turn = 0.05 * max(0, epoch - 5) if not run.pretrained else 0.0
        epochs.append(
            {
                "epoch": epoch + 1,
                "train_loss": loss,
                "train_accuracy": 1 - loss / 2,
                "lr": 1e-3,
                "validation_loss": loss + 0.1 + turn,
                "validation_accuracy": 0.97 - loss / 2 - turn / 3,
            }
        )
    return epochs


def _logits(rng: np.random.Generator, labels: NDArray[np.int64], n_classes: int, margin: float) -> NDArray[np.float64]:
    logits = rng.normal(size=(len(labels), n_classes))
    logits[np.arange(len(labels)), labels] += margin
    return logits


# -- evaluate -------------------------------------------------------------------------------------------------------------


def _evaluate_files(run: Trained, number: int, classes: list[str], split: Split) -> dict[str, bytes]:
    labels = np.array([classes.index(entry.label) for entry in split.test])
    probabilities = {}
    for seed in (0,) if run.zero_label else run.seeds:
        logits = _logits(np.random.default_rng([number, 0 if run.deterministic else seed]), labels, len(classes), run.margin)
        probabilities[str(seed)] = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).round(6)
    ids, paths = [e.id for e in split.test], [e.path for e in split.test]
    predictions = {
        "ids": ids,
        "paths": paths,
        "labels": labels.tolist(),
        "groups": ids,
        "classes": classes,
        "probabilities": {seed: p.tolist() for seed, p in probabilities.items()},
    }
    first = next(iter(probabilities.values()))
    wrong = [row for row in np.argsort(-first.max(axis=1)) if first[row].argmax() != labels[row]][:6]
    errors = [_shown(f"gallery/errors-{i}.jpg", row, first, labels, classes, paths) for i, row in enumerate(wrong)]
    gallery = {"errors": errors, "samples": [], "overlay": "Grad-CAM", "seed": 0, "featuremap": _map(run, paths)}
    encoded = {
        "metrics.json": json.dumps(_metrics(classes, labels, probabilities, ids)).encode(),
        "predictions.json": json.dumps(predictions).encode(),
        "gallery/gallery.json": json.dumps(gallery).encode(),
    }
    if run.strategy != "features" and not run.control_for:
        judged = {"method": "", "judged": 160, "parts": ["test"] if run.zero_label else ["validation", "test"], "found": 3}
        metrics = json.loads(encoded["metrics.json"]) | {"suspects": judged}
        suspects = _suspects(split.test[:3], "test", classes)
        encoded |= {"metrics.json": json.dumps(metrics).encode(), "suspects.json": json.dumps(suspects).encode()}
    table = io.StringIO()
    csv.writer(table).writerow(["seed", "id", "path", "label", "predicted", "confidence"])
    encoded["predictions.csv"] = table.getvalue().encode()
    if run.pretrained:
        encoded["featuremap.png"] = _png()
    return encoded | {error["file"]: picture(int(row), len(classes)) for error, row in zip(errors, wrong, strict=True)}


def _shown(
    file: str, row: int, p: NDArray[np.float64], labels: NDArray[np.int64], classes: list[str], paths: list[str]
) -> dict[str, Any]:
    said = int(p[row].argmax())
    label, path = classes[int(labels[row])], paths[row]
    return {"file": file, "path": path, "label": label, "predicted": classes[said], "confidence": float(p[row].max())}


def _map(run: Trained, paths: list[str]) -> dict[str, Any] | None:
    return {"file": "featuremap.png", "path": paths[0], "shape": [64, 7, 7], "shown": 16} if run.pretrained else None


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 120), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _suspects(entries: Sequence[IndexEntry], part: str, classes: list[str]) -> list[dict[str, Any]]:
    return [
        {"id": e.id, "path": e.path, "label": e.label, "predicted": classes[0], "p_label": 0.02, "margin": 0.9, "part": part}
        for e in entries
    ]


def _suspects_files(runs: list[str], classes: list[str], split: Split) -> dict[str, bytes]:
    judged = {"runs": runs, "method": "by features", "judged": 160, "parts": ["train", "validation", "test"], "found": 4}
    suspects = _suspects((*split.train[:3], split.test[0]), "train", classes)
    return {"judged.json": json.dumps(judged).encode(), "suspects.json": json.dumps(suspects).encode()}


def _metrics(classes: list[str], labels: NDArray[np.int64], probabilities: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    groups = np.arange(len(ids))
    seeds = {seed: Predictions(labels, p / p.sum(axis=1, keepdims=True), groups) for seed, p in probabilities.items()}
    first = next(iter(seeds.values()))
    wanted = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "ece") + (
        ("roc_auc",) if len(classes) < 20 else ()
    )
    roc, precision_recall = curves(first, classes)
    found = reliability(first)
    return {
        "n": len(labels),
        "classes": classes,
        **summarise(seeds, names=wanted).to_json(),
        "temperature": 1.2,
        "calibration": {seed: {"temperature": 1.2, "why": "", "before": found, "after": found} for seed in probabilities},
        "reliability": found,
        "coverage": {seed: coverage_curve(p) for seed, p in seeds.items()},
        "roc": roc,
        "precision_recall": precision_recall,
        "per_class": class_report(first, classes),
    }
