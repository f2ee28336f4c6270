"""Champions made by people: an execution's run promoted, an earlier term brought back. No test is made, and that is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tlbatch import nouns
from tlbatch.champions.champion import ROOT, Champion, ChampionTask, crown, find_champion, load_champion, terms
from tlbatch.champions.judged import pinned_images, test_images
from tlbatch.errors import StudyError
from tlbatch.output import one_line
from tlbatch.records.executions import Execution
from tlbatch.records.states import COMPLETE
from tlbatch.roles import TOGETHER
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.load import parse_study
from tlbatch.store import Store
from tlbatch.store.artifacts import Manifest, load_manifest, read_file
from tlbatch.store.documents import as_is, checked
from tlbatch.store.names import is_name
from tlbatch.tasks import InputRef, load_task

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
EVALUATE, PIN, OF_CHAMPION = "evaluate:", "pin", "evaluate:champion"
LEARNT = f"{TOGETHER}:"


def promote_run(
    store: Store,
    name: str,
    execution: Execution,
    run: str | None,
    seed: int | None,
    user: str,
    clock: Callable[[], float] = time.time,
    pinned: InputRef | None = None,
) -> Champion:
    """Make a run of an execution the champion called ``name``; the seed that is best on validation where none is named.

    ``pinned``: the pins of a schedule of that name: test images that a model of another study may have been trained on.

    Raises StudyError where there is no such model, BeatenError where another process moved the champion meanwhile.
    """
    if not name or "/" in name or one_line(name) != name or not is_name(f"{ROOT}{name}/{name}.json"):
        raise StudyError(f"{name!r} is no name for a champion: take its study's name")
    present, etag = load_champion(store, name)
    challenger = replace(_of_execution(store, execution, run, seed), name=name)
    place = f"takes the place of number {present.serial}" if present else "becomes the first champion"
    sentence = (
        f"By hand: {challenger.run} (seed {challenger.seed}) of execution {execution.id} {place}"
        f"{_accuracies(store, challenger, present)}. No test was made.{_flattery(store, challenger, pinned) if pinned else ''}"
    )
    return crown(store, next_term(challenger, present, sentence, f"promoted by {user}", clock()), etag)


def _flattery(store: Store, champion: Champion, pins: InputRef) -> str:
    """What to beware of with a model that was not kept away from the test images of its schedule.

    A study keeps what it tests on from what it trains on: so a model that was tested on all of them trained on none.
    """
    if champion.pins is not None and champion.study == champion.name:
        return ""
    tested, held = _tested(store, champion), pinned_images(store, pins)
    if tested is not None and held is not None and {id_ for id_, _ in held} <= tested:
        return ""
    return (
        f" It may have been trained on test {nouns.items()} that {champion.name} holds on to: on these it looks "
        f"better than it is, "
        "and challengers have a harder stand."
    )


def _tested(store: Store, champion: Champion) -> set[str] | None:
    """Content hashes of all images that it was tested on, in whichever task; None where one of its evaluations is gone."""
    found = [test_images(store, champion.of_task(task).evaluation) for task in champion.each_task]
    return None if any(each is None for each in found) else {id_ for each in found for id_, _ in each or ()}


def bring_back(
    store: Store,
    name: str,
    serial: int | None,
    user: str,
    clock: Callable[[], float] = time.time,
    verb: str = "rolled back",
) -> Champion:
    """Crown the model of an earlier term once more: ``serial``, or (None) the term before the one that counts now.

    A term that was itself brought back counts as the one it restored, so that going back twice goes back two terms.
    """
    present, etag = find_champion(store, name)
    history = {term.serial: term for term in terms(store, name)}
    stands_for = history.get(present.restores or present.serial, present)
    wanted = serial if serial is not None else stands_for.before
    if wanted is None:
        raise StudyError(f"{name} has no champion before number {stands_for.serial}: `tlbatch champion history {name}`")
    if wanted not in history:
        known = ", ".join(str(number) for number in sorted(history))
        raise StudyError(f"{name} has no champion number {wanted}: there are {known}; `tlbatch champion history {name}`")
    origin = history[history[wanted].restores or wanted]
    if origin.serial == stands_for.serial:
        raise StudyError(f"number {wanted} is what {name} stands by already (now number {present.serial})")
    sentence = (
        f"By hand: {origin.run} (seed {origin.seed}), number {origin.serial}, takes the place of number {present.serial}"
        f"{_accuracies(store, origin, present)}. No test was made."
    )
    back = replace(origin, restores=origin.serial, decided=None)
    return crown(store, next_term(back, present, sentence, f"{verb} by {user}", clock()), etag)


def next_term(champion: Champion, before: Champion | None, sentence: str, by: str, now: float) -> Champion:
    """``champion`` as the term after ``before``."""
    serial, earlier = (before.serial + 1, before.serial) if before else (1, None)
    return replace(champion, serial=serial, before=earlier, sentence=sentence, by=by, crowned=now, record="", previous=None)


def _accuracies(store: Store, new: Champion, old: Champion | None) -> str:
    """``; accuracy 0.93 on its test images, against 0.91`` as far as it is known, and where these are of other images."""
    both = [
        (task, new.of_task(task), old.of_task(task) if old is not None and task in old.each_task else None)
        for task in new.each_task
    ]
    return "".join(_compared(store, *each) for each in both)


def _compared(store: Store, task: str | None, new: Champion, old: Champion | None) -> str:
    value, of_task = accuracy(new), f"{task} " if task else ""
    if value is None:
        return ""
    if old is None or accuracy(old) is None:
        return f"; {of_task}accuracy {value:.3f}"
    other = "" if _same_images(store, new, old) else f" on other test {nouns.items()}"
    return f"; {of_task}accuracy {value:.3f}, against {accuracy(old):.3f}{other}"


def _same_images(store: Store, one: Champion, other: Champion) -> bool:
    """Whether both were judged on the same images with the same labels, whichever study made them."""
    found, known = test_images(store, one.evaluation), test_images(store, other.evaluation)
    if found is not None and known is not None:
        return found == known
    names = [(champion.study, champion.pins is None, champion.test_version) for champion in (one, other)]
    return names[0] == names[1]  # the evaluation is gone: what names them must do


def accuracy(champion: Champion) -> float | None:
    """Top-1 accuracy on the test images it was last measured on."""
    value = (champion.metrics.get("accuracy") or {}).get("value")
    return None if value is None else float(value)


# -- a model of an execution --------------------------------------------------------------------------------------------


@dataclass
class MetricsShape:
    """What is read of an evaluation's ``metrics.json``."""

    classes: list[str]
    seeds: dict[str, dict[str, Any]]
    validation: dict[str, dict[str, Any]] | None = None


