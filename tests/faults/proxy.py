"""A proxy before a real S3 server that does to requests and answers what networks and servers do, seeded.

Signatures hold: the proxy passes the ``Host`` header on as it came. It listens on loopback only.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

UNAVAILABLE, INTERNAL, EXPIRED, SKEWED, DENIED = "503", "500", "403 expired", "403 skewed", "403 denied"
RESET_BEFORE, RESET_AFTER, TRUNCATED, FLIPPED, STALLED = "reset before", "reset after", "truncated", "flipped bit", "stalled"
ANSWERS = {
    UNAVAILABLE: (503, "SlowDown"),
    INTERNAL: (500, "InternalError"),
    EXPIRED: (403, "ExpiredToken"),
    SKEWED: (403, "RequestTimeTooSkewed"),
    DENIED: (403, "AccessDenied"),
}
VERIFIED = ("/artifacts/", "/checkpoints/")  # what promises to notice a flipped bit
STALL_S = 3.0


@dataclass
class Faults:
    """Which share of requests meets a fault, and which. ``counts``: how often each was done."""

    kinds: tuple[str, ...] = ()
    rate: float = 0.0
    seed: int = 0
    after: int = 0  #: the first so many requests pass
    most: int = 10**9  #: at most so many faults
    counts: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, method: str, path: str) -> str | None:
        """The fault of the next request. Flipped bits and truncation only where a body is read."""
        with self.lock:
            self.requests += 1
            chance = random.Random(f"{self.seed}:{self.requests}")
            if self.requests <= self.after or sum(self.counts.values()) >= self.most or chance.random() >= self.rate:
                return None
            kinds = [kind for kind in self.kinds if self._fits(kind, method, path)]
            if not kinds:
                return None
            kind = chance.choice(kinds)
            self.counts[kind] += 1
            return kind

    @staticmethod
    def _fits(kind: str, method: str, path: str) -> bool:
        if kind == FLIPPED:
            return method == "GET" and any(part in path for part in VERIFIED)
        return kind != TRUNCATED or method == "GET"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None: ...

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else b""
        fault = self.server.faults.draw(self.command, self.path)
        if fault == RESET_BEFORE:
            return self._reset()
        if fault in ANSWERS:
            return self._refuse(*ANSWERS[fault])
        if fault == STALLED:
            time.sleep(STALL_S)
        status, reason, headers, data = self._forward(body)
        if fault == RESET_AFTER:
            return self._reset()
        length = len(data) if self.command != "HEAD" else next((v for k, v in headers if k.lower() == "content-length"), "0")
        if fault == FLIPPED and data:
            place = random.Random(len(data)).randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        if fault == TRUNCATED:
            data = data[: len(data) // 2]
        self.send_response_only(status, reason)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        if fault == TRUNCATED:
            self._reset()
        return None

    def _forward(self, body: bytes) -> tuple[int, str, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.backend, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.reason, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self, status: int, code: str) -> None:
        data = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        """Close with RST: the client sees "connection reset", not an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - names of http.server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, backend: str, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend, self.faults = backend, faults

    def handle_error(self, request: Any, client_address: Any) -> None: ...


@contextmanager
def faulty(endpoint: str, faults: Faults) -> Iterator[str]:
    """The proxy's own endpoint, while the block runs."""
    server = _Server(urlsplit(endpoint).netloc, faults)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
