"""The comparisons of a report: those planned before any result was seen, and the best run against no labels at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.reporting.sources import RunSource, Sources
from jobs.reporting.validation import best
from jobs.statistics.differences import LEVEL, METHOD_SEEDS, Difference, as_family, paired_difference
from jobs.statistics.macro_f1 import F1Difference, f1_difference
from tlbatch import nouns
from tlbatch.contracts import reports
from tlbatch.errors import DataError

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"


@dataclass(frozen=True)
class Contrast:
    """Run a against run b on the same test images. ``kinds``: previous, control, adaptation, tasks or zero_label."""

    a: RunSource
    b: RunSource
    kinds: tuple[str, ...]
    accuracy: Difference
    macro_f1: F1Difference

    @property
    def p_adjusted(self) -> float:
        """After Holm's correction for all contrasts."""
        return self.accuracy.p_adjusted

    @property
    def verdict(self) -> str:
        """What is shown: Holm's p-value is below 0.05, and so the interval at the level of its step leaves out zero."""
        return NOT_SHOWN if self.p_adjusted >= LEVEL else BETTER if self.accuracy.value > 0 else WORSE

    @property
    def of_methods(self) -> bool:
        return self.accuracy.seeds >= METHOD_SEEDS


def planned_contrasts(sources: Sources) -> list[Contrast]:
    """All comparisons of the study in order, Holm-adjusted as one family. The same pair asked for twice is tested once.

    Of several tasks, too, they are one family.
    """
    of_tasks = [sources.of_task(task) for task in sources.tasks]
    compared = [contrast for each in of_tasks or [sources] for contrast in _compared(each)]
    family = as_family([contrast.accuracy for contrast in compared])
    return [replace(contrast, accuracy=accuracy) for contrast, accuracy in zip(compared, family, strict=True)]


def _compared(sources: Sources) -> list[Contrast]:
    """Those of one task, none adjusted."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for asked in sources.params.contrasts:
        a = sources.run(asked.a)
        b = _other(sources, asked)
        if a is not None and b is not None and a is not b:
            pairs.setdefault((a.name, b.name), []).append(asked.kind)
    zero, champion = sources.zero_label, best(sources.asked_for)
    if zero is not None and champion is not None:
        pairs.setdefault((champion.name, zero.name), []).append("zero_label")
    return [_compare(sources, a, b, tuple(kinds)) for (a, b), kinds in pairs.items()]


def _other(sources: Sources, asked: reports.Contrast) -> RunSource | None:
    """What a is held against: the named run, or the candidate that is best on validation."""
    if asked.b is not None:
        return sources.run(asked.b)
    return best([run for run in map(sources.run, asked.candidates) if run is not None])


def _compare(sources: Sources, name_a: str, name_b: str, kinds: tuple[str, ...]) -> Contrast:
    a, b = sources.run(name_a), sources.run(name_b)
    assert a is not None
    assert b is not None
    predicted_a, predicted_b = _both_predicted(a, b)
    accuracy = paired_difference(predicted_a == a.labels, predicted_b == a.labels, a.groups)
    f1 = f1_difference(a.labels, predicted_a, predicted_b, a.groups, len(sources.classes))
    return Contrast(a, b, kinds, accuracy, f1)


def _both_predicted(a: RunSource, b: RunSource) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[seeds, n] of each, of the same seeds and images."""
    predicted_a, predicted_b = _predicted(a, b), _predicted(b, a)[:, _same_images(a, b)]
    if len(predicted_a) != len(predicted_b):
        predicted_a, predicted_b = np.broadcast_arrays(predicted_a, predicted_b)
    return predicted_a, predicted_b


def compared_rows(
    a: RunSource, b: RunSource
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.str_]]:
    """Which images a, and b, gets right [seeds, n]; their labels [n] and units [n]."""
    predicted_a, predicted_b = _both_predicted(a, b)
    return predicted_a == a.labels, predicted_b == a.labels, a.labels, np.asarray(a.groups)


def _predicted(run: RunSource, other: RunSource) -> NDArray[np.int64]:
    """[seeds, n] predicted classes of the seeds to compare."""
    return np.stack([run.probabilities(seed).argmax(axis=1) for seed in compared_seeds(run, other)])


def compared_seeds(run: RunSource, other: RunSource) -> list[int]:
    """The seeds of the run that are compared: those that both have; where they share none, of as many as both.

    A run whose seeds all gave the same model has but one to compare, and so has one without training: it is held against all
    seeds of the other, and only the other spreads.
    """
    if run.has_no_spread:
        return run.seeds[:1]
    if other.has_no_spread:
        return run.seeds
    return [seed for seed in run.seeds if seed in other.seeds] or run.seeds[: min(len(run.seeds), len(other.seeds))]


def _same_images(a: RunSource, b: RunSource) -> NDArray[np.int64]:
    """Rows of b's predictions in the order of a's. Raises DataError where they are not of the same images."""
    keys_a, keys_b = _image_keys(a), _image_keys(b)
    if keys_a == keys_b:
        return np.arange(len(keys_a))
    place = {key: row for row, key in enumerate(keys_b)}
    if set(place) != set(keys_a):
        raise DataError(
            f"{a.name} and {b.name} were tested on different {nouns.items()}, so they cannot be compared: run the "
            f"study again, and "
            "keep one dataset.split for all its runs"
        )
    return np.array([place[key] for key in keys_a])


def _image_keys(run: RunSource) -> list[tuple[str, str]]:
    ids = run.predictions["ids"]
    return list(zip(ids, run.predictions.get("paths") or ids, strict=True))


def find(contrasts: Sequence[Contrast], a: RunSource, kind: str) -> Contrast | None:
    """The contrast of a run of this kind."""
    return next((contrast for contrast in contrasts if contrast.a is a and kind in contrast.kinds), None)


__all__ = ["BETTER", "NOT_SHOWN", "WORSE", "Contrast", "find", "planned_contrasts"]
