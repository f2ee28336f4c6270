"""Ctrl-C, SIGTERM and SIGHUP end every long command within 5 s, with 143 and no process left behind. Real processes.

Mutation tried: waiting for the warm process's answer (as before) keeps `run` until torch is imported, here for a minute.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.tlbatch.listed import STUDY
from tests.tlbatch.test_output import _execution

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 5.0
MARK = "TLBATCH_TEST_MARK"
#: holds the interpreter's lock, as loading a large library from a cold disk does: no handler of Python's runs meanwhile
SLOW_TORCH = "import ctypes\nctypes.PyDLL(None).sleep(60)\n"


class Started:
    """``tlbatch`` as a process of a session of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.mark, self.output = secrets.token_hex(8), folder / "said.txt"
        own = {MARK: self.mark, "PYTHONPATH": str(ROOT), "TLBATCH_CONFIG": str(folder / "none.yaml"), "PYTHONUNBUFFERED": "1"}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tlbatch", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={**os.environ, **own, **environment},
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # also where the tests run under nohup
            )

    @property
    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def wait_for(self, words: str, timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while words not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.05)

    def left(self) -> list[int]:
        """Processes that carry the mark."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def end(self, number: int) -> float:
        """Seconds from the signal to the process's end."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=90)
        return time.monotonic() - started


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(6):
            color = (number * 40, 255 * (label == "a"), number)
            Image.new("RGB", (24, 24), color).save(tmp_path / "images" / label / f"{number}.png")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(name="shapes").replace("test: 2}", "test: 2}, near_duplicates: false"))
    slow = tmp_path / "slow" / "torch"
    slow.mkdir(parents=True)
    (slow / "__init__.py").write_text(SLOW_TORCH)
    return path


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _ends(started: Started, number: int) -> None:
    took = started.end(number)
    assert started.process.returncode == 143, started.said
    assert took < LIMIT_S, started.said
    assert "Traceback" not in started.said
    until = time.monotonic() + 3
    while started.left() and time.monotonic() < until:  # what was killed is on its way
        time.sleep(0.05)
    assert started.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_run_ends_while_torch_is_imported(study: Path, number: int) -> None:
    path = os.pathsep.join([str(study.parent / "slow"), str(ROOT)])
    started = Started(study.parent, "run", str(study), "--store", "store", PYTHONPATH=path)
    started.wait_for("finetune:cnn:0")
    time.sleep(0.5)
    _ends(started, number)
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"tlbatch-local-*/*{started.mark}*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_ends_while_it_prepares(study: Path, number: int) -> None:
    started = Started(study.parent, "run", str(study), "--store", "store")
    started.wait_for("prepare")
    _ends(started, number)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (("data", "put", "images", "s3://bucket/x"), signal.SIGINT),
        (("run", "study.yaml", "--store", "s3://bucket/x"), signal.SIGINT),
        (("list", "--store", "s3://bucket/x"), signal.SIGTERM),
        (("gc", "--store", "s3://bucket/x"), signal.SIGHUP),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else signal.Signals(value).name,
)
def test_a_store_that_does_not_answer_holds_nobody(
    study: Path, silent_server: str, arguments: tuple[str, ...], number: int
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    started = Started(study.parent, *arguments, AWS_ENDPOINT_URL_S3=silent_server, **keys)
    time.sleep(3)
    assert started.process.poll() is None, started.said
    _ends(started, number)


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: x}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
"""
WAITING = (
    ("report", "pull", "--all", "pulled", "--store", "s3://bucket/x"),
    ("fsck", "s3://bucket/x"),
    ("predict", "--model", "champion:pets", "images", "out", "--store", "s3://bucket/x"),
    ("weights", "mirror", "mobilenet_v2", "--store", "s3://bucket/x"),
    ("submit", "study.yaml", "--follow", "--context", "there", "--set", "dataset.url=s3://bucket/images"),
    ("doctor", "--context", "there"),
)


@pytest.mark.slow
def test_whoever_waits_for_a_server_ends(study: Path, silent_server: str) -> None:
    """A store, or a cluster, that does not answer. All at once: what counts is the time from the signal to the end."""
    (study.parent / "kubeconfig").write_text(KUBECONFIG.format(server=silent_server))
    there = "{store: 's3://bucket/x', images: registry.example/x, namespace: team}"
    (study.parent / "config.yaml").write_text(f"current-context: there\ncontexts: {{there: {there}}}\n")
    own = {"TLBATCH_CONFIG": str(study.parent / "config.yaml"), "KUBECONFIG": str(study.parent / "kubeconfig")}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    at = {"AWS_ENDPOINT_URL_S3": silent_server, **keys, **own}
    folders = [study.parent / str(number) for number in range(len(WAITING))]
    for folder in folders:
        shutil.copytree(study.parent / "images", folder / "images")
        shutil.copy(study, folder / "study.yaml")
    started = [Started(folder, *arguments, **at) for folder, arguments in zip(folders, WAITING, strict=True)]
    time.sleep(6)
    for each, arguments in zip(started, WAITING, strict=True):
        assert each.process.poll() is None, (arguments, each.said)
        _ends(each, signal.SIGINT)


def test_watching_ends(tmp_path: Path) -> None:
    _execution(tmp_path)
    status = tmp_path / "executions" / "pets-20261125-0412-e4e6" / "status.json"
    status.write_text(status.read_text().replace('"state": "failed", "sentence"', '"state": "running", "sentence"'))
    started = Started(tmp_path, "status", "-w", "--store", str(tmp_path))
    started.wait_for("running")
    _ends(started, signal.SIGINT)


def test_a_second_signal_does_not_wait_for_a_checkpoint(tmp_path: Path) -> None:
    """``stop_requests``: the first is noted, the second interrupts whatever waits for tasks to save their state."""
    code = (
        "import time\nfrom tlbatch.interrupts import stop_requests\nwith stop_requests() as stop:\n"
        "    print('up', flush=True)\n"
        "    try:\n        while True:\n            time.sleep(60) if stop() else time.sleep(0.05)\n"
        "    except KeyboardInterrupt:\n        print('interrupted', stop(), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted True\n"
