"""``schedules/<name>/schedule.json``: the study that a schedule fires, and since when it fires how.

Unknown fields are ignored: an older or newer tlbatch may have written it. What is damaged raises DamagedError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tlbatch.errors import OtherVersionError, StudyError
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.writing import dump_yaml
from tlbatch.spec import LoadedStudy
from tlbatch.spec.cron import next_firing
from tlbatch.spec.load import parse_study
from tlbatch.spec.resources import Schedule
from tlbatch.store import ConflictError, NotFoundError, Store
from tlbatch.store.documents import DamagedError, read, read_with_etag, sealed, shaped, tell
from tlbatch.store.lease import LeaseInfo, is_live
from tlbatch.store.names import is_name

ROOT = "schedules/"
CLUSTER, HERE = "cluster", "here"
SWAPS = 20
APPLY_AGAIN = "`tlbatch schedule apply STUDY` writes it anew; firings, pins and champion are kept"


@dataclass(frozen=True)
class Period:
    """From ``since`` (Unix time, s) to the next period the schedule was to fire so."""

    since: float
    cron: str
    timezone: str
    suspended: bool = False
    where: str = CLUSTER
    deadline_s: int = 3600


@dataclass(frozen=True)
class StoredSchedule:
    """``schedule.json``. ``applied`` and ``changed`` are Unix times in s: first and last applied.

    ``suspended``: by ``schedule suspend``; the study's own ``suspend`` comes on top. ``where``: CLUSTER (a CronJob fires it) or
    HERE (something on a machine calls ``tlbatch schedule trigger --here``). ``site``: where its CronJob is.
    """

    name: str
    study: str
    applied: float
    changed: float
    by: str = ""
    suspended: bool = False
    where: str = CLUSTER
    site: dict[str, Any] = field(default_factory=dict)
    periods: tuple[Period, ...] = ()

    @property
    def loaded(self) -> LoadedStudy:
        """Raises OtherVersionError where this tlbatch does not understand the study."""
        try:
            return parse_study(self.study, f"schedule {self.name}, its study")
        except StudyError as error:
            raise OtherVersionError(f"{error}\nanother version of tlbatch applied it; {APPLY_AGAIN}") from error

    def to_json(self) -> bytes:
        return sealed(asdict(self))


def place(name: str, file: str) -> str:
    """Store-relative name of one of a schedule's files."""
    return f"{ROOT}{name}/{file}"


def schedule_of(loaded: LoadedStudy) -> Schedule:
    """The study's ``schedule``. Raises StudyError where it has none."""
    if loaded.study.schedule is None:
        raise StudyError(f'{loaded.path or loaded.study.name}: schedule: is missing; add e.g. schedule: {{cron: "0 3 * * *"}}')
    return loaded.study.schedule


def study_text(loaded: LoadedStudy) -> str:
    """The study as a schedule keeps it: loaded again, from anywhere, it is equal."""
    return dump_yaml(loaded.document, variables=True)


def load_schedule(store: Store, name: str) -> StoredSchedule:
    """Raises StudyError, with the names there are, where it was not applied."""
    file = place(name, "schedule.json")
    stored = read(store, file, shaped(StoredSchedule), APPLY_AGAIN) if is_name(file) else None
    if stored is None:
        names = schedule_names(store)
        there = f"there: {', '.join(names)}" if names else "there is none yet"
        raise StudyError(
            f"no schedule {name!r} in {store.url}{suggestion(name, names, most=0)}; {there}; `tlbatch schedule apply STUDY`"
        )
    return stored


def schedule_names(store: Store) -> list[str]:
    """Names of all schedules that are applied, sorted."""
    names = [stat.name.removeprefix(ROOT) for stat in store.list(ROOT)]
    return sorted(name.removesuffix("/schedule.json") for name in names if name.endswith("/schedule.json"))


def change_schedule(
    store: Store, name: str, change: Callable[[StoredSchedule | None], StoredSchedule], *, anew: bool = False
) -> tuple[StoredSchedule | None, StoredSchedule]:
    """Replace ``schedule.json`` by compare-and-swap; returns what was there and what is there now.

    ``anew``: a damaged one is replaced as if there were none, and that is told. Else it raises DamagedError.
    """
    for _ in range(SWAPS):
        before, condition = _present(store, name, anew)
        after = change(before)
        try:
            store.put(place(name, "schedule.json"), after.to_json(), **condition)
        except ConflictError:
            continue
        return before, after
    raise StudyError(f"{store.url}/{place(name, 'schedule.json')}: others keep changing it; try again in a moment")


def _present(store: Store, name: str, anew: bool) -> tuple[StoredSchedule | None, dict[str, Any]]:
    file = place(name, "schedule.json")
    try:
        stored, etag = read_with_etag(store, file, shaped(StoredSchedule), APPLY_AGAIN)
    except DamagedError as error:
        if not anew:
            raise
        tell(f"{store.url}/{file} was damaged ({error.why}): applied anew; since when it fires, and `suspend`, are forgotten")
        return None, {"if_match": store.get_with_etag(file)[1]}
    return stored, {"if_absent": True} if stored is None else {"if_match": etag}


def applied(before: StoredSchedule | None, loaded: LoadedStudy, text: str, where: str, by: str, now: float) -> StoredSchedule:
    """What ``schedule apply`` writes: the study of now, and since when it fires how."""
    fresh = StoredSchedule(loaded.study.name, text, now, now, by, where=where)
    if before is not None:
        fresh = replace(fresh, applied=before.applied, suspended=before.suspended, site=before.site, periods=before.periods)
    return with_period(fresh, schedule_of(loaded), now)


def with_period(stored: StoredSchedule, schedule: Schedule, now: float) -> StoredSchedule:
    """The schedule with a new period where it fires differently from now on."""
    suspended = stored.suspended or schedule.suspend
    period = Period(now, schedule.cron, schedule.timezone, suspended, stored.where, schedule.starting_deadline_s)
    last = stored.periods[-1] if stored.periods else None
    if last is not None and replace(last, since=now) == period:
        return stored
    return replace(stored, periods=(*stored.periods, period))


def is_suspended(stored: StoredSchedule) -> bool:
    """Whether it does not fire by itself now."""
    return bool(stored.periods) and stored.periods[-1].suspended


def next_time(stored: StoredSchedule, now: float) -> float | None:
    """When it fires next (Unix time, s); None while it is suspended."""
    last = stored.periods[-1] if stored.periods else None
    return None if last is None or last.suspended else next_firing(last.cron, last.timezone, now)


def live_lease(store: Store, name: str, now: float) -> LeaseInfo | None:
    """Who holds the schedule now: a firing that runs."""
    info = read_holder(store, name)
    return info if info is not None and is_live(info, now) else None


def read_holder(store: Store, name: str) -> LeaseInfo | None:
    """Who holds the schedule, or held it last."""
    try:
        return LeaseInfo.from_json(store.get(place(name, "lease.json")))
    except NotFoundError:
        return None


def known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    fields: Mapping[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: value for name, value in document.items() if name in fields}
