"""What a schedule adds to a plan: images are pinned, the champion is judged beside the challenger, a decision is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from tlbatch.champions.champion import Champion
from tlbatch.contracts.data import LearntTask, PinParams
from tlbatch.contracts.evaluation import (
    ArtifactParams,
    ChampionParams,
    DecidedTask,
    DecideParams,
    EvaluateChampionParams,
    RuleParams,
    StreamParams,
)
from tlbatch.contracts.models import Trained
from tlbatch.errors import StudyError
from tlbatch.planning.plan import Node
from tlbatch.schema.nearest import suggestion
from tlbatch.spec import Study
from tlbatch.store import Store
from tlbatch.tasks import InputRef, Task, load_task

PIN, DECIDE, CHAMPION = "pin", "decide", "evaluate:champion"
PINNED = {"pinned": PIN}
RULE = ("promote_on", "promote", "min_gain", "alpha", "class_bound")


@dataclass(frozen=True)
class TaskState:
    """What a ``ChampionState`` says of one of several tasks, by the same names."""

    evaluated: InputRef | None = None
    stream: dict[str, Any] | None = None


@dataclass(frozen=True)
class ChampionState:
    """What a firing starts from; all of it stays as it is until the firing has ended, also for a driver that goes on with it.

    ``pins``: the last firing's ``pin`` artifact. ``uses``: for each version of the test set how many tests of a challenger it
    has served so far (``test.count`` of the last decision made on it). ``evaluated``: the last firing's ``evaluate:champion``,
    if it was of this champion; without it the champion's own evaluation is looked at first. ``stream``: what challengers
    before scored on the test images (``stream`` of the last decision); None where a person moved the champion since.
    ``renew``: a person asked for other test images. ``tasks``: of several, what there is of each; of the main one above, too.
    """

    pins: InputRef | None = None
    champion: Champion | None = None
    uses: Mapping[int, int] = field(default_factory=dict)
    evaluated: InputRef | None = None
    stream: Mapping[str, Any] | None = None
    renew: bool = False
    tasks: Mapping[str, TaskState] = field(default_factory=dict)

    def of_task(self, task: str | None) -> ChampionState:
        """As if that one of several tasks were the only one."""
        if task is None:
            return self
        own = self.tasks.get(task, TaskState())
        champion = self.champion.of_task(task) if self.champion else None
        return replace(self, champion=champion, evaluated=own.evaluated, stream=own.stream, tasks={})


@dataclass(frozen=True)
class ResolvedChampion:
    """A ``ChampionState`` resolved: ``task`` trained the champion's first model, where the store still has its document."""

    defence: ChampionState
    task: Task | None = None

    @property
    def trained(self) -> Trained | None:
        """What that task was asked."""
        return Trained.of_another_time(self.task.params) if self.task else None

    @property
    def uses(self) -> dict[str, int]:
        """Tests that each version of the test set has served, as JSON has it."""
        return {str(version): count for version, count in sorted(self.defence.uses.items()) if count}


