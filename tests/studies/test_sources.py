"""A study with sources, and a strategy of another package that learns from them: planned, run, killed, resumed, reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from jobs.data.features import load_features
from jobs.data.index import load_index
from jobs.data.split import split_index
from tests.imports import ROOT
from tests.studies.installation import KILLED, install
from tests.studies.shapes import SPLIT, draw_shapes, head
from tlbatch.contracts.models import FinetuneParams
from tlbatch.store import open_store
from tlbatch.store.artifacts import Artifact, open_artifact

pytestmark = pytest.mark.slow

SOURCES = "sources: {films: {url: films, near_duplicates: false}, more: {url: more, near_duplicates: false}}\n"
RUNS = """
  - name: alone
    model: &net {scratch: {channels: [4, 8], padding: same, dense: [8], dropout: 0.2}}
    input: &fed {size: 16}
    augmentation: &varied {flip: horizontal, shift: 0.1}
    train: &how {epochs: 4, batch_size: 8, lr: 3e-3, mixup: 0.2}
  - name: pooled
    model: *net
    strategy: {"example:pooled": {weight: 0.5, batch_size: 6}}
    input: *fed
    augmentation: *varied
    train: *how
  - name: means
    model: {backbone: mobilenet_v2, weights: random}
    strategy: {"example:pooled-mean": {}}
    input: {size: 32}
"""


class Place:
    """A folder with a target, two sources, the package and a study; commands run there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        draw_shapes(folder / "images", 40)
        draw_shapes(folder / "films", 30, first=300)
        draw_shapes(folder / "more", 10, first=600)
        self.write(SOURCES, RUNS)
        install(self.site)

    def write(self, sources: str, runs: str) -> None:
        text = head("shapes", SPLIT) + runs
        (self.folder / "study.yaml").write_text(text.replace("control:", f"{sources}control:", 1))

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join([str(self.site), str(ROOT)])
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "160", "TLBATCH_THREADS": "1", **more}

    def call(self, *words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", *words]
        result = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=300)
        assert result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr if code else result.stdout

    def tlbatch(self, *words: str, code: int = 0) -> str:
        return self.call("tlbatch", *words, code=code)

    def tasks(self) -> dict[str, dict[str, Any]]:
        documents = [json.loads(path.read_text()) for path in (self.folder / "store/tasks").glob("*.json")]
        return {document["name"]: document for document in documents}

    def artifact(self, step: str, key: str, digest: str = "") -> Artifact:
        found = open_artifact(open_store(str(self.folder / "store")), step, key, self.folder / "cache")
        assert found is not None
        return found

    def manifest(self, task: dict[str, Any]) -> Path:
        return self.folder / f"store/artifacts/{task['step']}/{task['key']}/manifest.json"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("sources"))
    place.tlbatch("run", "study.yaml", "--store", "store")
    return place


def test_each_dataset_is_prepared_and_handed_to_who_reads_it(place: Place) -> None:
    tasks = place.tasks()
    assert {name for name in tasks if name.startswith("prepare")} == {"prepare", "prepare:films", "prepare:more"}
    assert tasks["finetune:alone:0"]["inputs"].keys() == {"dataset"}
    assert "sources" not in tasks["finetune:alone:0"]["params"]
    assert tasks["finetune:pooled:0"]["inputs"].keys() == {"dataset", "source:films", "source:more"}
    assert tasks["finetune:pooled:0"]["inputs"]["source:films"]["key"] == tasks["prepare:films"]["key"]
    assert tasks["evaluate:pooled"]["inputs"].keys() == {"dataset", "model:0"}
    assert tasks["extract:means:films"]["inputs"]["dataset"]["key"] == tasks["prepare:films"]["key"]
    read = {"dataset", "source:films", "source:more", "features", "features:films", "features:more"}
    assert tasks["finetune:means:0"]["inputs"].keys() == read
    assert tasks["evaluate:means"]["inputs"].keys() == {"dataset", "model:0", "features"}


def test_it_is_shown_and_reported(place: Place) -> None:
    execution = json.loads(place.tlbatch("list", "--store", "store", "-o", "json"))[0]["id"]
    assert "prepare:films" in place.tlbatch("status", execution, "--store", "store")
    report = next((place.folder / "store/executions").glob("*/report"))
    document = json.loads((report / "report.json").read_text())
    names = {"prepare", "prepare:films", "prepare:more", "extract:means", "extract:means:films"}
    assert names <= {task["name"] for task in document["tasks"]}
    assert document["data"]["sources"]["films"] == {"images": 60, "classes": {"disc": 30, "square": 30}, "bad": 0}
    page = (report / "index.html").read_text()
    assert "on target and sources together" in page
    assert "films, 60 images" in page
    card = place.artifact("finetune", place.tasks()["finetune:pooled:0"]["key"]).read_json("card.json")
    assert card["sources"] == {"source:films": 60, "source:more": 20}


