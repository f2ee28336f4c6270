"""Metrics and comparisons as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jobs.reporting.analysis import Analysis
from jobs.reporting.output import Output
from jobs.reporting.sources import CURVE, EPISODES, RunSource
from jobs.reporting.suspected import suspected_of
from tlbatch.spreadsheet import csv_text

Line = Sequence[Any]
SUSPECT = ("predicted", "p_label", "p_predicted", "margin", "part")


def write_spreadsheets(context: Output, analysis: Analysis) -> None:
    """``metrics.csv``, ``contrasts.csv``, ``suspects.csv`` and others: UTF-8, one heading line, numbers as in Python."""
    metrics = [line for run in analysis.sources.runs for line in _metrics(run)]
    _write(context, "metrics.csv", ("run", "role", "seed", "metric", "value", "low", "high", "n"), metrics)
    heading = (
        "a",
        "b",
        "kinds",
        "verdict",
        "difference",
        "low",
        "high",
        "p",
        "p_adjusted",
        "smallest",
        "f1",
        "f1_low",
        "f1_high",
        "low_adjusted",
        "high_adjusted",
        "images",
        "units",
    )
    _write(context, "contrasts.csv", heading, list(_contrasts(analysis)))
    for step in (CURVE, EPISODES):
        if step in analysis.sources.artifacts:
            name = f"{step}.csv"
            context.out(name).write_bytes(analysis.sources.artifacts[step].read_bytes(name))
    if analysis.believed:
        _write(context, "believed.csv", ("run", "source", "path", "label", "missed", "weight"), list(_believed(analysis)))
    _write(context, "suspects.csv", ("path", "label", "labelled", *SUSPECT, "run"), list(_suspects(analysis)))


def _metrics(run: RunSource) -> Iterator[Line]:
    for seed, metrics in run.metrics.get("seeds", {}).items():
        for name, found in metrics.items():
            entry = found if isinstance(found, dict) else {"value": found}
            yield run.name, run.role, seed, name, *(_blank(entry.get(key)) for key in ("value", "low", "high", "n"))


def _contrasts(analysis: Analysis) -> Iterator[Line]:
    for c in analysis.contrasts:
        d, f1 = c.accuracy, c.macro_f1
        numbers = (d.value, d.low, d.high, d.p, c.p_adjusted, d.smallest, f1.value, f1.low, f1.high)
        counted = (d.low_adjusted, d.high_adjusted, d.images, d.groups)
        yield c.a.name, c.b.name, " ".join(c.kinds), c.verdict, *numbers, *counted


def _believed(analysis: Analysis) -> Iterator[Line]:
    """Source items that TrAdaBoost weighs, the most believed first."""
    for found in analysis.believed:
        for item in found.items:
            yield found.run.name, item.source, item.entry.path, item.entry.label, item.missed, item.weight


def _suspects(analysis: Analysis) -> Iterator[Line]:
    """The best run's suspects, most suspect first, then what only others suspect. ``label`` is there to be edited."""
    best, seen = analysis.findings.best.name if analysis.findings.best else "", set[str]()
    for judged in sorted(suspected_of(analysis.sources), key=lambda judged: best not in judged.runs):
        for found in judged.suspects:
            if found["path"] not in seen:
                seen.add(found["path"])
                label = found["label"]
                yield found["path"], label, label, *(found.get(name, "") for name in SUSPECT), judged.name(best)


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _write(context: Output, name: str, heading: Line, lines: Sequence[Line]) -> None:
    with context.out(name).open("w", encoding="utf-8", newline="") as file:
        file.write(csv_text(heading, lines))
