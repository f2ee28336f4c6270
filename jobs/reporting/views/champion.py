"""The decision about the champion, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.metrics.registry import metrics
from jobs.reporting.analysis import Analysis
from jobs.reporting.formatting import number, p_value, percent
from jobs.reporting.pinned import decision_of

MARKS = {
    "promoted": ("▲", "promoted"),
    "first": ("▲", "the first"),
    "refused": ("▼", "refused"),
    "same": ("○", "the same model"),
}


@dataclass(frozen=True)
class ModelLine:
    """Who, and the metric that decides with its interval."""

    who: str
    model: str
    value: str
    interval: str


@dataclass(frozen=True)
class ClassLine:
    name: str
    n: int
    champion: str
    challenger: str
    lost: int
    gained: int
    p: str
    verdict: str


@dataclass(frozen=True)
class ChampionView:
    """``mark``: a sign and a word for the outcome; ``classes`` are empty where nothing was compared."""

    sentence: str
    mark: tuple[str, str]
    metric: str
    models: tuple[ModelLine, ...]
    classes: tuple[ClassLine, ...]


def build_champion(analysis: Analysis) -> ChampionView | None:
    """None where nothing was decided."""
    decision = decision_of(analysis.sources)
    if decision is None:
        return None
    metric = str(decision["rule"]["promote_on"])
    people = [("challenger", decision["challenger"]), ("champion", decision["champion"])]
    return ChampionView(
        sentence=str(decision["sentence"]),
        mark=MARKS.get(str(decision["outcome"]), ("○", str(decision["outcome"]))),
        metric=metrics()[metric].title,
        models=tuple(_model(who, person, metric) for who, person in people if person),
        classes=tuple(_class(row) for row in decision["classes"]),
    )


def _model(who: str, person: Mapping[str, Any], metric: str) -> ModelLine:
    found = person["metrics"][metric]
    show = percent if metrics()[metric].higher_is_better else number
    interval = "" if found["low"] is None else f"{show(found['low'])} – {show(found['high'])}"
    serial = f"number {person['serial']}, " if "serial" in person else ""
    return ModelLine(who, f"{person['run']} ({serial}seed {person['seed']})", show(found["value"]), interval)


def _class(row: Mapping[str, Any]) -> ClassLine:
    said = [word for word, is_so in (("harmed", row["harmed"]), ("beyond its bound", row["beyond_bound"])) if is_so]
    return ClassLine(
        name=row["class"],
        n=row["n"],
        champion=percent(row["champion"]),
        challenger=percent(row["challenger"]),
        lost=row["lost"],
        gained=row["gained"],
        p=p_value(row["p_adjusted"]),
        verdict=", ".join(said),
    )
