"""``schedules/<name>/open/<execution>.json``: what a firing started from, from before its first task until it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tlbatch.champions.champion import Champion
from tlbatch.planning.champion_tasks import ChampionState, TaskState
from tlbatch.schedules.schedule import place
from tlbatch.store import Store
from tlbatch.store.documents import parse, read, sealed, shaped
from tlbatch.store.housekeeping import tidy
from tlbatch.tasks import InputRef


@dataclass(frozen=True)
class Opened:
    """Times are Unix times in s. ``here``: in a process of some machine, which no cluster starts again when it dies.

    ``listing``, ``study``: digests. ``promote_on``: the metric, of several tasks the main one's. ``etag``: of the champion's
    pointer.
    """

    name: str
    execution: str
    trigger: str
    scheduled: float | None
    started: float
    listing: str
    study: str
    version: str
    promote_on: str
    images: int = 0
    here: bool = False
    defence: ChampionState = field(default_factory=ChampionState)
    etag: str | None = None

    @property
    def seen(self) -> tuple[Champion | None, str | None]:
        """What ``load_champion`` said when the firing began."""
        return self.defence.champion, self.etag

    def to_json(self) -> bytes:
        champion = self.defence.champion
        fields = {name: value for name, value in self.__dict__.items() if name != "defence"}
        defence = {
            "pins": _plain(self.defence.pins),
            "champion": parse(champion.to_json()) if champion else None,
            "uses": dict(self.defence.uses),
            "evaluated": _plain(self.defence.evaluated),
            "stream": self.defence.stream,
            "renew": self.defence.renew,
            "tasks": {task: asdict(state) for task, state in self.defence.tasks.items()},
        }
        return sealed({**fields, "defence": defence})

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Opened:
        """Raises KeyError, TypeError and ValueError for what is none."""
        said = document["defence"]
        champion = Champion.of(said["champion"]) if said.get("champion") else None
        uses = {int(version): int(count) for version, count in (said.get("uses") or {}).items()}
        tasks = {task: shaped(TaskState)(state) for task, state in (said.get("tasks") or {}).items()}
        given = {"stream": said.get("stream"), "renew": bool(said.get("renew")), "tasks": tasks}
        defence = ChampionState(_ref(said.get("pins")), champion, uses, _ref(said.get("evaluated")), **given)
        return replace(shaped(Opened)({name: value for name, value in document.items() if name != "defence"}), defence=defence)


def open_firing(store: Store, opened: Opened) -> None:
    store.put(_place(opened.name, opened.execution), opened.to_json())


def load_opened(store: Store, name: str, execution: str) -> Opened | None:
    """None where it is recorded, or has not begun. Raises DamagedError."""
    return read(store, _place(name, execution), Opened.from_json)


def opened_firings(store: Store, name: str) -> list[Opened]:
    """Firings without a record: those that run, and those whose driver died. Raises DamagedError."""
    found = [read(store, stat.name, Opened.from_json) for stat in store.list(place(name, "open/"))]
    return [opened for opened in found if opened is not None]


def close_firing(store: Store, name: str, execution: str) -> None:
    """It has its record. Where its note stays it is no firing that runs: the next one closes it."""
    tidy(store, lambda: [_place(name, execution)], "which the next firing does")


def _place(name: str, execution: str) -> str:
    return place(name, f"open/{execution}.json")


def _plain(ref: InputRef | None) -> dict[str, Any] | None:
    return asdict(ref) if ref else None


def _ref(document: Any) -> InputRef | None:
    return shaped(InputRef)(document) if document else None
