"""Which images a champion was judged on, and how its numbers are told: with how often these images were asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def fresh_pins(store: Store, pins: InputRef) -> list[str]:
    """The class of every image that waits to train (jobs.data.freshness)."""
    said = _document(store, pins, "pins.json") or {}
    return [str(pin["label"]) for pin in said.get("fresh") or ()]


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


def fresh_words(fresh: Mapping[str, Any] | None, metric: str) -> str:
    """'0.905 [0.87, 0.93] on 150 fresh images, which no decision consulted', or '' where there is nothing."""
    found = ((fresh or {}).get("metrics") or {}).get(metric) or {}
    value, images = found.get("value"), int((fresh or {}).get("images") or 0)
    if not isinstance(value, int | float) or not images:
        return ""
    low, high = found.get("low"), found.get("high")
    among = f" [{low:.3f}, {high:.3f}]" if isinstance(low, int | float) and isinstance(high, int | float) else ""
    return f"{value:.3f}{among} on {images:,} fresh image{'s' if images > 1 else ''}, which no decision consulted"


def flatters(champion: Champion) -> bool:
    """Whether its pinned numbers are those of a winner: it was chosen on the images they are of."""
    return champion.asked is not None and champion.asked > 0
