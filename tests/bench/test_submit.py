"""What it costs to submit a study, also beside kubectl, and what its driver costs."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.beside import in_turns
from tests.bench.records import Measured, record
from tests.e2e.user import User, finished
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.manifests.names import EXECUTION

pytestmark = [pytest.mark.bench, pytest.mark.e2e]
CPU_S, OWN_S, REQUESTS = 1.5, 0.3, 6
OF_KUBECTL, TURNS = 0.05, 9  #: kubectl is no Python, and knows nothing of studies and stores
MEASURED = """
import contextlib, io, json, sys, time
import botocore.endpoint, boto3, kubernetes
import tlbatch.cli, tlbatch.commands.submit, tlbatch.profiles, tlbatch.spec, tlbatch.store.s3, tlbatch.cluster.submission
from tlbatch.cluster.client import Cluster
imports = time.process_time()
counts = {"api": 0, "s3": 0, "network": 0.0}

def counted(owner, method, what):
    real = getattr(owner, method)
    def call(*args, **kwargs):
        started = time.process_time()
        counts[what] += 1
        try:
            return real(*args, **kwargs)
        finally:
            counts["network"] += time.process_time() - started
    setattr(owner, method, call)

counted(Cluster, "_send", "api")
counted(botocore.endpoint.Endpoint, "_send", "s3")
said = io.StringIO()
with contextlib.redirect_stdout(said):
    tlbatch.cli.cli.main(sys.argv[1:], standalone_mode=False)
cpu = time.process_time()
print(json.dumps({"cpu": cpu, "own": cpu - imports - counts["network"], **counts, "execution": said.getvalue().strip()}))
"""


def measured(user: User, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=user.environment, timeout=120)
    return dict(json.loads(done.stdout))


def test_submit_is_cheap(user: User) -> None:
    study = str(user.study("cheap"))
    measured(user, "submit", study, "--dry-run=client")  # bytecode is compiled once
    tries = [measured(user, "submit", study) for _ in range(3)]
    best = min(tries, key=lambda each: float(each["cpu"]))
    print(f"\nsubmit: {best['cpu']:.2f} s CPU, {best['own']:.2f} s of its own; {best['api']} API and {best['s3']} S3 requests")
    for each in tries:
        user.run("cancel", each["execution"])
    assert best["cpu"] < CPU_S
    assert best["own"] < OWN_S
    assert best["api"] + best["s3"] <= REQUESTS


def test_beside_kubectl_create(api: Api, store_url: str, tmp_path: Path) -> None:
    """Both send, Python's start included: tlbatch checks a study, puts it into the store and creates the driver's Job; kubectl
    creates the same Job, rendered before, and suspended. No pod finds its image: nothing of a study runs meanwhile."""
    user = User(tmp_path, store_url, f"{store_url}/photographs", SimpleNamespace(prefix="localhost", tag="none"))
    study = user.study("sent")
    job = json.loads(user.run("render", str(study), "--output", "json"))
    job["spec"]["suspend"] = True
    names = (f"kubectl-{secrets.token_hex(4)}" for _ in count())

    def tlbatch(turn: int) -> float:
        started = time.perf_counter()
        execution = user.submit(study)
        seconds = time.perf_counter() - started
        api.delete(JOBS, execution.id)
        return seconds

    def kubectl() -> float:
        name, path = next(names), tmp_path / "job.json"
        path.write_text(json.dumps(job | {"metadata": {**job["metadata"], "name": name}}), encoding="utf-8")
        started = time.perf_counter()
        subprocess.run(["kubectl", "create", "-f", str(path)], check=True, capture_output=True, timeout=120)
        seconds = time.perf_counter() - started
        api.delete(JOBS, name)
        return seconds

    ours, theirs = in_turns(tlbatch, kubectl, TURNS, warm=kubectl)
    found = Measured("a study sent to a cluster", "kubectl create", 1, ours, theirs, OF_KUBECTL)
    record(found)
    assert not found.short


def test_what_a_driver_costs(user: User, api: Api) -> None:
    """Its own last words: memory, and requests for each task, of a new study and of one whose artifacts are all there."""
    study = user.study("costs")
    for kind in ("new", "all there"):
        execution = user.submit(study)
        assert finished(execution)["state"] == "succeeded"
        pods = api.list(PODS, f"{EXECUTION}={execution.id},app.kubernetes.io/component=driver")[0]
        log = api.logs(pods[0]["metadata"]["name"])
        match = re.search(r"(\d+) API requests for (\d+) tasks, (\d+) MiB", log)
        assert match, log
        requests, tasks, mib = (int(number) for number in match.groups())
        print(f"\ndriver, {kind}: {requests} API requests for {tasks} tasks, {mib} MiB")
        assert requests <= (12 * tasks if kind == "new" else 0)
        assert mib < 160
