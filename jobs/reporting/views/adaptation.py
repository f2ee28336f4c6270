"""The section "Adaptation": what each run's domains looked like, how it did against its controls, and which classes paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.reporting.adaptation import Adaptation, chosen_sentence, subject_of
from jobs.reporting.analysis import Analysis
from jobs.reporting.figures.domains import draw_domains
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import interval_points, listing, number, p_value, recipe, signed_points
from jobs.reporting.sources import RunSource
from tlbatch import nouns

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
class AdaptationSection:
    lines: tuple[Line, ...]
    picture: Drawn | None
    caption: str
    chosen: tuple[str, ...]


def build_adaptation(analysis: Analysis, figures: Figures) -> AdaptationSection | None:
    """None where no run adapts. The one picture is of the run that is best by validation."""
    found = analysis.adaptations
    if not found:
        return None
    subject = subject_of(found)
    drawn = _picture(subject.run, figures) if subject else None
    caption = (
        f"{subject.run.name}, seed {subject.run.seeds[0]}: the first two principal components of {nouns.items()} of each "
        "domain, of all together, before and after. A drawing shows two of many dimensions: it proves nothing."
        if subject and drawn
        else ""
    )
    lines = tuple(line for each in found for line in _lines(each))
    return AdaptationSection(lines, drawn, caption, tuple(chosen_sentence([each.run for each in found])))


def _lines(found: Adaptation) -> list[Line]:
    seen = seen_of(found.run)
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


def seen_of(run: RunSource) -> Mapping[str, Any]:
    """``adaptation.json`` of its first model; {} where there is none (trained on pictures, not on features)."""
    model = run.first_model
    return model.read_json("adaptation.json") if model is not None and "adaptation.json" in model else {}


def _distance(found: Mapping[str, float | None]) -> str:
    return f"{number(found.get('before'), 2)} → {number(found.get('after'), 2)}" if found else "–"


def _picture(run: RunSource, figures: Figures) -> Drawn | None:
    seen = seen_of(run)
    if not seen:
        return None
    panels = {name: _named(seen["places"][name]) for name in ("before", "after")}
    counts = listing([f"{nouns.count(len(rows))} of {name}" for name, rows in panels["before"].items()])
    distances = _distance(seen["distance"])
    alt = f"Features of {counts} in two dimensions before and after {seen['method']}; proxy A-distance {distances}."
    return figures.add("adaptation", alt, draw_domains(panels))


def _named(places: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Sequence[Sequence[float]]]:
    """By the names that a study has: ``target``, and those of its sources; sources first, so that the target lies above."""
    rows = {role.removeprefix("source:"): rows for role, rows in places.items()}
    return {name: rows[name] for name in sorted(rows, key=lambda name: (name == "target", name))}
