"""What the report says, first sentence first. Every claim rests on a contrast; nothing here computes a statistic."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jobs.reporting import tasks
from jobs.reporting.adaptation import Adaptation, adaptation_sentences, adaptations, claim, subject_of
from jobs.reporting.chance import chance_sentence, doubt
from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE, Contrast, compared_seeds, find
from jobs.reporting.formatting import (
    interval_points,
    is_hand_crafted,
    items_in_units,
    listing,
    p_value,
    percent,
    points,
    recipe,
    signed_points,
)
from jobs.reporting.no_labels import described_sentences, prompted_sentences, without_labels
from jobs.reporting.source_limits import limit_sentences
from jobs.reporting.sources import RunSource, Sources
from jobs.reporting.tasks import Gain
from jobs.reporting.transfer_advice import what_decides
from jobs.reporting.validation import best, standing
from jobs.statistics.differences import LEVEL, METHOD_SEEDS
from tlbatch import nouns
from tlbatch.strategies import strategy_of

HELPED, HARMED, NO_DIFFERENCE, NOT_TESTED = "helped", "harmed", "no difference shown", "not tested"
VERDICTS = {BETTER: HELPED, WORSE: HARMED, NOT_SHOWN: NO_DIFFERENCE}


@dataclass(frozen=True)
class Findings:
    """``verdict``: helped, harmed, no difference shown, or not tested; of ``subject`` against its control."""

    verdict: str
    headline: str
    lead: str  #: goes on where the headline ends
    sentences: tuple[str, ...]
    best: RunSource | None
    subject: RunSource | None
    beats_no_labels: bool | None  #: None where the study has no zero-label row

    @property
    def first_sentence(self) -> str:
        return f"{self.headline}: {self.lead}"


def find_words(sources: Sources, contrasts: Sequence[Contrast], gains: Sequence[Gain] = ()) -> Findings:
    """All that the report claims, in order of weight. ``gains``: of every task, where there are several."""
    champion = best(sources.asked_for)
    subject = best([run for run in sources.asked_for if run.asked.pretrained])
    control = find(contrasts, subject, "control") if subject else None
    zero = find(contrasts, champion, "zero_label") if champion else None
    adapted = adaptations(sources, contrasts)
    aim = subject_of(adapted) if control is None else None
    together = tasks.subject_of(gains)
    if together:
        headline, lead = tasks.claim(together, family_of(contrasts))
    elif aim is not None:
        headline, lead = claim(aim, len(contrasts))
    else:
        headline, lead = transfer_claim(control, len(contrasts)) if control else untested_claim(champion, subject)
    beats = None if zero is None else zero.verdict == BETTER
    if zero is not None and not beats:
        lead = f"{labels_claim(zero)}; {headline[0].lower()}{headline[1:]}: {lead}"
        headline = "Worse than no labels at all" if zero.verdict == WORSE else "Not shown to beat no labels at all"
    decides = what_decides(sources.asked_for, contrasts)
    told = {*decides.told, *([subject.name] if subject else [])}
    sentences = [
        *([best_sentence(champion)] if champion else []),
        *decides.sentences,
        *([beats_sentence(zero)] if zero is not None and beats else []),
        *other_verdicts(contrasts, told),
        *adaptation_sentences(adapted, sources, aim.run if aim else None),
        *limit_sentences(adapted),
        *_of_episodes(sources),
        *tasks.gain_sentences(gains),
        *neighbours(contrasts),
        *described_sentences(sources.runs),
        *prompted_sentences(sources.runs),
        *chance_sentence(sources.runs),
        *smallest_sentence(contrasts),
        *scope_sentence(sources),
        *seen_sentence(sources),
    ]
    verdict = VERDICTS[control.verdict] if control else _state(aim) if aim else NOT_TESTED
    verdict = tasks.verdict_of(together) if together else verdict
    return Findings(verdict, headline, lead, tuple(sentences), champion, subject, beats)


def _of_episodes(sources: Sources) -> list[str]:
    """Which classes nothing was trained on, and how well each run tells them apart; its section says more."""
    found = sources.episodes
    return [] if found is None else list(found["sentences"][: 1 + len(found["runs"])])


def family_of(contrasts: Sequence[Contrast]) -> int:
    """Among how many comparisons these were adjusted: more than there are here where other tasks have some."""
    return round(LEVEL / contrasts[0].accuracy.first_level) if contrasts else 0


def _state(aim: Adaptation) -> str:
    """As a verdict of the whole report."""
    return aim.state if aim.state in (HELPED, HARMED) else NO_DIFFERENCE


# -- the first sentence ---------------------------------------------------------------------------------------------------


def transfer_claim(contrast: Contrast, family: int) -> tuple[str, str]:
    """Headline and lead: did transfer help, by how much, against what, by which test."""
    a, b, d = contrast.a, contrast.b, contrast.accuracy
    shown = contrast.verdict != NOT_SHOWN
    headline = f"Transfer {VERDICTS[contrast.verdict]}" if shown else "No difference shown"
    least = f"; the smallest difference this test could show with 80 % power is {points(d.smallest)}"
    return headline, (
        f"{whom(contrast)} {a.name} ({recipe(a.asked)}), classifies {accuracy(a)} of {items_in_units(d.images, d.groups)} "
        f"right{over_seeds(a, b)}{doubt(a)}, {than(d.value, shown)} {b.name}, {control_kind(b)} "
        f"({accuracy(b)}{doubt(b)}): "
        f"{statistics(contrast, family)}{'' if shown else least}."
    )


def untested_claim(champion: RunSource | None, subject: RunSource | None) -> tuple[str, str]:
    """Headline and lead where nothing says whether transfer helped."""
    headline = "Whether transfer helps was not tested"
    if champion is None:
        return headline, "the study has no evaluated run."
    why = (
        "no run of this study starts from a pretrained network"
        if subject is None
        else "the study has neither a control (control: none) nor a run trained from scratch"
    )
    which = "best run by validation" if math.isfinite(standing(champion).accuracy) else "first run (none was validated)"
    return headline, (
        f"{why}; its {which}, {champion.name} ({recipe(champion.asked)}), classifies {accuracy(champion)} of "
        f"{tested_on(champion)} right{interval_of(champion)}{doubt(champion)}."
    )


def labels_claim(zero: Contrast) -> str:
    """The best run does not beat the backbone's own head. No full stop: the rest of the sentence follows."""
    d = zero.accuracy
    return (
        f"the best run, {zero.a.name} ({accuracy(zero.a)}{doubt(zero.a)}), does not beat {zero.b.name} ({accuracy(zero.b)}"
        f"{doubt(zero.b)}), {without_labels(zero.b)} used without a single label "
        f"(difference {signed_points(d.value)} points, 95 % interval {interval_points(d.low, d.high)}; {d.test}, Holm-adjusted "
        f"{p_value(zero.p_adjusted)})"
    )


