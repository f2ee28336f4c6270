"""Champions: the model a schedule stands by, who stood before it, and every decision about it.

``champions/<name>.json`` is a pointer, moved by compare-and-swap only. It names the whole record of the present champion,
``champions/<name>/<serial>-<random>.json``, which is written before the swap, never changed, and names the record before
it: so the history is complete whenever a process ends. What firings decided is in tlbatch.champions.decisions.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tlbatch.errors import OtherVersionError, StudyError, TransientError
from tlbatch.schema.nearest import suggestion
from tlbatch.store import ConflictError, Store
from tlbatch.store.documents import (
    DamagedError,
    each_readable,
    parse,
    read,
    read_with_etag,
    sealed,
    shaped,
    tell,
)
from tlbatch.store.housekeeping import HARMLESS, tidy
from tlbatch.store.names import is_name
from tlbatch.tasks import InputRef

CHAMPION_FORMAT = 1
ROOT = "champions/"


@dataclass(frozen=True)
class Pointer:
    """``champions/<name>.json``. ``record``: the object name of the present champion's record."""

    record: str
    name: str = ""
    serial: int = 0


class BeatenError(TransientError):
    """Another process moved the champion meanwhile: look again at who it is now, and decide anew."""


@dataclass(frozen=True)
class ChampionTask:
    """What a champion has of one of several tasks, by the names of ``Champion``."""

    name: str
    models: dict[str, InputRef]
    evaluation: InputRef
    classes: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    fresh: dict[str, Any] | None = None
    corrected: dict[str, Any] | None = None


@dataclass(frozen=True)
class Champion:
    """One term. ``models`` has a role ``model:<seed>[:<fold>]`` for each file of weights, ``metrics`` Estimates by name.

    ``serial`` counts terms from 1; ``before`` is the serial of the term before. ``restores`` is the serial whose model a
    rollback or a promotion by hand brought back. ``decided`` is the artifact of the decision, null where a person decided.
    ``asked``: how many tests its pinned test images had served by then, its own included; None in records from before this was
    counted. ``fresh``: what it scored then on images that no decision consulted, {images, enough, metrics}, or null;
    ``corrected``: its score on the test images without the luck of having been chosen there, {metric, value, low, high}.
    ``extended``: of each class that it got without training what is told of it (tlbatch.champions.extending), the newest last.
    ``tasks``: where it has several, of each what of it alone is called so here: models, evaluation, classes, metrics, fresh,
    corrected; the main one's stand above. ``crowned`` is Unix time in s. ``record`` and ``previous`` are the object names of
    its record and of the one before.
    """

    name: str
    serial: int
    study: str
    run: str
    seed: int
    models: dict[str, InputRef]
    evaluation: InputRef
    pins: InputRef | None = None
    test_version: int = 1
    classes: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    crowned: float = 0.0
    by: str = ""
    sentence: str = ""
    before: int | None = None
    decided: InputRef | None = None
    restores: int | None = None
    record: str = ""
    previous: str | None = None
    asked: int | None = None
    fresh: dict[str, Any] | None = None
    corrected: dict[str, Any] | None = None
    extended: tuple[dict[str, Any], ...] = ()
    tasks: tuple[ChampionTask, ...] = ()

    @property
    def each_task(self) -> tuple[str | None, ...]:
        """Its tasks, the main one first; None where it has one."""
        return tuple(task.name for task in self.tasks) or (None,)

    def of_task(self, task: str | None) -> Champion:
        """Its model of one task, as a champion of that alone. Raises StudyError where it has none of that name."""
        if task is None:
            return self
        found = next((each for each in self.tasks if each.name == task), None)
        if found is None:
            names = [each.name for each in self.tasks]
            there = f"it has {', '.join(names)}" if names else "it has one task, which needs no name"
            raise StudyError(f"the champion of {self.name} has no task {task!r}{suggestion(task, names, most=0)}; {there}")
        own = {name: value for name, value in found.__dict__.items() if name != "name"}
        return replace(self, run=f"{self.run}-{task}", tasks=(), **own)

    @property
    def refs(self) -> dict[str, InputRef]:
        """All that it is made of, by what it is: models and evaluations, of several tasks those of each."""
        if not self.tasks:
            return {**self.models, "evaluation": self.evaluation}
        return {
            f"{task.name}: {role}": ref
            for task in self.tasks
            for role, ref in (*task.models.items(), ("evaluation", task.evaluation))
        }

    @property
    def added(self) -> tuple[str, ...]:
        """Classes that it got without training."""
        return tuple(str(each["class"]) for each in self.extended)

    def to_json(self) -> bytes:
        return sealed({"format": CHAMPION_FORMAT, **asdict(self)})

    @staticmethod
    def from_json(data: bytes) -> Champion:
        """Raises StudyError for a newer format, ValueError and its like for what is none."""
        return Champion.of(parse(data))

    @staticmethod
    def of(document: dict[str, Any]) -> Champion:
        """Decode, leniently towards unknown and missing fields. Raises as ``from_json`` does."""
        if document.get("format", 1) > CHAMPION_FORMAT:
            raise OtherVersionError(
                f"champion {document.get('name')}: its record has format {document['format']}, this tlbatch reads up to "
                f"{CHAMPION_FORMAT}; upgrade it"
            )
        champion = shaped(Champion)(document)
        if any(not isinstance(value, dict | None) for value in champion.metrics.values()):
            raise ValueError("its metrics are none")
        return champion


