"""Schedules: the study as applied, the records of firings, pinned images and leases."""

from __future__ import annotations

from collections.abc import Mapping

from tlbatch import nouns
from tlbatch.fsck.artifacts import Artifacts
from tlbatch.fsck.champions import made_again, missing
from tlbatch.fsck.finding import DELETE, LEAVE, SET_ASIDE, Finding, document, each_at_once
from tlbatch.schedules.firings import FiringRecord
from tlbatch.schedules.open_firings import Opened
from tlbatch.schedules.pins import Pins
from tlbatch.schedules.schedule import APPLY_AGAIN, ROOT, StoredSchedule
from tlbatch.store import Stat, Store
from tlbatch.store.documents import DamagedError, read, shaped
from tlbatch.store.lease import LeaseInfo

PINS = "restore it from a backup of the store: another test set must not be pinned in its place"
OPEN = "--repair sets it aside; a firing that died is then forgotten, and the schedule can fire again"
LEFT_OUT = "--repair sets it aside; the history goes on without it"


def check_schedules(store: Store, stats: Mapping[str, Stat], artifacts: Artifacts) -> list[Finding]:
    names = [name for name in stats if name.startswith(ROOT)]
    found = [each for each in each_at_once(lambda name: _document(store, name), names) if each]
    for name in names:
        if name.endswith("/pins.json") and name.count("/") == 2:
            found += _pinned(store, name, artifacts)
        if name.endswith("/schedule.json") and name.count("/") == 2:
            found += _pins_gone(name, stats, store)
    return found


def _document(store: Store, name: str) -> Finding | None:
    _, _, file = name.removeprefix(ROOT).partition("/")
    folder = file.partition("/")[0]
    if file == "lease.json":
        return lease(store, name)
    if file == "schedule.json":
        why = document(store, name, shaped(StoredSchedule))
        return Finding(name, why[0], LEAVE, APPLY_AGAIN) if why else None
    if file == "pins.json":
        why = document(store, name, shaped(Pins))
        return Finding(name, why[0], LEAVE, PINS) if why else None
    if folder == "firings":
        why = document(store, name, shaped(FiringRecord))
        return Finding(name, why[0], SET_ASIDE, LEFT_OUT) if why else None
    if folder == "open":
        why = document(store, name, Opened.from_json)
        return Finding(name, why[0], SET_ASIDE, OPEN) if why else None
    return None


def lease(store: Store, name: str) -> Finding | None:
    if LeaseInfo.from_json(store.get(name)) is not None:
        return None
    return Finding(name, "it is no lease", DELETE, "deletable: --repair removes it", advice=True)


def _pinned(store: Store, name: str, artifacts: Artifacts) -> list[Finding]:
    try:
        pins = read(store, name, shaped(Pins))
    except DamagedError:
        return []
    why = missing(pins.ref, artifacts) if pins else ""
    if pins is None or not why:
        return []
    place = f"artifacts/{pins.ref.step}/{pins.ref.key}/manifest.json"
    return [Finding(place, f"pinned {nouns.items()} of {name}: {why}", LEAVE, made_again(store, pins.ref), pins.ref.key)]


def _pins_gone(name: str, stats: Mapping[str, Stat], store: Store) -> list[Finding]:
    """A schedule that has a champion has pinned its test images."""
    place = name.replace("schedule.json", "pins.json")
    champion = f"champions/{name.split('/')[1]}.json"
    decided = f"champions/{name.split('/')[1]}/decisions/"
    if place in stats or champion not in stats or not any(each.startswith(decided) for each in stats):
        return []
    return [Finding(place, f"it is gone, though its champion was decided on pinned {nouns.items()}", LEAVE, PINS)]
