"""What learning several tasks together did to each of them, against the same training of it alone: in all, and in one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.reporting.adaptation import ClassFall, fallen_classes
from jobs.reporting.chance import doubt
from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE, Contrast
from jobs.reporting.formatting import (
    interval_points,
    items_in_units,
    listing,
    number,
    p_value,
    percent,
    plural,
    points,
    signed_points,
)
from jobs.reporting.sources import RunSource
from jobs.reporting.validation import standing
from tlbatch import nouns

KIND = "tasks"
HELPED, HARMED, NO_DIFFERENCE = "helped", "harmed", "no difference shown"
STATES = {BETTER: HELPED, WORSE: HARMED, NOT_SHOWN: NO_DIFFERENCE}


@dataclass(frozen=True)
class Gain:
    """A task of a run against its single-task twin, as planned. ``fallen``: classes of it that fell, Holm over its classes."""

    contrast: Contrast
    fallen: tuple[ClassFall, ...]

    @property
    def run(self) -> RunSource:
        return self.contrast.a

    @property
    def task(self) -> str:
        return str(self.run.asked.task)

    @property
    def others(self) -> list[str]:
        """The tasks that it was learnt beside."""
        return [name for name in self.run.asked.tasks if name != self.task]

    @property
    def together(self) -> str:
        """The run's name in the study."""
        return self.run.name.removesuffix(f"-{self.task}")

    @property
    def state(self) -> str:
        return STATES[self.contrast.verdict]

    @property
    def learnt_weight(self) -> str:
        """The factor on its loss in the end, mean over the models; "" where the study sets it."""
        if (self.run.asked.train or {}).get("task_weights") != "uncertainty":
            return ""
        cards = [artifact.read_json("card.json") for artifact in self.run.finetune.values()]
        return number(float(np.mean([card["task_weights"][self.task] for card in cards])), 2)


def gains_of(contrasts: Sequence[Contrast], classes: dict[str, list[str]]) -> list[Gain]:
    """Of all runs and tasks, in the study's order. ``classes`` by task."""
    own = [c for c in contrasts if KIND in c.kinds]
    return [Gain(c, tuple(fallen_classes(c, classes[str(c.a.asked.task)]))) for c in own]


def subject_of(gains: Sequence[Gain]) -> list[Gain]:
    """Those of the run that the headline is about: the best by validation, mean over its tasks; never by test images."""
    runs = dict.fromkeys(gain.together for gain in gains)

    def order(name: str) -> tuple[float, float]:
        found = [standing(gain.run) for gain in gains if gain.together == name]
        accuracy, loss = (float(np.mean(values)) for values in zip(*((s.accuracy, s.loss) for s in found), strict=True))
        return (-accuracy if np.isfinite(accuracy) else 1.0, loss if np.isfinite(loss) else np.inf)

    best = min(runs, key=order, default=None)
    return [gain for gain in gains if gain.together == best]


def verdict_of(gains: Sequence[Gain]) -> str:
    """In one word: harmed where any task is."""
    states = {gain.state for gain in gains}
    return HARMED if HARMED in states else HELPED if HELPED in states else NO_DIFFERENCE


# -- words ----------------------------------------------------------------------------------------------------------------


def claim(gains: Sequence[Gain], family: int) -> tuple[str, str]:
    """Headline and lead of a report whose subject is this run."""
    by_state = {state: [gain.task for gain in gains if gain.state == state] for state in (HARMED, HELPED)}
    did = [f"{state} {listing(tasks)}" for state, tasks in by_state.items() if tasks]
    headline = (
        f"Learning several tasks together {' and '.join(did)}" if did else "No gain from learning several tasks together shown"
    )
    lead = "; ".join(_right(gain) for gain in gains)
    return headline, f"{lead}{f' (p after Holm over {family} comparisons)' if family > 1 else ''}."


def _right(gain: Gain) -> str:
    run, d = gain.run, gain.contrast.accuracy
    score = run.score("accuracy")
    right = percent(score.value) if score else "–"
    seeds = f" (mean of {d.seeds} seeds)" if d.seeds > 1 else ""
    what = "as many as" if points(d.value) == points(0.0) else f"{points(d.value)} {'fewer' if d.value < 0 else 'more'} than"
    apart = ", not told apart" if gain.state == NO_DIFFERENCE else ""
    return (
        f"of {gain.task}, {run.name} classifies {right} of {items_in_units(len(run.labels), run.units)} right{seeds}"
        f"{doubt(run)}, {what} {gain.contrast.b.name}{doubt(gain.contrast.b)}, the same training of {gain.task} alone{apart} "
        f"(95 % interval of the difference {interval_points(d.low, d.high)} points; {d.test}, "
        f"{p_value(gain.contrast.p_adjusted)})"
    )


def gain_sentences(gains: Sequence[Gain]) -> list[str]:
    """One of each task and run, what is harmed first; then the classes that fell."""
    order = [HARMED, HELPED, NO_DIFFERENCE]
    said = [gain_sentence(gain) for gain in sorted(gains, key=lambda gain: order.index(gain.state))]
    return [*said, *(sentence for gain in gains if (sentence := _harm(gain)))]


def gain_sentence(gain: Gain) -> str:
    """'Learning digit with parity gained +1.2 points (95 % interval +0.3 to +2.1): a against b, p = 0.020 after Holm.'"""
    d = gain.contrast.accuracy
    did = {HELPED: "gained", HARMED: "harmed it:"}.get(gain.state, "showed no difference:")
    a, b = (f"{run.name}{doubt(run)}" for run in (gain.run, gain.contrast.b))
    return (
        f"Learning {gain.task} with {listing(gain.others)} {did} {signed_points(d.value)} points "
        f"(95 % interval {interval_points(d.low, d.high)}): {a} against {b}, {p_value(gain.contrast.p_adjusted)} after Holm."
    )


def _harm(gain: Gain) -> str:
    """Which classes fell; empty where none is shown to."""
    if not gain.fallen:
        return ""
    rows = [f"{each.name} ({signed_points(each.difference.value)} points of {nouns.count(each.n)})" for each in gain.fallen]
    fell = f"{plural(len(rows), 'class', 'classes')} fell: {listing(rows)}"
    return f"Harm in {gain.run.name}: against {gain.contrast.b.name}, {fell}."


def rows_of(gains: Sequence[Gain]) -> list[dict[str, Any]]:
    """For ``report.json``."""
    return [
        {
            "task": gain.task,
            "run": gain.run.name,
            "against": gain.contrast.b.name,
            "state": gain.state,
            "difference": gain.contrast.accuracy.value,
            "low": gain.contrast.accuracy.low,
            "high": gain.contrast.accuracy.high,
            "p_adjusted": gain.contrast.p_adjusted,
            "sentence": gain_sentence(gain),
            "fallen": [
                {"class": each.name, "n": each.n, "difference": each.difference.value, "p_adjusted": each.difference.p_adjusted}
                for each in gain.fallen
            ],
        }
        for gain in gains
    ]