def _of_execution(store: Store, execution: Execution, run: str | None, seed: int | None) -> Champion:
    tasks: Mapping[str, Any] = (execution.load_plan() or {}).get("tasks", {})
    if any(task.startswith(LEARNT) for task in tasks):
        return _of_several(store, execution, tasks, run, seed)
    return _of_line(store, execution, tasks, _run_of(execution, tasks, run), seed)


def _of_several(store: Store, execution: Execution, tasks: Mapping[str, Any], run: str | None, seed: int | None) -> Champion:
    """Of a run that learnt several tasks, all of it: the seed that is best on validation by the mean over them."""
    runs = list(dict.fromkeys(task.split(":")[1] for task in tasks if task.startswith(LEARNT)))
    if run is None and len(runs) > 1:
        raise StudyError(f"{execution.id} has {len(runs)} runs: name one with --run ({', '.join(runs)})")
    name = run or runs[0]
    if name not in runs:
        raise StudyError(
            f"{execution.id} has no run {name!r} that learnt all its tasks{suggestion(name, runs)}; it has {', '.join(runs)}: "
            "a champion has every task of its study"
        )
    names = parse_study(execution.load_study(), f"{execution.id}/study.yaml").study.dataset.tasks
    lines = {task: _run_of(execution, tasks, f"{name}-{task}") for task in names}
    found = {task: _of_line(store, execution, tasks, line, seed) for task, line in lines.items()}
    if seed is None:
        seeds = [_worth_of_seeds(store, execution, tasks, line) for line in lines.values()]
        best = max(
            seeds[0], key=lambda number: tuple(sum(parts) for parts in zip(*(each[number] for each in seeds), strict=True))
        )
        found = {task: _of_line(store, execution, tasks, line, best) for task, line in lines.items()}
    own = ("models", "evaluation", "classes", "metrics")
    of_tasks = tuple(ChampionTask(task, **{part: getattr(each, part) for part in own}) for task, each in found.items())
    return replace(found[names[0]], run=name, tasks=of_tasks)