def resolve_champion(
    defence: ChampionState,
    study: Study,
    store: Store,
    tasks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> ResolvedChampion:
    """Reads how the champion was trained. ``tasks``: of several, the classes of each.

    Raises StudyError for a study without a schedule, a run called champion, and a champion of other tasks.
    """
    if study.schedule is None:
        raise StudyError(f"{study.name} has no schedule, so there is no champion to defend: add `schedule: {{cron: …}}`")
    if any(run.name == "champion" for run in study.runs):
        raise StudyError("runs: `champion` is the name of the model that a schedule stands by: call the run something else")
    champion, task = defence.champion, None
    if champion is not None:
        _same_tasks(champion, list(tasks) or [None])
        task = load_task(store, champion.models[min(champion.models)].key)
    return ResolvedChampion(defence, task)


def check_class_bounds(study: Study, classes: Sequence[str], tasks: Mapping[str, Sequence[str]]) -> None:
    """Bounds of classes that are not there would bound nothing. Raises StudyError, long before the schedule fires."""
    of_each: dict[str | None, Sequence[str]] = dict(tasks.items()) or {None: classes}
    for task_name, known in of_each.items() if study.schedule else ():
        assert study.schedule is not None
        bounds = study.schedule.bound_of(task_name)
        unknown = [name for name in bounds if name not in known] if isinstance(bounds, dict) else []
        if unknown:
            place = f"schedule.class_bound{f'.{task_name}' if task_name else ''}"
            raise StudyError(f"{place}: the dataset has no class {unknown[0]!r}{suggestion(unknown[0], known)}")


def _same_tasks(champion: Champion, tasks: Sequence[str | None]) -> None:
    """What the champion has no outputs for it cannot defend. Raises StudyError."""
    if set(champion.each_task) == set(tasks):
        return
    has, asked = (", ".join(name for name in names if name) or "one alone" for names in (champion.each_task, tasks))
    raise StudyError(
        f"dataset.labels: the champion of {champion.name} was learnt for other tasks ({has}) than the study asks for now "
        f"({asked}), so the two cannot be compared: give the study another name, under which its schedule begins anew, or put "
        "back the tasks"
    )


def pin_node(defended: ResolvedChampion, classes: tuple[str, ...], study: Study, tasks: Mapping[str, tuple[str, ...]]) -> Node:
    """``tasks``: of several, the classes of each."""
    assert study.schedule is not None
    before, champion = defended.defence.pins, defended.defence.champion
    given = {"before": before} if before else {}
    for number, each in enumerate(champion.extended if champion else ()):
        given[f"added:{number}"] = InputRef(**each["added"])
    renew: dict[str, Any] = {"renew": True} if defended.defence.renew else {}
    several = tuple(LearntTask(name=name, classes=of_it) for name, of_it in tasks.items())
    rare: dict[str, Any] = renew | ({"tasks": several} if several else {})
    params = PinParams(split=study.dataset.split, classes=classes, fresh=study.schedule.fresh, **rare)
    return Node(PIN, "pin", params.as_json(), {"dataset": "prepare"}, given, weight="light", shape=PIN)


def champion_name(task: str | None = None) -> str:
    """What the champion's evaluation is called, of several tasks in one."""
    return CHAMPION if task is None else f"{CHAMPION}-{task}"


def champion_node(
    defended: ResolvedChampion, split: dict[str, Any], locations: Mapping[str, str], of_task: str | None = None
) -> Node | None:
    """The champion on this firing's test set. ``locations``: sha256 of weights files -> where this study has them.

    ``of_task``: by its outputs for one of several tasks.
    """
    defence = defended.defence.of_task(of_task)
    champion, task = defence.champion, defended.task
    if champion is None:
        return None
    precision, own = (
        defended.trained.precision if defended.trained else "fp32",
        champion.pins is not None and champion.study == champion.name,
    )
    params = EvaluateChampionParams(run_kind="champion", **split, precision=precision, fresh=own)
    given = {**champion.models, "earlier": defence.evaluated or champion.evaluation}
    if task is not None and "source" in task.inputs:
        given["source"] = task.inputs["source"]
    location = _location(defended, locations)
    return Node(
        name=champion_name(of_task),
        step="evaluate",
        params=params.as_json(),
        needs={"dataset": "prepare", **PINNED},
        given=given,
        locations={"weights": location} if location else {},
        shape=champion_name(of_task),
    )


def _location(defended: ResolvedChampion, locations: Mapping[str, str]) -> str | None:
    if defended.task is None or defended.trained is None:
        return None
    backbone = defended.trained.model.backbone
    found = locations.get(backbone.weights.sha256 or "") if backbone else None
    return found or defended.task.locations.get("weights")


def decide_node(defended: ResolvedChampion, study: Study, lines: Sequence[str], needs: Mapping[str, str]) -> Node:
    """``needs``: all that the report reads, by role; a decision reads evaluations and models of the study's own ``lines``:
    its runs, or where these have several tasks the lines of each."""
    assert study.schedule is not None
    champion, tasks = defended.defence.champion, study.dataset.tasks
    own = {
        role: name
        for role, name in needs.items()
        if role.split(":")[0] in ("evaluate", "finetune") and role.split(":")[1] in lines
    }
    several = tuple(DecidedTask(name=task, **_decided(defended.defence, study, task)) for task in tasks)
    params = DecideParams(
        uses=defended.uses,
        runs=tuple(run.name for run in study.runs),
        **_decided(defended.defence, study, tasks[0] if tasks else None),
    )
    if several:
        params = params.model_copy(update={"tasks": several})
    roles = {f"champion:{task}": champion_name(task) for task in tasks} or {"champion": CHAMPION}
    needed = {**PINNED, **own} | (roles if champion else {})
    return Node(DECIDE, "decide", params.as_json(), needed, weight="light", shape=DECIDE)


def _decided(defence: ChampionState, study: Study, task: str | None) -> dict[str, Any]:
    """What is asked of a task, and what a decision starts from there."""
    assert study.schedule is not None
    own = defence.of_task(task)
    asked = {name: value for name, value in study.schedule.model_dump(mode="json").items() if name in RULE}
    asked |= {"promote_on": study.schedule.metric_of(task), "class_bound": study.schedule.bound_of(task)}
    return {
        "rule": RuleParams.of(asked),
        "stream": None if own.stream is None else StreamParams.of(own.stream),
        "champion": None
        if own.champion is None or defence.champion is None
        else _described(own.champion, defence.champion.run),
    }


def _described(champion: Champion, run: str) -> ChampionParams:
    models = {role: ArtifactParams.of(asdict(ref)) for role, ref in sorted(champion.models.items())}
    added: dict[str, Any] = {"added": champion.added} if champion.added else {}
    return ChampionParams(serial=champion.serial, run=run, seed=champion.seed, models=models, **added)
