"""From what every fit said of the test images to ``curve.json``: accuracies, gains over the control, law, classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.curves.beside import OPEN, accuracy_of, beside_scratch, compare
from jobs.curves.fits import Predicted, Series
from jobs.curves.labelled import Labelled
from jobs.curves.scratch import Scratch
from jobs.curves.sentences import sentences_of
from jobs.statistics.label_curves import mean_accuracy, spreads
from jobs.statistics.power_law import Extrapolation, extrapolate
from jobs.statistics.slopes import ClassSlope, class_slopes
from jobs.statistics.units import numbered
from tlbatch.contracts.curve import CurveParams

Bools = NDArray[np.bool_]
DIGITS = 9


def analyse(
    params: CurveParams,
    labelled: Labelled,
    predicted: Mapping[str, tuple[Series, Predicted]],
    scratch: Mapping[str, Scratch],
) -> dict[str, Any]:
    """All of ``curve.json`` (jobs.curve)."""
    units = numbered(labelled.test_units)
    runs = [
        _run(name, series, found, predicted, labelled, scratch.get(name))
        for name, (series, found) in predicted.items()
        if not series.control
    ]
    document = {
        "labels": list(labelled.labels),
        "left_out": list(labelled.left_out),
        "draws": params.draws,
        "classes": list(labelled.classes),
        "images": {"train": labelled.counts, "test": len(labelled.test)},
        "units": len(set(units.tolist())),
        "runs": runs,
    }
    rounded: dict[str, Any] = _rounded(document)
    for run in rounded["runs"]:
        run["sentences"] = sentences_of(run, rounded)
    return rounded


def _run(
    name: str,
    series: Series,
    found: Predicted,
    predicted: Mapping[str, tuple[Series, Predicted]],
    labelled: Labelled,
    scratch: Scratch | None,
) -> dict[str, Any]:
    control = predicted.get(f"{name}/control")
    right = _right(series, found, labelled)
    held = _right(*control, labelled) if control else None
    law = extrapolate(labelled.labels, right, labelled.test_units, [labelled.overlap(each) for each in labelled.labels])
    last, smallest = labelled.labels[-1], min(labelled.counts.values())
    return {
        "name": name,
        "control": series.run.control,
        "head": series.run.head,
        "points": _points(labelled, series, found, right, held),
        "law": None if law is None else {**asdict(law.law), "fitted": list(law.fitted), "missed": law.missed},
        "twice": None if law is None else _predicted(law, 2 * last, last),
        "all": None if law is None or last >= smallest else _predicted(law, smallest, last),
        "classes": [_class(each, labelled) for each in _slopes(labelled, right)],
        **({} if scratch is None else {"scratch": beside_scratch(scratch, labelled, right, law)}),
    }


def _right(series: Series, found: Predicted, labelled: Labelled) -> Bools:
    """[k, draws, n]"""
    return np.stack([found.classes(series, labels) == labelled.truth for labels in labelled.labels])


def _points(labelled: Labelled, series: Series, found: Predicted, right: Bools, held: Bools | None) -> list[dict[str, Any]]:
    units, overlap = labelled.test_units, [labelled.overlap(labels) for labels in labelled.labels]
    rows: list[dict[str, Any]] = []
    own = spreads(right.astype(np.float64), units, overlap)
    for number, labels in enumerate(labelled.labels):
        chosen = [each["chosen"] for each in found.of(series, labels)]
        accuracy = accuracy_of(mean_accuracy(right[number], units, own[number]), right[number])
        rows.append({"labels": labels, "overlap": overlap[number], "chosen": chosen, "accuracy": accuracy})
        rows[-1] |= {"control": None, "gain": None, "verdict": None}
    if held is None:
        return rows
    for row, each in zip(rows, compare(right, held, units, overlap), strict=True):
        row |= each
    return rows


def _predicted(law: Extrapolation, labels: int, over: int) -> dict[str, Any]:
    gain, accuracy = law.gain(labels, over), law.predict(labels)
    shown = {
        name: {each: getattr(one, each) for each in ("value", "low", "high")}
        for name, one in (("gain", gain), ("accuracy", accuracy))
    }
    return {"labels": labels, "over": over, **shown}


def _slopes(labelled: Labelled, right: Bools) -> list[ClassSlope]:
    """Between the last number of labels and the last one before that is at most half of it; none where there is no such."""
    labels = labelled.labels
    before = [number for number, each in enumerate(labels) if 2 * each <= labels[-1]]
    if not before:
        return []
    doublings = math.log2(labels[-1] / labels[before[-1]])
    units = numbered(labelled.test_units)
    return class_slopes(right[before[-1]], right[-1], labelled.truth, units, doublings, labelled.overlap(labels[-1]))


def _class(each: ClassSlope, labelled: Labelled) -> dict[str, Any]:
    verdict = OPEN if not each.shown else "gains" if each.slope.value > 0 else "loses"
    return {
        "class": labelled.classes[each.label],
        "n": each.images,
        "recall": each.recall,
        "slope": asdict(each.slope),
        "p_adjusted": each.p_adjusted,
        "verdict": verdict,
    }


def _rounded(value: Any) -> Any:
    """Numbers with so many digits that equal computations give equal bytes."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, DIGITS) if isinstance(value, float) else value
