"""A schedule whose models have two tasks, on real handwritten digits: every task of a challenger is judged."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from jobs.samples import real_digits
from tests.studies.nights import Night, Nights
from tlbatch.champions.champion import find_champion, terms
from tlbatch.champions.exporting import build_request, pull_champion
from tlbatch.champions.promoting import bring_back, promote_run
from tlbatch.errors import StudyError
from tlbatch.extending import extend_champion
from tlbatch.prediction.model import choose_model
from tlbatch.records.executions import Execution
from tlbatch.schedules.firings import load_firings
from tlbatch.schedules.view import cells, columns, lines, view
from tlbatch.store import open_store

pytestmark = pytest.mark.slow

FIRST, LATER = 55, 10  #: pictures of a digit
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: digits
dataset:
  url: digits
  labels: {csv: labels.csv, id: file, tasks: {digit: digit, parity: parity}}
  split: {train: 150, validation: 100, test: 300}
  near_duplicates: false
precision: fp32
runs:
  - name: both
    model: {scratch: {channels: [16, 32], padding: same, dense: [32]}}
    input: {size: 8, grayscale: true, normalize: unit}
    train: {epochs: 6, batch_size: 20, lr: 3e-3}
schedule:
  cron: "0 3 * * *"
  promote_on: {digit: macro_f1, parity: accuracy}
  class_bound: {digit: 0.5, parity: {odd: 0.2}}
"""
BETTER = ("runs[both].train.epochs=25",)
DROWNED = ("runs[both].train.epochs=25", "runs[both].train.task_weights={digit: 0.001}")


def write_digits(folder: Path, rows: list[tuple[int, str, Image.Image]]) -> None:
    """Pictures and their lines in labels.csv: every third has no digit's label, every third no parity's."""
    folder.mkdir(exist_ok=True)
    there = (folder / "labels.csv").exists()
    with (folder / "labels.csv").open("a", newline="") as file:
        lines = csv.writer(file)
        if not there:
            lines.writerow(["file", "digit", "parity"])
        for number, (digit, name, picture) in enumerate(rows):
            picture.save(folder / f"{digit}-{name}.png")
            line = [f"{digit}-{name}", str(digit), "odd" if digit % 2 else "even"]
            line[1 + number % 3 : 2 + number % 3] = [""] if number % 3 < 2 else []
            lines.writerow(line)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    nights = Nights(tmp_path_factory.mktemp("nights"))
    nights.study.write_text(STUDY)
    return nights


@pytest.fixture(scope="module")
def fired(nights: Nights) -> list[Night]:
    """Four nights: a weak network; more pictures and a better one; one that gives up a task; the same once more."""
    by_digit: dict[int, list[tuple[int, str, Image.Image]]] = {}
    for row in real_digits():
        by_digit.setdefault(row[0], []).append(row)
    shuffled = random.Random(0)
    first = [row for rows in by_digit.values() for row in rows[:FIRST]]
    later = [row for rows in by_digit.values() for row in rows[FIRST : FIRST + LATER]]
    for rows in (first, later):
        shuffled.shuffle(rows)
    write_digits(nights.folder / "digits", first)
    found = [nights.fire()]
    write_digits(nights.folder / "digits", later)
    return [*found, nights.fire(*BETTER), nights.fire(*DROWNED), nights.fire(*DROWNED, "schedule.promote=better")]


