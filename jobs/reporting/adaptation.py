"""What bringing domains together did to each run that did so: in all, for each class, and in one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.reporting.chance import doubt
from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE, Contrast, compared_rows
from jobs.reporting.formatting import (
    interval_points,
    items_in_units,
    listing,
    p_value,
    percent,
    plural,
    points,
    recipe,
    signed_points,
)
from jobs.reporting.sources import RunSource, Sources
from jobs.reporting.validation import best, standing
from jobs.statistics.differences import Difference, as_family, paired_difference
from tlbatch import nouns
from tlbatch.strategies import settings_of, strategy_of

KIND = "adaptation"
HELPED, HARMED, NO_DIFFERENCE, NO_BETTER_THAN_CHANCE = "helped", "harmed", "no difference shown", "not above chance"


@dataclass(frozen=True)
class ClassFall:
    """A class of whose ``n`` test images fewer are right than with the control: tested over units, Holm over the classes."""

    name: str
    n: int
    difference: Difference


@dataclass(frozen=True)
class Adaptation:
    """``contrasts``: with its own controls, as planned. ``fallen``: classes that fell against each of these, by its name."""

    run: RunSource
    contrasts: tuple[Contrast, ...]
    fallen: dict[str, tuple[ClassFall, ...]]

    @property
    def state(self) -> str:
        """``harmed`` where any control is shown to be better; ``helped`` where the run is shown to be better than each."""
        verdicts = {contrast.verdict for contrast in self.contrasts}
        if WORSE in verdicts:
            return HARMED
        if not self.run.above_chance.shown:
            return NO_BETTER_THAN_CHANCE
        return HELPED if verdicts == {BETTER} else NO_DIFFERENCE


def adapted(run: RunSource) -> bool:
    """Whether its strategy brings controls of its own, and reads sources."""
    return run.asked.strategy is not None and strategy_of(run.asked.strategy).own_controls is not None


def adaptations(sources: Sources, contrasts: Sequence[Contrast]) -> list[Adaptation]:
    """Of the study's own runs that are held against controls of their own."""
    found = []
    for run in sources.asked_for:
        own = tuple(c for c in contrasts if c.a is run and KIND in c.kinds)
        if own:
            found.append(Adaptation(run, own, {c.b.name: tuple(fallen_classes(c, sources.classes)) for c in own}))
    return found


def fallen_classes(contrast: Contrast, classes: Sequence[str]) -> list[ClassFall]:
    """Classes whose recall is shown to have fallen: each tested over its own units and seeds, Holm-adjusted as one family."""
    right_a, right_b, labels, groups = compared_rows(contrast.a, contrast.b)
    there = [number for number in range(len(classes)) if (labels == number).any()]
    inside = [labels == number for number in there]
    tests = [paired_difference(right_a[:, of], right_b[:, of], groups[of]) for of in inside]
    family = as_family(tests) if tests else []
    return [
        ClassFall(classes[number], int(of.sum()), test)
        for number, of, test in zip(there, inside, family, strict=True)
        if test.p_adjusted < 0.05 and test.value < 0
    ]


def subject_of(found: Sequence[Adaptation]) -> Adaptation | None:
    """The one that the headline is about: the best by validation, never by the test images."""
    chosen = best([each.run for each in found])
    return next((each for each in found if each.run is chosen), None)


# -- words ----------------------------------------------------------------------------------------------------------------


def claim(found: Adaptation, family: int) -> tuple[str, str]:
    """Headline and lead of a report whose subject it is."""
    headline = {HELPED: "Adaptation helped", HARMED: "Adaptation harmed"}.get(found.state, "No gain from adaptation shown")
    run, score = found.run, found.run.score("accuracy")
    right = percent(score.value) if score else "–"
    against = listing([_against(c) for c in found.contrasts])
    return headline, (
        f"{run.name} ({recipe(run.asked)}), classifies {right} of {items_in_units(len(run.labels), run.units)} right"
        f"{doubt(run)}: {against}{f' (Holm over {family} comparisons)' if family > 1 else ''}."
    )