# -- those that follow ----------------------------------------------------------------------------------------------------


def best_sentence(champion: RunSource) -> str:
    """The best run is named by validation; its test score is what it then gets."""
    validated = standing(champion).accuracy
    tested = f"{accuracy(champion)} on the test {nouns.items()}{interval_of(champion, ', ', '')}{doubt(champion)}"
    if not math.isfinite(validated):
        return f"No run was validated, so none is best by validation; the study's first is {champion.name} ({tested})."
    return f"Best run by validation: {champion.name} ({percent(validated)} on {validated_on(champion)}; {tested})."


def validated_on(run: RunSource) -> str:
    """'validation', or of which source its validation images are."""
    elsewhere = standing(run).elsewhere
    return f"{nouns.items()} that {listing(elsewhere)} holds out, none of the target's" if elsewhere else "validation"


def beats_sentence(zero: Contrast) -> str:
    d = zero.accuracy
    return (
        f"The labels paid: {zero.a.name} beats {zero.b.name}, {without_labels(zero.b)} used without labels "
        f"({accuracy(zero.b)}{doubt(zero.b)}), by {points(d.value)} (95 % interval {interval_points(d.low, d.high)})."
    )


def other_verdicts(contrasts: Sequence[Contrast], told: Collection[str]) -> list[str]:
    """One sentence for each pretrained run against its control that was not spoken of yet."""
    return [
        f"{c.a.name}: {opening(c)} against {c.b.name}{doubt(c.b)}, {signed_points(c.accuracy.value)} points "
        f"({interval_points(c.accuracy.low, c.accuracy.high)}; {p_value(c.p_adjusted)} after Holm)."
        for c in contrasts
        if "control" in c.kinds and c.a.name not in told
    ]


