"""From the accuracies of episodes to ``episodes.json``, its sentences and its spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jobs.fewshot.drawing import Episode, Pool
from jobs.fewshot.fits import Accuracies, Floats
from jobs.statistics.corrections import holm
from jobs.statistics.differences import LEVEL
from jobs.statistics.over_episodes import EpisodeMean, accuracy_over_episodes, over_episodes
from tlbatch.contracts.episodes import EpisodesParams, EpisodesRun
from tlbatch.spreadsheet import csv_text

DIGITS = 9
HELPED, HARMED, OPEN = "helped", "harmed", "open"
HEADING = (
    *("run", "role", "head", "shots", "accuracy", "low", "high", "episodes_low", "episodes_high", "sd", "gain", "gain_low"),
    *("gain_high", "p", "p_adjusted"),
)


def document_of(
    params: EpisodesParams, pool: Pool, episodes: Sequence[Episode], judged: Mapping[str, tuple[Accuracies, Accuracies | None]]
) -> dict[str, Any]:
    """All of ``episodes.json`` (jobs.episodes). ``judged``: each run's accuracies, and its control's."""
    place = {name: number for number, name in enumerate(params.classes)}
    items = sum(len(units) for units in pool.units.values())
    members = np.zeros((len(episodes), len(params.classes)), dtype=bool)
    for number, episode in enumerate(episodes):
        members[number, [place[name] for name in episode.classes]] = True
    return {
        "ways": params.ways,
        "shots": list(params.shots),
        "queries": params.queries,
        "count": len(episodes),
        "classes": {name: len(units) for name, units in pool.units.items()},
        "learnt": list(params.learnt),
        "left_out": pool.left_out,
        "runs": [_run(run, params, members, items, *judged[run.name]) for run in params.runs],
    }


def _run(
    run: EpisodesRun, params: EpisodesParams, members: Any, items: int, own: Accuracies, held: Accuracies | None
) -> dict[str, Any]:
    points = [_point(head, shots, members, items, own, held) for head in params.heads for shots in params.shots]
    if held is not None:
        adjusted = holm([point["gain"]["p"] for point in points])
        for point, p in zip(points, adjusted, strict=True):
            point["gain"]["p_adjusted"] = round(p, DIGITS)
            point["verdict"] = OPEN if p >= LEVEL else HELPED if point["gain"]["value"] > 0 else HARMED
    return {"name": run.name, "trained": run.trained, "control": run.control, "points": points}


def _point(head: str, shots: int, members: Any, items: int, own: Accuracies, held: Accuracies | None) -> dict[str, Any]:
    accuracy = accuracy_over_episodes(own[head, shots], members, items)
    point: dict[str, Any] = {"head": head, "shots": shots, "accuracy": _interval(accuracy), "control": None, "gain": None}
    point["verdict"] = None
    if held is not None:
        gain = over_episodes(own[head, shots] - held[head, shots], members)
        point["control"] = _interval(accuracy_over_episodes(held[head, shots], members, items))
        point["gain"] = {**_interval(gain), "p": round(gain.p, DIGITS)}
    return point


def _interval(found: EpisodeMean) -> dict[str, Any]:
    names = {"value": found.value, "low": found.low, "high": found.high}
    episodes = {"low": round(found.same_low, DIGITS), "high": round(found.same_high, DIGITS)}
    return {
        **{name: round(value, DIGITS) for name, value in names.items()},
        "episodes": episodes,
        "sd": round(found.sd, DIGITS),
    }


def accuracies_of(episodes: Sequence[Episode], judged: Mapping[str, tuple[Accuracies, Accuracies | None]]) -> dict[str, Any]:
    """``accuracies.json``: of each episode its classes, its items, and how many each head got right."""
    series: dict[str, dict[str, dict[str, list[float]]]] = {}
    for run, (own, held) in judged.items():
        for name, found in ((run, own), (f"{run}/control", held)):
            for (head, shots), values in (found or {}).items():
                series.setdefault(name, {}).setdefault(head, {})[str(shots)] = _rounded(values)
    drawn = [
        {
            "classes": list(each.classes),
            "support": [[entry.id for entry in items] for items in each.support],
            "query": [[entry.id for entry in items] for items in each.query],
        }
        for each in episodes
    ]
    return {"episodes": drawn, "series": series}


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def csv_of(document: Mapping[str, Any]) -> str:
    """A line for each head and number of shots of each run, and of its control."""
    return csv_text(HEADING, list(_lines(document)))


def _lines(document: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for run in document["runs"]:
        for role, name, key in (("run", run["name"], "accuracy"), ("control", run["control"], "control")):
            for point in run["points"] if name else ():
                found, gain = point[key], (point["gain"] or {}) if role == "run" else {}
                numbers = (found["value"], found["low"], found["high"], *found["episodes"].values(), found["sd"])
                gained = (gain.get(each, "") for each in ("value", "low", "high", "p", "p_adjusted"))
                yield name, role, point["head"], point["shots"], *numbers, *gained
