"""Real photographs in S3, pretrained weights mirrored into the store, a cluster without a way to the internet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, finished, no_orphans
from tlbatch.cluster import Cluster as Api

pytestmark = [pytest.mark.e2e, pytest.mark.shared]
EACH = 200
RUNS: list[dict[str, Any]] = [
    {
        "name": "cnn",
        "model": {"scratch": {"channels": [16, 32], "dense": [32]}},
        "input": {"size": 64, "normalize": "unit"},
        "train": {"epochs": 3, "batch_size": 32},
    },
    {
        "name": "1e3",  # a number to who reads YAML 1.2, and so is the class
        "model": {"backbone": "mobilenet_v2", "weights": "", "head": {"logistic": {}}},
        "input": {"size": 128},
    },
]


def test_400_photographs_with_mirrored_weights(
    user: User, api: Api, bucket: str, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    for label, shown in {"0o7": "cat", "$(HOME)": "dog"}.items():
        (tmp_path / "pets" / label).mkdir(parents=True)
        for picture in sorted((shared_data("data/dogs-vs-cats") / shown).iterdir())[:EACH]:
            shutil.copy(picture, tmp_path / "pets" / label)
    url = f"s3://{bucket}/pets"
    user.run("data", "put", str(tmp_path / "pets"), url)
    weights = shared_data("weights") / "mobilenet_v2_torchvision_norm.safetensors"
    user.run("weights", "mirror", str(weights), "--store", user.store_url)
    runs = json.loads(json.dumps(RUNS))
    runs[1]["model"]["weights"] = f"store:weights/{weights.name}"
    split = "dataset.split={train: 200, validation: 100, test: 100}"
    execution = user.submit(user.study("pets", url=url, runs=runs), "--set", split, "--set", "control=cheap")
    status = finished(execution)
    assert status["state"] == "succeeded", status
    no_orphans(api, execution)
    report = json.loads(user.run("report", execution.id, "-o", "json"))
    accuracy = {run["name"]: run["metrics"]["accuracy"]["value"] for run in report["runs"]}
    assert accuracy["1e3"] > 0.9 > accuracy["cnn"]
    tasks = [json.loads(execution.store.get(stat.name)) for stat in execution.store.list("tasks/")]
    places = {task["name"]: task["locations"]["weights"] for task in tasks if "weights" in task["locations"]}
    assert "extract:1e3" in places
    assert set(places.values()) == {f"store:weights/{weights.name}"}  # no pod asked the network for weights
