"""Digits of which four are held out of all training: episodes on features, and on networks that were trained or fine-tuned."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from jobs.samples import real_digits
from tests.studies.shapes import Bench
from tlbatch.cli import cli
from tlbatch.execution.launch import Outcome

HELD_OUT = ("3", "5", "6", "8")
A_DIGIT = 24
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: new-digits
dataset: {url: images, split: {train: 84, validation: 24, test: 36}, near_duplicates: false}
control: none
precision: fp32
runs:
  - name: cnn
    model: {scratch: {channels: [8, 16], padding: same, dense: [16]}}
    input: {size: 8, resize: squash, normalize: unit, grayscale: true}
    train: {epochs: 6, batch_size: 16, optimizer: adamw, lr: 3e-3}
  - name: features
    model: {backbone: squeezenet1_1, weights: random, layer: fire4, head: {logistic: {c: [0.01]}}}
    input: {size: 32, normalize: unit}
  - name: tuned
    model: {backbone: squeezenet1_1, weights: random, layer: fire4}
    strategy: {finetune: {unfreeze: all}}
    input: {size: 32, normalize: unit}
    train: {epochs: 1, batch_size: 16, lr: 1e-3}
evaluate: {episodes: {ways: 2, shots: [1, 5], queries: 10, count: 150, classes: ["3", "5", "6", "8"], heads: [prototypes, knn]}}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("digits"))
    for digit, name, picture in real_digits():
        place = bench.images / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        if len(list(place.iterdir())) < A_DIGIT:
            picture.save(place / f"{name}.png")
    bench.study.write_text(STUDY)
    return bench


@pytest.fixture(scope="module")
def outcome(bench: Bench) -> Outcome:
    found = bench.run()
    assert found.state == "succeeded", [(work.name, work.sentence) for work in found.works if work.state == "failed"]
    return found


def read(bench: Bench, step: str, name: str) -> list[dict[str, Any]]:
    """This file of each artifact of a step."""
    found = []
    for path in sorted(bench.store.glob(f"artifacts/{step}/*/manifest.json")):
        files = json.loads(path.read_text())["files"]
        found.append(json.loads((bench.store / files[name]["path"]).read_text()))
    return found


def test_check_says_which_classes_are_held_out(bench: Bench) -> None:
    result = CliRunner().invoke(cli, ["check", str(bench.study), "--store", str(bench.store)])
    assert result.exit_code == 0, result.output
    assert "new-digits: 6 classes, 240 files" in result.output
    assert "held out of all training: 3, 5, 6, 8" in result.output
    assert "extract:cnn-trained" in result.output


@pytest.mark.slow
def test_no_image_of_a_held_out_class_is_in_anything_but_episodes(bench: Bench, outcome: Outcome) -> None:
    held = {path.stem for name in HELD_OUT for path in (bench.images / name).iterdir()}
    assert len(held) == 4 * A_DIGIT
    for card in read(bench, "finetune", "card.json"):
        assert not {*card["classes"]} & {*HELD_OUT}
        assert card["images"] == {"train": 84, "validation": 24}
    for said in read(bench, "evaluate", "predictions.json"):
        assert not {Path(path).stem for path in said["paths"]} & held
        assert len(said["ids"]) == 36
    (index,) = bench.store.glob("artifacts/prepare/*/*/index.jsonl")
    labels = {entry["id"]: entry["label"] for entry in map(json.loads, index.read_text().splitlines())}
    (found,) = read(bench, "episodes", "accuracies.json")
    for episode in found["episodes"]:
        for name, *sides in zip(episode["classes"], episode["support"], episode["query"], strict=True):
            assert {labels[each] for side in sides for each in side} == {name}
            assert name in HELD_OUT


@pytest.mark.slow
def test_the_report_tells_of_them(bench: Bench, outcome: Outcome) -> None:
    """Of a network that was trained on other digits, too: its features tell new ones apart better than its random ones do."""
    report, folder = dict(outcome.report or {}), next(bench.store.glob("executions/*/report"))
    schema = json.loads((Path(__file__).parents[2] / "jobs/reporting/report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(report)
    told = " ".join(report["sentences"])
    assert "4 classes (3, 5, 6 and 8) were held out: no image of them trained, validated or tested anything" in told
    page = (folder / "index.html").read_text()
    assert 'id="episodes"' in page
    assert "other classes like these 4" in page
    with (folder / "episodes.csv").open(newline="") as file:
        rows = {(row["run"], row["head"], row["shots"]): row for row in csv.DictReader(file)}
    assert {run for run, _, _ in rows} == {"cnn", "features", "tuned"}
    (found,) = read(bench, "episodes", "accuracies.json")
    for (run, head, shots), row in rows.items():
        assert float(row["accuracy"]) == pytest.approx(np.mean(found["series"][run][head][shots]), abs=1e-6)
        assert float(row["low"]) <= float(row["episodes_low"]) <= float(row["episodes_high"]) <= float(row["high"])
    trained = {run["name"]: run["trained"] for run in report["episodes"]["runs"]}
    assert trained == {"cnn": True, "features": False, "tuned": True}
    accuracy = {(run, shots): float(rows[run, "prototypes", shots]["accuracy"]) for run in trained for shots in ("1", "5")}
    assert accuracy["cnn", "5"] > accuracy["cnn", "1"] > 0.6
