"""Whether a store keeps to conditional writes, which leases and commits rest on: asked once in a store's life."""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path

from tlbatch.errors import StudyError
from tlbatch.store.housekeeping import tidy
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

CHECKED_NAME = "CONDITIONAL"
"""The object at the store's root that says it was asked, beside FORMAT."""


def check_conditional(store: Store) -> None:
    """Raises StudyError where the store ignores If-None-Match or If-Match; remembers in the store that it does not.

    Two writers in turn are enough to find a server that does not know the conditions; `tlbatch doctor` lets many race.
    """
    try:
        store.get(CHECKED_NAME)
    except NotFoundError:
        _ask(store)
        store.put(CHECKED_NAME, b"If-None-Match and If-Match hold here\n")


def _ask(store: Store) -> None:
    name = f"work/doctor/{secrets.token_hex(8)}"
    try:
        first = store.put(name, b"first", if_absent=True)
        broken = [] if _refuses(store, name, if_absent=True) else ["If-None-Match"]
        second = store.put(name, b"second", if_match=first) if not broken else ""
        if not broken and (not _refuses(store, name, if_match=first) or store.get_with_etag(name) != (b"second", second)):
            broken.append("If-Match")
        local = store.local_path(name)
        if local is not None and not _locks(local):
            broken.append("flock")
    finally:
        tidy(store, lambda: [name])
    if broken:
        raise StudyError(
            f"{store.url} ignores {' and '.join(broken)}: two tasks could overwrite each other's leases and results there; use "
            "an S3 server with conditional writes, or a folder on a file system with locks (`tlbatch doctor` checks it too)"
        )


def _refuses(store: Store, name: str, *, if_absent: bool = False, if_match: str | None = None) -> bool:
    try:
        store.put(name, b"third", if_absent=if_absent, if_match=if_match)
    except ConflictError:
        return True
    return False


def _locks(path: Path) -> bool:
    """Whether a lock that is held keeps another one out on this file system."""
    with path.open("rb") as held, path.open("rb") as asking:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            fcntl.flock(asking, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
