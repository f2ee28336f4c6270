"""The evaluate step as a whole, on models that finetune trained: what it leaves, what it reads, that it is the same again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from jobs import evaluate, finetune
from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.index import load_index
from jobs.data.split import split_index
from jobs.evaluation.outputs import grouped_probabilities
from jobs.metrics.calibration import fit_temperature
from jobs.models.trained import load_trained
from tlbatch.errors import Stopped
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.tasks import InputRef, Task

SQUEEZENET = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 3}}
LINEAR: dict[str, Any] = {"dense": [], "dropout": 0.0, "batch_norm": False, "logistic": None}
LOGISTIC = {**LINEAR, "logistic": {"c": [0.01, 0.1], "folds": 3}}
INPUT = {
    "size": 32,
    "resize": "squash",
    "crop": 1.0,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "channels": "rgb",
    "scale": "unit",
    "grayscale": False,
}


class Bench(Protocol):
    """See conftest."""

    store: Any
    root: Any
    inputs: dict[str, InputRef]
    entries: list[dict[str, Any]]

    def put(self, step: str, role: str, files: dict[str, bytes]) -> None: ...
    def params(self, **given: Any) -> dict[str, Any]: ...
    def context(self, params: dict[str, Any], name: str, stop: Callable[[], bool] = ...) -> Context: ...
    def put_features(self, dim: int = ..., views: int = ...) -> None: ...


def finished(context: Context, run: Callable[[Context], None], step: str) -> Artifact:
    run(context)
    context.finish()
    artifact = open_artifact(context.store, step, context.task.key, context.cache)
    assert artifact is not None
    return artifact


def trained(bench: Bench, name: str, **given: Any) -> InputRef:
    artifact = finished(bench.context(bench.params(**given), name), finetune.run, "finetune")
    return InputRef("finetune", artifact.manifest.key, artifact.digest)


def task_of(bench: Bench, models: dict[str, InputRef], **given: Any) -> Task:
    params = {
        "run_kind": "trained",
        "split": bench.params()["split"],
        "classes": bench.params()["classes"],
        "seeds": sorted({int(role.split(":")[1]) for role in models}),
        "folds": None,
        "redraw": False,
        "precision": "fp32",
        **given,
    }
    features = {"features": bench.inputs["features"]} if "features" in bench.inputs else {}
    return Task("evaluate", params, {"dataset": bench.inputs["dataset"], **models, **features})


def context_of(bench: Bench, task: Task, name: str = "e", stop: Callable[[], bool] = lambda: False) -> Context:
    return Context(bench.store, task, name, bench.root / f"scratch-{name}", stop=stop)


def evaluated(bench: Bench, models: dict[str, InputRef], name: str = "e", **given: Any) -> tuple[Artifact, Context]:
    context = context_of(bench, task_of(bench, models, **given), name)
    return finished(context, evaluate.run, "evaluate"), context


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads on pictures of 16 pixels only wait for each other."""
    monkeypatch.setenv("TLBATCH_THREADS", "1")


@pytest.fixture
def scratch(bench: Bench) -> dict[str, InputRef]:
    """A scratch CNN that has learned something."""
    return {"model:0": trained(bench, "m0", train={"epochs": 12})}


# -- what it leaves -------------------------------------------------------------------------------------------------------


def test_only_test_images_are_scored_and_the_numbers_follow_from_the_file(bench: Bench, scratch: dict[str, InputRef]) -> None:
    artifact, context = evaluated(bench, scratch)
    predictions, metrics = artifact.read_json("predictions.json"), artifact.read_json("metrics.json")
    split = split_index(load_index(context.input("dataset")), {**bench.params()["split"], "classes": predictions["classes"]})
    assert predictions["ids"] == [entry.id for entry in split.test]
    assert [predictions["classes"][label] for label in predictions["labels"]] == [entry.label for entry in split.test]
    labels, p = np.array(predictions["labels"]), np.array(predictions["probabilities"]["0"])
    assert p.sum(axis=1) == pytest.approx(np.ones(12), abs=1e-6)
    found = metrics["seeds"]["0"]
    assert found["accuracy"]["value"] == accuracy_score(labels, p.argmax(axis=1)) > 0.6
    assert found["macro_f1"]["value"] == pytest.approx(f1_score(labels, p.argmax(axis=1), average="macro"))
    assert found["log_loss"]["value"] == pytest.approx(log_loss(labels, p), abs=1e-6)
    assert metrics["confusion"] == confusion_matrix(labels, p.argmax(axis=1)).tolist()
    assert metrics["n"] == sum(metrics["counts"]) == 12
    assert context.made["forward_passes"] == 12
    assert context.made["device"]
    assert set(context.made["seconds_by_part"]) == {"outputs", "metrics", "suspects", "gallery"}


