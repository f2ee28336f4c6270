"""Executions side by side: ``python -m jobs.compare`` as a process, since it needs what the launcher does not import."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlbatch.errors import BY_CODE, TlbatchError, error_of
from tlbatch.records.executions import Execution


def compare_documents(executions: Sequence[Execution], python: str = sys.executable) -> dict[str, Any]:
    """The comparison as data. Raises what went wrong there, as here."""
    document: dict[str, Any] = json.loads(_run(executions, [], python))
    return document


def compare_page(executions: Sequence[Execution], python: str = sys.executable) -> str:
    """The comparison as a page: HTML that asks nothing of anyone."""
    with tempfile.TemporaryDirectory(prefix="tlbatch-compare-") as folder:
        page = Path(folder) / "page.html"
        _run(executions, ["--html", str(page)], python)
        return page.read_text(encoding="utf-8")


def _run(executions: Sequence[Execution], options: list[str], python: str) -> str:
    places = [f"{execution.store.url}/executions/{execution.id}" for execution in executions]
    done = subprocess.run(
        [python, "-m", "jobs.compare", *options, *places], capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode:
        said = done.stderr.strip()
        if done.returncode not in BY_CODE:
            raise TlbatchError(f"comparing ended with {done.returncode}: {said.splitlines()[-1] if said else 'no word'}")
        raise error_of(done.returncode, said)
    return done.stdout
