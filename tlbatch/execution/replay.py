"""One task of a store run again on this machine, as its pod ran it: to see it fail with a traceback."""

from __future__ import annotations

import subprocess
import sys

from tlbatch.errors import StudyError
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest
from tlbatch.tasks import load_task, task_name


def replay(key: str, store_url: str) -> int:
    """Run the task whose key starts with ``key`` in a process of its own; returns its exit code.

    Raises StudyError where no task, or several, or a complete one is meant.
    """
    store = open_store(store_url)
    names = [stat.name for stat in store.list(f"tasks/{key}")]
    if len(names) != 1:
        there = ", ".join(name.removeprefix("tasks/").removesuffix(".json")[:12] for name in names[:5])
        raise StudyError(f"{key}: {'several tasks start so: ' + there if names else 'no such task'} in {store.url}")
    task = load_task(store, names[0].removeprefix("tasks/").removesuffix(".json"))
    if task is None:
        raise StudyError(f"{store.url}/{names[0]} has just gone")
    if load_manifest(store, task.step, task.key) is not None:
        raise StudyError(f"{task.name or task.step} {task.key[:12]} is complete: nothing would be computed")
    command = [sys.executable, "-m", f"jobs.{task.step}", "--debug", "--task", f"{store.url}/{task_name(task.key)}"]
    code = subprocess.run(command, check=False).returncode
    return 128 - code if code < 0 else code
