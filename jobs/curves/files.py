"""``predictions.json`` and ``curve.csv``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.curves.fits import Predicted, Series
from jobs.curves.labelled import Labelled
from tlbatch.spreadsheet import csv_text

HEADING = (
    "run",
    "role",
    "labels",
    "accuracy",
    "low",
    "high",
    "sd",
    "draws",
    "gain",
    "gain_low",
    "gain_high",
    "p",
    "p_adjusted",
)


def predictions_of(labelled: Labelled, predicted: Mapping[str, tuple[Series, Predicted]]) -> dict[str, Any]:
    """What every fit said of every test image."""
    series = {
        name: {str(labels): found.classes(one, labels).tolist() for labels in labelled.labels}
        for name, (one, found) in predicted.items()
    }
    ids = [entry.id for entry in labelled.test]
    images = {"ids": ids, "labels": labelled.truth.tolist(), "groups": labelled.test_units}
    return {**images, "classes": list(labelled.classes), "series": series}


def csv_of(document: Mapping[str, Any]) -> str:
    """A line for each number of labels of each run, and of its control."""
    return csv_text(HEADING, list(_lines(document)))


def _lines(document: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for run in document["runs"]:
        for role, name in (("run", run["name"]), ("control", run["control"])):
            for point in run["points"] if name else ():
                found = point["accuracy" if role == "run" else "control"]
                gain = (point["gain"] or {}) if role == "run" else {}
                numbers = tuple(found[each] for each in ("value", "low", "high", "sd"))
                gained = tuple(gain.get(each, "") for each in ("value", "low", "high", "p", "p_adjusted"))
                yield name, role, point["labels"], *numbers, document["draws"], *gained
        scratch = run.get("scratch") or {"points": []}
        for point in scratch["points"]:
            found, gain = point["control"], point["gain"]
            numbers = tuple(found[each] for each in ("value", "low", "high", "sd"))
            gained = tuple(gain[each] for each in ("value", "low", "high", "p", "p_adjusted"))
            yield scratch["name"], f"scratch, beside {run['name']}", point["labels"], *numbers, scratch["draws"], *gained
