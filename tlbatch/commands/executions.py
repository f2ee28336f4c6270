"""``tlbatch list``, ``status``, ``logs``, ``report``: what executions left in a store."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from tlbatch.commands.options import output_option, print_json, store_option


@click.command("list")
@store_option
@output_option
def list_(store: str, output: str) -> None:
    """List the executions in a store, newest first."""
    from tlbatch.commands.display import text_table
    from tlbatch.records import list_executions
    from tlbatch.store import open_store

    summaries = list_executions(open_store(store))
    if output == "json":
        print_json([asdict(summary) for summary in summaries])
        return
    rows = [[s.id, s.study, s.state, _when(s.started)] for s in summaries]
    click.echo("\n".join(text_table(["execution", "study", "state", "started (UTC)"], rows)))


@click.command()
@click.argument("execution", default="")
@store_option
@output_option
def status(execution: str, store: str, output: str) -> None:
    """Show where EXECUTION (an id, the start of one, or a study's name; default: the newest) and its tasks stand."""
    from tlbatch.commands.display import duration, text_table
    from tlbatch.records import find_execution
    from tlbatch.store import open_store

    found = find_execution(open_store(store), execution)
    document = found.load_status() or {"state": "unknown", "tasks": {}}
    if output == "json":
        print_json(document)
        return
    click.echo(f"{found.id}: {document['state']}")
    rows = [
        [name, task["state"], duration(task["seconds"]) if task.get("seconds") else "", task.get("sentence") or ""]
        for name, task in document["tasks"].items()
    ]
    click.echo("\n".join(text_table(["task", "state", "time", ""], rows)))


@click.command()
@click.argument("task", default="")
@click.option("--execution", default="", help="An id, the start of one, or a study's name.  [default: the newest]")
@store_option
def logs(task: str, execution: str, store: str) -> None:
    """Print what TASK (a name as in `tlbatch status`, or its key) printed; without TASK, of all that failed or run.

    \b
    tlbatch logs finetune:basic-cnn:0
    """
    from tlbatch.errors import StudyError
    from tlbatch.records import find_execution, read_logs
    from tlbatch.store import open_store

    opened = open_store(store)
    tasks = (find_execution(opened, execution).load_status() or {}).get("tasks", {})
    chosen = {n: t for n, t in tasks.items() if _matches(n, t, task)}
    if task and not chosen:
        raise StudyError(f"no task {task!r} there; there are {', '.join(tasks) or 'none'}")
    for name, document in chosen.items():
        click.echo(f"== {name}")
        for piece in read_logs(opened, document["key"]) if document.get("key") else []:
            click.echo(piece.text, nl=False)


def _matches(name: str, document: dict[str, Any], asked: str) -> bool:
    if not asked:
        return document["state"] in ("failed", "running")
    return name == asked or str(document.get("key") or "").startswith(asked)


@click.command()
@click.argument("execution", default="")
@store_option
@output_option
def report(execution: str, store: str, output: str) -> None:
    """Print the report of EXECUTION (an id, the start of one, or a study's name; default: the newest).

    \b
    tlbatch report
    tlbatch report dogs-vs-cats -o json
    """
    from tlbatch.commands.display import show_report
    from tlbatch.errors import StudyError
    from tlbatch.launch import load_report, report_place
    from tlbatch.records import find_execution
    from tlbatch.store import open_store

    opened = open_store(store)
    found = find_execution(opened, execution)
    document = load_report(opened, found)
    if document is None:
        raise StudyError(f"{found.id} has no report: `tlbatch status {found.id}` says where it stands")
    if output == "json":
        print_json(document)
        return
    show_report(document)
    click.echo(f"\nReport: {report_place(opened, found)}")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
