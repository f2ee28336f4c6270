"""The local backend with processes that stay warm from one study to the next: importing torch takes most of a small study."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tlbatch.backends.local import LocalBackend
from tlbatch.backends.processes import WarmServer

OF_ONE_TEST = ("PYTEST_CURRENT_TEST", "TMPDIR")  # differ between tests, and change nothing that a task computes
_servers: dict[int, tuple[Mapping[str, str], WarmServer]] = {}
_scratch: list[Path] = []


class KeptBackend(LocalBackend):
    """Forks tasks as a ``LocalBackend`` does, from servers of this pytest process; another environment gets new ones.

    What it leaves out, the start of a server and its end, is tested in tests/tlbatch/backends and by every test that types
    a command.
    """

    def _server(self, cores: int) -> WarmServer:
        environment = {**self._environment(cores), "TMPDIR": str(_folder())}
        settings = {name: value for name, value in environment.items() if name not in OF_ONE_TEST}
        before, server = _servers.get(cores, ({}, None))
        if server is not None and server.alive and before == settings:
            return server
        if server is not None:
            server.close()
        server = WarmServer(self.python, environment)
        _servers[cores] = settings, server
        return server


def _folder() -> Path:
    """Scratch space of tasks, of this pytest process."""
    if not _scratch:
        _scratch.append(Path(tempfile.mkdtemp(prefix="tlbatch-kept-")))
        atexit.register(_end, os.getpid())
    return _scratch[0]


def _end(owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of it
    for _, server in _servers.values():
        server.close()
    shutil.rmtree(_scratch[0], ignore_errors=True)
