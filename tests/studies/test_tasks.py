"""Digit and parity of real handwritten digits learnt together, a third of the labels missing, run as a user would.

Whatever is true is what the report says; a task that is drowned by another is called harmed, first thing.
"""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import validate
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from jobs.comparing.sides import load_side
from jobs.samples import real_digits
from tests.studies.shapes import Bench
from tlbatch.errors import StudyError
from tlbatch.prediction.model import choose_model
from tlbatch.records.executions import find_execution
from tlbatch.store import open_store

pytestmark = pytest.mark.slow

EACH = 60
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: digit-and-parity
dataset:
  url: digits
  labels: {csv: labels.csv, id: file, tasks: {digit: digit, parity: parity}}
  split: {train: 200, validation: 100, test: 300}
  near_duplicates: false
precision: fp32
runs:
  - name: both
    model: &net {scratch: {channels: [16, 32], padding: same, dense: [32]}}
    input: &fed {size: 8, grayscale: true, normalize: unit}
    train: {epochs: 12, batch_size: 20, lr: 3e-3, task_weights: uncertainty}
  - name: drowned
    model: *net
    input: *fed
    train: {epochs: 12, batch_size: 20, lr: 3e-3, task_weights: {digit: 0.001}}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The study run once. Every third picture has no digit's label, every third no parity's."""
    bench = Bench(tmp_path_factory.mktemp("tasks"))
    (bench.folder / "digits").mkdir()
    lines, seen = [], dict.fromkeys(range(10), 0)
    for digit, name, picture in real_digits():
        if seen[digit] < EACH:
            seen[digit] += 1
            picture.save(bench.folder / "digits" / f"{digit}-{name}.png")
            lines.append([f"{digit}-{name}", str(digit), "odd" if digit % 2 else "even"])
    random.Random(0).shuffle(lines)
    for number, line in enumerate(lines):
        line[1 + number % 3 : 2 + number % 3] = [""] if number % 3 < 2 else []
    with (bench.folder / "digits/labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "digit", "parity"), *lines])
    bench.study.write_text(STUDY)
    outcome = bench.run()
    assert outcome.state == "succeeded", [(work.name, work.sentence) for work in outcome.works if work.state == "failed"]
    return bench


@pytest.fixture(scope="module")
def folder(bench: Bench) -> Path:
    return next(bench.store.glob("executions/*/report"))


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text()))


def predictions(bench: Bench, name: str) -> dict[str, Any]:
    for path in (bench.store / "tasks").glob("*.json"):
        task = json.loads(path.read_text())
        if task["name"] == f"evaluate:{name}":
            manifest = json.loads((bench.store / f"artifacts/evaluate/{task['key']}/manifest.json").read_text())
            return dict(json.loads((bench.store / manifest["files"]["predictions.json"]["path"]).read_text()))
    raise AssertionError(name)


def right(bench: Bench, name: str) -> np.ndarray:
    said = predictions(bench, name)
    return (np.array(said["probabilities"]["0"]).argmax(axis=1) == np.array(said["labels"]))[np.argsort(said["ids"])]


def test_the_report_says_what_the_predictions_say(bench: Bench, report: dict[str, Any]) -> None:
    """Differences counted here, McNemar's test by scipy, Holm over all tasks and runs by statsmodels."""
    p_values, shown = [], {}
    for contrast in report["contrasts"]:
        a, b = right(bench, contrast["a"]), right(bench, contrast["b"])
        only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
        p_values.append(binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0)
        shown[contrast["a"], contrast["b"]] = (a.mean() - b.mean(), p_values[-1])
    adjusted = multipletests(p_values, method="holm")[1]
    by_pair = dict(zip(shown, adjusted, strict=True))
    assert len(report["gains"]) == 4
    for row in report["gains"]:
        pair = row["run"], row["against"]
        assert pair == (row["run"], f"{row['task']}-alone")
        assert row["difference"] == pytest.approx(shown[pair][0])
        assert row["p_adjusted"] == pytest.approx(by_pair[pair])
        sign = "helped" if row["difference"] > 0 else "harmed"
        assert row["state"] == (sign if by_pair[pair] < 0.05 else "no difference shown")


