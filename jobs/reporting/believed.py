"""Which source items a run with TrAdaBoost believed: what was left of their weight in its last round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.data.index import IndexEntry, load_index
from jobs.reporting.formatting import listing, percent, plural
from jobs.reporting.sources import RunSource, Sources
from tlbatch import nouns
from tlbatch.store.artifacts import Artifact

ADAPTATION_FILE = "adaptation.json"


@dataclass(frozen=True)
class Item:
    """``missed``: how many rounds before the last got it wrong; ``weight``: what was left of the 1 it had at first."""

    source: str
    entry: IndexEntry
    dataset: Artifact
    missed: int
    weight: float


@dataclass(frozen=True)
class Believed:
    """Of a run's first model. ``items``: the most believed first, equal ones in the order of their content."""

    run: RunSource
    left: float
    source_share: float
    rounds: int
    items: tuple[Item, ...]

    @cached_property
    def classes(self) -> dict[str, float]:
        """Mean weight left of each class's items, the least first."""
        found: dict[str, list[float]] = {}
        for item in self.items:
            found.setdefault(item.entry.label, []).append(item.weight)
        means = {name: sum(weights) / len(weights) for name, weights in found.items()}
        return dict(sorted(means.items(), key=lambda pair: (pair[1], pair[0])))

    @property
    def sentence(self) -> str:
        """What is left, and of what the least."""
        never = sum(item.missed == 0 for item in self.items)
        told = [f"{name} ({percent(left)})" for name, left in list(self.classes.items())[:3] if left < 1]
        least = f"; least is left of {listing(told)}" if told else ""
        return (
            f"{self.run.name} believed {percent(self.left)} of what the sources say: so much of their weight was left in the "
            f"last of {plural(self.rounds, 'round')}, where they were {percent(self.source_share)} of all that was learnt "
            f"from. {never:,} of {nouns.count(len(self.items))} were never contradicted{least}."
        )


def seen_of(run: RunSource) -> Mapping[str, Any]:
    """``adaptation.json`` of its first model; {} where there is none (trained on items, not on features)."""
    model = run.first_model
    return model.read_json(ADAPTATION_FILE) if model is not None and ADAPTATION_FILE in model else {}


def believed_of(run: RunSource, sources: Sources) -> Believed | None:
    """None where it weighs no items by their labels."""
    found = seen_of(run).get("instances")
    if found is None:
        return None
    items = [
        item for role, said in found["items"].items() for item in _items(role, said, found["beta"], sources.artifacts[role])
    ]
    items.sort(key=lambda item: (item.missed, item.entry.id))
    return Believed(run, found["left"], found["rounds"][-1]["source_share"], len(found["rounds"]), tuple(items))


def _items(role: str, said: Mapping[str, Any], beta: float, dataset: Artifact) -> list[Item]:
    index, name = {entry.id: entry for entry in load_index(dataset)}, role.partition(":")[2]
    pairs = zip(said["ids"], said["missed"], strict=True)
    return [Item(name, index[id], dataset, missed, beta**missed) for id, missed in pairs]
