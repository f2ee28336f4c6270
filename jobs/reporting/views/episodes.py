"""Classes that nothing was trained on, told apart from a few labels: the episodes of a study that asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.reporting.analysis import Analysis
from jobs.reporting.formatting import p_value, percent
from jobs.reporting.views.labels import MARKS

HEADS = {"prototypes": "class means", "knn": "nearest item", "logistic": "logistic regression"}


@dataclass(frozen=True)
class EpisodeLine:
    """A run's head at so many labels a class. ``episodes``: the narrower interval, over episodes alone."""

    run: str
    head: str
    shots: int
    accuracy: str
    interval: str
    episodes: str
    control: str
    control_interval: str
    gain: str
    gain_interval: str
    p: str
    mark: tuple[str, str]


@dataclass(frozen=True)
class EpisodesView:
    sentences: tuple[str, ...]
    lines: tuple[EpisodeLine, ...]
    ways: int
    queries: int
    count: int

    @property
    def chance(self) -> str:
        """What naming any of the classes gives."""
        return percent(1 / self.ways)


def build_episodes(analysis: Analysis) -> EpisodesView | None:
    """None where the study did not ask."""
    document = analysis.sources.episodes
    if document is None:
        return None
    lines = tuple(_line(run["name"], point) for run in document["runs"] for point in run["points"])
    return EpisodesView(tuple(document["sentences"]), lines, document["ways"], document["queries"], document["count"])


def _line(run: str, point: Mapping[str, Any]) -> EpisodeLine:
    control, gain = point["control"], point["gain"]
    return EpisodeLine(
        run=run,
        head=HEADS[point["head"]],
        shots=point["shots"],
        accuracy=percent(point["accuracy"]["value"]),
        interval=_interval(point["accuracy"]),
        episodes=_interval(point["accuracy"]["episodes"]),
        control=percent(control["value"]) if control else "–",
        control_interval=_interval(control) if control else "",
        gain=f"{100 * gain['value']:+.1f}".replace("-", "−") if gain else "–",
        gain_interval=_interval(gain, "+") if gain else "",
        p=p_value(gain["p_adjusted"]) if gain else "–",
        mark=MARKS[point["verdict"]],
    )


def _interval(found: Mapping[str, float], sign: str = "") -> str:
    return f"{100 * found['low']:{sign}.1f} – {100 * found['high']:{sign}.1f}".replace("-", "−")