def neighbours(contrasts: Sequence[Contrast]) -> list[str]:
    """Each run against the one before it: what is shown, and what is not."""
    pairs = [c for c in contrasts if "previous" in c.kinds]
    gain = {id(c): signed_points(c.accuracy.value) for c in pairs}
    shown = [f"{c.a.name} {c.verdict} than {c.b.name} ({gain[id(c)]} points)" for c in pairs if c.verdict != NOT_SHOWN]
    hidden = [f"{c.a.name} and {c.b.name} ({gain[id(c)]})" for c in pairs if c.verdict == NOT_SHOWN]
    return [
        *([f"From run to run, shown: {listing(shown)}."] if shown else []),
        *([f"No difference shown between {listing(hidden, 'nor between')}."] if hidden else []),
    ]


def smallest_sentence(contrasts: Sequence[Contrast]) -> list[str]:
    """The smallest difference that the tests made could have shown, at the strictest level that Holm's correction asks for."""
    if not contrasts:
        return []
    found, d = sorted(c.accuracy.smallest for c in contrasts), contrasts[0].accuracy
    several = points(found[0]) != points(found[-1])
    span = f"{100 * found[0]:.1f} to {points(found[-1])}, depending on the pair" if several else points(found[0])
    family = family_of(contrasts)
    level = f"5 % shared among {family} comparisons" if family > 1 else "at 5 %"
    where = items_in_units(d.images, d.groups) + (f" and {d.seeds} seeds" if d.seeds > 1 else "")
    return [f"The smallest difference that {where} could show (80 % power, {level}): {span}."]


def these_items() -> str:
    return f"these training {nouns.items()} (repeat.redraw: train draws others for each seed)"


def scope_sentence(sources: Sources) -> list[str]:
    """Models or methods, and of what training images."""
    runs = sources.asked_for
    fixed = [run.name for run in runs if run.deterministic]
    said = []
    if fixed:
        gives = "gives" if len(fixed) == 1 else "give"
        counts = "counts as trained once" if len(fixed) == 1 else "count as trained once each"
        said.append(f"{listing(fixed)} {gives} the same model with every seed: deterministic, and {counts}.")
    others = [run for run in runs if not run.deterministic]
    if fixed and not others:
        return [
            *said,
            f"So this speaks of these models, as trained on these {nouns.items()}; repeat.redraw: train draws others.",
        ]
    seeds = max((len(run.seeds) for run in others), default=0)
    who = "Each other run" if fixed else "Each run"
    if seeds >= METHOD_SEEDS:
        images = "" if sources.redrawn else f", as they learn from {these_items()}"
        return [
            *said,
            f"{who} was trained {seeds} times: intervals hold the spread of the seeds, so they speak of the methods{images}.",
        ]
    times = "once" if seeds < 2 else "twice"
    models = "this speaks of these models, not of the methods"
    return [*said, f"{who} was trained {times}: {models}; for that repeat.seeds needs three or more."]


