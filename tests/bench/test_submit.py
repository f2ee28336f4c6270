"""What it costs to submit a study, and what its driver costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.user import User, finished
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import PODS
from tlbatch.manifests.names import EXECUTION

pytestmark = [pytest.mark.bench, pytest.mark.e2e]
CPU_S, OWN_S, REQUESTS = 1.5, 0.3, 6
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
