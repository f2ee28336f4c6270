"""The tasks that add a class to a champion: its items prepared and compared, each model extended, all of it evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tlbatch import nouns
from tlbatch.champions.champion import Champion
from tlbatch.contracts.data import Divided, OverlapParams, PrepareParams, Stored
from tlbatch.contracts.evaluation import EvaluateExtendedParams
from tlbatch.contracts.models import ExtendParams, Trained
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.datasets.lookalikes import look_of
from tlbatch.errors import StudyError
from tlbatch.packed import packed
from tlbatch.planning.plan import Node
from tlbatch.roles import DATASET, overlap_input, source_input, task_of
from tlbatch.spec.added import added_name
from tlbatch.store import Store
from tlbatch.tasks import InputRef, Task, load_task

ADDED, BASE, BEFORE = "added", "base", "before"
EVALUATE = "evaluate:extended"
PREPARE = task_of("prepare", source_input(ADDED))


@dataclass(frozen=True)
class Extension:
    """``nodes``, each after what it needs. ``models``: the champion's roles to the node that makes its model anew.

    ``prepare``: the task of the new class' items, whose key says which they are.
    """

    champion: Champion
    label: str
    nodes: tuple[Node, ...]
    models: dict[str, str]
    prepare: Task

    @property
    def done_before(self) -> bool:
        """Whether the champion is what it leads to: the same command was given before."""
        last = self.champion.extended[-1] if self.champion.extended else {}
        return (last.get("class"), (last.get(ADDED) or {}).get("key")) == (self.label, self.prepare.key)


def plan_extension(
    store: Store, champion: Champion, evaluated: InputRef, label: str, url: str, files: Sequence[ListedFile]
) -> Extension:
    """``evaluated``: the newest evaluation of the champion, which says by which dataset it is judged; ``files`` in ``url``.

    Raises StudyError for a class that is there already and where the store has lost how the champion came about.
    """
    judged = _task(store, evaluated, champion)
    dataset = judged.inputs[DATASET]
    prepared = _task(store, dataset, champion)
    prepare = _prepare(prepared, label, url, files)
    task = prepare.task({})
    assert task is not None
    added: dict[str, str] = {ADDED: PREPARE}
    nodes = [prepare]
    if PrepareParams.of_another_time(prepared.params).near_duplicates:
        nodes.append(_overlap(prepared, dataset))
        added[overlap_input(ADDED)] = nodes[-1].name
    given = {role: judged.inputs[role] for role in (DATASET, "pinned") if role in judged.inputs}
    division = Divided.of_another_time(judged.params)
    models = {role: f"extend:{role.removeprefix('model:')}" for role in champion.models}
    for role, base in sorted(champion.models.items()):
        trained = _task(store, base, champion)
        nodes.append(_extend(models[role], label, division, trained, {**given, BASE: base}, added))
    nodes.append(_evaluate(champion, label, division, trained, {**given, BEFORE: evaluated}, models))
    extension = Extension(champion, label, tuple(nodes), models, task)
    if not extension.done_before:
        _check(champion, label, division)
    return extension


def _check(champion: Champion, label: str, division: Divided) -> None:
    """Names that look alike are one class. Raises StudyError."""
    if not look_of(label) or label != label.strip() or not label.isprintable():
        raise StudyError(f"--class {label!r}: expected a name, without blanks around it")
    for name in champion.classes:
        if look_of(name) == look_of(label):
            alike = "" if name == label else ", which looks alike"
            again = (
                f"; to add it from others, `tlbatch champion rollback {champion.name}` first" if name in champion.added else ""
            )
            raise StudyError(
                f"--class {label!r}: {champion.name} knows {name!r} already{alike} (number {champion.serial}){again}"
            )
    for name in division.classes:
        if look_of(name) == look_of(label):
            raise StudyError(
                f"--class {label!r}: the dataset that {champion.name} is judged by has it ({name!r}): the next run of its "
                f"study trains with these {nouns.items()}, and tests them"
            )


def _task(store: Store, ref: InputRef, champion: Champion) -> Task:
    found = load_task(store, ref.key)
    if found is None:
        raise StudyError(
            f"{champion.name}, number {champion.serial}: how artifacts/{ref.step}/{ref.key[:12]} was made is gone from "
            f"{store.url}: run its study again"
        )
    return found


def _prepare(prepared: Task, label: str, url: str, files: Sequence[ListedFile]) -> Node:
    """As the champion's dataset was prepared. Every file may be bad but one: what cannot be used is counted, not guessed."""
    listing = Listing(url, (label,), (), packed(ListedFile, (replace(file, label=label) for file in files)))
    params = {**prepared.params, "dataset": listing.digest, "max_bad": 1.0}
    node = Node(PREPARE, "prepare", params, locations={"dataset": url}, weight="light", shape=PREPARE)
    task = node.task({})
    assert task is not None
    place = f"work/{task.key}/listing.json"
    return replace(node, locations={**node.locations, "listing": place}, files={place: listing})


def _overlap(prepared: Task, dataset: InputRef) -> Node:
    stored = Stored.of_another_time(prepared.params)
    plugins = {"plugins": prepared.params["plugins"]} if "plugins" in prepared.params else {}
    params = OverlapParams(stored_size=stored.stored_size, **stored.kind_of_data, **plugins)
    name = task_of("overlap", source_input(ADDED))
    return Node(name, "overlap", params.as_json(), {source_input(ADDED): PREPARE}, {DATASET: dataset}, weight="light")


def _extend(name: str, label: str, division: Divided, trained: Task, given: dict[str, InputRef], needs: dict[str, str]) -> Node:
    asked = Trained.of_another_time(trained.params)
    if asked.model.scratch is None and (plugin := added_name(asked.model.head or {})) is not None:
        raise StudyError(
            f"the head {plugin} comes from a plug-in, and how a class is added to it is not known: put the class into the "
            "study's dataset and run it, or take `head: {prototypes: {}}`"
        )
    params = ExtendParams(
        model=asked.model, precision=asked.precision, split=division.split, classes=division.classes, label=label
    )
    return Node(name, "extend", params.as_json(), dict(needs), {**given, **_source(trained)}, _weights(trained), shape="extend")


def _evaluate(
    champion: Champion, label: str, division: Divided, trained: Task, given: dict[str, InputRef], models: dict[str, str]
) -> Node:
    plugins = {"plugins": trained.params["plugins"]} if trained.params.get("plugins") else {}
    params = EvaluateExtendedParams(
        run_kind="extended",
        split=division.split,
        classes=division.classes,
        precision=Trained.of_another_time(trained.params).precision,
        label=label,
        seed=champion.seed,
        **plugins,
    )
    return Node(
        EVALUATE, "evaluate", params.as_json(), dict(models), {**given, **_source(trained)}, _weights(trained), shape=EVALUATE
    )


def _source(trained: Task) -> dict[str, InputRef]:
    return {"source": trained.inputs["source"]} if "source" in trained.inputs else {}


def _weights(trained: Task) -> dict[str, Any]:
    return {"weights": trained.locations["weights"]} if "weights" in trained.locations else {}
