"""A class added to a champion: what it says, who it is then, what a rollback and the next firing make of it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageDraw

from tests.noise import noise
from tests.studies.kept import KeptBackend
from tests.studies.nights import Nights
from tests.studies.shapes import draw_shapes
from tests.studies.test_nights import draw_crosses
from tlbatch.champions.champion import Champion, find_champion
from tlbatch.champions.exporting import build_request, pull_champion
from tlbatch.champions.promoting import bring_back
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.execution.driver import Silent
from tlbatch.extending import extend_champion
from tlbatch.planning.champion_tasks import CHAMPION
from tlbatch.prediction.local import predict_here
from tlbatch.prediction.model import choose_model
from tlbatch.prediction.parts import load_summary
from tlbatch.prediction.pictures import list_pictures
from tlbatch.prediction.request import Prediction, begin
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest
from tlbatch.tasks import InputRef

pytestmark = pytest.mark.slow
TIMEOUT_S = 240.0
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: shapes
dataset:
  url: images
  split: {train: 32, validation: 16, test: 32}
control: none
precision: fp32
runs:
  - name: means
    model: {backbone: mobilenet_v2, weights: random, head: {prototypes: {}}}
    strategy: features
    input: {size: 32}
schedule: {cron: "0 3 * * *"}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    nights = Nights(tmp_path_factory.mktemp("extended"))
    draw_shapes(nights.images, 48)
    nights.study.write_text(STUDY)
    nights.fire()
    draw_crosses(nights.folder / "more", 30)
    few = nights.folder / "few"
    few.mkdir()
    for number in range(5):
        shutil.copy(nights.folder / f"more/cross/{number}.png", few)
    draw_rings(nights.folder / "rings", 3)
    return nights


def draw_rings(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        image = noise(f"ring{number}", (40, 40), 40).convert("RGB").point(lambda value: value // 3)
        ImageDraw.Draw(image).ellipse((4 + number, 6, 30 + number, 32), outline="white", width=4)
        image.save(folder / f"{number}.png")


@pytest.fixture
def nights(first: Nights, tmp_path: Path) -> Nights:
    shutil.copytree(first.folder, tmp_path / "copy")
    return Nights(tmp_path / "copy")


def extend(nights: Nights, folder: str = "few", label: str = "cross") -> Champion:
    store, place = nights.opened, str(nights.folder / folder)
    backend = lambda extension: KeptBackend(store, 1)  # noqa: E731
    return extend_champion(store, "shapes", label, place, list_pictures(place), backend, Silent(), "ada")


def document(nights: Nights, ref: InputRef, name: str) -> Any:
    manifest = load_manifest(nights.opened, ref.step, ref.key)
    assert manifest is not None
    return json.loads(nights.opened.get(manifest.files[name].path))


def test_a_champion_gets_a_class_and_says_what_is_known_of_it(nights: Nights) -> None:
    before, _ = find_champion(nights.opened, "shapes")
    made = extend(nights)
    assert (made.serial, made.before, made.by) == (2, 1, "extended by ada")
    assert made.classes == ("disc", "square", "cross")
    said, earlier = (
        document(nights, made.evaluation, "predictions.json"),
        document(nights, before.evaluation, "predictions.json"),
    )
    right = {}
    for name, each in (("before", earlier), ("after", said)):
        labels = [each["classes"][label] for label in each["labels"]]
        answers = [each["classes"][int(np.argmax(row))] for row in each["probabilities"]["0"]]
        right[name] = [answer == label for answer, label in zip(answers, labels, strict=True)]
    cost = made.extended[0]["cost"]
    assert cost["before"] == pytest.approx(np.mean(right["before"]))
    assert cost["after"] == pytest.approx(np.mean(right["after"]))
    again = extend(nights)
    assert again == made


def test_it_predicts_and_is_pulled_and_a_rollback_takes_the_class_away(nights: Nights, tmp_path: Path) -> None:
    made = extend(nights)
    store = nights.opened
    pictures = str(nights.folder / "more")
    prediction = Prediction(
        choose_model("champion:shapes", store.url), pictures, open_store(str(tmp_path / "said")), list_pictures(pictures)
    )
    task = begin(prediction)
    predict_here(store, task, 1, lambda work: None)
    summary = load_summary(prediction.out)
    assert summary is not None
    assert summary["classes"] == ["disc", "square", "cross"]
    assert summary["counts"]["cross"] > 10
    pulled = pull_champion(build_request(store, "shapes", None, ("safetensors",), 32, None), tmp_path / "model")
    card = pulled.card
    assert (card["classes"], card["check"]["safetensors"]["same_class"]) == (["disc", "square", "cross"], 32)
    assert card["extended"][0]["class"] == "cross"
    assert "accuracy is not tested" in (tmp_path / "model/README.md").read_text()
    back = bring_back(store, "shapes", None, "ada")
    assert (back.serial, back.restores, back.classes, back.extended) == (3, 1, ("disc", "square"), ())
    assert made.added == ("cross",)


def test_a_firing_without_the_class_keeps_the_champion_that_knows_it(nights: Nights) -> None:
    extend(nights)
    draw_shapes(nights.images, 8, first=900)
    night = nights.fire()
    assert (night.decision["outcome"], night.decision["why"]) == ("refused", "class lost")
    assert "Refused, as the champion knows cross" in night.decision["sentence"]
    assert night.predictions(CHAMPION)["classes"] == ["disc", "square"]
    champion, _ = find_champion(nights.opened, "shapes")
    assert champion.added == ("cross",)
    draw_shapes(nights.images, 2, first=950)
    again = nights.fire()
    assert (again.decision["why"], again.decision["champion"]["serial"]) == ("class lost", 2)
    assert again.manifest(CHAMPION).made["forward_passes"] <= 4, "the test images were looked at the night before"
    made = extend(nights, "rings", "ring")
    assert (made.classes, made.added) == (("disc", "square", "cross", "ring"), ("cross", "ring"))
    assert made.extended[1]["cost"]["before"] == made.extended[0]["cost"]["after"]
    assert "put images of it into the dataset" in again.decision["sentence"]


def test_a_firing_with_the_class_tests_it_on_other_images_than_it_came_from(nights: Nights) -> None:
    made = extend(nights)
    learnt = set(document(nights, made.models["model:0"], "added.json")["ids"])
    shutil.copytree(nights.folder / "more/cross", nights.images / "cross")
    night = nights.fire()
    pins = night.pins
    assert (pins["version"], pins["classes"]) == (2, ["cross", "disc", "square"])
    assert not learnt & {pin["id"] for part in ("test", "validation") for pin in pins[part]}
    said = night.predictions(CHAMPION)
    crosses = [row for row, label in enumerate(said["labels"]) if said["classes"][label] == "cross"]
    assert crosses
    assert np.argmax([said["probabilities"]["0"][row] for row in crosses], axis=1).tolist().count(0) > 0
    assert night.decision["why"] != "class lost"


def test_what_cannot_be_added_is_a_sentence(nights: Nights) -> None:
    with pytest.raises(StudyError, match="shapes knows 'disc' already, which looks alike"):
        extend(nights, label="Disc")
    before, _ = find_champion(nights.opened, "shapes")
    assert before.pins is not None
    test = document(nights, before.pins, "pins.json")["test"][0]
    shutil.copy(nights.images / test["path"], nights.folder / "few/shown.png")
    with pytest.raises(TlbatchError, match=r"shown.png: \(near copies of\) images that the champion is judged by") as raised:
        extend(nights)
    assert raised.value.exit_code == 65
    (nights.folder / "none").mkdir()
    (nights.folder / "none/a.png").write_bytes(b"no picture")
    with pytest.raises(TlbatchError, match="none of its 1 files is a usable image"):
        extend(nights, "none")


def test_training_pictures_of_other_classes_are_named(nights: Nights) -> None:
    """Where there is none nothing is said. Near copies: tests/jobs/extending."""
    before, _ = find_champion(nights.opened, "shapes")
    assert before.pins is not None
    pins = document(nights, before.pins, "pins.json")
    held = {pin["path"] for part in ("test", "validation") for pin in pins[part]}
    trained = next(path for path in sorted(nights.images.glob("disc/*")) if f"disc/{path.name}" not in held)
    (nights.folder / "mixed").mkdir()
    for number in range(3):
        shutil.copy(nights.folder / f"few/{number}.png", nights.folder / "mixed")
    shutil.copy(trained, nights.folder / "mixed/again.png")
    said = extend(nights, "mixed").sentence
    assert "Of its own images 1 is, or nearly is, a training image of another class (again.png: disc)" in said
    assert "of another class" not in extend(nights, "rings", "ring").sentence


def test_stopped_by_ctrl_c_the_same_command_goes_on(nights: Nights, tmp_path: Path) -> None:
    """It ends as one that nobody stopped does, and a third time it computes nothing."""
    shutil.copytree(nights.folder, tmp_path / "whole")
    whole = extend(Nights(tmp_path / "whole"))
    command = [sys.executable, "-m", "tlbatch", "champion", "extend", "shapes", str(nights.folder / "few"), "--class", "cross"]
    command += ["--store", str(nights.store), "--cores", "1"]
    before = artifacts(nights)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    while artifacts(nights) == before:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 143, said
    assert "what is done is kept, the same command goes on from there" in said
    stopped = artifacts(nights)
    assert len(stopped - before) < 4
    done = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    made = json.loads(done.stdout)
    assert made["models"] == {"model:0": asdict(whole.models["model:0"])}
    assert made["evaluation"] == asdict(whole.evaluation)
    assert made["sentence"] == whole.sentence
    there = artifacts(nights)
    again = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert again.stdout.startswith(
        "shapes is now number 2: means, seed 0\nBy hand: means (seed 0), number 1, got a class more."
    )
    assert artifacts(nights) == there


def artifacts(nights: Nights) -> set[str]:
    return {str(path) for path in nights.store.glob("artifacts/*/*/manifest.json")}
