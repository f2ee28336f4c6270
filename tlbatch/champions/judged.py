"""Which images a champion was judged on, and how its numbers are told: with how often these images were asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlbatch import nouns
from tlbatch.champions.champion import Champion
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest, read_file
from tlbatch.store.documents import as_is
from tlbatch.tasks import InputRef


def test_images(store: Store, evaluation: InputRef) -> frozenset[tuple[str, str]] | None:
    """(content hash, class) of every image an evaluation scored; None where that is not in the store any more."""
    said = _document(store, evaluation, "predictions.json")
    if said is None:
        return None
    return frozenset((str(id_), str(said["classes"][label])) for id_, label in zip(said["ids"], said["labels"], strict=True))


def pinned_images(store: Store, pins: InputRef) -> frozenset[tuple[str, str]] | None:
    """(content hash, class) of the test images that a schedule pinned; None where that is not in the store any more."""
    said = _document(store, pins, "pins.json")
    return None if said is None else frozenset((str(pin["id"]), str(pin["label"])) for pin in said["test"])


def pinned_labels(store: Store, pins: InputRef, part: str) -> list[list[str]]:
    """The labels of every image of ``test``, or ``fresh``, which wait to train: its class; of several tasks 'breed: pug', …"""
    said = _document(store, pins, "pins.json") or {}
    of_tasks = [(pin.get("tasks") or {}, str(pin["label"])) for pin in said.get(part) or ()]
    return [[f"{task}: {name}" for task, name in sorted(labels.items())] or [label] for labels, label in of_tasks]


def _document(store: Store, ref: InputRef, name: str) -> dict[str, Any] | None:
    manifest = load_manifest(store, ref.step, ref.key)
    if manifest is None or name not in manifest.files:
        return None
    return read_file(store, manifest, name, as_is)


def times(asked: int) -> str:
    return "asked once" if asked == 1 else f"asked {asked:,} times"


def asked_words(champion: Champion) -> str:
    """'version 1, asked 31 times when it was crowned'."""
    if champion.pins is None:
        return "not pinned"
    if champion.asked is None:  # of a record from before this was counted
        return f"version {champion.test_version}"
    return f"version {champion.test_version}, " + (f"{times(champion.asked)} by then" if champion.asked else "not asked before")


ENOUGH_FRESH = 100
"""Fresh images from which their number is a model's first one (or as many as the test set has): about 6 points either way."""


@dataclass(frozen=True)
class Own:
    """A champion's own number: one that its having been chosen does not flatter, or says that it does."""

    value: float
    low: float | None
    high: float | None
    where: str

    @property
    def words(self) -> str:
        """'0.905 [0.870, 0.930] on 150 fresh images, which no decision consulted'."""
        among = f" [{self.low:.3f}, {self.high:.3f}]" if self.low is not None and self.high is not None else ""
        return f"{self.value:.3f}{among} {self.where}".rstrip()


def own_number(
    metric: str,
    fresh: Mapping[str, Any] | None,
    corrected: Mapping[str, Any] | None,
    measured: Mapping[str, Any] | None = None,
    asked: int | None = None,
) -> Own | None:
    """The first number to be told of a champion; None where there is none.

    On fresh images, once there are enough. Until then on the test images, without the luck of having been chosen there
    (``corrected``). ``measured`` there as it is, where nobody was chosen on them yet (``asked`` 0 times), or where no more is
    known: then that is said.
    """
    own = fresh_number(fresh, metric)
    enough = (fresh or {}).get("enough", int((fresh or {}).get("images") or 0) >= ENOUGH_FRESH)
    if own is not None and enough:
        return own
    if corrected and corrected.get("metric") == metric:
        return _own(corrected, f"on the test {nouns.items()}, without the luck of having been chosen there")
    where = "" if asked is None else f"on the test {nouns.items()}"
    return _own(measured, f"{where} that it was chosen on, which flatters it" if asked else where)


def fresh_number(fresh: Mapping[str, Any] | None, metric: str) -> Own | None:
    """On however few fresh images."""
    images = int((fresh or {}).get("images") or 0)
    where = f"on {nouns.count(images, 'fresh')}, which no decision consulted"
    return _own(((fresh or {}).get("metrics") or {}).get(metric), where) if images else None


def _own(found: Mapping[str, Any] | None, where: str) -> Own | None:
    value, low, high = ((found or {}).get(part) for part in ("value", "low", "high"))
    if not isinstance(value, int | float):
        return None
    known = isinstance(low, int | float) and isinstance(high, int | float)
    return Own(value, low if known else None, high if known else None, where)


def flatters(champion: Champion) -> bool:
    """Whether its pinned numbers are those of a winner: it was chosen on the images they are of."""
    return champion.asked is not None and champion.asked > 0
