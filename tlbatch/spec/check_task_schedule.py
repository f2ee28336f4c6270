"""Schedules of studies of several tasks: what is asked is asked of each task, and says of which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.resources import Schedule

METRIC: Path = ("schedule", "promote_on")
BOUND: Path = ("schedule", "class_bound")


def check_task_schedule(schedule: Schedule, tasks: Sequence[str], place: Path) -> Iterator[Mistake]:
    """``tasks``: of the study, none where it has one; ``place``: where they are named."""
    if not tasks:
        yield from _of_one(schedule)
        return
    metrics, bounds = schedule.promote_on, schedule.class_bound
    for path, asked in ((METRIC, metrics), (BOUND, bounds)):
        for name in asked if isinstance(asked, dict) else ():
            if name not in tasks:
                near = suggestion(name, tasks)
                text = f"{name!r} is no task of dataset.labels.tasks{near}: what is asked is asked task by task"
                yield Mistake((*path, name), text, None, (place,))
    if isinstance(metrics, dict):
        missing = [task for task in tasks if task not in metrics]
        if missing:
            text = f"names no metric of {', '.join(missing)}: name one for each task, or one for all"
            yield Mistake(METRIC, text, None, (place,))
        if "log_loss" in metrics.values() and len(set(metrics.values())) > 1:
            text = "log_loss and shares have no mean, by which the challenger is chosen: log_loss for all tasks, or for none"
            yield Mistake(METRIC, text)


def _of_one(schedule: Schedule) -> Iterator[Mistake]:
    several = "is for several tasks, and the dataset has one (dataset.labels.tasks names several)"
    if isinstance(schedule.promote_on, dict):
        yield Mistake(METRIC, f"{{task: metric}} {several}: name the metric alone")
    for name, bound in schedule.class_bound.items() if isinstance(schedule.class_bound, dict) else ():
        if isinstance(bound, dict):
            yield Mistake((*BOUND, name), f"{{task: {{class: bound}}}} {several}: write {{class: bound}}")
