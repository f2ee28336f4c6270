"""The task document: all that a step is told, as JSON in the store at ``tasks/<key>.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from tlbatch.errors import OtherVersionError
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.store.documents import parse, read, sealed, shaped, unsealed
from tlbatch.store.names import is_name, is_part

TASK_FORMAT = 1


@dataclass(frozen=True)
class InputRef:
    """An artifact that a task reads: ``artifacts/<step>/<key>``, with the digest it had when the key was computed."""

    step: str
    key: str
    digest: str

    def __post_init__(self) -> None:
        """Both become parts of object names, whichever document names them: "../x", or none, is damage."""
        if not (is_part(self.step) and is_part(self.key)):
            raise ValueError(f"{self.step!r}, {self.key!r} name no artifact")


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
        return STEPS[self.step].version

    @cached_property
    def key(self) -> str:
        """40 hex digits: sha256 over step, version, parameters and the digests of the inputs by role (design §4).

        Worked out once: drivers ask for it at every turn, of parameters that name every class.
        """
        return task_key(self.step, self.params, {role: ref.digest for role, ref in self.inputs.items()})

    def to_json(self) -> bytes:
        document = {"format": TASK_FORMAT, "version": self.version, "key": self.key, **asdict(self)}
        return sealed(document)

    @staticmethod
    def from_json(data: bytes) -> Task:
        """Raises StudyError for a newer format, ValueError and its like for what is no task document."""
        return Task.of(unsealed(parse(data)))

    @staticmethod
    def of(document: dict[str, Any]) -> Task:
        """Decode, unknown fields ignored; what is in the key is checked against it. Raises as ``from_json`` does."""
        if document["format"] > TASK_FORMAT:
            raise OtherVersionError(
                f"task document of format {document['format']}: this tlbatch reads up to {TASK_FORMAT}; upgrade it"
            )
        task = shaped(Task)(document)
        digests = {role: ref.digest for role, ref in task.inputs.items()}
        if "key" in document and document["key"] != task_key(task.step, task.params, digests, document["version"]):
            raise ValueError("its key is not that of its content")
        return task


def task_key(step: str, params: dict[str, Any], input_digests: dict[str, str], version: int | None = None) -> str:
    """The key of a task's output: 40 hex digits of sha256 over canonical JSON. Pure. ``version``: of the step, else ours."""
    number = STEPS[step].version if version is None else version
    content = {"step": step, "version": number, "params": params, "inputs": input_digests}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]


def task_name(key: str) -> str:
    """Where the task document is in the store."""
    return f"tasks/{key}.json"


def load_task(store: Store, key: str) -> Task | None:
    """The task document of a key; None where there is none. Raises DamagedError."""

    def of_key(document: dict[str, Any]) -> Task:
        if document.get("key", key) != key:
            raise ValueError(f"it is of key {document['key']}")
        return Task.of(document)

    return (
        read(store, task_name(key), of_key, "the driver writes it anew: run its study again")
        if is_name(task_name(key))
        else None
    )
