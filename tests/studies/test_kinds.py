"""A package of its own adds a kind of data: series of numbers, run on both stores to a report, killed, resumed, predicted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.imports import ROOT
from tests.studies.installation import Installation
from tlbatch.store import open_store

pytestmark = pytest.mark.slow

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: waves
dataset:
  url: data
  kind: {"example:series": {longest: 150}}
  split: {train: 64, validation: 24, test: 32}
control: none
precision: fp32
runs:
  - name: conv
    model: {scratch: {"example:conv1d": {channels: [8, 16]}}}
    input: {"example:series": {length: 96}}
    augmentation: {"example:jitter": {sd: 0.2}}
    train: {epochs: 10, batch_size: 16, lr: 1e-2, optimizer: adamw}
  - name: mlp
    model: {scratch: {"example:mlp": {units: [8]}}}
    train: {epochs: 2, batch_size: 16, lr: 1e-2}
"""


def draw_waves(folder: Path, each: int = 60) -> None:
    """Noisy sines and square waves of many lengths, the same file twice, and one that is no series."""
    chance = np.random.default_rng(0)
    for name in ("sine", "square"):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            length = int(chance.integers(90, 160))
            wave = np.sin(np.arange(length) * chance.uniform(0.1, 0.3) + chance.uniform(0, 6))
            wave = np.sign(wave) if name == "square" else wave
            np.save(folder / name / f"{number}.npy", (wave + chance.normal(0, 0.3, length)).astype(np.float32))
    (folder / "sine/copy.npy").write_bytes((folder / "sine/0.npy").read_bytes())
    (folder / "sine/broken.npy").write_bytes(b"nothing")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    place = Installation(tmp_path_factory.mktemp("kinds"))
    draw_waves(place.folder / "data")
    (place.folder / "study.yaml").write_text(STUDY)
    return place


