"""How many labels it takes: the label curve of a study that asked for one, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.reporting.analysis import Analysis
from jobs.reporting.figures.labels import CurveLine, draw_label_curves
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import items_in_units, p_value, percent

MARKS = {
    "helped": ("▲", "helped"),
    "harmed": ("▼", "harmed"),
    "open": ("●", "no difference shown"),
    None: ("–", "not compared"),
}
SLOPES = {"gains": ("▲", "gains"), "loses": ("▼", "loses"), "open": ("●", "not shown")}


@dataclass(frozen=True)
class PointLine:
    """A row of the table; ``predicted``: by the law, not measured."""

    run: str
    labels: str
    accuracy: str
    interval: str
    control: str
    control_interval: str
    gain: str
    gain_interval: str
    p: str
    mark: tuple[str, str]
    predicted: bool = False


@dataclass(frozen=True)
class SlopeLine:
    name: str
    n: int
    recall: str
    slope: str
    interval: str
    p: str
    mark: tuple[str, str]


@dataclass(frozen=True)
class LabelsView:
    """``scratch``: runs beside what was trained from random weights. ``classes``: by run, the steepest first."""

    sentences: tuple[str, ...]
    figure: Drawn
    points: tuple[PointLine, ...]
    scratch: tuple[PointLine, ...]
    classes: tuple[tuple[str, tuple[SlopeLine, ...]], ...]
    draws: int
    images: str
    left_out: tuple[str, ...]


def build_labels(analysis: Analysis, figures: Figures) -> LabelsView | None:
    """None where the study did not ask."""
    document = analysis.sources.curve
    if document is None:
        return None
    test, units = document["images"]["test"], document["units"]
    return LabelsView(
        sentences=tuple(sentence for run in document["runs"] for sentence in run["sentences"]),
        figure=_figure(document, figures),
        points=tuple(line for run in document["runs"] for line in _points(run)),
        scratch=tuple(line for run in document["runs"] for line in _beside(run)),
        classes=tuple((run["name"], _slopes(run)) for run in document["runs"] if run["classes"]),
        draws=int(document["draws"]),
        images=items_in_units(test, units),
        left_out=tuple(
            f"{left['labels']} labels a class: {left['class']} trains with {left['images']}" for left in document["left_out"]
        ),
    )


def _figure(document: Mapping[str, Any], figures: Figures) -> Drawn:
    lines = []
    for place, run in enumerate(document["runs"]):
        scratch = run.get("scratch") or {"name": "", "points": []}
        if scratch["points"]:
            found = [(point["labels"], point["control"]) for point in scratch["points"]]
            lines.append(CurveLine(f"{scratch['name']}, from random weights", found, place, scratch=True))
        for name, key in ((run["name"], "accuracy"), (run["control"], "control")):
            found = [(point["labels"], point[key]) for point in run["points"] if point[key]]
            if found:
                law = run["law"] if key == "accuracy" else None
                twice = run["twice"] if key == "accuracy" else None
                lines.append(CurveLine(str(name), found, place, key == "control", law, twice))
    alt = f"Test accuracy by labels a class, with 95 % intervals: {'; '.join(map(_spoken, lines))}"
    return figures.add("labels", alt, draw_label_curves(lines))


def _spoken(line: CurveLine) -> str:
    return f"{line.label} " + ", ".join(f"{labels}: {percent(each['value'])}" for labels, each in line.points)


def _points(run: Mapping[str, Any]) -> list[PointLine]:
    lines = []
    for point in run["points"]:
        control, gain = point["control"], point["gain"]
        lines.append(
            PointLine(
                run=run["name"],
                labels=str(point["labels"]),
                accuracy=percent(point["accuracy"]["value"]),
                interval=_interval(point["accuracy"]),
                control=percent(control["value"]) if control else "–",
                control_interval=_interval(control) if control else "",
                gain=_signed(gain["value"]) if gain else "–",
                gain_interval=_interval(gain, "+") if gain else "",
                p=p_value(gain["p_adjusted"]) if gain else "–",
                mark=MARKS[point["verdict"]],
            )
        )
    predicted = sorted((found for found in (run["twice"], run["all"]) if found), key=lambda found: found["labels"])
    return lines + [_predicted(run, found) for found in predicted]


def _beside(run: Mapping[str, Any]) -> list[PointLine]:
    """The run beside the network that was trained from scratch, whose accuracy takes the control's place."""
    scratch = run.get("scratch") or {"points": []}
    measured = {point["labels"]: point["accuracy"] for point in run["points"]}
    return [
        PointLine(
            run=run["name"],
            labels=str(point["labels"]),
            accuracy=percent(measured[point["labels"]]["value"]),
            interval=_interval(measured[point["labels"]]),
            control=percent(point["control"]["value"]),
            control_interval=_interval(point["control"]),
            gain=_signed(point["gain"]["value"]),
            gain_interval=_interval(point["gain"], "+"),
            p=p_value(point["gain"]["p_adjusted"]),
            mark=MARKS[point["verdict"]],
        )
        for point in scratch["points"]
    ]


def _predicted(run: Mapping[str, Any], found: Mapping[str, Any]) -> PointLine:
    accuracy, gain = found["accuracy"], found["gain"]
    return PointLine(
        run=run["name"],
        labels=str(found["labels"]),
        accuracy=percent(accuracy["value"]),
        interval=_interval(accuracy),
        control=f"{found['over']} labels",
        control_interval="",
        gain=_signed(gain["value"]),
        gain_interval=_interval(gain, "+"),
        p="–",
        mark=("┄", "predicted"),
        predicted=True,
    )


def _slopes(run: Mapping[str, Any]) -> tuple[SlopeLine, ...]:
    found = sorted(run["classes"], key=lambda each: (-each["slope"]["value"], each["class"]))
    return tuple(
        SlopeLine(
            name=each["class"],
            n=each["n"],
            recall=percent(each["recall"]),
            slope=_signed(each["slope"]["value"]),
            interval=_interval(each["slope"], "+"),
            p=p_value(each["p_adjusted"]),
            mark=SLOPES[each["verdict"]],
        )
        for each in found
    )


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _interval(found: Mapping[str, float], sign: str = "") -> str:
    return f"{100 * found['low']:{sign}.1f} – {100 * found['high']:{sign}.1f}".replace("-", "−")