def test_every_documented_name_is_there(bench: Bench, scratch: dict[str, InputRef]) -> None:
    metrics = evaluated(bench, scratch)[0].read_json("metrics.json")
    text = (evaluate.__doc__ or "").split("Metrics:")[1].split("``predictions.json``")[0]
    missing = [name for name in metrics["metrics"] if name not in text]
    assert missing == []
    assert set(metrics["seeds"]["0"]) == set(metrics["mean"])
    shape = (evaluate.__doc__ or "").split("Estimate     {")[0]
    assert [name for name in metrics if name not in shape] == []


def test_the_table_of_predictions(bench: Bench, scratch: dict[str, InputRef]) -> None:
    artifact, _ = evaluated(bench, scratch)
    rows = list(csv.DictReader(io.StringIO(artifact.read_bytes("predictions.csv").decode())))
    document = artifact.read_json("predictions.json")
    assert [row["id"] for row in rows] == document["ids"]
    assert [float(rows[3][f"p:{name}"]) for name in document["classes"]] == document["probabilities"]["0"][3]
    for row in rows:
        assert (row["label"] == row["predicted"]) == (row["right"] == "1")
        assert float(row["confidence"]) == float(row[f"p:{row['predicted']}"])


def test_pictures(bench: Bench) -> None:
    models = {"model:0": trained(bench, "m0", train={"epochs": 1})}  # wrong often enough
    artifact, _ = evaluated(bench, models)
    gallery, metrics = artifact.read_json("gallery/gallery.json"), artifact.read_json("metrics.json")
    assert gallery["overlay"] == "Grad-CAM"
    wrong = 12 - metrics["seeds"]["0"]["accuracy"]["k"]
    assert len(gallery["errors"]) == wrong > 0
    confidences = [row["confidence"] for row in gallery["errors"]]
    assert confidences == sorted(confidences, reverse=True)
    assert all(row["label"] != row["predicted"] for row in gallery["errors"])
    assert all(row["label"] == row["predicted"] for row in gallery["samples"])
    for row in [*gallery["errors"], *gallery["samples"]]:
        plain, overlaid = (Image.open(io.BytesIO(artifact.read_bytes(row[name]))) for name in ("plain", "file"))
        assert plain.size == overlaid.size == (128, 128)
        assert plain.format == "JPEG"
        assert np.asarray(plain).tolist() != np.asarray(overlaid).tolist()
    grid = Image.open(io.BytesIO(artifact.read_bytes("featuremap.png")))
    assert gallery["featuremap"]["shape"][0] == gallery["featuremap"]["shown"] == 8
    assert grid.format == "PNG"
    named = {row[name] for rows in ("errors", "samples") for row in gallery[rows] for name in ("file", "plain")}
    assert {name for name in artifact.names("gallery/") if name.endswith(".jpg")} == named | {gallery["featuremap"]["picture"]}


