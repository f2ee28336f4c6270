"""Few-shot episodes in words: which classes were held out, how well each run tells them apart, and what its interval is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.reporting.formatting import interval_points, listing, percent, plural, signed_points
from tlbatch import nouns

NAMED = 8
TITLES = {"prototypes": "class means", "knn": "the nearest", "logistic": "logistic regression"}


def sentences_of(document: Mapping[str, Any]) -> list[str]:
    return [_held_out(document), *(_run(run, document) for run in document["runs"]), *_gains(document), _intervals(document)]


def _held_out(document: Mapping[str, Any]) -> str:
    names = list(document["classes"])
    shown = listing(names) if len(names) <= NAMED else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    without = document["left_out"]
    left = (
        f" {nouns.count(without)} of them {'is' if without == 1 else 'are'} in no episode, being copies of others."
        if without
        else ""
    )
    return (
        f"{plural(len(names), 'class', 'classes')} ({shown}) were held out: no {nouns.item()} of them trained, "
        f"validated or tested anything, and all other figures are of the other {len(document['learnt'])}.{left}"
    )


def _run(run: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """The head that is best at each number of shots is not picked out: the first one that was asked for is told."""
    head = run["points"][0]["head"]
    points = [point for point in run["points"] if point["head"] == head]
    said = listing([_said(point) for point in points])
    what = "the network that it trained" if run["trained"] else "its features"
    chance = percent(1 / document["ways"])
    return (
        f"{run['name']}: of {document['ways']} such classes {what} and {TITLES[head]} tell {said}; naming any of them would be "
        f"right {chance} of the time."
    )


def _said(point: Mapping[str, Any]) -> str:
    found = point["accuracy"]
    return (
        f"{percent(found['value'])} right with {plural(point['shots'], 'label')} a class (95 % interval "
        f"{percent(found['low'])} to {percent(found['high'])})"
    )


def _gains(document: Mapping[str, Any]) -> Iterator[str]:
    """Against the same network with random weights."""
    for run in document["runs"]:
        head = run["points"][0]["head"]
        points = [point for point in run["points"] if point["head"] == head and point["gain"]]
        if points:
            gains = [_gain(point["gain"], point["shots"]) for point in points]
            shown = {"helped": "transfer helped", "harmed": "transfer harmed"}
            words = {shown.get(point["verdict"], "no difference shown") for point in points}
            verdict = words.pop() if len(words) == 1 else "not shown at every number of labels"
            against = f"{run['control']}, the same network with random weights"
            yield f"{run['name']} against {against}, in points: {listing(gains)}: {verdict}."


def _gain(gain: Mapping[str, Any], shots: int) -> str:
    return f"{signed_points(gain['value'])} ({interval_points(gain['low'], gain['high'])}) with {shots}"


def _intervals(document: Mapping[str, Any]) -> str:
    return (
        f"The intervals are for other classes like these {len(document['classes'])}. The narrower ones that papers give, over "
        f"{document['count']:,} episodes, are for other episodes of these very classes and {nouns.items()}, which they share."
    )
