"""``tlbatch curve`` and heads for few labels, as a person runs them: shared with the study, stopped, resumed, predicted by."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.requirements import chaos_only
from tests.studies.shapes import Bench, draw_shapes, head, states

pytestmark = pytest.mark.slow
TIMEOUT_S = 240.0
HEADS = {"means": "prototypes: {}", "near": "knn: {k: [1, 3]}", "line": "logistic: {c: [0.01, 1.0], folds: 3}"}
RUNS = "".join(
    f"  - {{name: {name}, model: {{backbone: mobilenet_v2, weights: random, head: {{{text}}}}}, input: {{size: 32}}}}\n"
    for name, text in HEADS.items()
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("curve"))
    draw_shapes(bench.images, 48)
    bench.study.write_text(head("few", "train: 32, validation: 0, test: 64") + RUNS)
    return bench


def tlbatch(bench: Bench, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment(bench)
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tlbatch", *words]


def environment(bench: Bench) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TLBATCH_")}
    return {**clean, "TLBATCH_CONFIG": str(bench.folder / "config.yaml"), "TLBATCH_STORE": str(bench.store), "COLUMNS": "160"}


def test_the_command_is_shared_with_the_study(place: Bench) -> None:
    table = tlbatch(place, "curve", str(place.study), "--labels", "1,2,5,10")
    assert "10" in table
    assert "(predicted)" in table
    document = json.loads(tlbatch(place, "curve", str(place.study), "--labels", "1,2,5,10", "-o", "json", "-q"))
    assert [run["name"] for run in document["runs"]] == ["means", "near", "line"]
    rows = list(csv.DictReader(io.StringIO(tlbatch(place, "curve", str(place.study), "--labels", "1,2,5,10", "-o", "csv"))))
    assert [row["labels"] for row in rows[:4]] == ["1", "2", "5", "10"]
    outcome = place.run("curve={labels: [1, 2, 5, 10]}")
    assert outcome.state == "succeeded"
    assert {"curve", "prepare", "extract:means"} <= states(outcome, "cached")
    report = place.store / "executions" / outcome.execution.id / "report"
    assert json.loads((report / "report.json").read_text())["labels"]["runs"] == document["runs"]
    assert (report / "figures/labels.svg").is_file()
    assert "How many labels?" in (report / "index.html").read_text()
    again = place.run("curve={labels: [1, 2, 5, 10]}")
    assert {work.state for work in again.works} == {"cached"}


@pytest.mark.parametrize("run", ["means", "near"])
def test_their_models_predict_as_they_were_judged(place: Bench, run: str) -> None:
    outcome = place.run("curve={labels: [1, 2, 5, 10]}")
    out = place.folder / f"said-{run}"
    tlbatch(place, "predict", "--model", f"{place.store}#few/{run}", str(place.images), str(out))
    lines = [line for file in out.rglob("*.jsonl") for line in file.read_text().splitlines()]
    said = {row["path"]: row for row in map(json.loads, lines)}
    work = next(each for each in outcome.works if each.name == f"evaluate:{run}")
    file = next((place.store / "artifacts/evaluate" / work.ref.key).rglob("predictions.json"))
    judged = json.loads(file.read_text())
    classes = judged["classes"]
    for path, p in zip(judged["paths"], judged["probabilities"]["0"], strict=True):
        ranked = np.sort(p)
        if ranked[-1] - ranked[-2] > 1e-3:
            assert said[path]["predicted"] == classes[int(np.argmax(p))]


def test_stopped_it_goes_on(place: Bench) -> None:
    """SIGTERM while it fits: 143, and the same command leaves what an uninterrupted one does."""
    asked = ("curve", str(place.study), "--labels", "1,2,5,10,15", "--draws", "40", "-o", "json")
    process = subprocess.Popen(
        command(*asked), env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not any(place.store.glob("work/*/progress.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    code = process.wait(TIMEOUT_S)
    assert code in (0, 143)
    went_on = json.loads(tlbatch(place, *asked))
    fresh = {"--store": str(place.folder / "other")}
    whole = json.loads(tlbatch(place, *asked, *[word for pair in fresh.items() for word in pair]))
    assert went_on == whole


def test_beside_it_a_network_is_trained_from_scratch(place: Bench) -> None:
    """Killed while it trains and given again it ends as one that nobody killed; the report has both curves and a sentence.

    Fails when a training on drawn labels draws anew after a stop, or an interrupted one is taken for complete.
    """
    cnn = "{name: cnn, model: {scratch: {channels: [4, 8], padding: same, dense: [8]}}, input: {size: 16}, "
    cnn += "train: {epochs: 3, batch_size: 8, lr: 3e-3, select: last}}"
    words = ("--set", f"runs[3]={cnn}", "--set", "curve={labels: [1, 4], scratch: {run: cnn, draws: 2}}")
    killed, whole = str(place.folder / "killed"), str(place.folder / "whole")
    process = subprocess.Popen(
        command("curve", str(place.study), *words, "--store", killed, "-q"), env=environment(place), start_new_session=True
    )
    deadline = time.monotonic() + TIMEOUT_S
    while len(list(Path(killed).glob("artifacts/finetune/*/manifest.json"))) < 1:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT_S)
    found = {}
    for store in (killed, whole):
        found[store] = json.loads(tlbatch(place, "curve", str(place.study), *words, "--store", store, "-o", "json"))
    assert found[killed] == found[whole]
    digests = [
        {path.parent.name: json.loads(path.read_text())["digest"] for path in Path(store).glob("artifacts/*/*/manifest.json")}
        for store in (killed, whole)
    ]
    assert digests[0] == digests[1]
    scratch = found[whole]["runs"][0]["scratch"]
    assert (scratch["name"], scratch["draws"], [point["labels"] for point in scratch["points"]]) == ("cnn", 2, [1, 4])
    tlbatch(place, "run", str(place.study), *words, "--store", whole, "-q")
    shown = tlbatch(place, "report", "show", "few", "--store", whole)
    assert "How many labels?" in shown
    assert "4 (scratch)" in shown
    (report,) = Path(whole).glob("executions/*/report")
    page = (report / "index.html").read_text()
    assert "Beside training from random weights" in page
    assert "trained from random weights on the same labels (2 draws)" in page
    assert "cnn, from random weights" in (report / "figures/labels.svg").read_text()


BREEDS = """
apiVersion: tlbatch/v1
kind: Study
name: breeds
dataset: {url: IMAGES, split: {train: 1400, validation: 0, test: 600, seed: 42}}
precision: fp32
runs:
  - {name: means, model: {backbone: efficientnet_lite0, head: {prototypes: {}}}}
  - {name: line, model: {backbone: efficientnet_lite0, head: {logistic: {}}}}
