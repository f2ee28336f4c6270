"""tests/e2e/with-cluster.sh takes down what it started, also when the tests fail, and leaves a running cluster alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "e2e" / "with-cluster.sh"
CLUSTER = """#!/bin/sh
echo "$*" >> "$RECORD/calls"
case $1 in
  env) echo "export KUBECONFIG=$RECORD/kubeconfig" ;;
  up) touch "$RECORD/up" ;;
  down) rm -f "$RECORD/up" ;;
esac
"""
KUBECTL = """#!/bin/sh
test -e "$RECORD/up"
"""


def run(folder: Path, *command: str) -> tuple[int, list[str], str]:
    """Exit code, what the cluster was asked, what was printed."""
    for name, text in {"cluster": CLUSTER, "kubectl": KUBECTL}.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "RECORD": str(folder),
        "CLUSTER": str(folder / "cluster"),
        "PATH": path,
        "TLBATCH_REQUIRE": "shared",
    }
    done = subprocess.run([SCRIPT, *command], env=environment, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, (folder / "calls").read_text(encoding="utf-8").splitlines(), done.stdout


@pytest.mark.parametrize("code", [0, 1])
def test_a_cluster_that_was_down_starts_empty_and_ends(tmp_path: Path, code: int) -> None:
    ended, calls, _ = run(tmp_path, "sh", "-c", f"exit {code}")
    assert ended == code
    assert calls == ["build", "env", "down --wipe", "up", "down --wipe"]


def test_a_cluster_that_was_up_stays(tmp_path: Path) -> None:
    (tmp_path / "up").touch()
    ended, calls, _ = run(tmp_path, "false")
    assert ended == 1
    assert calls == ["build", "env", "up"]


def test_the_tests_are_told_to_require_it(tmp_path: Path) -> None:
    _, _, said = run(tmp_path, "sh", "-c", 'echo "$TLBATCH_REQUIRE $TLBATCH_CLUSTER $KUBECONFIG"')
    assert said.split() == ["shared,cluster", str(tmp_path / "cluster"), str(tmp_path / "kubeconfig")]
