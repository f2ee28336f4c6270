"""``tlbatch drive``: the driver in its pod. Not for people."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click


@click.command(hidden=True)
@click.argument("execution", default="")
@click.option("--store", required=True)
@click.option("--task", "only", default="", help="Only this task and what it needs.")
@click.option("--schedule", default="", help="Instead of EXECUTION: fire this schedule.")
def drive(execution: str, store: str, only: str, schedule: str) -> int:
    """Walk the plan of EXECUTION with Jobs (inside the driver's pod; `tlbatch submit` starts it).

    \b
    tlbatch drive dogs-vs-cats-20261123-0412-x7k2 --store s3://bucket/prefix
    tlbatch drive --schedule dogs-vs-cats --store s3://bucket/prefix     (the pod of a CronJob)
    """
    if bool(execution) == bool(schedule):
        raise click.UsageError("name an EXECUTION, or a schedule by --schedule NAME")
    signal.signal(signal.SIGTERM, _leave)  # as PID 1 it would be ignored until the driver's own handlers stand
    import os

    from tlbatch.display.progress import Display
    from tlbatch.errors import TlbatchError
    from tlbatch.execution.driver_job import Place
    from tlbatch.execution.driver_job import drive as drive_execution
    from tlbatch.records.executions import Execution
    from tlbatch.schedules.firing_backend import fire_in_pod
    from tlbatch.store import open_store

    try:
        opened = open_store(store)
        place = Place.from_environment(os.environ)
        if schedule:
            code = fire_in_pod(schedule, opened, place, Display(opened))
        else:
            code = drive_execution(Execution(opened, execution), place, Display(opened), only)
    except TlbatchError as error:
        last_words(error.exit_code, str(error))
        raise
    last_words(code, "done" if code == 0 else "a task failed: `tlbatch why` says which")
    return code


def last_words(code: int, sentence: str) -> None:
    """For ``kubectl describe`` and ``tlbatch why``, as a step leaves them."""
    import json
    from contextlib import suppress
    from pathlib import Path

    with suppress(OSError):
        Path("/dev/termination-log").write_text(json.dumps({"code": code, "sentence": sentence})[:4096], encoding="utf-8")


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)
