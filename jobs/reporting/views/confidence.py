"""How far the runs' probabilities can be trusted: ROC, reliability, accuracy against coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.reporting.analysis import Analysis
from jobs.reporting.figures.lines import Line, draw_coverage, draw_reliability, draw_roc
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import number
from jobs.reporting.sources import RunSource
from jobs.reporting.validation import standing
from tlbatch import nouns


@dataclass(frozen=True)
class CalibrationLine:
    run: str
    before: str
    after: str
    perfect: str
    temperature: str


@dataclass(frozen=True)
class Confidence:
    worst_best: Drawn | None
    all_runs: Drawn | None
    positive: str  #: what the curves are of, in words
    reliability: Drawn | None
    reliability_of: str
    coverage: Drawn | None
    calibration: tuple[CalibrationLine, ...]


def build_confidence(analysis: Analysis, figures: Figures) -> Confidence:
    runs = analysis.sources.runs
    colours = {run.name: place for place, run in enumerate(runs)}
    ranked = sorted(analysis.sources.asked_for, key=lambda run: standing(run).order)
    ends = [ranked[-1], ranked[0]] if len(ranked) > 1 else []
    champion = analysis.findings.best
    classes = analysis.sources.classes
    return Confidence(
        worst_best=_roc("roc-worst-best", ends, colours, figures),
        all_runs=_roc("roc", list(runs), colours, figures),
        positive=f"telling {classes[1]} from {classes[0]}"
        if len(classes) == 2
        else "macro average, one class against the rest",
        reliability=_reliability(champion, figures) if champion else None,
        reliability_of=champion.name if champion else "",
        coverage=_coverage(list(runs), colours, figures),
        calibration=tuple(line for run in runs if (line := _calibration(run))),
    )


def _roc(name: str, runs: list[RunSource], colours: dict[str, int], figures: Figures) -> Drawn | None:
    lines = []
    for run in runs:
        curves = run.metrics.get("roc") or []
        if curves:
            curve = curves[0]
            lines.append(Line(f"{run.name} ({number(curve.get('auc'))})", curve["fpr"], curve["tpr"], colours[run.name]))
    if not lines:
        return None
    alt = "ROC curves, area under each in brackets: " + "; ".join(line.label for line in lines)
    return figures.add(name, alt, draw_roc(lines))


def _points(found: dict[str, Any] | None) -> list[tuple[float, float]]:
    bins = (found or {}).get("bins") or []
    return [(b["confidence"], b["accuracy"]) for b in bins if b.get("n") and b.get("confidence") is not None]


def _first_calibration(run: RunSource) -> dict[str, Any]:
    calibration = run.metrics.get("calibration") or {}
    return calibration.get(str(run.seeds[0])) or {"before": run.metrics.get("reliability"), "after": None}


def _reliability(run: RunSource, figures: Figures) -> Drawn | None:
    found = _first_calibration(run)
    before, after = _points(found.get("before")), _points(found.get("after"))
    if not before:
        return None
    ece = number((found.get("before") or {}).get("ece"))
    alt = f"Reliability of {run.name}: share right against confidence, {len(before)} bins of equal mass; error {ece}"
    return figures.add(f"reliability-{run.name}", alt, draw_reliability(before, after))


def _coverage(runs: list[RunSource], colours: dict[str, int], figures: Figures) -> Drawn | None:
    lines = []
    for run in runs:
        found = (run.metrics.get("coverage") or {}).get(str(run.seeds[0])) or {}
        points = [p for p in found.get("points") or [] if p.get("accuracy") is not None]
        if points:
            x, y = [100 * p["coverage"] for p in points], [100 * p["accuracy"] for p in points]
            lines.append(Line(run.name, x, y, colours[run.name]))
    if not lines:
        return None
    alt = f"Accuracy on the most confident share of the test {nouns.items()}: " + "; ".join(line.label for line in lines)
    return figures.add("coverage", alt, draw_coverage(lines))


def _calibration(run: RunSource) -> CalibrationLine | None:
    found = _first_calibration(run)
    before, after = found.get("before") or {}, found.get("after") or {}
    if before.get("ece") is None:
        return None
    return CalibrationLine(
        run=run.name,
        before=number(before["ece"]),
        after=number(after.get("ece")),
        perfect=number(before.get("perfect")),
        temperature=number(found.get("temperature"), 2),
    )