@pytest.mark.promise(7)
def test_temperature_comes_from_validation_images_alone(bench: Bench, scratch: dict[str, InputRef]) -> None:
    """Fails when the temperature is fitted on the test images, too."""
    metrics = evaluated(bench, scratch)[0].read_json("metrics.json")
    assert metrics["temperature"] is None  # 12 validation images
    assert metrics["calibration"]["0"]["why"] == "12 validation images are too few to fit a temperature"
    assert "log_loss_calibrated" not in metrics["seeds"]["0"]
    split = {"train": 30, "validation": 18, "test": 12, "seed": 42, "folds": None}
    model = {"model:0": trained(bench, "m1", split=split, train={"epochs": 1})}
    metrics = evaluated(bench, model, "e1", split=split)[0].read_json("metrics.json")
    calibration = metrics["calibration"]["0"]
    trained_on = open_artifact(bench.store, "finetune", model["model:0"].key, bench.root / "cache")
    assert trained_on is not None
    validation = trained_on.read_json("validation.json")
    fitted = fit_temperature(np.array(validation["logits"]), np.array(validation["labels"]))
    assert calibration["temperature"] == metrics["temperature"] == fitted.value
    assert calibration["why"] == fitted.why
    assert (calibration["after"] is None) == (fitted.value is None)
    if fitted.value is not None:  # a fit that ends at its bound is none
        assert calibration["after"]["ece"] == metrics["seeds"]["0"]["ece_calibrated"]["value"]
    assert calibration["before"]["ece"] == metrics["seeds"]["0"]["ece"]["value"]
    assert metrics["validation"]["0"]["n"] == 18


def test_seeds_are_kept_apart_and_averaged(bench: Bench) -> None:
    models = {f"model:{seed}": trained(bench, f"m{seed}", seed=seed, train={"epochs": 5}) for seed in (0, 3)}
    artifact, context = evaluated(bench, models)
    metrics = artifact.read_json("metrics.json")
    assert set(metrics["seeds"]) == set(artifact.read_json("predictions.json")["probabilities"]) == {"0", "3"}
    values = [metrics["seeds"][seed]["log_loss"]["value"] for seed in ("0", "3")]
    assert metrics["mean"]["log_loss"]["value"] == pytest.approx(np.mean(values))
    assert metrics["mean"]["log_loss"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert values[0] != values[1]
    assert context.made["forward_passes"] == 24


def test_folds_vote_with_their_mean_probability(bench: Bench) -> None:
    split = {"train": 36, "validation": 12, "test": 12, "seed": 42, "folds": 2}
    models = {f"model:0:{fold}": trained(bench, f"m{fold}", split=split, fold=fold, train={"epochs": 4}) for fold in (0, 1)}
    together, _ = evaluated(bench, models, "e", split=split, folds=2)
    alone = [evaluated(bench, {"model:0": model}, f"e{i}", split=split, folds=2)[0] for i, model in enumerate(models.values())]
    mean = np.mean([one.read_json("predictions.json")["probabilities"]["0"] for one in alone], axis=0)
    np.testing.assert_allclose(together.read_json("predictions.json")["probabilities"]["0"], mean, atol=2e-6)
    assert together.read_json("metrics.json")["validation"]["0"]["n"] == 48
    suspects = together.read_json("metrics.json")["suspects"]
    assert (suspects["parts"], suspects["judged"]) == (["train", "test"], 60)


def test_the_same_bytes_again(bench: Bench, scratch: dict[str, InputRef]) -> None:
    artifact, context = evaluated(bench, scratch)
    first = {name: artifact.read_bytes(name) for name in artifact.names()}
    bench.store.delete([stat.name for stat in bench.store.list(f"artifacts/evaluate/{context.task.key}/")])
    again, _ = evaluated(bench, scratch, "again")
    assert {name: again.read_bytes(name) for name in again.names()} == first


def test_copies_and_groups_count_as_one(bench: Bench, scratch: dict[str, InputRef]) -> None:
    metrics = evaluated(bench, scratch)[0].read_json("metrics.json")
    assert metrics["groups"] == metrics["n"] == 12
    assert "units" not in metrics["bootstrap"]["method"]
    dataset = open_artifact(bench.store, "prepare", bench.inputs["dataset"].key, bench.root / "cache")
    assert dataset is not None
    for number, entry in enumerate(sorted(bench.entries, key=lambda entry: entry["label"])):
        entry["group"] = f"burst {number // 2}"  # twenty images a class: no burst has two classes
    index = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in bench.entries)
    bench.put("prepare", "dataset", {"index.jsonl": index.encode(), "shards/00.tar": dataset.read_bytes("shards/00.tar")})
    artifact, _ = evaluated(bench, {"model:0": trained(bench, "grouped")}, "e2")
    metrics, predictions = artifact.read_json("metrics.json"), artifact.read_json("predictions.json")
    assert (metrics["n"], metrics["groups"], len(set(predictions["groups"]))) == (12, 6, 6)
    assert "together: 6" in metrics["bootstrap"]["method"]


