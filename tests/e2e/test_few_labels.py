"""Several tasks, episodes, classes by their descriptions, and a class added to a champion: as Jobs, on 60 pictures, as here."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, content, finished, no_orphans, until
from tests.noise import noise
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.records.executions import find_execution
from tlbatch.store import open_store

pytestmark = pytest.mark.e2e
LONG_S = 1200.0
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: {name}
dataset: {{url: "{url}", split: {{train: {train}, validation: {validation}, test: {test}}}, near_duplicates: false{labels}}}
control: none
precision: fp32
runs: [{run}]
resources: {{cpu: 900m, memory: 2Gi, steps: {{prepare: {{cpu: 900m}}, report: {{cpu: 900m}}}}}}
"""
CNN = (
    "{name: cnn, model: {scratch: {channels: [4], dense: [8]}}, input: {size: 16, normalize: unit}, "
    "train: {epochs: 1, batch_size: 10}}"
)
MEANS = "{name: means, model: {backbone: efficientnet_lite0, head: {prototypes: {}}}, input: {size: 64}}"
FEW = """
evaluate: {episodes: {ways: 2, shots: [1], queries: 3, count: 100, classes: [c, d, e, f], heads: [prototypes]}}
described: {texts: {a: a dark cloth, b: a bright cloud}}
"""


@pytest.fixture
def shades(user: User, bucket: str, tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """``few``: six shades of noise, ten of each; ``both``: the same in one folder, with two labels; ``new``: a seventh."""
    rows = []
    for number, name in enumerate("abcdefg"):
        for count in range(10):
            image = noise(f"{name}{count}", (24, 24), 20).point(lambda value, lighter=20 * number: value // 2 + lighter)
            places = [tmp_path / "new"] if name == "g" else [tmp_path / "few" / name, tmp_path / "both"]
            for place in places:
                place.mkdir(parents=True, exist_ok=True)
                image.convert("RGB").save(place / f"{name}{count}.png")
            if name != "g":
                half = "dark" if number < 3 else "bright"
                rows.append((f"{name}{count}", "" if count % 3 == 0 else half, "" if count % 3 == 1 else str(count % 2)))
    with (tmp_path / "both" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "half", "parity"), *rows])
    found = {}
    for name in ("few", "both", "new"):
        url = f"s3://{bucket}/shades/{name}"
        user.run("data", "put", str(tmp_path / name), url)
        found[name] = (tmp_path / name, url)
    return found


def write(user: User, name: str, url: str, *, few: bool) -> Path:
    path = user.folder / f"{name}.yaml"
    split = {"train": 12, "validation": 4, "test": 4} if few else {"train": 24, "validation": 12, "test": 12}
    tasks = ", labels: {csv: labels.csv, id: file, tasks: {half: half, parity: parity}}"
    labels, run = ("", MEANS) if few else (tasks, CNN)
    path.write_text(STUDY.format(name=name, url=url, labels=labels, run=run, **split) + (FEW if few else ""))
    return path


def test_each_gives_here_and_there_the_same_and_a_champion_gets_a_class(
    user: User, api: Api, shades: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    names = {"both": False, "few": True}
    sent = {name: user.submit(write(user, name, shades[name][1], few=few)) for name, few in names.items()}
    local = tmp_path / "local"
    for name, few in names.items():
        user.run("run", "-q", str(write(user, name, str(shades[name][0]), few=few)), "--store", str(local))
    for name, execution in sent.items():
        status = finished(execution, LONG_S)
        assert status["state"] == "succeeded", status
        no_orphans(api, execution)
        here, there = content(find_execution(open_store(str(local)), name)), content(execution)
        compared = {each for each in there if not each.startswith(("prepare", "report"))}
        assert {each for each in compared if there[each] != here.get(each)} == set()
    assert {"evaluate:cnn-half", "evaluate:cnn-parity"} <= set(content(sent["both"]))
    assert {"episodes", "evaluate:efficientnet-lite0-described"} <= set(content(sent["few"]))
    _extended(user, api, sent["few"].id, shades, local)
    asked = ("curve", "--labels", "1,2,5", "-o", "json")
    curve = user.run(*asked, str(user.folder / "few.yaml"), "--set", f"dataset.url={shades['few'][1]}", "--cluster")
    assert curve == user.run(*asked, str(user.folder / "few.yaml"), "--store", str(local))


def _extended(user: User, api: Api, execution: str, shades: dict[str, tuple[Path, str]], local: Path) -> None:
    """Stopped by Ctrl-C it leaves no Job; the same command goes on, and ends as one that nobody stopped does here."""
    user.run("champion", "promote", "few", execution, "--run", "means")
    user.run("champion", "promote", "few", "few", "--run", "means", "--store", str(local))
    user.run("context", "set", "resources={cpu: 900m, memory: 2Gi}")
    folder, url = shades["new"]
    asked = ("champion", "extend", "few", url, "--class", "g", "-o", "json")
    user.run("champion", "extend", "few", str(folder), "--class", "g", "--cluster", code=2)
    command = [sys.executable, "-m", "tlbatch", *asked[:-2], "--cluster"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=user.environment)
    until(lambda: _jobs(api), "its first Job is there", 60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "the same command goes on from there" in said
    until(lambda: not _jobs(api), "its Jobs are gone", 30)
    made = json.loads(user.run(*asked, "--cluster"))
    here = json.loads(
        user.run("champion", "extend", "few", str(folder), "--class", "g", "-o", "json", "--cores", "1", "--store", str(local))
    )
    assert made["classes"] == ["a", "b", "g"]
    assert {role: ref["digest"] for role, ref in made["models"].items()} == {
        role: ref["digest"] for role, ref in here["models"].items()
    }
    assert made["evaluation"]["digest"] == here["evaluation"]["digest"]
    assert made["sentence"] == here["sentence"]
    until(lambda: not _jobs(api), "its Jobs are gone", 30)
    assert "g: " in user.run("logs", made["models"]["model:0"]["key"][:12])
    started = time.monotonic()
    assert json.loads(user.run(*asked, "--cluster")) == made
    assert time.monotonic() - started < 60, "given twice it computes nothing"
    user.run("cancel", "extend-few-00000000", code=2)


def _jobs(api: Api) -> list[dict[str, Any]]:
    found = [each for kind in (JOBS, PODS) for each in api.list(kind)[0]]
    return [each for each in found if each["metadata"].get("labels", {}).get("tlbatch.dev/execution", "").startswith("extend-")]
