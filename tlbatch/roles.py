"""What a dataset is in a study, and what tasks call it: the target, on which all is judged, or a source, learnt from.

A task's input is called ``dataset`` where it is the prepared target and ``source:<name>`` where it is a source of that name.
"""

from __future__ import annotations

TARGET, SOURCE = "target", "source"
"""What a strategy reads."""
DATASET = "dataset"
"""The input of a task that is the prepared target."""
TOGETHER = "together"
"""The input of a task that is the training of several tasks together, of which it takes one."""

SUSPECTS = "suspects"
"""The step that looks for wrong labels, and the report's input from it."""


def source_input(name: str) -> str:
    """``source:films``: the role of a source, and the input of a task that is it."""
    return f"{SOURCE}:{name}"


def overlap_input(name: str) -> str:
    """``overlap:films``: the input of a task that says what of the source ``films`` the target has too."""
    return f"overlap:{name}"


def suspects_input(task: str | None) -> str:
    """``suspects``, of one of several tasks ``suspects:breed``: labels of it that are probably wrong."""
    return SUSPECTS if task is None else f"{SUSPECTS}:{task}"


def is_source(role: str) -> bool:
    """Not ``source`` alone: that is the model of an earlier study."""
    return role.startswith(f"{SOURCE}:")


def source_of(role: str) -> str:
    """``films`` of ``source:films``."""
    return role.removeprefix(f"{SOURCE}:")


def input_of(role: str) -> str:
    """The input of a task that a role's images are in."""
    return DATASET if role == TARGET else role


def task_of(step: str, role: str) -> str:
    """The name of a dataset's own task: ``prepare`` of the target, ``prepare:films`` of a source."""
    return step if role in (TARGET, DATASET) else f"{step}:{source_of(role)}"


def field_of(task: str) -> str:
    """Where a study says what a dataset's own task is of: ``dataset``, or ``sources.films`` for ``prepare:films``."""
    name = task.partition(":")[2]
    return f"sources.{name}" if name else DATASET
