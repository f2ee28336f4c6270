"""Batch prediction on the cluster: 500 photographs, here and there the same bytes; a pod that goes costs its part alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, until
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.store import open_store

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.shared]
TRAINED, NEW = 200, 250  # of each class
RUN: dict[str, Any] = {
    "name": "features",
    "model": {"backbone": "mobilenet_v2", "weights": "", "head": {"logistic": {"c": [0.1, 1.0], "folds": 3}}},
    "input": {"size": 128},
}
LABEL = "app.kubernetes.io/component=prediction"


@pytest.fixture
def photographs(tmp_path: Path, shared_data: Callable[[str], Path]) -> Path:
    """``train`` with 200 a class, and ``new``: 500 others, nested, and two files that are no pictures."""
    for label in ("cat", "dog"):
        pictures = sorted((shared_data("data/dogs-vs-cats") / label).iterdir())
        for folder, chosen in (("train", pictures[:TRAINED]), (f"new/{label}s/2026", pictures[-NEW:])):
            target = tmp_path / folder / (label if folder == "train" else "")
            target.mkdir(parents=True)
            for picture in chosen:
                shutil.copy(picture, target)
    (tmp_path / "new" / "notes.txt").write_text("no picture")
    (tmp_path / "new" / "cats" / "broken.jpg").write_bytes(pictures[0].read_bytes()[:2000])
    return tmp_path


@pytest.fixture
def trained(user: User, photographs: Path, shared_data: Callable[[str], Path]) -> str:
    """``--model`` of a network trained here, into the store in S3."""
    weights = shared_data("weights") / "mobilenet_v2_torchvision_norm.safetensors"
    user.run("weights", "mirror", str(weights), "--store", user.store_url)
    run = json.loads(json.dumps(RUN))
    run["model"]["weights"] = f"store:weights/{weights.name}"
    study = user.study("pets", url=str(photographs / "train"), runs=[run])
    split = "dataset.split={train: 200, validation: 100, test: 100}"
    user.run("run", str(study), "--store", user.store_url, "--set", split, "-q")
    user.run("context", "set", "resources={cpu: 900m, memory: 2Gi}")
    return f"{user.store_url}#pets/features"


def contents(url: str) -> dict[str, bytes]:
    """Predictions, bad files and summary: neither what was asked nor the parts' keys, which know times and ETags."""
    store = open_store(url)
    names = [stat.name for stat in store.list() if stat.name != "request.json" and not stat.name.startswith("parts/")]
    return {name: store.get(name) for name in names}


def test_500_photographs_here_and_there(user: User, api: Api, trained: str, photographs: Path) -> None:
    new, url, said = photographs / "new", f"{user.store_url}-new", f"{user.store_url}-said"
    command = ["predict", "--model", trained, "--chunk", "100", "-o", "json"]
    here = json.loads(user.run(*command, str(new), str(photographs / "said")))
    assert here["images"] == here["computed"]["forward_passes"] == 2 * NEW
    assert here["bad"] == 2
    lines = [
        json.loads(line)
        for part in sorted((photographs / "said" / "predictions").iterdir())
        for line in part.read_text().splitlines()
    ]
    right = sum(line["predicted"] == line["path"].partition("s/")[0] for line in lines)
    assert right > 0.9 * 2 * NEW
    user.run("data", "put", str(new), url)
    there = [*command, url, said, "--cluster", "--shards", "3"]
    job = json.loads(user.run(*there))["job"]
    until(lambda: len(_running(api, job)) == 3, "three indexes run")
    assert json.loads(user.run("cancel", job, "-o", "json")) == {"id": job, "state": "cancelled", "pods_ended": 3}
    until(lambda: not _running(api, job) and api.get(JOBS, job) is None, "nothing runs", 20)
    user.run("cancel", job, code=2)
    assert json.loads(user.run(*there))["job"] == job
    until(lambda: len(_running(api, job)) == 3, "three indexes run again")
    api.delete(PODS, _running(api, job)[0])
    there.append("--follow")
    user.run(*there, "--overwrite", code=2)  # while it is at work
    followed = json.loads(user.run(*there))
    assert {name: followed[name] for name in ("images", "bad", "counts", "parts")} == {
        name: here[name] for name in ("images", "bad", "counts", "parts")
    }
    assert contents(said) == contents(str(photographs / "said"))
    again = json.loads(user.run(*there))
    assert again["computed"] == {"images": 0, "forward_passes": 0}
    found = api.get(JOBS, job)
    assert found is not None
    assert found["status"]["completedIndexes"] == "0-2"
    api.delete(JOBS, job)


def _running(api: Api, job: str) -> list[str]:
    pods = api.list(PODS, f"{LABEL},batch.kubernetes.io/job-name={job}")[0]
    live = [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]
    return [str(pod["metadata"]["name"]) for pod in live]


def test_what_pods_cannot_see_is_refused_before_anything_is_sent(user: User, trained: str, photographs: Path) -> None:
    for source, out in (
        (str(photographs / "new"), f"{user.store_url}-said"),
        (f"{user.store_url}-new", str(photographs / "x")),
    ):
        if source.startswith("s3://"):
            user.run("data", "put", str(photographs / "new" / "cats"), source)
        user.run("predict", "--model", trained, source, out, "--cluster", code=2)
    assert not (photographs / "x").exists()
