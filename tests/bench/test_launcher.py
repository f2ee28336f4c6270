"""What a launcher takes until its object stands there, nothing being sent: beside torchx and kubectl, in turns in one run.

Whole commands, Python's start included. tlbatch reads a study and checks all of it, and prints the driver's Job; torchx prints
the Volcano job of one script that trains; kubectl prints a Job of one container, and is no Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.beside import ROOT, in_turns, peer
from tests.bench.records import Measured, record
from tests.requirements import missing

TURNS = 11
WHAT = "a study's Job, nothing sent"
OF_TORCHX, OF_KUBECTL = 1.0, 0.05  #: kubectl is no Python, and checks no study: it takes a ninth of the CPU time


def submitted(turn: int) -> float:
    """Seconds of ``submit --dry-run=client`` of the ready-made study of six runs."""
    command = [sys.executable, "-m", "tlbatch", "submit", str(ROOT / "jobs/specs/dogs-vs-cats.yaml"), "--dry-run=client"]
    own = {"TLBATCH_DATA": "s3://pets", "TLBATCH_IMAGES": "registry.example/team", "TLBATCH_CONFIG": "none"}
    seconds, said = timed([*command, "--store", "s3://results/tl", "--output", "json"], {**os.environ, **own})
    assert json.loads(said)["kind"] == "Job"
    return seconds


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Seconds, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120)
    return time.perf_counter() - started, done.stdout


@pytest.mark.bench
def test_beside_torchx(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("", encoding="utf-8")
    given = ["--scheduler", "kubernetes", "--scheduler_args", "queue=default", "--workspace", ""]
    app = ["dist.ddp", "-j", "1x1", "--image", "registry.example/team/train", "--script", "train.py"]
    command = [*peer("torchx"), "run", "--dryrun", *given, *app]

    def torchx() -> float:
        seconds, said = timed(command, dict(os.environ))
        assert "batch.volcano.sh" in said
        return seconds

    ours, theirs = in_turns(submitted, torchx, TURNS, warm=torchx)
    found = Measured(WHAT, "torchx run --dryrun", 1, ours, theirs, OF_TORCHX)
    record(found)
    assert not found.short


@pytest.mark.bench
def test_beside_kubectl(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        missing("kubectl", "no kubectl on the PATH: install Kubernetes' command-line client")
    command = [
        "kubectl",
        "create",
        "job",
        "launched",
        "--image",
        "registry.example/team/train",
        "--dry-run=client",
        "-o",
        "json",
    ]
    own = {**os.environ, "KUBECONFIG": str(tmp_path / "none")}

    def kubectl() -> float:
        seconds, said = timed(command, own)
        assert json.loads(said)["kind"] == "Job"
        return seconds

    ours, theirs = in_turns(submitted, kubectl, TURNS, warm=kubectl)
    found = Measured(WHAT, "kubectl create job --dry-run", 1, ours, theirs, OF_KUBECTL)
    record(found)
    assert not found.short
