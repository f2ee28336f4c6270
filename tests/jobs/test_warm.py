"""A process that was forked computes with the threads it was granted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

FORKING = """
import json, os, re, signal, sys
from jobs.threads import granted_threads
from jobs.warm import grant_threads

import sklearn.linear_model, scipy.linalg, numpy as np, torch
from threadpoolctl import threadpool_info

def report(count):
    grant_threads(count)
    a = np.ones((600, 600)) @ np.ones((600, 600)); scipy.linalg.lu(a); torch.ones(600, 600) @ torch.ones(600, 600)
    libraries = {(library["user_api"], library["num_threads"]) for library in threadpool_info()}
    settings = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    mkl = int(re.search(r"mkl_get_max_threads\\(\\) : (\\d+)", torch.__config__.parallel_info())[1])
    counts = {"torch": torch.get_num_threads(), "mkl": mkl, "granted": granted_threads()}
    return {"libraries": sorted(libraries), "settings": settings, **counts}

for count in json.loads(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # one that waits for a lock that nobody holds
        print(json.dumps(report(count)), flush=True)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
"""


def forked(counts: list[int], environment: dict[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, json.dumps(counts)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("loaded", [{"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"}])
def test_every_library_takes_what_was_granted(loaded: dict[str, str]) -> None:
    """Mutations tried: only the environment; all but torch; all but threadpoolctl."""
    counts = [1, 3, 2, 1]
    for count, found in zip(counts, forked(counts, loaded), strict=True):
        assert found["libraries"] == [["blas", count], ["openmp", count]]
        assert set(found["settings"].values()) == {str(count)}
        assert found["torch"] == found["mkl"] == found["granted"] == count


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc: run it on Linux")
def test_what_is_imported_before_a_fork_starts_no_thread() -> None:
    """Fails when a library starts some as it is loaded: a fork has the locks that these held, and waits for ever."""
    code = "import os; from jobs.warm import preload; preload(); import openvino; print(len(os.listdir('/proc/self/task')))"
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True, timeout=120)
    assert done.stdout.split() == [b"1"]
