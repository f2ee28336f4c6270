"""Fixtures for all tests: an S3 server (a real one where there is one), and stores of both kinds."""

from __future__ import annotations

import operator
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.requirements import missing
from tlbatch.store import Store
from tlbatch.store.directory import DirectoryStore

START_TIMEOUT_S = 20.0
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it for its workers; tables that are not for a terminal have no width
KEY, SECRET = "tlbatch-test", "tlbatch-test-secret"


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    """A test that draws from the libraries' own generators draws the same whatever ran before it in its worker."""
    random.seed(0)
    for name, seed in (("numpy", "random.seed"), ("torch", "manual_seed")):
        if name in sys.modules:
            operator.attrgetter(seed)(sys.modules[name])(0)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of the S3 server that the environment now points at.

    AWS_ENDPOINT_URL_S3 where it is set; else versitygw (TLBATCH_VERSITYGW, or on the PATH) on loopback; else moto's.
    """
    if os.environ.get("AWS_ENDPOINT_URL_S3"):
        yield "given"
        return
    binary = os.environ.get("TLBATCH_VERSITYGW") or shutil.which("versitygw")
    if not binary and "s3" in os.environ.get("TLBATCH_REQUIRE", "").split(","):
        pytest.fail("TLBATCH_REQUIRE wants a real S3 server: set TLBATCH_VERSITYGW to its binary, or AWS_ENDPOINT_URL_S3")
    server = _versitygw(Path(binary), tmp_path_factory.mktemp("s3")) if binary else _moto()
    for kind, endpoint in server:
        with pytest.MonkeyPatch.context() as patch:
            settings = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
            for name, value in {**settings, "AWS_ENDPOINT_URL_S3": endpoint}.items():
                patch.setenv(name, value)
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
                patch.delenv(name, raising=False)
            yield kind


def _versitygw(binary: Path, folder: Path) -> Iterator[tuple[str, str]]:
    port = _free_port()
    (folder / "buckets").mkdir()
    process = subprocess.Popen(
        [binary, "--quiet", "--keep-alive", "--port", f"127.0.0.1:{port}", "posix", folder / "buckets"],
        env={**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield "versitygw", f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _moto() -> Iterator[tuple[str, str]]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield "moto", f"http://{host}:{port}"
    finally:
        server.stop()


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def s3_bucket(s3_server: str) -> str:
    """A bucket of this test session, made once."""
    from tlbatch.store.s3 import open_client

    name = f"tlbatch-test-{secrets.token_hex(4)}"
    open_client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_store(s3_bucket: str) -> Store:
    """An empty S3 store of its own (a fresh prefix)."""
    from tlbatch.store.s3 import S3Store

    return S3Store(f"s3://{s3_bucket}/{secrets.token_hex(4)}")


@pytest.fixture
def directory_store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store, once of each kind."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


class FakeClock:
    """Unix time that passes only when told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Paths under the photographs and weights of TLBATCH_SHARED (default ../shared); skips where they are not at hand."""

    def path(relative: str) -> Path:
        root = Path(os.environ.get("TLBATCH_SHARED") or Path(__file__).resolve().parents[2] / "shared")
        if not (root / relative).exists():
            missing("shared", f"no {relative} there: set TLBATCH_SHARED to a folder that has it")
        return root / relative

    return path
