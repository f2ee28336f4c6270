"""An execution that is compared: what its report was made from, read from its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from jobs.data.index import IndexEntry, load_index
from jobs.reporting.datacard import DataCard
from jobs.reporting.lineage import task_records, versions_of
from jobs.reporting.sources import RunSource, Sources, sources_of
from jobs.reporting.validation import best
from jobs.reporting.views.dataset import study_split
from tlbatch.contracts.reports import ReportParams
from tlbatch.errors import CorruptArtifactError, StudyError
from tlbatch.records.executions import Execution
from tlbatch.schema.yamltree import read_tree
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.store.cache import Cache
from tlbatch.tasks import InputRef, Task, load_task, task_name

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Place = tuple[str, str]  #: an image by its content and its path


@dataclass(frozen=True)
class Side:
    """One execution under its letter. ``runs`` of ``sources`` are named ``<run> (<letter>)``. ``ended`` is Unix time in s."""

    letter: str
    execution: Execution
    study: str
    ended: float
    document: dict[str, Any]
    sources: Sources

    @property
    def best(self) -> RunSource | None:
        """Its best run by validation."""
        return best(self.sources.asked_for)

    def own_name(self, run: RunSource) -> str:
        """A run's name without the letter."""
        return run.name.removesuffix(f" ({self.letter})")

    @cached_property
    def entries(self) -> list[IndexEntry]:
        """Every usable image, by content and path."""
        return load_index(self.sources.dataset)

    @cached_property
    def parts(self) -> dict[Place, str]:
        """The part that each image was in: train, validation, test; those in none are left out."""
        split = study_split(self.sources, self.entries)
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        return {(entry.id, entry.path): part for part, entries in parts.items() for entry in entries}

    @cached_property
    def bad(self) -> dict[str, str]:
        """Files that could not be used, with the reason."""
        return {str(file.get("path")): str(file.get("reason", "")) for file in DataCard.of(self.sources).bad}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Libraries that its tasks ran with, and the devices they ran on."""
        records = task_records(self.sources.artifacts)
        found = {name: ", ".join(versions) for name, versions in versions_of(records).items()}
        devices = sorted({record.device for record in records if record.device})
        return {**found, "device": ", ".join(devices)} if devices else found


def load_sides(executions: list[Execution], cache: Cache) -> list[Side]:
    """Raises StudyError for one without a report, or for fewer than two."""
    if len(executions) < 2:
        raise StudyError("compare needs two executions or more: tlbatch report compare A B")
    if len(executions) > len(LETTERS):
        raise StudyError(f"{len(executions)} executions are more than {len(LETTERS)}, which compare can take: name fewer")
    return [load_side(letter, execution, cache) for letter, execution in zip(LETTERS, executions, strict=False)]


def load_side(letter: str, execution: Execution, cache: Cache) -> Side:
    """Read what the report of an execution was made from. Raises StudyError, CorruptArtifactError."""
    task = _report_task(execution)
    artifacts = {role: _open(execution, ref, cache) for role, ref in task.inputs.items()}
    sources = sources_of(ReportParams.of_another_time(task.params), artifacts)
    if sources.tasks:
        raise StudyError(
            f"{execution.id} is of several tasks ({', '.join(sources.tasks)}), and compare takes executions of one: its own "
            "report compares its runs task by task"
        )
    runs = tuple(replace(run, asked=run.asked.model_copy(update={"name": f"{run.name} ({letter})"})) for run in sources.runs)
    status = execution.load_status() or {}
    return Side(
        letter=letter,
        execution=execution,
        study=sources.params.study,
        ended=float(status.get("updated") or 0.0),
        document=_document(execution.load_study()),
        sources=replace(sources, runs=runs),
    )


def _report_task(execution: Execution) -> Task:
    status = execution.load_status() or {}
    task: Mapping[str, Any] = (status.get("tasks") or {}).get("report") or {}
    name = task_name(str(task.get("key")))
    if task.get("state") in ("done", "cached"):
        found = load_task(execution.store, str(task.get("key")))
        if found is None:
            raise StudyError(f"{execution.store.url}/{name} is gone: run the study of {execution.id} again")
        return found
    raise StudyError(f"{execution.id} has no report to compare: `tlbatch status {execution.id}` says where it stands")


def _open(execution: Execution, ref: InputRef, cache: Cache) -> Artifact:
    artifact = open_artifact(execution.store, ref.step, ref.key, cache)
    if artifact is None or artifact.digest != ref.digest:
        raise CorruptArtifactError(
            f"{execution.store.url}/artifacts/{ref.step}/{ref.key} is no longer what {execution.id} was made from; run its "
            "study again"
        )
    return artifact


def _document(text: str) -> dict[str, Any]:
    document = read_tree(text, "study.yaml", {}).value
    return document if isinstance(document, dict) else {}