def test_a_task_that_is_drowned_is_called_harmed(report: dict[str, Any]) -> None:
    rows = {row["run"]: row for row in report["gains"]}
    assert rows["drowned-digit"]["state"] == "harmed"
    assert any(s.startswith("Learning digit with parity harmed it: −") and "drowned-digit" in s for s in report["sentences"])
    assert report["sentences"].index(rows["drowned-digit"]["sentence"]) < report["sentences"].index(
        rows["both-parity"]["sentence"]
    ), "harm is said before what is not"
    assert rows["drowned-digit"]["fallen"], "and which digits fell"


def test_each_task_is_judged_on_its_own_labels_of_one_test_set(bench: Bench) -> None:
    known: dict[str, dict[str, str]] = {"digit": {}, "parity": {}}
    with (bench.folder / "digits/labels.csv").open() as file:
        for row in csv.DictReader(file):
            for task, labels in known.items():
                if row[task]:
                    labels[f"{row['file']}.png"] = row[task]
    tested = {task: predictions(bench, f"both-{task}") for task in known}
    for task, said in tested.items():
        assert predictions(bench, f"{task}-alone")["paths"] == said["paths"]
        assert [said["classes"][label] for label in said["labels"]] == [known[task][path] for path in said["paths"]]
        assert len(said["paths"]) == pytest.approx(200, abs=25), "two thirds of 300"
    both = {*tested["digit"]["paths"], *tested["parity"]["paths"]}
    assert len(both) == 300
    trained = json.loads(next(bench.store.glob("artifacts/finetune/*/*/digit/validation.json")).read_text())["ids"]
    assert not {*trained} & {*tested["digit"]["ids"], *tested["parity"]["ids"]}


def test_there_is_a_page_a_task_and_each_tells_of_all(folder: Path, report: dict[str, Any]) -> None:
    schema = json.loads(Path("jobs/reporting/report.schema.json").read_text())
    main, other = (folder / "index.html").read_text(), (folder / "parity/index.html").read_text()
    assert '<a href="parity/index.html">parity</a>' in main
    assert '<a href="../index.html">digit</a>' in other
    for page in (main, other):
        assert 'id="tasks"' in page
        assert all(f"<td>{row['run']}</td>" in page for row in report["gains"])
    of_parity = json.loads((folder / "parity/report.json").read_text())
    for document in (report, of_parity):
        validate(document, schema)
        assert document["first_sentence"] == report["first_sentence"]
    assert of_parity["data"]["counts"].keys() == {"even", "odd"}
    assert sum(of_parity["data"]["counts"].values()) == 400, "of 600 files a third has no label of it"
    assert {row["run"] for row in report["table"]["values"]} == {
        *(f"{run}-{task}" for run in ("both", "drowned") for task in ("digit", "parity")),
        *("digit-alone", "parity-alone"),
    }
    card = (folder / "parity/cards/both-parity.md").read_text()
    assert re.search(r"Task: parity, learnt together with others; factors .*: digit \d\.\d+ and parity \d\.\d+", card)
    assert (folder / "figures/tasks.svg").exists()
    for name in ("both-parity", "parity-alone"):
        run = next(run for run in of_parity["runs"] if run["name"] == name)
        assert len(run["curves"]["mean"]["train_loss"]) == 12


def test_a_second_time_nothing_is_computed(bench: Bench) -> None:
    again = bench.run()
    assert {work.state for work in again.works} == {"cached"}


def test_a_model_of_one_task_is_chosen_as_any_runs_and_all_of_them_together_is_none(bench: Bench) -> None:
    store = str(bench.store)
    model = choose_model(f"{store}#digit-and-parity/both-parity", store)
    assert model.identity["run"] == "both-parity"
    with pytest.raises(StudyError, match=r"has no run both .*it has both-digit, both-parity, digit-alone"):
        choose_model(f"{store}#digit-and-parity/both", store)
    plan = json.loads(next(bench.store.glob("executions/*/plan.json")).read_text())
    key = plan["tasks"]["together:both:0"]["key"]
    with pytest.raises(StudyError, match="several tasks were learnt together here"):
        choose_model(f"{store}/artifacts/finetune/{key}", store)


def test_compare_takes_executions_of_one_task(bench: Bench) -> None:
    execution = find_execution(open_store(str(bench.store)), "digit-and-parity")
    with pytest.raises(StudyError, match=r"is of several tasks \(digit, parity\), and compare takes executions of one"):
        load_side("A", execution, bench.folder / "cache")
