"""What a schedule's report adds: the test set it holds on to and how worn that is, what was left out for it, the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.data.pins import PINNED, Pins, load_pins
from jobs.data.split import COPY_OF_PINNED, Split
from jobs.reporting.sources import Sources
from tlbatch import nouns

DECISION = "decision"


@dataclass(frozen=True)
class Pinned:
    """``served``: tests of challengers on this version of the test set, this firing's included. ``sentence``: of the pins."""

    pins: Pins
    sentence: str
    served: int

    @staticmethod
    def of(sources: Sources) -> Pinned | None:
        """None in studies without a schedule."""
        artifact, decision = sources.artifacts.get(PINNED), decision_of(sources)
        if artifact is None:
            return None
        pins = load_pins(artifact)
        served = int(decision["test"]["count"]) if decision else sources.params.uses.get(str(pins.version), 0)
        return Pinned(pins, str(artifact.read_json("pins.json")["sentence"]), served)

    @property
    def words(self) -> str:
        """The test set, and how often it was used, in sentences."""
        asked = "once" if self.served == 1 else f"{self.served:,} times"
        used = f"It was asked {asked}" if self.served else "It was asked by no challenger yet"
        why = (
            f"whoever won on it is flattered by it; a champion's own number is that on fresh {nouns.items()}, "
            f"which no decision consults"
        )
        return f"{self.sentence[0].upper()}{self.sentence[1:]}. {used}: {why}."

    def document(self, split: Split) -> dict[str, Any]:
        """For ``report.json``."""
        return {
            "version": self.pins.version,
            "images": len(self.pins.test),
            "changed": self.pins.changed,
            "served": self.served,
            "sentence": self.words,
            "left_out": [{"path": path, "reason": reason} for path, reason in left_out(split)],
        }


def left_out(split: Split) -> list[tuple[str, str]]:
    """Path and reason of images that are too like a pinned one to train on."""
    return [(entry.path, reason) for entry, reason in split.left_out if reason.startswith(COPY_OF_PINNED)]


def decision_of(sources: Sources) -> dict[str, Any] | None:
    """``decision.json`` of this firing; None where there is none."""
    artifact = sources.artifacts.get(DECISION)
    return dict(artifact.read_json("decision.json")) if artifact is not None else None
