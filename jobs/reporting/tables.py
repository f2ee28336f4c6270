"""The one table of a report: a line a run, every number with its interval where it has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.reporting.formatting import count, duration, number, percent
from jobs.reporting.sources import RunSource, Score

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "ece_calibrated",
)
SHARES = ("accuracy", "balanced_accuracy")
SHOWN = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "ece": "ECE",
}
ROLES = {"control": " (control)", "zero_label": " (no labels)"}


@dataclass(frozen=True)
class Cell:
    """``text`` stands alone (terminal); ``main`` and ``interval`` are its two lines on the page."""

    main: str
    interval: str = ""
    value: float | None = None

    @property
    def text(self) -> str:
        return self.main


@dataclass(frozen=True)
class Row:
    run: RunSource
    name: str
    cells: tuple[Cell, ...]
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """``columns`` are the heads after the run's name; those of metrics no run has are left out."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def document(self) -> dict[str, Any]:
        """For ``report.json``: heads, formatted rows, and the raw values under the names of the metrics."""
        return {
            "columns": ["run", self.columns[0], "95 % interval", *self.columns[1:]],
            "rows": [
                [row.name, row.cells[0].text, row.cells[0].interval or "–", *(cell.text for cell in row.cells[1:])]
                for row in self.rows
            ],
            "values": [{"run": row.run.name, "role": row.run.role, **row.values} for row in self.rows],
        }


def build_table(runs: Sequence[RunSource], states: Mapping[str, str] | None = None) -> Table:
    """Runs first, then what they are held against, in the study's order. ``states``: what adaptation did, by run."""
    ordered = sorted(runs, key=lambda run: ("run", "control", "zero_label").index(run.role))
    added = {name: title for run in ordered for name, title in added_metrics(run).items()}
    heads = {**SHOWN, **added}
    metrics = [name for name in heads if any(run.score(name) for run in ordered)]
    columns = [heads[name] for name in metrics]
    extra: dict[str, Callable[[RunSource], Cell]] = {"trained": _trained, "time": _time}
    if states:
        extra = {"adaptation": lambda run: Cell(states.get(run.name, "–")), **extra}
    rows = []
    for run in ordered:
        cells = [_metric(name, run.score(name)) for name in metrics] + [cell(run) for cell in extra.values()]
        rows.append(Row(run, run.name + ROLES.get(run.role, ""), tuple(cells), values_of(run)))
    return Table((*columns, *extra), tuple(rows))


def added_metrics(run: RunSource) -> dict[str, str]:
    """Metrics of plug-ins that were computed for the run: name -> title."""
    return {name: one["title"] for name, one in run.metrics.get("metrics", {}).items() if ":" in name}


def values_of(run: RunSource) -> dict[str, Any]:
    """Raw numbers of a run: each metric's value and interval, parameters, seconds."""
    scores = {name: run.score(name) for name in (*METRICS, *added_metrics(run))}
    return {
        "metrics": {name: {"value": s.value, "low": s.low, "high": s.high, "sd": s.sd} for name, s in scores.items() if s},
        "parameters": run.card.get("parameters"),
        "trainable_parameters": run.card.get("trainable_parameters"),
        "seconds": training_seconds(run),
    }


def training_seconds(run: RunSource) -> float | None:
    """Seconds to get one model of the run: a mean training (of all its tasks), and its features' extraction."""
    spent = [artifact.manifest.made.get("seconds") for artifact in (run.together or run.finetune).values()]
    known = [float(seconds) for seconds in spent if seconds is not None]
    if not known:
        return None
    extraction = run.extract.manifest.made.get("seconds", 0.0) if run.extract else 0.0
    return round(sum(known) / len({seed for seed, _ in run.finetune}) + float(extraction), 3)


def format_metric(name: str, value: float) -> str:
    return percent(value) if name in SHARES else number(value)


def _metric(name: str, score: Score | None) -> Cell:
    if score is None:
        return Cell("–")
    interval = ""
    if score.low is not None and score.high is not None:
        scale, digits = (100, 1) if name in SHARES else (1, 3)
        interval = f"{number(scale * score.low, digits)} – {number(scale * score.high, digits)}"
    return Cell(format_metric(name, score.value), interval, score.value)


def _trained(run: RunSource) -> Cell:
    value = run.card.get("trainable_parameters")
    whole = run.card.get("parameters")
    of = f"of {count(whole)}" if value is not None and whole is not None and whole != value else ""
    return Cell(count(value), of, value)


def _time(run: RunSource) -> Cell:
    seconds = training_seconds(run)
    return Cell(duration(seconds), value=seconds)