def test_stops_when_asked(bench: Bench, scratch: dict[str, InputRef]) -> None:
    with pytest.raises(Stopped):
        evaluate.run(context_of(bench, task_of(bench, scratch), stop=lambda: True))


# -- other kinds of runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [LOGISTIC, {**LINEAR, "dense": [8], "batch_norm": True}], ids=["logistic", "dense"])
def test_heads_on_features_need_no_forward_pass(bench: Bench, head: dict[str, Any]) -> None:
    bench.put_features(dim=512)
    model = {"backbone": SQUEEZENET, "layer": None, "pool": "avg", "head": head}
    models = {"model:0": trained(bench, "m", model=model, strategy="features", input=INPUT, train={"epochs": 15})}
    artifact, context = evaluated(bench, models, label_errors=False)
    metrics, gallery = artifact.read_json("metrics.json"), artifact.read_json("gallery/gallery.json")
    assert context.made["forward_passes"] == 0
    ids = artifact.read_json("predictions.json")["ids"]
    features = torch.from_numpy(load_features(context.input("features"), ids))
    network = load_trained(context, context.input("model:0"))
    with torch.no_grad():
        expected = network.classify(features).softmax(dim=1).numpy()
    np.testing.assert_allclose(artifact.read_json("predictions.json")["probabilities"]["0"], expected, atol=1e-5)
    assert "suspects" not in metrics
    assert "suspects.json" not in artifact
    assert gallery["overlay"] == "Grad-CAM"
    assert gallery["featuremap"]["shape"][0] == 512


def test_a_class_of_many_outputs_is_no_likelier_for_that() -> None:
    """Bayes' rule written out, over outputs that were trained on equally often and classes that are equally frequent here.

    Fails when probabilities are summed: then what looks like either is the class with more outputs.
    """
    chance = np.random.default_rng(0)
    centres, mapping = chance.normal(0, 1, (40, 6)), {"few": [0, 7], "many": list(range(8, 40))}
    x = chance.normal(0, 1, (200, 6))
    density = np.exp(-((x[:, None] - centres) ** 2).sum(axis=2) / 2)
    logits = np.log(density / density.sum(axis=1, keepdims=True))  # what a network says that has learnt all there is
    given = {name: np.mean([density[:, output] for output in outputs], axis=0) for name, outputs in mapping.items()}
    expected = np.stack([given["few"], given["many"]], axis=1)
    found = grouped_probabilities(logits, mapping, ["few", "many"])
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)
    assert np.isfinite(grouped_probabilities(np.full((1, 40), -1e4), mapping, ["few", "many"])).all()


def test_no_labels_at_all(bench: Bench) -> None:
    mapping = {"left": [3, 4], "right": [7], "top": [10, 11, 12]}
    params = {"run_kind": "zero_label", "backbone": SQUEEZENET, "input": {**INPUT, "size": 64}, "mapping": mapping}
    artifact, _ = evaluated(bench, {}, **params)
    metrics, predictions = artifact.read_json("metrics.json"), artifact.read_json("predictions.json")
    assert list(metrics["seeds"]) == ["0"]
    assert metrics["temperature"] is None
    assert "no labels are used" in metrics["calibration"]["0"]["why"]
    assert metrics["validation"] == {}
    p = np.array(predictions["probabilities"]["0"])
    assert p.sum(axis=1) == pytest.approx(np.ones(12), abs=1e-6)
    assert 1 / 3 - 0.2 < p[:, 2].mean() < 1 / 3 + 0.2  # random weights: three outputs are no likelier than one
    gallery = artifact.read_json("gallery/gallery.json")
    assert gallery["overlay"] is None
    assert gallery["featuremap"] is None
    assert all(row["file"] == row["plain"] for row in gallery["errors"])
    assert "featuremap.png" not in artifact
    assert metrics["suspects"]["parts"] == ["test"]


def test_all_documents_are_strict_json(bench: Bench, scratch: dict[str, InputRef]) -> None:
    artifact, _ = evaluated(bench, scratch)
    for name in artifact.names():
        if name.endswith(".json"):
            json.loads(artifact.read_bytes(name), parse_constant=pytest.fail)
