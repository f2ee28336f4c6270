"""A label curve beside a control: their paired differences, and of one that is trained from scratch where they cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.curves.labelled import Labelled
from jobs.curves.scratch import Scratch
from jobs.statistics.corrections import holm
from jobs.statistics.crossing import crossing_beyond, crossing_within
from jobs.statistics.differences import LEVEL
from jobs.statistics.label_curves import Interval, difference, mean_accuracy, spreads
from jobs.statistics.power_law import Extrapolation, extrapolate

Bools = NDArray[np.bool_]
HELPED, HARMED, OPEN = "helped", "harmed", "open"
SIGNS = {HELPED: 1, OPEN: 0, HARMED: -1}


def compare(right: Bools, held: Bools, units: Sequence[str], overlap: Sequence[float]) -> list[dict[str, Any]]:
    """``right``, ``held`` [k, draws, n] of a learner and its control: for each number of labels control, gain and verdict."""
    of_control = spreads(held.astype(np.float64), units, overlap)
    of_gain = spreads(right.astype(np.float64) - held, units, overlap)
    gains = [difference(right[k], held[k], units, of_gain[k]) for k in range(len(right))]
    adjusted = holm([float(gain.p or 0.0) for gain in gains])
    return [
        {
            "control": accuracy_of(mean_accuracy(held[k], units, of_control[k]), held[k]),
            "gain": {**asdict(gain), "p_adjusted": p},
            "verdict": OPEN if p >= LEVEL else HELPED if gain.value > 0 else HARMED,
        }
        for k, (gain, p) in enumerate(zip(gains, adjusted, strict=True))
    ]


def accuracy_of(interval: Interval, right: Bools) -> dict[str, Any]:
    """With the standard deviation over draws; ``right`` [draws, n]."""
    sd = float(np.std(right.mean(axis=1), ddof=1))
    return {"value": interval.value, "low": interval.low, "high": interval.high, "sd": sd}


def beside_scratch(scratch: Scratch, labelled: Labelled, right: Bools, law: Extrapolation | None) -> dict[str, Any]:
    """``scratch`` of a run of ``curve.json`` (jobs.curve). ``right`` [k, draws, n] of the run, ``law`` of all its draws."""
    labels = [each for each in labelled.labels if each in scratch.predicted]
    document = {"name": scratch.name, "draws": scratch.draws, "points": [], "crossing": None, "beyond": None}
    if not labels:
        return document
    units, overlap = labelled.test_units, [labelled.overlap(each) for each in labels]
    held = np.stack([scratch.predicted[each] == labelled.truth for each in labels])
    ours = np.stack([right[labelled.labels.index(each), : scratch.draws] for each in labels])
    points = [{"labels": each, **row} for each, row in zip(labels, compare(ours, held, units, overlap), strict=True)]
    gains, verdicts = [row["gain"]["value"] for row in points], [SIGNS[row["verdict"]] for row in points]
    within = crossing_within(labels, gains, verdicts)
    theirs = extrapolate(labels, held, units, overlap)
    beyond = None
    if (
        within.low is not None
        and within.high is None
        and law is not None
        and theirs is not None
        and labels[-1] == labelled.labels[-1]
    ):
        beyond = asdict(crossing_beyond(law, theirs, labels[-1]))
    return {**document, "points": points, "crossing": asdict(within), "beyond": beyond}
