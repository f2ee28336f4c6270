"""Studies of several tasks: what of a study goes with them. What does not is refused, never done for one of them in silence."""

from __future__ import annotations

from collections.abc import Iterator

from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.check_task_schedule import check_task_schedule
from tlbatch.spec.study import Run, Study

TASKS: Path = ("dataset", "labels", "tasks")
LONGEST_NAME = 40


def check_tasks(study: Study) -> Iterator[Mistake]:
    """Mistakes of several tasks; and what is for several where there is one."""
    for name, source in study.sources.items():
        if source.labels is not None and source.labels.tasks is not None:
            yield Mistake(("sources", name, "labels", "tasks"), "several tasks are the target's: name one label of a source")
    if study.schedule is not None:
        yield from check_task_schedule(study.schedule, study.dataset.tasks, TASKS)
    labels = study.dataset.labels
    if labels is None or labels.tasks is None:
        for number, run in enumerate(study.runs):
            if run.train.task_weights != "equal":
                text = "is for several tasks, and the dataset has one: name them in dataset.labels.tasks"
                yield Mistake(("runs", number, "train", "task_weights"), text, None, (("dataset",),))
        return
    if "label" in labels.model_fields_set:
        yield Mistake(("dataset", "labels", "label"), "labels.tasks names the columns already: remove one of the two")
    if len(labels.tasks) < 2:
        yield Mistake(TASKS, "are two or more; one alone is labels.label")
    for task, column in labels.tasks.items():
        first = next(other for other, name in labels.tasks.items() if name == column)
        if first != task:
            yield Mistake((*TASKS, task), f"has the column of {first}: the same task twice")
    yield from _not_with_tasks(study)
    for number, run in enumerate(study.runs):
        yield from _run(run, study.dataset.tasks, ("runs", number))
    yield from _names(study)


def _not_with_tasks(study: Study) -> Iterator[Mistake]:
    alone = "a study of one task each does: dataset.labels.label"
    for field, what in {
        "curve": "a label curve is of one task",
        "advise": "advice is for one task",
        "described": "classes known by their descriptions are of one task",
        "evaluate": "episodes are of one task",
    }.items():
        if getattr(study, field) is not None:
            yield Mistake((field,), f"{what}, and the dataset has several; {alone}", None, (TASKS,))
    if study.control != "none" and "control" in study.model_fields_set:
        yield Mistake(("control",), f"{_CONTROL}; remove it", None, (TASKS,))


_CONTROL = "with several tasks each is held against the same training of itself alone, and against nothing else"


def _run(run: Run, tasks: tuple[str, ...], path: Path) -> Iterator[Mistake]:
    rests_on: tuple[Path, ...] = (TASKS,)
    head, entry = run.model.own_head, run.strategy_entry
    if not entry.several_tasks:
        text = f"{entry.name} learns one task, and the dataset has several: name another, or dataset.labels.label"
        yield Mistake((*path, "strategy"), text, None, rests_on)
    if run.model.scratch is None and (head is None or head.fitted is not None):
        text = "several tasks are learnt by dense layers: write head: {dense: []}"
        yield Mistake((*path, "model", "head"), text, None, rests_on)
    for name in ("mixup", "cutmix"):
        if getattr(run.train, name):
            text = "cannot mix labels of which some are missing: remove it, or learn one task (dataset.labels.label)"
            yield Mistake((*path, "train", name), text, None, rests_on)
    if run.control in {"full", "cheap"}:
        yield Mistake((*path, "control"), f"{_CONTROL}; remove it", None, rests_on)
    weights = run.train.task_weights
    for name in weights if isinstance(weights, dict) else ():
        if name not in tasks:
            text = f"{name!r} is no task of dataset.labels.tasks{suggestion(name, tasks)}"
            yield Mistake((*path, "train", "task_weights", name), text, None, rests_on)


def _names(study: Study) -> Iterator[Mistake]:
    """Each run is a line a task, called ``<run>-<task>``."""
    lines: dict[str, str] = {}
    runs = [run.name for run in study.runs]
    for number, run in enumerate(study.runs):
        path: Path = ("runs", number, "name")
        for task in study.dataset.tasks:
            line = f"{run.name}-{task}"
            taken = line if line in runs else lines.get(line)
            if taken is not None:
                yield Mistake(
                    path, f"its results for {task} would be called {line!r}, as those of {taken!r}: name one otherwise"
                )
            if len(line) > LONGEST_NAME:
                text = f"its results for {task} would be called {line!r}, longer than {LONGEST_NAME} characters: shorten it"
                yield Mistake(path, text)
            lines.setdefault(line, run.name)
