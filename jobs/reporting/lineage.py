"""Where every number comes from: the artifacts that were read, what made them, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tlbatch.roles import task_of
from tlbatch.steps import place_of
from tlbatch.store.artifacts import Artifact, set_aside_names

MOST_INPUT, LEAST_MFU = 0.1, 0.2
"""Of a training's time and of a GPU's peak: beyond them the report marks it."""


@dataclass(frozen=True)
class TaskRecord:
    """One task as its manifest tells of it. ``set_aside``: manifests of it that did not hold."""

    name: str
    step: str
    key: str
    digest: str
    seconds: float | None
    images_per_s: float | None
    epoch_seconds: float | None  #: mean
    input_share: float | None  #: of a training's time, until the network had its inputs
    mfu: float | None  #: of a GPU's peak, what the network's own products used
    device: str
    engine: str  #: what ran the network where several could, and its version
    threads: int | None
    versions: dict[str, str] = field(default_factory=dict)
    set_aside: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether a training's inputs take too much of its time."""
        return (self.input_share or 0.0) > MOST_INPUT

    @property
    def idles(self) -> bool:
        """Whether a training leaves most of a GPU unused."""
        return self.mfu is not None and self.mfu < LEAST_MFU

    def document(self) -> dict[str, Any]:
        return {**self.__dict__, "set_aside": list(self.set_aside)}


def task_records(artifacts: Mapping[str, Artifact]) -> list[TaskRecord]:
    """Every artifact once (runs may share one), in the order of the steps."""
    roles: dict[tuple[str, str], list[str]] = {}
    for role, artifact in artifacts.items():
        roles.setdefault((artifact.manifest.step, artifact.manifest.key), []).append(role)
    records = [_record(names, artifacts[names[0]]) for names in roles.values()]
    return sorted(records, key=lambda record: (place_of(record.step), record.name))


def _record(roles: list[str], artifact: Artifact) -> TaskRecord:
    manifest = artifact.manifest
    made = manifest.made
    epochs = [float(seconds) for seconds in made.get("epoch_seconds") or []]
    names = [task_of("prepare", role) if manifest.step == "prepare" else role for role in roles]
    return TaskRecord(
        name=", ".join(sorted(names)),
        step=manifest.step,
        key=manifest.key,
        digest=manifest.digest,
        seconds=made.get("seconds"),
        images_per_s=made.get("images_per_s"),
        epoch_seconds=round(sum(epochs) / len(epochs), 3) if epochs else None,
        input_share=made.get("input_share"),
        mfu=made.get("mfu"),
        device=str(made.get("device") or made.get("cpu") or ""),
        engine=str(made.get("engine") or ""),
        threads=made.get("threads"),
        versions={str(name): str(version) for name, version in (made.get("versions") or {}).items()},
        set_aside=tuple(set_aside_names(artifact.store, manifest.step, manifest.key)),
    )


def versions_of(records: list[TaskRecord]) -> dict[str, list[str]]:
    """Library -> its versions among the tasks; more than one deserves a look."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.versions.items():
            found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}