"""


@pytest.mark.shared
@chaos_only
def test_ten_breeds(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Measured beforehand, elsewhere: class means with 1, 5 and 20 labels, logistic regression with 1 and with all 140.

    Within two standard deviations of theirs over draws.
    """
    bench = Bench(tmp_path)
    bench.study.write_text(BREEDS.replace("IMAGES", str(shared_data("data/dog-breeds"))))
    few = json.loads(tlbatch(bench, "curve", str(bench.study), "--labels", "1,2,5,10,20,50", "-o", "json"))
    whole = json.loads(tlbatch(bench, "curve", str(bench.study), "--labels", "140", "-o", "json"))
    means, line = few["runs"]
    at = {run["name"]: {each["labels"]: each["accuracy"]["value"] for each in run["points"]} for run in few["runs"]}
    for labels, value, sd in ((1, 0.778, 0.078), (5, 0.907, 0.024), (20, 0.937, 0.009)):
        assert abs(at["means"][labels] - value) <= 2 * sd
    assert at["line"][1] >= 0.670 - 2 * line["points"][0]["accuracy"]["sd"]
    for run, measured in zip((means, line), whole["runs"], strict=True):
        predicted = run["all"]["accuracy"]
        assert run["all"]["labels"] == 140
        assert predicted["low"] <= measured["points"][0]["accuracy"]["value"] <= predicted["high"]
    assert line["all"]["accuracy"]["low"] <= 0.956 <= line["all"]["accuracy"]["high"]
