"""The section "Adaptation": what each run's domains looked like, how it did against its controls, and which classes paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.reporting.adaptation import Adaptation, chosen_sentence, subject_of
from jobs.reporting.analysis import Analysis
from jobs.reporting.believed import Item, seen_of
from jobs.reporting.figures.domains import draw_domains
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import interval_points, listing, number, p_value, percent, recipe, signed_points
from jobs.reporting.pictures import Picture, stored_item
from jobs.reporting.source_limits import limit_sentences
from jobs.reporting.sources import RunSource
from jobs.reporting.validation import best
from tlbatch import nouns

MOST_SHOWN = 14
MARKS = {"helped": "▲", "harmed": "▼"}


@dataclass(frozen=True)
class Line:
    """A run against one of its controls. ``distance``: of the domains, before and after."""

    run: str
    recipe: str
    state: str
    mark: str
    against: str
    difference: str
    interval: str
    p: str
    fallen: str
    distance: str


@dataclass(frozen=True)
class BelievedItems:
    """Source items that a run believed most, and least."""

    run: str
    most: tuple[Picture, ...]
    least: tuple[Picture, ...]


@dataclass(frozen=True)
class AdaptationSection:
    """``said``: sentences, those about which source items were believed last; ``believed``: of one run that weighs them."""

    lines: tuple[Line, ...]
    picture: Drawn | None
    caption: str
    said: tuple[str, ...]
    believed: BelievedItems | None


def build_adaptation(analysis: Analysis, figures: Figures) -> AdaptationSection | None:
    """None where no run adapts. The one picture is of the run that is best by validation."""
    found = analysis.adaptations
    if not found:
        return None
    subject = subject_of(found)
    drawn = _picture(subject, figures) if subject else None
    caption = (
        f"{subject.run.name}, seed {subject.run.seeds[0]}: the first two principal components of {nouns.items()} of each "
        f"domain, of all together, before {_before(subject)}and after. A drawing shows two of many dimensions: it proves "
        "nothing."
        if subject and drawn
        else ""
    )
    lines = tuple(line for each in found for line in _lines(each))
    said = (
        *chosen_sentence([each.run for each in found]),
        *limit_sentences(found),
        *(each.sentence for each in analysis.believed),
    )
    return AdaptationSection(lines, drawn, caption, said, _believed(analysis))


def _believed(analysis: Analysis) -> BelievedItems | None:
    """Of the run that is best by validation among those that weigh source items."""
    chosen = best([each.run for each in analysis.believed])
    found = next((each for each in analysis.believed if each.run is chosen), None)
    if found is None:
        return None
    kind = analysis.sources.kind
    most, least = found.items[:MOST_SHOWN], found.items[::-1][:MOST_SHOWN]
    return BelievedItems(
        found.run.name, tuple(_shown(each, kind) for each in most), tuple(_shown(each, kind) for each in least)
    )


def _shown(item: Item, kind: str | None) -> Picture:
    left, entry = percent(item.weight), item.entry
    alt = f"{entry.path} of {item.source}, a {entry.label} there: {left} of its weight is left"
    return Picture(stored_item(item.dataset, entry, kind), alt, entry.label, f"{left} left · {item.source} · {entry.path}")


def _lines(found: Adaptation) -> list[Line]:
    seen = domains_seen(found)
    lines = []
    for c in found.contrasts:
        d, fallen = c.accuracy, found.fallen[c.b.name]
        lines.append(
            Line(
                run=found.run.name,
                recipe=recipe(found.run.asked),
                state=found.state,
                mark=MARKS.get(found.state, "○"),
                against=c.b.name,
                difference=signed_points(d.value),
                interval=interval_points(d.low, d.high),
                p=p_value(c.p_adjusted).removeprefix("p = ").removeprefix("p "),
                fallen=listing([f"{each.name} ({signed_points(each.difference.value)})" for each in fallen]) or "none shown",
                distance=_distance(seen.get("distance") or {}),
            )
        )
    return lines


def domains_seen(found: Adaptation) -> Mapping[str, Any]:
    """``adaptation.json`` of its first model; {} where there is none.

    A network's features of before are those of another network: of its first control that has any.
    """
    seen, other = seen_of(found.run), _compared_with(found)
    if not seen or other is None:
        return seen
    told = seen_of(other)
    return {
        **seen,
        **{name: {"before": told[name]["after"], **seen[name]} for name in ("distance", "places")},
    }


def _compared_with(found: Adaptation) -> RunSource | None:
    """Whose features are those of before; None where the run's own are, or nobody's."""
    seen = seen_of(found.run)
    if not seen or "before" in seen["places"]:
        return None
    return next((c.b for c in found.contrasts if seen_of(c.b)), None)


def _before(found: Adaptation) -> str:
    other = _compared_with(found)
    return f"(those of {other.name}) " if other else ""


def _distance(found: Mapping[str, float | None]) -> str:
    return f"{number(found.get('before'), 2)} → {number(found.get('after'), 2)}" if found else "–"


def _picture(found: Adaptation, figures: Figures) -> Drawn | None:
    seen = domains_seen(found)
    if not seen:
        return None
    panels = {name: _named(seen["places"][name]) for name in ("before", "after") if name in seen["places"]}
    counts = listing([f"{nouns.count(len(rows))} of {name}" for name, rows in panels["after"].items()])
    distances = _distance(seen["distance"])
    alt = f"Features of {counts} in two dimensions before and after {seen['method']}; proxy A-distance {distances}."
    return figures.add("adaptation", alt, draw_domains(panels))


def _named(places: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Sequence[Sequence[float]]]:
    """By the names that a study has: ``target``, and those of its sources; sources first, so that the target lies above."""
    rows = {role.removeprefix("source:"): rows for role, rows in places.items()}
    return {name: rows[name] for name in sorted(rows, key=lambda name: (name == "target", name))}