def test_a_head_on_features_learns_from_those_of_each_source(place: Place) -> None:
    """Its class means are those that numpy finds over the rows of all three extractions that train."""
    task = place.tasks()["finetune:means:0"]
    params, inputs = FinetuneParams.of(task["params"]), {role: place.artifact(**ref) for role, ref in task["inputs"].items()}
    trains = {entry.id for entry in split_index(load_index(inputs["dataset"]), params.division).train}
    means = []
    for label in params.classes:
        rows = []
        for role, features in (("dataset", "features"), ("source:films", "features:films"), ("source:more", "features:more")):
            ids = [entry.id for entry in load_index(inputs[role]) if entry.label == label]
            rows.append(load_features(inputs[features], [name for name in ids if role != "dataset" or name in trains]))
        assert [len(each) for each in rows] == [16, 30, 10]
        means.append(np.concatenate(rows).mean(axis=0, dtype=np.float64))
    model = place.artifact("finetune", task["key"]).path("model.safetensors")
    assert np.allclose(load_file(model)["head.classifier.weight"] / 2, np.stack(means), atol=1e-5)


def test_killed_anywhere_it_goes_on_to_the_same_bits(place: Place) -> None:
    """Promise 2, with batches of three datasets in a step: forgotten, killed in mid-epoch three times over, ended."""
    task = place.tasks()["finetune:pooled:0"]
    manifest = place.manifest(task)
    before = json.loads(manifest.read_text())["digest"]
    manifest.unlink()
    url = f"{place.folder}/store/tasks/{task['key']}.json"
    command = [sys.executable, "-c", KILLED, url]
    killed = subprocess.run(
        command, cwd=place.folder, env=place.environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert killed.returncode == -9, killed.stdout + killed.stderr
    assert list((place.folder / f"store/work/{task['key']}/checkpoints").rglob("done.json"))
    assert "going on from a checkpoint: epoch" in place.call("jobs.finetune", "--task", url)
    assert json.loads(manifest.read_text())["digest"] == before


def test_again_nothing_runs_and_another_source_is_another_task(place: Place) -> None:
    """Of the run that reads it; the other one keeps its key."""

    def keys() -> dict[str, str]:
        document = json.loads(place.tlbatch("check", "study.yaml", "--store", "store", "-o", "json"))
        return {task["name"]: task["key"] if task["state"] == "cached" else "" for task in document["tasks"]}

    before = keys()
    assert all(before.values())
    draw_shapes(place.folder / "films", 1, first=400)
    after = keys()
    assert not after["prepare:films"]
    assert not after["finetune:pooled:0"]
    assert [after[name] for name in ("prepare", "prepare:more", "finetune:alone:0")] == [
        before[name] for name in ("prepare", "prepare:more", "finetune:alone:0")
    ]
    (place.folder / "films/disc/400.png").unlink()
    (place.folder / "films/square/400.png").unlink()


def test_the_store_is_sound_and_its_garbage_is_none_of_it(place: Place) -> None:
    assert "prepare:films" not in place.tlbatch("fsck", "store")
    place.tlbatch("gc", "--store", "store", "--dry-run")


@pytest.mark.parametrize(
    ("sources", "runs", "sentence"),
    [
        ("", RUNS, "runs[1].strategy: example:pooled learns from sources, and the study names none: add sources:"),
        (SOURCES, RUNS.partition("  - name: pooled")[0], "sources: no run reads them"),
        (SOURCES.replace("url: films", "url: nowhere"), RUNS, "sources.films.url: "),
        (SOURCES.replace("url: films", "url: films, classes: [disc, bicycle]"), RUNS, "sources.films.classes: 'bicycle'"),
        (SOURCES.replace("url: films", "url: films, split: {test: 0.1}"), RUNS, "sources.films.split.test: unknown key"),
        (
            SOURCES.replace("url: films", "url: films, aliases: {disc: a, square: b}"),
            RUNS,
            "no image of the target's classes",
        ),
    ],
)
def test_what_does_not_fit_is_a_sentence(place: Place, sources: str, runs: str, sentence: str) -> None:
    place.write(sources, runs)
    try:
        said = place.tlbatch("check", "study.yaml", "--store", "store", code=65 if "target's classes" in sentence else 2)
    finally:
        place.write(SOURCES, RUNS)
    assert sentence in " ".join(said.split()), said
