"""A cluster at its worst (`make chaos-cluster`): API server away, watches cut, pods evicted, a quota shrunk, Jobs deleted."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.user import User, evict, finished, no_orphans, running_pod, state, trains, until
from tests.faults.records import record
from tests.requirements import chaos_only
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.manifests.names import EXECUTION, STEP
from tlbatch.records.executions import Execution

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    chaos_only,
]


def succeeded(execution: Execution, api: Api, what: str) -> None:
    status = finished(execution)
    assert status["state"] == "succeeded", status
    codes = {code for task in status["tasks"].values() for code in task["codes"]}
    assert 1 not in codes, status
    no_orphans(api, execution)
    record("study on a cluster", what, "succeeded")


def test_the_api_server_is_away_for_a_minute(user: User, api: Api, cluster: Any) -> None:
    execution = user.submit(user.study("away", epochs=2500))
    until(lambda: running_pod(api, execution, "finetune"), "the training runs")
    process = Path(os.environ["KUBECONFIG"]).parent / "run" / "kube-apiserver.pid"
    os.kill(int(process.read_text()), signal.SIGKILL)
    time.sleep(60)
    cluster.run("up")
    succeeded(execution, api, "API server away for 60 s")


def test_pods_are_evicted_at_random(user: User, api: Api) -> None:
    execution, chance, evicted = user.submit(user.study("evictions", epochs=1200)), random.Random(5), 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and state(execution) not in ("succeeded", "failed") and evicted < 5:
        time.sleep(chance.uniform(3, 10))
        pods = api.list(PODS, f"{EXECUTION}={execution.id}")[0]
        live = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]
        if not live:
            continue
        name = chance.choice(live)
        with contextlib.suppress(Exception):  # it may have ended meanwhile
            evict(api, name)
            evicted += 1
    assert evicted
    succeeded(execution, api, f"{evicted} evictions at random, drivers too")


def test_a_quota_is_shrunk_and_widened(user: User, api: Api, cluster: Any) -> None:
    execution = user.submit(user.study("quota", epochs=300))
    until(lambda: running_pod(api, execution, "prepare") or running_pod(api, execution, "finetune"), "a task runs")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "tight", "namespace": api.namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.kubectl("apply", "-f", "-", document=quota)
    time.sleep(25)
    assert state(execution) not in ("failed",)
    cluster.kubectl("delete", "-n", api.namespace, "resourcequota", "tight")
    succeeded(execution, api, "quota of no pods for 25 s")


def test_a_stranger_deletes_jobs(user: User, api: Api) -> None:
    execution, deleted = user.submit(user.study("stranger", epochs=1500)), 0
    for step in ("prepare", "finetune"):
        until(lambda step=step: running_pod(api, execution, step) or state(execution) == "succeeded", f"{step} runs")
        for job in api.list(JOBS, f"{EXECUTION}={execution.id},{STEP}={step}")[0]:
            api.delete(JOBS, job["metadata"]["name"])
            deleted += 1
    assert deleted
    succeeded(execution, api, f"{deleted} Jobs of tasks deleted by a stranger")


@contextlib.contextmanager
def cutting(server: str, every_s: float) -> Iterator[int]:
    """A port of loopback that leads to the API server and cuts every connection after ``every_s``."""
    host = urlsplit(server)
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                behind = socket.create_connection((host.hostname or "", host.port or 443))
                for pair in ((client, behind), (behind, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()
                threading.Timer(every_s, lambda c=client: c.shutdown(socket.SHUT_RDWR)).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        listener.close()


def test_watches_are_cut_every_second(user: User, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`submit --follow` through connections that break each second shows the study to its end."""
    text = Path(os.environ["KUBECONFIG"]).read_text()
    line = next(line for line in text.splitlines() if "server:" in line)
    server = line.split("server:")[1].strip()
    with cutting(server, 1.0) as port:
        indent = line[: len(line) - len(line.lstrip())]
        through = f"{indent}server: https://127.0.0.1:{port}\n{indent}tls-server-name: {urlsplit(server).hostname}"
        (tmp_path / "kubeconfig").write_text(text.replace(line, through))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        user.run("submit", str(user.study("cut", epochs=300)), "--follow")
    record("submit --follow", "every connection to the API server cut after 1 s", "succeeded")


def test_a_training_loses_its_pod_again_and_again(user: User, api: Api) -> None:
    execution = user.submit(user.study("unlucky", epochs=1500))
    for _ in range(2):
        pod = until(lambda: running_pod(api, execution, "finetune") or state(execution) == "succeeded", "the training runs")
        if pod is True:
            break
        until(lambda: trains(execution), "it trains")
        api.delete(PODS, pod, grace_s=0)
        time.sleep(2)
    succeeded(execution, api, "pod of a training killed twice without grace")