def _worth_of_seeds(
    store: Store, execution: Execution, tasks: Mapping[str, Any], name: str
) -> dict[int, tuple[float, float, int]]:
    manifest = _artifact(store, tasks[f"{EVALUATE}{name}"], f"{EVALUATE}{name} of {execution.id}")
    metrics = read_file(store, manifest, "metrics.json", checked(MetricsShape))
    models = _models(store, manifest, f"{name} of {execution.id}")
    return _worths(metrics, models)


def _of_line(store: Store, execution: Execution, tasks: Mapping[str, Any], name: str, seed: int | None) -> Champion:
    """Of a run; of several tasks of one."""
    manifest = _artifact(store, tasks[f"{EVALUATE}{name}"], f"{EVALUATE}{name} of {execution.id}")
    metrics = read_file(store, manifest, "metrics.json", checked(MetricsShape))
    models = _models(store, manifest, f"{name} of {execution.id}")
    chosen = _seed_of(metrics, models, name, seed)
    pins = _artifact(store, tasks[PIN], f"{PIN} of {execution.id}") if PIN in tasks else None
    study = str((execution.load_plan() or {}).get("study") or "")
    return Champion(
        name=study,
        serial=1,
        study=study,
        run=name,
        seed=chosen,
        models={role: ref for role, ref in models.items() if role.split(":")[1] == str(chosen)},
        evaluation=_ref(manifest),
        pins=_ref(pins) if pins else None,
        test_version=_test_version(store, pins),
        classes=tuple(metrics["classes"]),
        metrics={name: value for name, value in metrics["seeds"][str(chosen)].items() if name in METRICS},
    )


def _run_of(execution: Execution, tasks: Mapping[str, Any], run: str | None) -> str:
    """The run meant: the one named, or the only one that was evaluated."""
    names = [task.removeprefix(EVALUATE) for task in tasks if task.startswith(EVALUATE) and task != OF_CHAMPION]
    done = [name for name in names if tasks[f"{EVALUATE}{name}"].get("state") in COMPLETE]
    if run is None and len(done) == 1:
        return done[0]
    if run is None:
        raise StudyError(
            f"{execution.id} has {len(done)} evaluated runs: name one with --run ({', '.join(done) or 'none yet'})"
        )
    if run not in names:
        raise StudyError(f"{execution.id} has no run {run!r}{suggestion(run, names)}")
    if run not in done:
        state = tasks[f"{EVALUATE}{run}"].get("state")
        raise StudyError(f"{execution.id}: {run} is not evaluated ({state}): `tlbatch status {execution.id}`")
    return run


def _artifact(store: Store, task: Mapping[str, Any], what: str) -> Manifest:
    manifest = load_manifest(store, str(task["step"]), str(task["key"])) if task.get("key") else None
    if manifest is None:
        raise StudyError(f"{what} is not in {store.url} any more: run the study again")
    return manifest


def _ref(manifest: Manifest) -> InputRef:
    return InputRef(manifest.step, manifest.key, manifest.digest)


def _models(store: Store, evaluation: Manifest, what: str) -> dict[str, InputRef]:
    """Roles ``model:<seed>[:<fold>]`` of the evaluation's task."""
    task = load_task(store, evaluation.key)
    if task is None:
        raise StudyError(f"{what}: its task document is gone from {store.url}: run the study again")
    models = {role: ref for role, ref in task.inputs.items() if role.startswith("model:")}
    if not models:
        raise StudyError(
            f"{what} has no model of its own (it tells what pretraining knows without labels): promote another run"
        )
    return models


def _seed_of(metrics: Mapping[str, Any], models: Mapping[str, InputRef], run: str, seed: int | None) -> int:
    seeds = sorted({int(role.split(":")[1]) for role in models})
    if seed is not None:
        if seed not in seeds:
            raise StudyError(f"{run} has no seed {seed}: there are {', '.join(map(str, seeds))}")
        return seed
    worth = _worths(metrics, models)
    return max(seeds, key=lambda number: worth[number])


def _worths(metrics: Mapping[str, Any], models: Mapping[str, InputRef]) -> dict[int, tuple[float, float, int]]:
    """Of each seed what sorts the best on validation last."""
    validation = metrics.get("validation") or {}

    def worth(number: int) -> tuple[float, float, int]:
        said = validation.get(str(number)) or {}
        return float(said.get("accuracy", 0.0)), -float(said.get("log_loss", 0.0)), -number

    return {number: worth(number) for number in {int(role.split(":")[1]) for role in models}}


def _test_version(store: Store, pins: Manifest | None) -> int:
    if pins is None:
        return 1
    return int(read_file(store, pins, "pins.json", as_is).get("version") or 1)
