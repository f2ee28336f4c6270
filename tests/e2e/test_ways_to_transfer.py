"""One of each way to transfer as Jobs, on 60 pictures: the same artifacts as here; and advice, sent and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, content, finished, no_orphans
from tests.studies.shapes import draw_shapes
from tlbatch.cluster import Cluster as Api
from tlbatch.records.executions import find_execution
from tlbatch.store import open_store

pytestmark = pytest.mark.e2e
LONG_S = 1200.0
BACKBONE = {"backbone": "squeezenet1_1", "weights": "random", "layer": "fire4"}
INPUT = {"size": 32, "normalize": "unit"}


def on_features(name: str, head: dict[str, Any], strategy: Any = "features") -> dict[str, Any]:
    return {"name": name, "model": {**BACKBONE, "head": head}, "strategy": strategy, "input": INPUT}


def adapted(name: str, **settings: Any) -> dict[str, Any]:
    return on_features(name, {"logistic": {"c": [1.0], "folds": 3}}, {"adapt": settings})


RUNS = [
    on_features("prototypes", {"prototypes": {}}),
    on_features("neighbours", {"knn": {"k": 3}}),
    adapted("coral", method="coral"),
    adapted("tradaboost", method="tradaboost", target_labels="few", few=3),
    {
        "name": "anew",
        "model": {**BACKBONE, "head": {"dropout": 0.0}},
        "strategy": {"finetune": {"transfer": "stem", "l2_sp": {}}},
        "input": INPUT,
        "train": {"epochs": 1, "batch_size": 10},
    },
    {
        "name": "dann",
        "model": {"scratch": {"channels": [4], "dense": [8]}},
        "strategy": {"adapt_network": {"method": "dann", "domain_layers": [8]}},
        "input": {"size": 16, "normalize": "unit"},
        "train": {"epochs": 1, "batch_size": 10},
    },
]


@pytest.fixture
def datasets(user: User, bucket: str, tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Folder and place in S3 of 60 pictures, and of 40 others under the same labels."""
    found = {}
    for name, each, first in (("target", 30, 0), ("source", 20, 500)):
        folder = tmp_path / name
        draw_shapes(folder, each, first)
        url = f"s3://{bucket}/ways/{name}"
        user.run("data", "put", str(folder), url)
        found[name] = (folder, url)
    return found


def study(user: User, name: str, target: str, source: str, runs: list[dict[str, Any]]) -> Path:
    path = user.study(name, url=target, runs=runs)
    sources = {"others": {"url": source, "split": {"validation": 0.2}, "near_duplicates": False}}
    path.write_text(path.read_text() + f"sources: {json.dumps(sources)}\ncurve: {{labels: [1, 5]}}\n")
    return path


def test_each_gives_here_and_there_the_same(
    user: User, api: Api, datasets: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    (target, target_url), (source, source_url) = datasets["target"], datasets["source"]
    execution = user.submit(study(user, "ways", target_url, source_url, RUNS))
    status = finished(execution, LONG_S)
    assert status["state"] == "succeeded", status
    no_orphans(api, execution)
    local = tmp_path / "local"
    user.run("run", "-q", str(study(user, "ways", str(target), str(source), RUNS)), "--store", str(local))
    here, there = content(find_execution(open_store(str(local)), "ways")), content(execution)
    assert {name for name in there if name.startswith("finetune:")} >= {f"finetune:{run['name']}:0" for run in RUNS}
    differing = {name for name in there if not name.startswith(("prepare", "report")) and there[name] != here.get(name)}
    assert differing == set()
    assert "curve" in there
    assert all(run["name"] in user.run("report", execution.id) for run in RUNS)


def test_advice_is_sent_and_read(user: User, datasets: dict[str, tuple[Path, str]]) -> None:
    model = {"backbone": "efficientnet_lite0", "head": {"logistic": {}}}  # its weights are in the image
    path = user.study("advice", url=datasets["target"][1], runs=[{"name": "features", "model": model}])
    sent = json.loads(user.run("advise", str(path), "--cluster", "-o", "json"))
    execution = find_execution(open_store(user.store_url), sent["id"])
    assert finished(execution, LONG_S)["state"] == "succeeded"
    assert "recommended" in user.run("report", execution.id).lower() or execution.store.stat(
        execution.name("report/index.html")
    )
