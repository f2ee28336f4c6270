"""``schedules/<name>/pins.json``: the validation and test images a schedule holds on to, and how worn the test set is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.executions.records import load_document
from tlbatch.schedules.schedule import SWAPS, place
from tlbatch.store import ConflictError, NotFoundError, Store
from tlbatch.store.names import is_name
from tlbatch.tasks import InputRef

FILE = "pins.json"


@dataclass(frozen=True)
class Pins:
    """The pinned lists in force, and how many decisions each version of the test set has served.

    ``evaluated``: the champion of number ``of`` on the newest version of the test set.
    """

    ref: InputRef
    version: int
    uses: dict[int, int] = field(default_factory=dict)
    evaluated: InputRef | None = None
    of: int | None = None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Pins:
        uses = {int(version): int(count) for version, count in (document.get("uses") or {}).items()}
        evaluated = InputRef(**document["evaluated"]) if document.get("evaluated") else None
        return Pins(InputRef(**document["ref"]), int(document["version"]), uses, evaluated, document.get("of"))


def load_pins(store: Store, name: str) -> Pins | None:
    """None before the first decision."""
    document = load_document(store, place(name, FILE)) if is_name(place(name, FILE)) else None
    return Pins.from_json(document) if document else None


def save_pins(store: Store, name: str, pins: Pins) -> Pins:
    """Replace the file by compare-and-swap. Versions and uses only grow, so who saves twice counts once."""
    for _ in range(SWAPS):
        before, condition = _present(store, name)
        try:
            after = pins if before is None else _joined(before, pins)
            store.put(place(name, FILE), after.to_json(), **condition)
        except ConflictError:
            continue
        return after
    raise StudyError(f"{store.url}/{place(name, FILE)}: others keep changing it; try again in a moment")


def _present(store: Store, name: str) -> tuple[Pins | None, dict[str, Any]]:
    try:
        data, etag = store.get_with_etag(place(name, FILE))
    except NotFoundError:
        return None, {"if_absent": True}
    return Pins.from_json(json.loads(data)), {"if_match": etag}


def _joined(before: Pins, pins: Pins) -> Pins:
    uses = {version: max(pins.uses.get(version, 0), before.uses.get(version, 0)) for version in {**before.uses, **pins.uses}}
    return replace(pins if pins.version >= before.version else before, uses=uses)