def _against(c: Contrast) -> str:
    d = c.accuracy
    what = "as many as" if points(d.value) == points(0.0) else f"{points(d.value)} {'fewer' if d.value < 0 else 'more'} than"
    apart = ", not told apart" if c.verdict == NOT_SHOWN else ""
    return (
        f"{what} {c.b.name}{doubt(c.b)}{apart} (95 % interval {interval_points(d.low, d.high)} points; "
        f"{d.test}, {p_value(c.p_adjusted)})"
    )


def adaptation_sentences(found: Sequence[Adaptation], sources: Sources, subject: RunSource | None) -> list[str]:
    """Each run's state, the classes that fell, how far the ceiling is, and by what the runs were chosen."""
    said = [_sentence(each) for each in found if each.run is not subject]
    said += [sentence for each in found if (sentence := _harm(each))]
    hopeless = [each.run.name for each in found if each.state == NO_BETTER_THAN_CHANCE]
    if hopeless:
        said.append(
            f"{listing(hopeless)}: not shown to be above chance, so what was learnt from the sources is of no use here."
        )
    said += ceiling_sentence(found, sources)
    return [*said, *chosen_sentence([each.run for each in found])]


def _sentence(found: Adaptation) -> str:
    parts = listing([f"{signed_points(c.accuracy.value)} points against {c.b.name}{doubt(c.b)}" for c in found.contrasts])
    p = listing([f"{interval_points(c.accuracy.low, c.accuracy.high)}; {p_value(c.p_adjusted)}" for c in found.contrasts])
    words = {HELPED: "adaptation helped", HARMED: "adaptation harmed"}.get(found.state, "no gain shown")
    return f"{found.run.name} ({recipe(found.run.asked)}): {words}, {parts} ({p} after Holm)."


def _harm(found: Adaptation) -> str:
    """Which classes fell; empty where none is shown to."""
    said = []
    for control, fallen in found.fallen.items():
        if fallen:
            rows = [f"{each.name} ({signed_points(each.difference.value)} points of {nouns.count(each.n)})" for each in fallen]
            said.append(f"against {control}, {plural(len(rows), 'class', 'classes')} fell: {listing(rows)}")
    return f"Harm in {found.run.name}: {'; '.join(said)}." if said else ""


def ceiling_sentence(found: Sequence[Adaptation], sources: Sources) -> list[str]:
    """What the same head, or network, gives with all of the target's labels: for the eye, no test."""
    names = {each.run.name for each in found}
    tested = {c.b.name for each in found for c in each.contrasts}
    ceilings = [run for run in sources.runs if run.role == "control" and names & {*run.asked.control_for} - {""}]
    return [
        f"With all of the target's training labels the same {_learner(run)} gets {percent(score.value)} ({run.name}): "
        "the ceiling."
        for run in ceilings
        if run.name not in tested and not adapted(run) and (score := run.score("accuracy"))
    ]


def _learner(run: RunSource) -> str:
    assert run.asked.strategy is not None
    return "head" if strategy_of(run.asked.strategy).on_features else "network"


def chosen_sentence(runs: Sequence[RunSource]) -> list[str]:
    """By what, and how far that can be trusted (Musgrave, Belongie and Lim 2021)."""
    blind = [run for run in runs if standing(run).elsewhere]
    if not blind:
        return []
    where = listing(list(dict.fromkeys(name for run in blind for name in standing(run).elsewhere)))
    return [
        f"{listing([run.name for run in blind])} read no validation label of the target: settings and calibration rest on "
        f"labels of {where}, which need not rank methods, or say how sure to be, on the target."
    ]


def method_of(run: RunSource) -> str:
    """As the study names it."""
    asked = run.asked.strategy
    return "" if asked is None else str(settings_of(asked).get("method", ""))


def rows_of(found: Adaptation) -> list[dict[str, object]]:
    """For ``report.json``: each contrast with the classes that fell."""
    return [
        {
            "run": found.run.name,
            "against": c.b.name,
            "state": found.state,
            "verdict": c.verdict,
            "fallen": [
                {"class": each.name, "n": each.n, "difference": each.difference.value, "p_adjusted": each.difference.p_adjusted}
                for each in found.fallen[c.b.name]
            ],
        }
        for c in found.contrasts
    ]
