"""The webhook against a server on loopback: what it gets, and that nothing it does fails a study or tells the URL."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tlbatch.schedules.webhook import BLOCK_LENGTH, message, post


class Hook(ThreadingHTTPServer):
    """Notes what it gets. ``answers`` has a status for each request (the last one for all further ones); 0: hangs."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.host = host
        self.got: list[Any] = []
        self.paths: list[str] = []
        self.answers = [200]
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_address[1]}/services/T0/secret-token"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer()

    def do_GET(self) -> None:
        self.server.got.append("GET")
        self._answer()

    def _answer(self) -> None:
        self.server.paths.append(self.path)
        answers = self.server.answers
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:
            self.server.ended.wait(30)
            return
        if status == 1:  # a byte at a time, each within any timeout
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 600:
                self.wfile.write(bytes([byte]))
                if self.server.ended.wait(0.05):
                    return
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


def nap(_seconds: float) -> None:
    pass


def test_it_gets_the_line_and_the_table(hook: Hook) -> None:
    assert post(hook.url, message("pets: promoted, a < b & c", ["run  accuracy", "cnn      0.91"])) == ""
    got = hook.got[0]
    assert got["text"] == "pets: promoted, a &lt; b &amp; c"
    assert [block["type"] for block in got["blocks"]] == ["section", "section"]
    assert got["blocks"][1]["text"]["text"] == "```\nrun  accuracy\ncnn      0.91\n```"


def test_a_second_try_may_do(hook: Hook) -> None:
    hook.answers = [500, 200]
    assert post(hook.url, {}, sleep=nap) == ""
    assert len(hook.got) == 2


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_server_that_refuses(hook: Hook, status: int) -> None:
    hook.answers = [status]
    said = post(hook.url, {}, sleep=nap)
    assert said == f"the webhook at 127.0.0.1 answered {status} (2 tries)"
    assert hook.got == [{}, {}]  # a redirect is not followed: it would be a GET


@pytest.mark.parametrize("status", [0, 1])
def test_a_server_that_hangs_or_drips(hook: Hook, status: int) -> None:
    hook.answers = [status]
    started = time.monotonic()
    said = post(hook.url, {}, timeout_s=0.4, sleep=nap)
    assert time.monotonic() - started < 2.0
    assert said == "the webhook at 127.0.0.1 did not answer in time (2 tries)"


def test_nobody_there() -> None:
    said = post("http://127.0.0.1:9/services/secret-token", {}, sleep=nap)
    assert said.startswith("the webhook at 127.0.0.1 cannot be reached (")
    assert "secret-token" not in said


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret-token",
        "file:///etc/passwd",
        "http://",
        "ftp://h/secret-token",
        "http://[secret-token",
        "http://h:no/secret-token",
    ],
)
def test_no_url_is_a_sentence_that_keeps_the_secret(url: str) -> None:
    said = post(url, {}, sleep=nap)
    assert said.startswith("the webhook")
    assert "secret-token" not in said


def test_a_long_table_is_cut_at_a_line() -> None:
    table = [f"run-{number:04d}  0.91" for number in range(1000)]
    text = message("line", table)["blocks"][1]["text"]["text"]
    assert len(text) < 3000
    assert text.endswith("\n…\n```")
    assert len(text) > BLOCK_LENGTH - 50
