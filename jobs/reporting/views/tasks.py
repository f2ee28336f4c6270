"""The section "Tasks": each task of a study of several, against the same training of it alone, and where its own report is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.reporting.analysis import Analysis
from jobs.reporting.figures.intervals import Estimate, draw_intervals
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import interval_points, listing, p_value, percent, signed_points
from jobs.reporting.tasks import Gain, gain_sentence

MARKS = {"helped": "▲", "harmed": "▼"}


@dataclass(frozen=True)
class Line:
    """A task of a run against its twin. ``labels``: of the training items, how many have one."""

    task: str
    run: str
    labels: str
    weight: str
    accuracy: str
    alone: str
    twin: str
    difference: str
    interval: str
    p: str
    state: str
    mark: str
    fallen: str


@dataclass(frozen=True)
class TasksSection:
    """``pages``: each task and where its report lies, "" of the one that is read."""

    task: str
    pages: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    picture: Drawn | None
    weights: bool


def build_tasks(analysis: Analysis, figures: Figures) -> TasksSection | None:
    """None of a study of one task."""
    names, own = analysis.sources.tasks, analysis.sources.params.task
    if own is None:
        return None
    lines = tuple(_line(gain) for gain in analysis.gains)
    pages = tuple((name, _place(name, own, names[0])) for name in names)
    return TasksSection(own, pages, lines, _picture(analysis.gains, figures), any(line.weight for line in lines))


def _place(task: str, here: str, main: str) -> str:
    """The page of a task, seen from that of another; the main one's lies above the others."""
    if task == here:
        return ""
    up = "" if here == main else "../"
    return f"{up}index.html" if task == main else f"{up}{task}/index.html"


def _line(gain: Gain) -> Line:
    c, d = gain.contrast, gain.contrast.accuracy
    scores = [run.score("accuracy") for run in (c.a, c.b)]
    accuracy, alone = (percent(score.value) if score else "–" for score in scores)
    return Line(
        task=gain.task,
        run=gain.run.name,
        labels=f"{(gain.run.card.get('images') or {}).get('train', 0):,}",
        weight=gain.learnt_weight,
        accuracy=accuracy,
        alone=alone,
        twin=c.b.name,
        difference=signed_points(d.value),
        interval=interval_points(d.low, d.high),
        p=p_value(c.p_adjusted).removeprefix("p = ").removeprefix("p "),
        state=gain.state,
        mark=MARKS.get(gain.state, "○"),
        fallen=listing([f"{each.name} ({signed_points(each.difference.value)})" for each in gain.fallen]) or "none shown",
    )


def _picture(gains: Sequence[Gain], figures: Figures) -> Drawn | None:
    if not gains:
        return None
    rows = [
        Estimate(
            f"{gain.task}: {gain.run.name}",
            100 * gain.contrast.accuracy.value,
            100 * gain.contrast.accuracy.low,
            100 * gain.contrast.accuracy.high,
            signed_points(gain.contrast.accuracy.value),
            gain.contrast.verdict,
        )
        for gain in gains
    ]
    alt = " ".join(gain_sentence(gain) for gain in gains)
    return figures.add("tasks", alt, draw_intervals(rows, "gain over the task alone, points", zero=True))