def seen_sentence(sources: Sources) -> list[str]:
    """Whether test images may have been seen in pretraining."""
    seen = sources.params.seen
    opening = {
        "same images": f"The test {nouns.items()} have most likely been seen in pretraining",
        "same classes": f"Test {nouns.items()} may have been seen in pretraining",
        "unknown": f"Whether test {nouns.items()} were seen in pretraining is unknown",
    }.get(seen.get("level", ""))
    return [f"{opening}: {seen.get('why', '')}."] if opening else []


# -- pieces -----------------------------------------------------------------------------------------------------------------


def whom(contrast: Contrast) -> str:
    return "this method," if contrast.of_methods else "this model,"


def than(difference: float, shown: bool) -> str:
    """'3.9 points more than'."""
    if points(difference) == points(0.0):
        return "as many as"
    words = f"{points(difference)} {'fewer' if difference < 0 else 'more'} than"
    return words if shown else f"{words}, and so not told apart from,"


def opening(contrast: Contrast) -> str:
    verdict = VERDICTS[contrast.verdict]
    return "no difference shown" if verdict == NO_DIFFERENCE else f"transfer {verdict}"


def accuracy(run: RunSource) -> str:
    score = run.score("accuracy")
    return percent(score.value) if score else "–"


def interval_of(run: RunSource, before: str = " (", after: str = ")") -> str:
    """' (95 % interval 73.9 % to 79.1 %)', or nothing where there is none."""
    score = run.score("accuracy")
    if score is None or score.low is None or score.high is None:
        return ""
    return f"{before}95 % interval {percent(score.low)} to {percent(score.high)}{after}"


def tested_on(run: RunSource) -> str:
    return items_in_units(len(run.labels), run.units)


def over_seeds(run: RunSource, other: RunSource) -> str:
    """' (mean of 3 seeds)' of a run held against another; empty where it has one model."""
    seeds = len(compared_seeds(run, other))
    return f" (mean of {seeds} seeds)" if seeds > 1 else ""


def control_kind(run: RunSource) -> str:
    """What a run that others are held against is."""
    if is_hand_crafted(run.asked):
        return "colour histograms and HOG without any network"
    if run.role == "control":
        whole = strategy_of(run.asked.strategy or "").whole
        return "the same network from random weights" if whole else "the same head on the same network with random weights"
    return "trained from scratch"


def statistics(contrast: Contrast, family: int) -> str:
    """'95 % interval of the difference +1.2 to +5.0 points; exact McNemar test, p < 0.001 after Holm's correction …'."""
    d = contrast.accuracy
    adjusted = f" after Holm's correction for {family} comparisons" if family > 1 else ""
    interval = f"95 % interval of the difference {interval_points(d.low, d.high)} points"
    return f"{interval}; {d.test}, {p_value(contrast.p_adjusted)}{adjusted}{why_not_shown(contrast)}"


def why_not_shown(contrast: Contrast) -> str:
    """Why there is no verdict although the interval leaves out zero; empty where the two agree."""
    d = contrast.accuracy
    if not d.only_before_correction:
        return ""
    return (
        f" (the interval is that of this pair alone, {p_value(d.p)}; among several comparisons such a one may come about by "
        f"chance, and at the level asked for here the interval is {interval_points(d.low_adjusted, d.high_adjusted)} points)"
    )


def contrast_sentence(contrast: Contrast) -> str:
    """One contrast alone: 'a better than b: +3.9 points (+1.2 to +5.0), p = 0.003 after Holm'."""
    d, names = contrast.accuracy, (f"{contrast.a.name}{doubt(contrast.a)}", f"{contrast.b.name}{doubt(contrast.b)}")
    shown = contrast.verdict != NOT_SHOWN
    pair = f"{names[0]} {contrast.verdict} than {names[1]}" if shown else f"No difference shown between {listing(names)}"
    interval = f"95 % interval {interval_points(d.low, d.high)}"
    p = f"{p_value(contrast.p_adjusted)} after Holm{why_not_shown(contrast)}"
    return f"{pair}: {signed_points(d.value)} points ({interval}), {p}."
