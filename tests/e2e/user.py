"""What tests of studies on the cluster share: a small study, the command line as a user has it, and waiting for things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.manifests.names import EXECUTION, STEP
from tlbatch.records.executions import Execution
from tlbatch.store import open_store

Runs = list[dict[str, Any]]
TIMEOUT_S = 420.0
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: {name}
dataset: {{url: "{url}", split: {{train: 40, validation: 10, test: 10, seed: {seed}}}, near_duplicates: false}}
control: none
precision: fp32
runs: {runs}
resources: {{cpu: 900m, memory: 2Gi, steps: {{prepare: {{cpu: 900m}}, report: {{cpu: 900m}}}}}}
"""


def cnn(name: str, epochs: int, lr: float = 1e-3) -> dict[str, Any]:
    """A run whose epochs take milliseconds."""
    return {
        "name": name,
        "model": {"scratch": {"channels": [8], "dense": [16]}},
        "input": {"size": 8, "normalize": "unit", "grayscale": True},
        "train": {"epochs": epochs, "batch_size": 8, "lr": lr, "select": "last"},
    }


class User:
    """The command line, pointed at the cluster and a store of this test's own."""

    def __init__(self, folder: Path, store_url: str, dataset: str, images: Any) -> None:
        self.folder, self.store_url, self.dataset, self.images = folder, store_url, dataset, images
        config = {"store": store_url, "images": images.prefix, "tag": images.tag}
        (folder / "config.yaml").write_text(json.dumps({"current-context": "e2e", "contexts": {"e2e": config}}))

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TLBATCH_CONFIG": str(self.folder / "config.yaml")}

    def study(self, name: str, *, epochs: int = 2, url: str = "", seed: int = 42, runs: Runs | None = None) -> Path:
        """A study's file; by default of one small network."""
        path = self.folder / f"{name}.yaml"
        runs = runs or [cnn("cnn", epochs)]
        path.write_text(STUDY.format(name=name, url=url or self.dataset, seed=seed, runs=json.dumps(runs)))
        return path

    def run(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "tlbatch", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=TIMEOUT_S, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def submit(self, study: Path, *options: str, store: str = "") -> Execution:
        where = ["--store", store] if store else []
        said = self.run("submit", str(study), *where, *options)
        return Execution(open_store(store or self.store_url), said.strip())


def until(true: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not in {timeout_s:g} s: {what}"
        time.sleep(0.3)
    return found


def state(execution: Execution) -> str:
    return str((execution.load_status() or {}).get("state"))


def finished(execution: Execution, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The status in the end."""
    until(lambda: state(execution) in ("succeeded", "failed", "cancelled"), f"{execution.id} ends", timeout_s)
    return execution.load_status() or {}


def running_pod(api: Api, execution: Execution, step: str) -> str:
    """The name of a running pod of a step ("" : the driver's); "" where there is none."""
    label = f"{STEP}={step}" if step else "app.kubernetes.io/component=driver"
    pods = api.list(PODS, f"{EXECUTION}={execution.id},{label}")[0]
    live = [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]
    return str(live[0]["metadata"]["name"]) if live else ""


def evict(api: Api, pod: str) -> None:
    """As ``kubectl drain`` does: the pod gets the condition DisruptionTarget."""
    metadata = {"name": pod, "namespace": api.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    api.text("POST", f"/api/v1/namespaces/{api.namespace}/pods/{pod}/eviction", "evict", {}, body)


def no_orphans(api: Api, execution: Execution) -> None:
    """All Jobs of tasks are gone soon after the end."""
    label = f"{EXECUTION}={execution.id},app.kubernetes.io/component=step"
    until(lambda: not api.list(JOBS, label)[0], "task Jobs are gone", 60)


def content(execution: Execution) -> dict[str, tuple[str, str]]:
    """Key and digest of each task; but for prepare's key and the report's digest: times are in them."""
    tasks = (execution.load_plan() or {})["tasks"]
    keys = {name: "" if name == "prepare" else task["key"] for name, task in tasks.items()}
    return {name: (keys[name], "" if name == "report" else task["digest"]) for name, task in tasks.items()}


def trains(execution: Execution) -> bool:
    """Whether the training of a small network has said how far it is."""
    task = ((execution.load_status() or {}).get("tasks", {})).get("finetune:cnn:0", {})
    return bool(task.get("key")) and execution.store.stat(f"work/{task['key']}/progress.json") is not None
