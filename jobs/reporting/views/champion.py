"""The decision about the champion, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    """Who, and the metric that decides with its interval; of several tasks ``score`` says which task and metric it is."""

    who: str
    model: str
    value: str
    interval: str
    score: str = ""


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
    """``mark``: a sign and a word for the outcome; ``classes`` are empty where nothing was compared.

    ``task``: of several, the one whose classes these are; all else is of all.
    """

    sentence: str
    mark: tuple[str, str]
    metric: str
    models: tuple[ModelLine, ...]
    classes: tuple[ClassLine, ...]
    task: str | None = None


def build_champion(analysis: Analysis) -> ChampionView | None:
    """None where nothing was decided."""
    decision = decision_of(analysis.sources)
    if decision is None:
        return None
    task = analysis.sources.params.task
    tasks = decision.get("tasks") or ()
    own = next((each for each in tasks if each["name"] == task), decision)
    return ChampionView(
        sentence=str(decision["sentence"]),
        mark=MARKS.get(str(decision["outcome"]), ("○", str(decision["outcome"]))),
        metric=metrics()[str(own["rule"]["promote_on"])].title,
        models=tuple(line for each in tasks or (decision,) for line in _models(each)),
        classes=tuple(_class(row) for row in own["classes"]),
        task=task,
    )


def _models(decision: Mapping[str, Any]) -> list[ModelLine]:
    metric = str(decision["rule"]["promote_on"])
    people = [("challenger", decision["challenger"]), ("champion", decision["champion"])]
    score = f"{decision['name']}: {metrics()[metric].title}" if "name" in decision else ""
    return [replace(_model(who, person, metric), score=score) for who, person in people if person]


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
