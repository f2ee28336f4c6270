"""An API server of a few lines: answers are scripted, requests are kept. Real HTTP, so connections can break."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tlbatch.cluster import Cluster

Answer = tuple[int, Any]


@dataclass
class Scripted:
    """``answers`` are given in order, the last one for ever; a list of documents is a stream of lines."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, method: str, path: str, body: Any) -> Answer:
        with self.lock:
            self.asked.append((method, path, body))
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, content = scripted.next(self.command, self.path, body)
            if status == 0:
                self.connection.close()
                return
            lines = [json.dumps(item) for item in content] if isinstance(content, list) else [json.dumps(content)]
            self.send_response(status)
            self.end_headers()
            self.wfile.write("".join(f"{line}\n" for line in lines).encode())

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - as the standard library has it

        def log_message(self, *_: Any) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    scripted.url = f"http://127.0.0.1:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
    yield scripted
    listening.shutdown()


@pytest.fixture
def client(server: Scripted) -> Callable[..., Cluster]:
    from kubernetes import client as kubernetes

    def build(**settings: Any) -> Cluster:
        configuration = kubernetes.Configuration()
        configuration.host = server.url
        return Cluster(kubernetes.ApiClient(configuration), "tlbatch", sleep=lambda seconds: None, **settings)

    return build
