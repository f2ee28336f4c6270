"""A label curve (``curve.json``, jobs.curve) in a terminal: a small table, and its sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tlbatch.display.text import text_table
from tlbatch.output import terminal_width

COLUMNS = ("run", "labels a class", "accuracy", "95 % interval", "control", "gain", "95 % interval ", "transfer")
LEFT = (0, 7)
VERDICTS = {"open": "no difference shown"}


def curve_lines(document: Mapping[str, Any]) -> list[str]:
    """Accuracy and interval by labels a class beside the control, what is predicted of more, and what both say."""
    return [*text_table(list(COLUMNS), list(curve_rows(document)), LEFT, terminal_width()), "", *curve_sentences(document)]


def curve_sentences(document: Mapping[str, Any]) -> list[str]:
    """Of all runs."""
    return [str(sentence) for run in document["runs"] for sentence in run["sentences"]]


def curve_rows(document: Mapping[str, Any]) -> Iterator[list[str]]:
    """A row for each number of labels of each run, and for what is predicted; cells as in COLUMNS."""
    for run in document["runs"]:
        for point in run["points"]:
            accuracy, control, gain = point["accuracy"], point["control"], point["gain"]
            row = [run["name"], str(point["labels"]), _percent(accuracy), _interval(accuracy)]
            row += [_percent(control) if control else "–", f"{100 * gain['value']:+.1f}" if gain else "–"]
            yield [
                *row,
                _interval(gain, sign="+") if gain else "–",
                VERDICTS.get(point["verdict"], point["verdict"] or "–"),
            ]
        scratch = run.get("scratch") or {"points": []}
        for point in scratch["points"]:
            yield [
                scratch["name"],
                f"{point['labels']} (scratch)",
                _percent(point["control"]),
                _interval(point["control"]),
                "–",
                f"{100 * point['gain']['value']:+.1f}",
                _interval(point["gain"], sign="+"),
                VERDICTS.get(point["verdict"], point["verdict"]),
            ]
        for found in sorted(filter(None, (run["twice"], run["all"])), key=lambda each: each["labels"]):
            accuracy, gain = found["accuracy"], found["gain"]
            value = f"{100 * gain['value']:+.1f}"
            yield [
                run["name"],
                f"{found['labels']} (predicted)",
                _percent(accuracy),
                _interval(accuracy),
                "–",
                "–",
                "–",
                f"{value} over {found['over']}",
            ]


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.1f} %"


def _interval(found: Mapping[str, float], sign: str = "") -> str:
    return f"{100 * found['low']:{sign}.1f} – {100 * found['high']:{sign}.1f}"
