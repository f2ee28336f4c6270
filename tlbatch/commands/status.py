"""``tlbatch status`` and ``logs``: where an execution's tasks stand, and what they printed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import context_option, kept_store_option, namespace_option, output_option, print_json
from tlbatch.output import steer, terminal_width

if TYPE_CHECKING:
    from tlbatch.cluster import Cluster
    from tlbatch.display.task_logs import PodWords, TaskLog
    from tlbatch.records.executions import Execution
    from tlbatch.store import Store

CLEAR = "\033[2J\033[H"
WATCH_S = 2.0
ASK_S = 3.0
LEAST_OF_KEY = 8
FINISHED = ("succeeded", "failed", "cancelled", "stopped")


@click.command()
@click.argument("execution", default="")
@kept_store_option
@output_option
@click.option("--watch", "-w", is_flag=True, help="Show it anew every 2 s until it ends.")
def status(execution: str, store: str, output: str, watch: bool) -> None:
    """Show where EXECUTION (an id, the start of one, or a study's name; default: the newest) and its tasks stand.

    \b
    tlbatch status -w dogs-vs-cats
    tlbatch status -o json
    """
    from tlbatch.records.executions import find_execution
    from tlbatch.store.opening import open_kept

    found = find_execution(open_kept(store), execution)
    if output == "json":
        print_json(found.load_status() or {"id": found.id, "state": "unknown", "tasks": {}})
        return
    shown = _show(found)
    while watch and shown not in FINISHED:
        time.sleep(WATCH_S)
        if sys.stdout.isatty():
            steer(sys.stdout, CLEAR)
        shown = _show(found)


def _show(found: Execution) -> str:
    """Print the table; returns the execution's state."""
    from tlbatch.display.status_table import COLUMNS, cells, rows, stale
    from tlbatch.display.text import text_table

    document = found.load_status() or {"state": "unknown", "tasks": {}}
    said = f": {document['sentence']}" if document.get("sentence") else ""
    click.echo(f"{found.id}: {document['state']}{said}")
    if document["state"] == "unknown":
        click.echo(f"its driver has not written anything yet: `tlbatch why {found.id}`")
    lines = [cells(row) for row in rows(found, document)]
    used = [i for i, name in enumerate(COLUMNS) if i < 2 or not name or any(line[i] for line in lines)]
    columns, shown = [COLUMNS[i] for i in used], [[line[i] for i in used] for line in lines]
    click.echo("\n".join(_left(text_table(columns, shown, width=terminal_width()))))
    warning = stale(document)
    if warning:
        click.echo(warning)
    return str(document["state"])


def _left(lines: list[str]) -> list[str]:
    return [line.rstrip() for line in lines]


@click.command()
@click.argument("task", default="")
@click.option("--execution", default="", help="An id, the start of one, or a study's name.  [default: the newest]")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the task ends.")
@kept_store_option
@context_option
@namespace_option
def logs(task: str, execution: str, follow: bool, store: str, context: str | None, namespace: str | None) -> None:
    """Print what TASK (a name as in `tlbatch status`, or its key) printed; without TASK, of all that failed or run.

    Logs are in the store, some seconds behind. Of a task that has none there yet its pod is asked. A key may be that of a
    task of no execution: a prediction, a class that is added to a champion.

    \b
    tlbatch logs finetune:basic-cnn:0 -f
    """
    from tlbatch.display.task_logs import TaskLog
    from tlbatch.errors import StudyError
    from tlbatch.records.executions import find_execution
    from tlbatch.store.opening import open_kept

    opened, warn = open_kept(store), lambda sentence: click.echo(sentence, err=True)
    found = find_execution(opened, execution)
    status = found.load_status() or {}
    tasks = status.get("tasks", {})
    chosen = {n: t for n, t in tasks.items() if _matches(n, t, task)}
    if task and not chosen and not execution and not follow and (lone := _lone(opened, task)):
        _print_log(TaskLog(opened, lone, _pod_words("", lone, context, namespace), warn), None)
        return
    if task and not chosen:
        raise StudyError(f"no task {task!r} there; there are {', '.join(tasks) or 'none'}")
    if follow and len(chosen) > 1:
        raise StudyError(f"--follow needs one task: {', '.join(chosen)}")
    for name, document in chosen.items():
        click.echo(f"== {name}", err=follow)
        key = str(document.get("key") or "")
        words = _pod_words(found.id, key, context, namespace) if status.get("backend") == "kubernetes" else None
        if key:
            log = TaskLog(opened, key, words, warn)
            _print_log(log, _ended(found, name) if follow else None)


def _lone(store: Store, asked: str) -> str:
    """The key of the task that ``asked`` begins; "" where it begins none or several."""
    if not re.fullmatch(f"[0-9a-f]{{{LEAST_OF_KEY},}}", asked):
        return ""
    keys = [stat.name.removeprefix("tasks/").removesuffix(".json") for stat in store.list(f"tasks/{asked}")]
    return keys[0] if len(keys) == 1 else ""


def _pod_words(execution: str, key: str, context: str | None, namespace: str | None) -> Callable[[], PodWords]:
    """What asks the task's pod; the cluster is opened once, when it is asked first."""
    from functools import cache

    from tlbatch.cluster import open_cluster
    from tlbatch.display.task_logs import pod_words
    from tlbatch.profiles import load_profile

    @cache
    def cluster() -> Cluster:
        profile = load_profile(context, {"namespace": namespace})
        return open_cluster(profile.namespace, profile.kube_context, ASK_S)

    return lambda: pod_words(cluster(), execution, key)


def _print_log(log: TaskLog, ended: Callable[[], bool] | None) -> None:
    """What there is; with ``ended``, what comes until it is true."""
    while True:
        over = ended() if ended is not None else True  # asked before reading: what came before the end is read
        click.echo(log.news(), nl=False)
        if over:
            return
        time.sleep(WATCH_S)


def _ended(found: Execution, name: str) -> Callable[[], bool]:
    def over() -> bool:
        status = found.load_status() or {}
        state = status.get("tasks", {}).get(name, {}).get("state")
        return status.get("state") in FINISHED or state not in ("pending", "ready", "waiting", "running")

    return over


def _matches(name: str, document: dict[str, Any], asked: str) -> bool:
    if not asked:
        return document["state"] in ("failed", "running")
    return name == asked or str(document.get("key") or "").startswith(asked)
