"""Labels that are probably wrong, as a study has judged them: by its features once, and by the networks it trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.reporting.sources import Sources
from tlbatch.roles import suspects_input
from tlbatch.store.artifacts import Artifact


@dataclass(frozen=True)
class Suspected:
    """``runs``: whose features, or whose own models, judge. ``found``: how many have another class on top; ``suspects``: the
    first of them, most suspect first (jobs.suspects)."""

    runs: tuple[str, ...]
    method: str
    parts: tuple[str, ...]
    found: int
    suspects: tuple[Mapping[str, Any], ...]

    def name(self, best: str) -> str:
        """Of the run that it is told as: the report's best, where it is one of them."""
        return best if best in self.runs else self.runs[0]


def suspected_of(sources: Sources) -> list[Suspected]:
    """Of the features first, then of each run of the study whose evaluation judges labels."""
    return list(_found(sources))


def _found(sources: Sources) -> Iterator[Suspected]:
    by_features = sources.artifacts.get(suspects_input(sources.params.task))
    if by_features is not None:
        judged = by_features.read_json("judged.json")
        yield _suspected(by_features, tuple(judged["runs"]), judged)
    for run in sources.asked_for:
        if "suspects.json" in run.evaluate:
            yield _suspected(run.evaluate, (run.name,), run.metrics.get("suspects") or {})


def _suspected(artifact: Artifact, runs: tuple[str, ...], judged: Mapping[str, Any]) -> Suspected:
    suspects = tuple(artifact.read_json("suspects.json"))
    found = int(judged.get("found") or len(suspects))
    return Suspected(runs, str(judged.get("method") or ""), tuple(judged.get("parts") or ()), found, suspects)
