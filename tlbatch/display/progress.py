"""What a running study looks like in a terminal: a line for every task that starts or ends, and one that moves."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import click

from tlbatch.display.text import duration, progress_words, text_table
from tlbatch.execution.task_state import TaskState
from tlbatch.output import cut, one_line, steer, terminal_width
from tlbatch.records.states import BLOCKED, CACHED, DONE, FAILED, READY, RUNNING, STOPPED, WAITING
from tlbatch.records.task_records import read_progress
from tlbatch.store import Store

if TYPE_CHECKING:
    from tlbatch.execution.launch import Outcome

ERASE_LINE = "\r\033[K"
EVERY_S, EVERY_S_REMOTE, PLAIN_EVERY_S = 1.0, 5.0, 30.0
MARKS = {CACHED: "=", DONE: "✓", FAILED: "✗", BLOCKED: "-", STOPPED: "-", RUNNING: "›", WAITING: "…", READY: "↻"}


@dataclass
class Display:
    """An observer of the driver. Lines go to stderr: stdout is for results."""

    store: Store
    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    _looked_at: float = 0.0
    _moving: bool = False

    def say(self, text: str) -> None:
        if not self.quiet:
            self._clear()
            click.echo(text, file=self.stream)

    def changed(self, work: TaskState) -> None:
        if work.state in (DONE, CACHED, FAILED, BLOCKED, STOPPED, RUNNING, WAITING) or (work.state == READY and work.sentence):
            self.say(line(work))

    def tick(self, works: Iterable[TaskState]) -> None:
        running = [work for work in works if work.state == RUNNING]
        every_s = PLAIN_EVERY_S if not self.stream.isatty() else EVERY_S if self.store.local_path("x") else EVERY_S_REMOTE
        if self.quiet or not running or self.clock() - self._looked_at < every_s:
            return
        progress = [self._progress(work) for work in running]
        if not self.stream.isatty() and not any(progress):
            return  # a name alone says nothing that the line of its start did not
        self._looked_at = self.clock()
        text = "   ".join(f"{work.name} {done}".strip() for work, done in zip(running, progress, strict=True))
        if not self.stream.isatty():
            click.echo(f"  {text}", file=self.stream)
            return
        width = shutil.get_terminal_size().columns - 1
        self._clear()
        click.echo(cut(one_line(text), width), file=self.stream, nl=False)
        self._moving = True

    def _progress(self, work: TaskState) -> str:
        progress = read_progress(self.store, work.task.key) if work.task else None
        if not progress or not progress.get("total"):
            return ""
        done, total = float(progress["done"]), float(progress["total"])
        said = progress_words(done, total, str(progress.get("unit", "")))
        return f"{said}, {progress['note']}" if progress.get("note") else said

    def _clear(self) -> None:
        if self._moving:
            steer(self.stream, ERASE_LINE)
            self._moving = False

    def close(self) -> None:
        self._clear()


def line(work: TaskState) -> str:
    """One task: its mark, name, state, and how long or why."""
    took = duration(work.seconds) if work.state in (DONE, FAILED) and work.seconds else ""
    said = work.sentence if work.state != BLOCKED else f"because {work.sentence}"
    parts = (f"{MARKS.get(work.state, ' ')} {one_line(work.name):<36}", f"{work.state:<8}", took, said)
    return "  ".join(part for part in parts if part).rstrip()


def not_scheduled(study: str, how: str = "") -> str:
    """What ``run`` and ``submit`` say of a study with ``schedule:``."""
    return f"once, with no champion to defend; its schedule is applied by `tlbatch schedule apply {study}{how}`"


def show_outcome(outcome: Outcome) -> None:
    """The result of a run on stdout: the table and where the page is, or what failed."""
    if outcome.report is None:
        for work in outcome.works:
            if work.state == FAILED:
                url = outcome.execution.store.url
                click.echo(f"{work.name}: {work.sentence}\n  its log: tlbatch logs {work.name} --store {url}")
                if work.task and work.codes[-1:] == [1]:
                    replay = f"python -m jobs.{work.node.step} --debug --task {url}/tasks/{work.task.key}.json"
                    click.echo(f"  again, with tracebacks: {replay}")
        click.echo(f"{outcome.execution.id}: {outcome.state}")
        return
    show_report(outcome.report)
    click.echo(f"\nReport: {outcome.place}")


def show_report(report: dict[str, Any]) -> None:
    """First sentence, table, the other sentences and warnings of a ``report.json``, and its label curve."""
    click.echo(f"\n{report.get('first_sentence', '')}\n")
    table = report.get("table") or {}
    columns = [str(c) for c in table.get("columns", [])]
    click.echo("\n".join(text_table(columns, table.get("rows", []), width=terminal_width())))
    for sentence in [*report.get("sentences", []), *report.get("warnings", [])]:
        click.echo(f"\n{sentence}" if isinstance(sentence, str) else f"\n{sentence.get('text', '')}")
    if curve := report.get("labels"):
        from tlbatch.display.label_curve import curve_lines

        click.echo("\nHow many labels?\n")
        click.echo("\n".join(curve_lines(curve)))
