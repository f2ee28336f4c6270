"""Pins: the validation and test images that a schedule fixed at its first firing, in versions of the test set.

And the fresh ones: of the images that come later a share judges first and trains when newer ones have taken its place. No
decision consults them, so what a champion scores on them was chosen by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jobs.context import Context
from jobs.data.index import IndexEntry
from tlbatch.store.artifacts import Artifact

PINS_FILE = "pins.json"
KNOWN_FILE = "known.txt"
FRESH_FILE = "fresh.json"  #: of an evaluation: what was said of images that judge before they train
PINNED = "pinned"  #: the role of the artifact in tasks that divide the images by it


Labels = tuple[tuple[str, str], ...]
"""(task, label) of several tasks, those that are known, sorted."""


def labels_of(entry: IndexEntry) -> Labels:
    return tuple(sorted(entry.tasks.items()))


@dataclass(frozen=True, order=True)
class Pin:
    """One picture with the label it is judged by, ``since`` which version of the test set.

    ``path`` is where it lay when it was pinned, for people: the picture is found by its content. ``tasks``: its labels of
    several tasks; ``label`` is that of the main one then, "" where it is not known.
    """

    id: str
    label: str
    path: str
    since: int = 1
    tasks: Labels = ()

    @staticmethod
    def of(entry: IndexEntry, since: int = 1) -> Pin:
        return Pin(entry.id, entry.label, entry.path, since, labels_of(entry))

    @property
    def words(self) -> str:
        """Its label, or its labels, for people."""
        return ", ".join(f"{task}: {label}" for task, label in self.tasks) or self.label

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        return {**document, "tasks": dict(self.tasks)} if self.tasks else {n: v for n, v in document.items() if n != "tasks"}


@dataclass(frozen=True)
class Pins:
    """``version`` counts test sets from 1. ``changed`` says how this version came out of the one before; None: it is the first.

    ``changed``: {removed: [path], relabelled: [{path, before, after}], new_classes: [name]}, + renewed: the version before
    that all of these took the place of. ``fresh``: images that judge before they train; ``since`` of these counts arrivals,
    of which there were ``arrivals``. No model of the schedule trained on one of them so far. ``tasks``: the classes of each of
    several, the main one first; ``classes`` are the main one's.
    """

    version: int
    classes: tuple[str, ...]
    validation: tuple[Pin, ...]
    test: tuple[Pin, ...]
    changed: dict[str, Any] | None = None
    fresh: tuple[Pin, ...] = ()
    arrivals: int = 0
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of_task(self, task: str | None) -> Pins:
        """What has a label of one of several tasks, by that label; of one task all."""
        if task is None:
            return self

        def of_it(pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
            known = [(pin, dict(pin.tasks)) for pin in pins]
            return tuple(replace(pin, label=labels[task], tasks=()) for pin, labels in known if task in labels)

        own = replace(self, classes=self.tasks[task], tasks={})
        return replace(own, validation=of_it(self.validation), test=of_it(self.test), fresh=of_it(self.fresh))

    @property
    def each(self) -> list[tuple[str | None, Pins]]:
        """By task; of one task itself, under None."""
        return [(task, self.of_task(task)) for task in self.tasks or (None,)]

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
            "validation": [pin.to_json() for pin in self.validation],
            "test": [pin.to_json() for pin in self.test],
            "changed": self.changed,
            "fresh": [pin.to_json() for pin in self.fresh],
            "arrivals": self.arrivals,
            **({"tasks": [{"name": name, "classes": list(of_it)} for name, of_it in self.tasks.items()]} if self.tasks else {}),
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
            tasks={str(task["name"]): tuple(task["classes"]) for task in document.get("tasks") or ()},
        )


def _pins(documents: Iterable[Mapping[str, Any]]) -> tuple[Pin, ...]:
    return tuple(sorted(_pin(document) for document in documents))


def _pin(document: Mapping[str, Any]) -> Pin:
    known = tuple(sorted((str(task), str(label)) for task, label in (document.get("tasks") or {}).items()))
    own = (str(document["id"]), str(document["label"]), str(document.get("path", "")))
    return Pin(*own, int(document.get("since", 1)), known)


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
