"""``schedules/<name>/pins.json``: the validation and test images a schedule holds on to, and how worn the test set is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tlbatch import nouns
from tlbatch.champions.champion import Champion
from tlbatch.errors import StudyError
from tlbatch.schedules.schedule import SWAPS, place
from tlbatch.store import ConflictError, Store
from tlbatch.store.documents import read, read_with_etag, sealed, shaped
from tlbatch.store.names import is_name
from tlbatch.tasks import InputRef

FILE = "pins.json"


@dataclass(frozen=True)
class TaskPins:
    """What ``Pins`` say of one of several tasks, by the same names."""

    evaluated: InputRef | None = None
    stream: dict[str, Any] | None = None
    fresh: dict[str, Any] | None = None
    corrected: dict[str, Any] | None = None


@dataclass(frozen=True)
class Pins:
    """The pinned lists in force, and how many decisions each version of the test set has served.

    ``evaluated``: the champion of number ``of`` on the newest version of the test set. ``standing``: the serial of the
    champion that the last decision left; ``stream``: what challengers scored (decision.json); ``fresh``: what that champion
    scores on images that no decision consulted, {images, enough, metrics}; ``corrected``: on the test images without the luck
    of having been chosen there, {metric, value, low, high}. ``renew``: the version that a person wants replaced. ``tasks``: of
    several, what there is of each; the main one's stands above, too.
    """

    ref: InputRef
    version: int
    uses: dict[int, int] = field(default_factory=dict)
    evaluated: InputRef | None = None
    of: int | None = None
    standing: int | None = None
    stream: dict[str, Any] | None = None
    fresh: dict[str, Any] | None = None
    corrected: dict[str, Any] | None = None
    renew: int | None = None
    tasks: dict[str, TaskPins] = field(default_factory=dict)

    def of_task(self, task: str | None) -> Pins:
        """As if that one of several tasks were the only one."""
        return self if task is None else replace(self, tasks={}, **self.tasks.get(task, TaskPins()).__dict__)

    @property
    def asked(self) -> int:
        """How many tests of challengers the newest version has served."""
        return self.uses.get(self.version, 0)

    def to_json(self) -> bytes:
        return sealed(asdict(self))


def load_pins(store: Store, name: str) -> Pins | None:
    """None before the first decision. Raises DamagedError: another test set must not be pinned in its place."""
    return read(store, place(name, FILE), shaped(Pins)) if is_name(place(name, FILE)) else None


def numbers_now(pins: Pins | None, champion: Champion) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """``fresh`` and ``corrected`` by the last firing, where that was about it; else those of when it was crowned. Pure."""
    if pins is not None and pins.standing == champion.serial:
        return pins.fresh, pins.corrected or champion.corrected
    return champion.fresh, champion.corrected


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


def change_pins(store: Store, name: str, change: Callable[[Pins], Pins]) -> Pins:
    """Replace the file by compare-and-swap. Raises StudyError where there is none."""
    for _ in range(SWAPS):
        before, condition = _present(store, name)
        if before is None:
            raise StudyError(f"{name} has pinned no test {nouns.items()} yet: its first firing does")
        try:
            after = change(before)
            store.put(place(name, FILE), after.to_json(), **condition)
        except ConflictError:
            continue
        return after
    raise StudyError(f"{store.url}/{place(name, FILE)}: others keep changing it; try again in a moment")


def _present(store: Store, name: str) -> tuple[Pins | None, dict[str, Any]]:
    pins, etag = read_with_etag(store, place(name, FILE), shaped(Pins))
    return pins, {"if_absent": True} if pins is None else {"if_match": etag}


def _joined(before: Pins, pins: Pins) -> Pins:
    uses = {version: max(pins.uses.get(version, 0), before.uses.get(version, 0)) for version in {**before.uses, **pins.uses}}
    newest = pins if pins.version >= before.version else before
    same = newest is pins and pins.corrected is None and pins.standing == before.standing and pins.version == before.version
    corrected = before.corrected if same else newest.corrected  # a firing that tested nothing leaves it as it was
    tasks = {
        task: replace(own, corrected=before.of_task(task).corrected) if same else own for task, own in newest.tasks.items()
    }
    renew = pins.renew if pins.renew is not None else before.renew
    return replace(newest, uses=uses, corrected=corrected, renew=renew, tasks=tasks)
