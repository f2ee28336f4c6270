"""What ``--repair`` does: nothing that is intact is changed or removed, and bytes that are set aside are kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from tlbatch.fsck.finding import DELETE, LEAVE, RESTORE, SET_ASIDE, Finding, Survey
from tlbatch.store import ConflictError, NotFoundError, Store
from tlbatch.store.artifacts import set_aside
from tlbatch.store.lease import LeaseInfo, is_live, lease_name


def repair(store: Store, survey: Survey, clock: Callable[[], float] = time.time) -> Survey:
    """The survey with ``repaired`` filled where something was done. What changed since the survey is left alone."""
    return replace(survey, findings=tuple(_repaired(store, each, clock()) for each in survey.findings))


def _repaired(store: Store, finding: Finding, now: float) -> Finding:
    if finding.action == LEAVE or (finding.name.startswith("work/") and _live(store, finding.name.split("/")[1], now)):
        return finding
    try:
        done = {SET_ASIDE: _aside, RESTORE: _restore, DELETE: _delete}[finding.action](store, finding)
    except (ConflictError, NotFoundError):
        return replace(finding, way_out="it has changed meanwhile: `tlbatch fsck` again")
    except OSError as error:
        return replace(finding, way_out=f"it could not be repaired: {error.strerror or error}")
    return replace(finding, repaired=done) if done else finding


def _live(store: Store, key: str, now: float) -> bool:
    """Whether a task runs there: what it wrote is its own."""
    with suppress(NotFoundError):
        info = LeaseInfo.from_json(store.get(lease_name(key)))
        return info is not None and is_live(info, now)
    return False


def _aside(store: Store, finding: Finding) -> str:
    name = finding.name
    data = store.get(name)
    top, owner, *_ = name.split("/")
    if top == "artifacts":
        set_aside(store, owner, finding.key, data)
        return "set aside: made once more by the next run that needs it"
    stamp = f"bad-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    folder = f"{top}/{owner}/set-aside/" if top != "tasks" else "tasks/"
    place = f"{folder}{name.rpartition('/')[2]}.{stamp}"
    store.put(place, data, if_absent=True)
    store.delete([name])
    return f"set aside as {place}"


def _restore(store: Store, finding: Finding) -> str:
    """Replaces what was judged damaged, unless another process was here first."""
    content = finding.content
    if content is None:
        content = store.get(finding.source)
    try:
        present, etag = store.get_with_etag(finding.name)
    except NotFoundError:
        store.put(finding.name, content, if_absent=True)
    else:
        if hashlib.sha256(present).digest() != hashlib.sha256(content).digest():
            store.put(finding.name, content, if_match=etag)
    return f"copied again from {finding.source}" if finding.source else "written again"


def _delete(store: Store, finding: Finding) -> str:
    store.delete([finding.name])  # a checkpoint is none any more once its done.json is gone
    store.delete([name for name in finding.names if name != finding.name])
    return "removed"