@pytest.fixture(scope="module", params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def ran(place: Installation, request: pytest.FixtureRequest) -> str:
    """The store that the study was run in."""
    store = "store" if request.param == "directory" else bucket(request)
    place.call("run", "study.yaml", "--store", store)
    return store


def bucket(request: pytest.FixtureRequest) -> str:
    import boto3

    request.getfixturevalue("s3_server")
    boto3.client("s3").create_bucket(Bucket="waves")
    return "s3://waves/store"


def test_it_ran_to_a_report(place: Installation, ran: str) -> None:
    execution = json.loads(place.call("list", "--store", ran, "-o", "json"))[0]["id"]
    store = open_store(ran if ran.startswith("s3:") else str(place.folder / ran))
    report = json.loads(store.get(f"executions/{execution}/report/report.json"))
    assert report["runs"][0]["metrics"]["accuracy"]["value"] > 0.8
    page = store.get(f"executions/{execution}/report/index.html").decode()
    assert "data:image/svg+xml;base64," in page
    assert "broken.npy" in page
    assert "example:jitter and sd 0.2" in page


OTHERS = re.compile(r"\b(images?|pictures?|photographs?)\b", re.IGNORECASE)
READ = (".json", ".jsonl", ".html", ".md", ".csv", ".txt")


def texts_of(value: Any) -> Iterator[str]:
    """All text in a document but the names of its fields, which are the same for every kind."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts_of(each)
    elif isinstance(value, str):
        yield value


def seen_of(name: str, data: bytes) -> str:
    """What a person reads of a file in a store: a page without styles, scripts and what pictures are made of."""
    text = data.decode()
    if name.endswith(".json"):
        return "\n".join(texts_of(json.loads(text)))
    if name.endswith(".csv"):
        return text.partition("\n")[2]  # its heading has fields' names
    if name.endswith(".html"):
        text = re.sub(r"<(style|script|svg)\b.*?</\1>", "", text, flags=re.DOTALL)
        text = re.sub(r'\b(id|class|href|src|style|content|data-[a-z]+)="[^"]*"', "", text)
    return text


def test_its_items_are_called_series_everywhere(place: Installation, ran: str) -> None:
    """On pages, in documents, logs, progress and on the terminal: nowhere is another kind's word."""
    execution = json.loads(place.call("list", "--store", ran, "-o", "json"))[0]["id"]
    out = f"called-{ran.partition(':')[0]}"
    place.call("predict", "data/sine", out, "--model", f"{ran}#{execution}/mlp")
    place.call("status", execution, "--store", ran)
    place.call("report", "show", execution, "--store", ran)
    place.call("check", "study.yaml", "--store", ran)
    place.call("run", "study.yaml", "--store", ran)  # nothing is left to compute: another execution to compare with
    both = [each["id"] for each in json.loads(place.call("list", "--store", ran, "-o", "json"))]
    place.call("report", "compare", *both[:2], "--store", ran)
    stores = [open_store(ran if ran.startswith("s3:") else str(place.folder / ran)), open_store(str(place.folder / out))]
    files = [(stat.name, store.get(stat.name)) for store in stores for stat in store.list("") if stat.name.endswith(READ)]
    seen = {name: seen_of(name, data) for name, data in files} | {"terminal": place.said}
    others = [
        f"{name}: {found[0]} ({text[max(found.start() - 60, 0) : found.end() + 40]!r})"
        for name, text in seen.items()
        for found in OTHERS.finditer(text)
    ]
    assert not others, "\n".join(others[:40])
    for name, word in (
        ("report/index.html", "test series"),
        ("progress.json", "series"),
        ("terminal", "series predicted"),
        ("logs/", "validation series"),
        ("logs/", "test series"),
        ("terminal", "are the same series with the same labels"),
    ):
        assert any(word in text for file, text in seen.items() if name in file), (name, word)


@pytest.mark.parametrize(
    ("command", "change", "code", "said"),
    [
        ("run", "dataset.split.train=640", 65, "ask for fewer, or add series"),
        ("check", "dataset.url=nothing", 2, "; name one that holds series"),
        ("check", "dataset.split.validation=0", 2, "needs validation series, and there are none"),
    ],
)
def test_what_is_wrong_with_series_is_said_of_series(
    place: Installation, command: str, change: str, code: int, said: str
) -> None:
    choosing = ["--set", "runs[0].train.select=best"] if "validation" in change else []
    text = place.call(command, "study.yaml", "--store", "wrong", "--set", change, *choosing, code=code)
    assert said in text, text


def test_again_nothing_runs(place: Installation, ran: str) -> None:
    document = json.loads(place.call("check", "study.yaml", "--store", ran, "-o", "json"))
    assert {task["state"] for task in document["tasks"]} == {"cached"}


def test_it_predicts_as_it_was_evaluated(place: Installation, ran: str) -> None:
    execution = json.loads(place.call("list", "--store", ran, "-o", "json"))[0]["id"]
    out = f"said-{ran.partition(':')[0]}"
    place.call("predict", "data/square", out, "--model", f"{ran}#{execution}/conv")
    lines = [json.loads(line) for path in (place.folder / out).rglob("*.jsonl") for line in path.open()]
    said = [line["predicted"] for line in lines if "predicted" in line]
    assert len(said) == 60
    assert said.count("square") > 50


def test_the_manuals_study_is_right(place: Installation) -> None:
    (block,) = re.findall(r"```yaml\n(dataset:\n.*?)```", (ROOT / "docs/plugins.md").read_text(), flags=re.DOTALL)
    (place.folder / "manual.yaml").write_text(f"apiVersion: tlbatch/v1\nkind: Study\nname: manual\n{block}")
    place.call("check", "manual.yaml", "--store", "nothing")


def test_killed_and_resumed_it_leaves_the_same(place: Installation) -> None:
    place.call("test-preempt", "study.yaml", "--interruptions", "1")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("dataset.kind=example:serise", "dataset.kind: example:serise: plug-in example has no such name among its kinds"),
        ('dataset.kind={"example:series": {longest: 0}}', "dataset.kind.example:series.longest: must be at least 1, not 0"),
        ('dataset.kind={"example:series": {longst: 9}}', "unknown key (did you mean 'longest'?)"),
        ("dataset.kind=image", "is how example:series is fed, and dataset.kind is image"),
        ("runs[mlp].input={size: 32}", "is how images are fed, and dataset.kind is example:series"),
        ('runs[conv].input={"example:series": {length: 2}}', "runs[0].input.example:series.length: must be at least 8, not 2"),
        ("runs[conv].augmentation={flip: horizontal}", "changes images, and dataset.kind is example:series"),
        ("runs[conv].augmentation=example:jiter", "has no such name among its augmentations (did you mean 'jitter'?)"),
        ("runs[mlp].model={scratch: {}}", "takes images, and dataset.kind is example:series"),
        ("runs[mlp].model={backbone: vgg16}", "takes images, and dataset.kind is example:series"),
    ],
)
def test_what_does_not_go_together_is_a_sentence(place: Installation, change: str, sentence: str) -> None:
    said = place.call("check", "study.yaml", "--store", "nothing", "--set", change, code=2)
    assert sentence in said, said
