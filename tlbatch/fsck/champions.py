"""Champions: pointers, the records of all terms, and decisions; and whether what a champion is made of is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tlbatch.champions.champion import CHAMPION_FORMAT, ROOT, Champion, Pointer
from tlbatch.champions.decisions import DecisionShape
from tlbatch.errors import StudyError
from tlbatch.fsck.artifacts import Artifacts
from tlbatch.fsck.finding import LEAVE, RESTORE, SET_ASIDE, Finding, document
from tlbatch.store import Stat, Store
from tlbatch.store.documents import DamagedError, checked, read, sealed, shaped
from tlbatch.tasks import InputRef, task_name

BACKUP = "restore it from a backup of the store, or promote a model again: `tlbatch champion promote`"
LEFT_OUT = "--repair sets it aside; the history goes on without it"


def check_champions(store: Store, stats: Mapping[str, Stat], artifacts: Artifacts) -> list[Finding]:
    own = [name for name in stats if name.startswith(ROOT)]
    names = {n.removeprefix(ROOT).partition("/")[0].removesuffix(".json") for n in own}
    return [finding for name in sorted(names) for finding in _champion(store, name, own, artifacts)]


def _champion(store: Store, name: str, own: list[str], artifacts: Artifacts) -> list[Finding]:
    prefix = f"{ROOT}{name}/"
    records = [n for n in own if n.startswith(prefix) and "/" not in n.removeprefix(prefix) and n.endswith(".json")]
    found, good = [], {}
    for record in records:
        why = document(store, record, Champion.of)
        if why:
            found.append(Finding(record, why[0], LEAVE, why[1] or BACKUP))
        elif (champion := _readable(store, record)) is not None:
            good[record] = champion
    named = {champion.previous for champion in good.values() if champion.previous}
    gone = sorted(each for each in named if each not in records)
    found += [Finding(each, "it is gone, a record that a later one names", LEAVE, BACKUP) for each in gone]
    decided = 0
    for decision in (n for n in own if n.startswith(f"{prefix}decisions/")):
        if why := document(store, decision, checked(DecisionShape)):
            found.append(Finding(decision, why[0], SET_ASIDE, LEFT_OUT))
        else:
            said = read(store, decision, checked(DecisionShape)) or {}
            decided = max(decided, (said.get("settled") or {}).get("serial") or 0)
    pointer = _pointer(store, name, records, good, decided, f"{ROOT}{name}.json" in own)
    found += [pointer] if pointer else []
    return found + [each for record, champion in good.items() for each in _made_of(store, record, champion, artifacts)]


def _readable(store: Store, record: str) -> Champion | None:
    try:
        return read(store, record, Champion.of)
    except (DamagedError, StudyError):
        return None


def _pointer(
    store: Store, name: str, records: list[str], good: Mapping[str, Champion], decided: int, there: bool
) -> Finding | None:
    """A damaged pointer, with what it must have been where the records leave no doubt. ``decided``: a term there was."""
    place, prefix = f"{ROOT}{name}.json", f"{ROOT}{name}/"
    if not there and not records:
        return None
    why = "it is gone" if not there else ""
    if there:
        verdict = document(store, place, shaped(Pointer))
        why = verdict[0] if verdict else ""
        if not why:
            pointer = read(store, place, shaped(Pointer))
            if pointer is None or pointer.record in records:
                return None
            if pointer.record.startswith(prefix):  # an older one in its place would be a rollback that nobody wanted
                return Finding(place, f"the record it names, {pointer.record}, is gone", LEAVE, BACKUP)
            why = "it names no record of this champion"
    newest = _newest(records, good)
    if newest is None or good[newest].serial < decided:
        return Finding(place, why, LEAVE, BACKUP)
    content = {"format": CHAMPION_FORMAT, "name": name, "serial": good[newest].serial, "record": newest}
    way_out = f"--repair points it at {newest}, the newest record"
    return Finding(place, why, RESTORE, way_out, content=sealed(content))


def _newest(records: list[str], good: Mapping[str, Champion]) -> str | None:
    """The record of the last term; None where that is in doubt: the newest is damaged or gone, or two have its serial."""
    serials = Counter(record.rpartition("/")[2].partition("-")[0] for record in records)
    last = max(records, default=None)
    if last is None or last not in good or serials[last.rpartition("/")[2].partition("-")[0]] > 1:
        return None
    return last


def _made_of(store: Store, record: str, champion: Champion, artifacts: Artifacts) -> list[Finding]:
    """A champion whose weights are not there any more cannot be exported or evaluated again."""
    refs = champion.refs
    return [
        Finding(
            f"artifacts/{ref.step}/{ref.key}/manifest.json",
            f"{role} of {record}: {why}",
            LEAVE,
            made_again(store, ref),
            ref.key,
        )
        for role, ref in refs.items()
        if (why := missing(ref, artifacts))
    ]


def missing(ref: InputRef, artifacts: Artifacts) -> str:
    """Why the artifact is not what is meant; "" where it is, and where a finding of its own says that it is damaged."""
    manifest = artifacts.sound.get((ref.step, ref.key))
    if manifest is None:
        return "" if any(each.key == ref.key for each in artifacts.findings) else "it is not there"
    return "" if manifest.digest == ref.digest else "it was made again with another content"


def made_again(store: Store, ref: InputRef) -> str:
    return (
        f"`python -m jobs.{ref.step} --task {store.url}/{task_name(ref.key)}` makes it again where its inputs are there; "
        "or restore it from a backup of the store"
    )
