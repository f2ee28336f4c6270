"""Pins: the validation and test images that a schedule fixed at its first firing, in versions of the test set.

And the fresh ones: of the images that come later a share judges first and trains when newer ones have taken its place. No
decision consults them, so what a champion scores on them was chosen by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jobs.context import Context
from tlbatch.store.artifacts import Artifact

PINS_FILE = "pins.json"
KNOWN_FILE = "known.txt"
FRESH_FILE = "fresh.json"  #: of an evaluation: what was said of images that judge before they train
PINNED = "pinned"  #: the role of the artifact in tasks that divide the images by it


@dataclass(frozen=True, order=True)
class Pin:
    """One picture with the label it is judged by, ``since`` which version of the test set.

    ``path`` is where it lay when it was pinned, for people: the picture is found by its content.
    """

    id: str
    label: str
    path: str
    since: int = 1


@dataclass(frozen=True)
class Pins:
    """``version`` counts test sets from 1. ``changed`` says how this version came out of the one before; None: it is the first.

    ``changed``: {removed: [path], relabelled: [{path, before, after}], new_classes: [name]}, + renewed: the version before
    that all of these took the place of. ``fresh``: images that judge before they train; ``since`` of these counts arrivals,
    of which there were ``arrivals``. No model of the schedule trained on one of them so far.
    """

    version: int
    classes: tuple[str, ...]
    validation: tuple[Pin, ...]
    test: tuple[Pin, ...]
    changed: dict[str, Any] | None = None
    fresh: tuple[Pin, ...] = ()
    arrivals: int = 0

    def served(self, uses: Mapping[str, int]) -> int:
        """How many tests its test images have served, on average, rounded up. ``uses``: version -> tests made on it.

        A version that differs from the one before by an image or two is as worn as that one was.
        """
        tests = sum(count for pin in self.test for version, count in uses.items() if int(version) >= pin.since)
        return math.ceil(tests / len(self.test)) if self.test else 0

    def to_json(self) -> dict[str, Any]:
        """``pins.json`` but for its sentence."""
        return {
            "version": self.version,
            "classes": list(self.classes),
            "validation": [asdict(pin) for pin in self.validation],
            "test": [asdict(pin) for pin in self.test],
            "changed": self.changed,
            "fresh": [asdict(pin) for pin in self.fresh],
            "arrivals": self.arrivals,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Pins:
        """Leniently: unknown fields are ignored."""
        return Pins(
            version=int(document["version"]),
            classes=tuple(document["classes"]),
            validation=_pins(document["validation"]),
            test=_pins(document["test"]),
            changed=document.get("changed"),
            fresh=_pins(document.get("fresh") or ()),
            arrivals=int(document.get("arrivals") or 0),
        )


def _pins(documents: Iterable[Mapping[str, Any]]) -> tuple[Pin, ...]:
    return tuple(sorted(Pin(str(d["id"]), str(d["label"]), str(d.get("path", "")), int(d.get("since", 1))) for d in documents))


def load_pins(artifact: Artifact) -> Pins:
    """Of a ``pin`` task's artifact."""
    return Pins.from_json(artifact.read_json(PINS_FILE))


def pins_of(context: Context) -> Pins | None:
    """The pins that a task divides its images by; None in studies without a schedule."""
    return load_pins(context.input(PINNED)) if PINNED in context.task.inputs else None


def load_known(artifact: Artifact) -> frozenset[str] | None:
    """``known.txt``: short ids of all images that were there then; None of pins from before there were fresh ones."""
    if KNOWN_FILE not in artifact.manifest.files:
        return None
    return frozenset(artifact.path(KNOWN_FILE).read_text(encoding="ascii").split())


def short(id_: str) -> str:
    """Of a content hash as much as tells a schedule's images apart."""
    return id_[:16]
