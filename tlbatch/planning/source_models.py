"""A backbone that is a model of an earlier study: the newest one that succeeded in this store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlbatch.errors import CorruptArtifactError, StudyError
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.records.executions import Execution, list_executions
from tlbatch.spec.model import FromRun
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, load_manifest, open_artifact
from tlbatch.tasks import InputRef, load_task


def resolve_source(source: FromRun, store: Store) -> ResolvedWeights:
    """``backbone: {from: study/run}`` as weights: the model's digest goes into the key as an input of the tasks.

    Raises StudyError where the store has no such model.
    """
    ref = find_source(store, source)
    card = _card(store, ref)
    params = {"kind": "run", "from": source.from_}
    before = card.get("trained_on")
    trained_on = f"{before}, then {source.from_}" if before else source.from_
    return ResolvedWeights(params, _location(store, ref), dict(card["input"]), ref, trained_on)


def find_source(store: Store, source: FromRun) -> InputRef:
    """The finetune artifact of a run in the newest execution of its study that succeeded and still has it.

    ``seed`` None: the lowest. Raises StudyError with what to do where there is none.
    """
    study, _, run = source.from_.partition("/")
    runs_seen: list[str] = []
    for tasks in _plans(store, study):
        found = [task for name, task in sorted(tasks, key=_place) if _is(name, run, source.seed)]
        runs_seen += [name.split(":")[1] for name, _ in tasks if name.startswith("finetune:")]
        for task in found:
            manifest = load_manifest(store, "finetune", task["key"])
            if manifest is not None:
                return InputRef("finetune", manifest.key, manifest.digest)
    raise StudyError(_nothing(store, source, study, run, runs_seen))


def _plans(store: Store, study: str) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Tasks (node name, record) of each execution of the study that succeeded, newest first."""
    for summary in list_executions(store):
        if summary.study != study or summary.state != "succeeded":
            continue
        document = Execution(store, summary.id).load_plan() or {}
        yield [(str(name), dict(task)) for name, task in document.get("tasks", {}).items() if task.get("key")]


def _is(node: str, run: str, seed: int | None) -> bool:
    """Whether a node (finetune:<run>:<seed>[:<fold>]) trains the run, with this seed where one is given."""
    step, *rest = node.split(":")
    return step == "finetune" and len(rest) > 1 and rest[0] == run and (seed is None or rest[1] == str(seed))


def _place(task: tuple[str, dict[str, Any]]) -> list[int]:
    """Seed and fold of a node, to order by."""
    return [int(part) for part in task[0].split(":")[2:] if part.isdigit()]


def _nothing(store: Store, source: FromRun, study: str, run: str, runs_seen: list[str]) -> str:
    if not runs_seen:
        return (
            f"backbone from {source.from_}: {store.url} has no finished execution of {study}; run {study} first: "
            f"tlbatch run {study}.yaml --store {store.url}"
        )
    if run not in runs_seen:
        return f"backbone from {source.from_}: {study} has no run {run}; it has {', '.join(dict.fromkeys(runs_seen))}"
    which = "" if source.seed is None else f" with seed {source.seed}"
    return f"backbone from {source.from_}: no model of {run}{which} is left in {store.url}; run {study} again"


def _open(store: Store, ref: InputRef, cache: Path) -> Artifact:
    artifact = open_artifact(store, ref.step, ref.key, cache)
    if artifact is None:
        raise CorruptArtifactError(f"artifacts/{ref.step}/{ref.key} is gone; run its study again")
    return artifact


def _card(store: Store, ref: InputRef) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        card: dict[str, Any] = _open(store, ref, Path(folder)).read_json("card.json")
    return card


def _location(store: Store, ref: InputRef) -> str | None:
    """Where the source's own weights were taken from: needed where the source kept only its head."""
    task = load_task(store, ref.key)
    return task.locations.get("weights") if task else None
