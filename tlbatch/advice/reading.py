"""What an execution that was asked for advice said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.records.executions import Execution
from tlbatch.reports.listing import report_manifest
from tlbatch.store.artifacts import read_file
from tlbatch.store.documents import checked

FILE = "advice.json"


@dataclass
class AdviceShape:
    """What is read of an ``advice.json``; other fields are let through."""

    study: str
    recommended: dict[str, Any]
    candidates: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    images: dict[str, int]


def load_advice(execution: Execution) -> dict[str, Any]:
    """``advice.json``, its hash checked. Raises StudyError where the execution gave none, CorruptArtifactError."""
    manifest = report_manifest(execution)
    if FILE not in manifest.files:
        raise StudyError(f"{execution.id} was not asked for advice: `tlbatch advise STUDY` asks")
    found: dict[str, Any] = read_file(execution.store, manifest, FILE, checked(AdviceShape))
    return found
