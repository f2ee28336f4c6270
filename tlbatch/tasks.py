"""The task document: all that a step is told, as JSON in the store at ``tasks/<key>.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.steps import STEP_VERSIONS

TASK_FORMAT = 1


@dataclass(frozen=True)
class InputRef:
    """An artifact that a task reads: ``artifacts/<step>/<key>``, with the digest it had when the key was computed."""

    step: str
    key: str
    digest: str


@dataclass(frozen=True)
class Task:
    """One node of a plan, resolved.

    ``params`` and ``inputs`` determine the output and so the key. ``locations`` says where this time's bytes are (the
    dataset's URL, a weights file) and ``limits`` how long and how wide the task may run: neither is part of the key.
    ``older`` lists artifacts that may save work (features of the same extractor); they never change the output.
    """

    step: str
    params: dict[str, Any]
    inputs: dict[str, InputRef] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    older: list[InputRef] = field(default_factory=list)
    name: str = ""

    @property
    def version(self) -> int:
        return STEP_VERSIONS[self.step]

    @property
    def key(self) -> str:
        """40 hex digits: sha256 over step, version, parameters and the digests of the inputs by role (design §4)."""
        return task_key(self.step, self.params, {role: ref.digest for role, ref in self.inputs.items()})

    def to_json(self) -> bytes:
        document = {"format": TASK_FORMAT, "version": self.version, "key": self.key, **asdict(self)}
        return json.dumps(document, indent=1, sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> Task:
        """Read a stored document (leniently: unknown fields are ignored). Raises StudyError for a newer format."""
        document = json.loads(data)
        if document["format"] > TASK_FORMAT:
            raise StudyError(
                f"task document of format {document['format']}: this tlbatch reads up to {TASK_FORMAT}; upgrade it"
            )
        return Task(
            step=document["step"],
            params=document["params"],
            inputs={role: InputRef(**ref) for role, ref in document["inputs"].items()},
            locations=document.get("locations", {}),
            limits=document.get("limits", {}),
            older=[InputRef(**ref) for ref in document.get("older", [])],
            name=document.get("name", ""),
        )


def task_key(step: str, params: dict[str, Any], input_digests: dict[str, str]) -> str:
    """The key of a task's output: 40 hex digits of sha256 over canonical JSON. Pure."""
    content = {"step": step, "version": STEP_VERSIONS[step], "params": params, "inputs": input_digests}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]


def task_name(key: str) -> str:
    """Where the task document is in the store."""
    return f"tasks/{key}.json"