def said(night: Night, task: str, who: str = "challenger") -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions on the test images of a task, in the order of the pictures."""
    name = f"evaluate:both-{task}" if who == "challenger" else f"evaluate:champion-{task}"
    found = night.predictions(name)
    order = np.argsort(found["ids"])
    probabilities = next(iter(found["probabilities"].values()))
    return np.array(found["labels"])[order], np.array(probabilities).argmax(axis=1)[order]


def of_task(night: Night, task: str) -> dict[str, Any]:
    return next(each for each in night.decision["tasks"] if each["name"] == task)


def test_the_first_is_one_model_with_a_head_a_task(nights: Nights, fired: list[Night]) -> None:
    first = next(term for term in terms(nights.opened, "digits") if term.serial == 1)
    assert [task.name for task in first.tasks] == ["digit", "parity"]
    assert [len(task.classes) for task in first.tasks] == [10, 2]
    assert first.run == "both"
    assert "The first champion is both (seed 0): digit macro F1" in fired[0].decision["sentence"]
    pins = fired[0].pins
    assert len(pins["test"]) == 300
    tested = {task: len(said(fired[0], task)[0]) for task in ("digit", "parity")}
    assert tested == {task: sum(task in pin["tasks"] for pin in pins["test"]) for task in tested}
    assert f"on {tested['digit']}, parity accuracy" in fired[0].decision["sentence"]


def test_a_better_one_takes_its_place_in_every_task(nights: Nights, fired: list[Night]) -> None:
    """The numbers are counted here from the predictions, p by scipy."""
    decision = fired[1].decision
    assert (decision["outcome"], decision["refused_by"]) == ("promoted", [])
    digit, parity = (of_task(fired[1], task)["estimate"] for task in ("digit", "parity"))
    truth, new = said(fired[1], "digit")
    same, old = said(fired[1], "digit", "champion")
    assert (truth == same).all()
    f1 = [f1_score(truth, each, average="macro") for each in (new, old)]
    assert [digit["challenger"], digit["champion"]] == pytest.approx(f1)
    truth, new = said(fired[1], "parity")
    old = said(fired[1], "parity", "champion")[1]
    gained, lost = int(((new == truth) & (old != truth)).sum()), int(((old == truth) & (new != truth)).sum())
    assert (parity["gained"], parity["lost"]) == (gained, lost)
    assert parity["p"] == pytest.approx(binomtest(gained, gained + lost, alternative="greater").pvalue)
    champion = find_champion(nights.opened, "digits")[0]
    assert champion.serial == 2
    assert champion.tasks[1].metrics["accuracy"]["value"] == pytest.approx((new == truth).mean())


def test_one_that_gives_up_a_task_is_refused_for_it(nights: Nights, fired: list[Night]) -> None:
    decision = fired[2].decision
    assert (decision["outcome"], decision["refused_by"]) == ("refused", ["digit"])
    assert "Refused for digit, which is worse (p" in decision["sentence"]
    assert "parity: accuracy" in decision["sentence"], "and what became of the other is told"
    assert of_task(fired[2], "parity")["why"] is None
    again = fired[3].decision
    assert (again["outcome"], again["refused_by"]) == ("refused", ["digit"]), "asked to be better, or not"
    assert find_champion(nights.opened, "digits")[0].serial == 2


def test_images_that_judge_before_they_train_judge_every_task(fired: list[Night]) -> None:
    fresh = fired[1].pins["fresh"]
    assert fresh
    for task in ("digit", "parity"):
        own = [pin for pin in fresh if task in pin["tasks"]]
        assert of_task(fired[1], task)["challenger"]["fresh"]["images"] == len(own)
        trained = json.loads(fired[1].text(f"finetune:both-{task}:0", "validation.json"))["ids"]
        assert not {pin["id"] for pin in own} & set(trained)


def test_people_are_told_task_by_task(nights: Nights, fired: list[Night]) -> None:
    store = nights.opened
    seen = view(store, "digits")
    text = "\n".join(lines(seen))
    assert (
        "promotes      what is not shown to be worse in macro f1 of digit or accuracy of parity and harms no class of any"
        in text
    )
    assert "digit         macro f1 0." in text
    assert "parity        accuracy 0." in text
    assert columns(seen.tasks)[3] == "champion (digit / parity)"
    records = load_firings(store, "digits")
    shown = cells(records[0], "Etc/UTC", seen.metric)
    digit, parity = (of_task(fired[3], task)["estimate"] for task in ("digit", "parity"))
    assert shown[4] == f"{digit['challenger']:.4f} / {parity['challenger']:.4f}"
    assert shown[5] == f"{digit['champion']:.4f} / {parity['champion']:.4f}"
    page = store.get("schedules/digits/trend/index.html").decode()
    assert "digit: macro f1 on the pinned test images" in page
    assert "parity: accuracy on the pinned test images" in page
    for task in ("digit", "parity"):
        assert f"<div><small>{task}</small> " in page
    report = nights.store / "executions" / fired[2].execution.id / "report"
    assert "digit: macro F1" in (report / "index.html").read_text()
    assert "parity: accuracy" in (report / "parity/index.html").read_text()
    assert "Class by class, parity" in (report / "parity/index.html").read_text()


def test_a_champion_predicts_and_is_taken_along_by_task(nights: Nights, fired: list[Night], tmp_path: Path) -> None:
    store = nights.opened
    with pytest.raises(StudyError, match=r"has several tasks \(digit, parity\), and this takes one: champion:digits/digit"):
        choose_model("champion:digits", store.url)
    with pytest.raises(StudyError, match=r"has no task 'partiy' .did you mean 'parity'.*it has digit, parity"):
        choose_model("champion:digits/partiy", store.url)
    model = choose_model("champion:digits/parity", store.url)
    assert model.name == "champion digits (parity) number 2"
    with pytest.raises(StudyError, match="this takes one: --task digit, and a folder for each"):
        build_request(store, "digits", None, ("safetensors",), 50, None)
    pulled = pull_champion(build_request(store, "digits", None, ("safetensors",), 50, None, "parity"), tmp_path / "parity")
    assert pulled.card["classes"] == ["even", "odd"]
    assert pulled.card["check"]["safetensors"]["difference"] < 1e-4


def test_by_hand_all_tasks_change_together(nights: Nights, fired: list[Night], tmp_path: Path) -> None:
    shutil.copytree(nights.store, tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(StudyError, match=r"has no run 'both-digit' that learnt all its tasks \(did you mean 'both'"):
        promote_run(store, "digits", Execution(store, fired[0].execution.id), "both-digit", None, "ada")
    made = promote_run(store, "digits", Execution(store, fired[0].execution.id), None, None, "ada")
    first = next(term for term in terms(store, "digits") if term.serial == 1)
    assert [task.models for task in made.tasks] == [task.models for task in first.tasks]
    assert "; digit accuracy 0." in made.sentence
    assert "; parity accuracy 0." in made.sentence
    back = bring_back(store, "digits", None, "ada")
    assert [task.models for task in back.tasks] == [task.models for task in find_champion(nights.opened, "digits")[0].tasks]


def test_a_class_is_not_added_to_one_of_several_tasks(nights: Nights, fired: list[Night]) -> None:
    nobody: Any = None
    with pytest.raises(
        StudyError, match=r"has several tasks \(digit, parity\), and a class is added to a champion of one: put"
    ):
        extend_champion(nights.opened, "digits", "ten", "more", [], nobody, nobody, "ada")
