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
_kept: list[tuple[Mapping[str, str], WarmServer]] = []  #: none, or one
_scratch: list[Path] = []


class KeptBackend(LocalBackend):
    """Forks tasks as a ``LocalBackend`` does, from servers of this pytest process; another environment gets new ones.

    What it leaves out, the start of a server and its end, is tested in tests/tlbatch/backends and by every test that types
    a command.
    """

    def _server(self) -> WarmServer:
        environment = {**self._environment(self.cores), "TMPDIR": str(_folder())}
        settings = {name: value for name, value in environment.items() if name not in OF_ONE_TEST}
        if _kept and _kept[0][1].alive and _kept[0][0] == settings:
            return _kept[0][1]
        if _kept:
            _kept.pop()[1].close()
        _kept.append((settings, WarmServer(self.python, environment)))
        return _kept[0][1]


def _folder() -> Path:
    """Scratch space of tasks, of this pytest process."""
    if not _scratch:
        _scratch.append(Path(tempfile.mkdtemp(prefix="tlbatch-kept-")))
        atexit.register(_end, os.getpid())
    return _scratch[0]


def _end(owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of it
    for _, server in _kept:
        server.close()
    shutil.rmtree(_scratch[0], ignore_errors=True)