# -- who it is ----------------------------------------------------------------------------------------------------------


def load_champion(store: Store, name: str) -> tuple[Champion | None, str | None]:
    """The champion and the etag to give to ``crown``; (None, None) where there is none yet."""
    record, etag = _pointer(store, name)
    return (None if record is None else _load_record(store, record)), etag


def find_champion(store: Store, name: str) -> tuple[Champion, str]:
    """Like ``load_champion``. Raises StudyError, with the names there are, where there is none."""
    champion, etag = load_champion(store, name) if is_name(f"{ROOT}{name}.json") else (None, None)
    if champion is None or etag is None:
        names = champion_names(store)
        known = f"there: {', '.join(names)}" if names else "a schedule's first firing, or `tlbatch champion promote`, makes one"
        raise StudyError(f"no champion {name!r} in {store.url}{suggestion(name, names, most=0)}; {known}")
    return champion, etag


def champion_names(store: Store) -> list[str]:
    """Names of all that have a champion, sorted."""
    names = [stat.name.removeprefix(ROOT) for stat in store.list(ROOT)]
    return sorted(name.removesuffix(".json") for name in names if "/" not in name and name.endswith(".json"))


def all_champions(store: Store) -> list[Champion]:
    """Of every name that has one; one that cannot be read is told, and the others go on."""
    return each_readable(champion_names(store), lambda name: find_champion(store, name)[0])


def terms(store: Store, name: str) -> list[Champion]:
    """All champions there were, the present one first."""
    return list(each_term(store, name))


def each_term(store: Store, name: str) -> Iterator[Champion]:
    """As ``terms``, on demand. The present one must be readable; an earlier record that is damaged is told and left out."""
    record, _ = _pointer(store, name)
    while record is not None:
        try:
            champion = _load_record(store, record)
        except DamagedError as error:
            if record == _pointer(store, name)[0]:
                raise
            tell(error)
            record = _record_before(store, name, record)
            continue
        yield champion
        record = champion.previous


def record_names(store: Store, name: str) -> list[str]:
    """Object names of all records of a champion, by serial: the newest last."""
    prefix = f"{ROOT}{name}/"
    names = [stat.name for stat in store.list(prefix)]
    return [each for each in names if "/" not in each.removeprefix(prefix) and each.endswith(".json")]


def _record_before(store: Store, name: str, record: str) -> str | None:
    """Of a record that cannot say it itself: names begin with the serial."""
    return max((each for each in record_names(store, name) if each < record), default=None)


def _pointer(store: Store, name: str) -> tuple[str | None, str | None]:
    """The object name of the present record, and the pointer's etag."""
    way_out = f"`tlbatch fsck {store.url} --repair` puts back who it is, from the records beside it"
    pointer, etag = read_with_etag(store, f"{ROOT}{name}.json", shaped(Pointer), way_out)
    if pointer is not None and not (is_name(pointer.record) and pointer.record.startswith(f"{ROOT}{name}/")):
        raise DamagedError(store.url, f"{ROOT}{name}.json", "it names no record of this champion", way_out)
    return (None if pointer is None else pointer.record), etag


def _load_record(store: Store, record: str) -> Champion:
    way_out = "restore it from a backup of the store, or promote a model again: `tlbatch champion promote`"
    champion = read(store, record, Champion.of, way_out) if is_name(record) else None
    if champion is None:
        raise DamagedError(store.url, record, "it is gone, a champion's record", way_out)
    return champion


def model_of_task(champion: Champion, task: str | None, way_out: str) -> Champion:
    """The one that is meant. ``way_out``: how to name a ``{task}``, where several are meant. Raises StudyError."""
    if task is None and champion.tasks:
        names = [each.name for each in champion.tasks]
        raise StudyError(
            f"the champion of {champion.name} has several tasks ({', '.join(names)}), and this takes one: "
            f"{way_out.format(task=names[0])}"
        )
    return champion.of_task(task)


# -- who becomes it -----------------------------------------------------------------------------------------------------


def crown(store: Store, champion: Champion, etag: str | None) -> Champion:
    """Make it the champion if the pointer is still the one of ``etag`` (None: there was none). Returns it as recorded.

    Raises BeatenError, and leaves nothing, where another process moved the pointer meanwhile.
    """
    name = champion.name
    previous, present = _pointer(store, name)
    if present != etag:
        raise _beaten(store, name)
    record = f"{ROOT}{name}/{champion.serial:04d}-{secrets.token_hex(4)}.json"
    recorded = replace(champion, record=record, previous=previous)
    store.put(record, recorded.to_json(), if_absent=True)
    pointer = sealed({"format": CHAMPION_FORMAT, "name": name, "serial": champion.serial, "record": record})
    try:
        store.put(f"{ROOT}{name}.json", pointer, if_absent=etag is None, if_match=etag)
    except ConflictError as error:
        tidy(store, lambda: [record], HARMLESS)
        raise _beaten(store, name) from error
    return recorded


def _beaten(store: Store, name: str) -> BeatenError:
    champion, _ = load_champion(store, name)
    now = f"it is now number {champion.serial} ({champion.by})" if champion else "there is none any more"
    return BeatenError(f"the champion of {name} changed meanwhile: {now}; look at it and decide anew")
