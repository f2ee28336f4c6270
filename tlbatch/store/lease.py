"""Leases: who computes a task now. One JSON object per lease, changed by compare-and-swap only."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from tlbatch.errors import TransientError
from tlbatch.store.documents import WRONG, parse, sealed, unsealed
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

TTL_S = 60.0
SKEW_S = 5.0
"""How far the clocks of two drivers may be apart: a lease is taken over only this long after its expiry."""


class LeaseLostError(TransientError):
    """Another holder took the lease over: stop, and touch nothing of the task any more."""


@dataclass(frozen=True)
class LeaseInfo:
    """What a lease says. Times are Unix times in s; ``token`` is new at every acquisition, so no two leases are equal."""

    holder: str
    token: str
    taken: float
    heartbeat: float
    expires: float

    def to_json(self) -> bytes:
        return sealed(asdict(self))

    @staticmethod
    def from_json(data: bytes) -> LeaseInfo | None:
        """None for what is not a lease: it may be overwritten like an expired one."""
        try:
            document = unsealed(parse(data))
            times = [float(document[name]) for name in ("taken", "heartbeat", "expires")]
            return LeaseInfo(str(document["holder"]), str(document["token"]), *times)
        except WRONG:
            return None


class Lease:
    """A lease held by this process. Made by ``acquire``; renew it with ``heartbeat`` well within its ``ttl_s``."""

    def __init__(self, store: Store, name: str, info: LeaseInfo, etag: str, ttl_s: float, clock: Callable[[], float]) -> None:
        self._store, self._name, self._etag, self._ttl_s, self._clock = store, name, etag, ttl_s, clock
        self._lock, self._released = threading.Lock(), False  # a heartbeat thread must not revive what was released
        self.info = info

    @staticmethod
    def acquire(
        store: Store, key: str, holder: str, ttl_s: float = TTL_S, clock: Callable[[], float] = time.time
    ) -> Lease | LeaseInfo:
        """Take ``work/<key>/lease.json``, or say who has it. See ``acquire_named``."""
        return acquire_named(store, lease_name(key), holder, ttl_s, clock)

    @property
    def due(self) -> bool:
        """Whether a third of the lease's time has passed since the last heartbeat."""
        return self._clock() - self.info.heartbeat >= self._ttl_s / 3

    def heartbeat(self) -> None:
        """Extend the lease by ``ttl_s`` from now. Raises LeaseLostError where another holder has it."""
        with self._lock:
            if self._released:
                raise LeaseLostError(f"{self._store.url}/{self._name}: {self.info.holder} has released this lease")
            now = self._clock()
            self._swap(replace(self.info, heartbeat=now, expires=now + self._ttl_s))

    def release(self) -> None:
        """Give the lease up. A lease already lost is no error.

        The object stays, marked as expired: stores have no conditional delete, and a plain one could hit a successor's.
        """
        with self._lock, suppress(LeaseLostError):
            if not self._released:
                self._released = True
                self._swap(replace(self.info, heartbeat=self._clock(), expires=0.0))

    def _swap(self, info: LeaseInfo) -> None:
        try:
            self._etag = self._store.put(self._name, info.to_json(), if_match=self._etag)
        except ConflictError as error:
            raise LeaseLostError(
                f"{self._store.url}/{self._name}: {self.info.holder} lost its lease to another driver, which goes on from here"
            ) from error
        self.info = info


def acquire_named(
    store: Store, name: str, holder: str, ttl_s: float = TTL_S, clock: Callable[[], float] = time.time
) -> Lease | LeaseInfo:
    """Take the lease at ``name`` if it is free, expired (by more than SKEW_S), or held by this same ``holder``.

    Else returns the present holder's info. One holder's name must therefore stand for one process at a time: an
    execution whose driver starts anew goes on at once, and the old process learns it at its next heartbeat.
    """
    now = clock()
    mine = LeaseInfo(holder, secrets.token_hex(8), now, now, now + ttl_s)
    while True:
        try:
            data, present_etag = store.get_with_etag(name)
        except NotFoundError:
            condition: dict[str, str | bool] = {"if_absent": True}
        else:
            present = LeaseInfo.from_json(data)
            if present is not None and present.holder != holder and is_live(present, clock()):
                return present
            condition = {"if_match": present_etag}
        try:
            etag = store.put(name, mine.to_json(), **condition)  # type: ignore[arg-type]
        except ConflictError:
            continue  # somebody was faster: look again at what is there now
        return Lease(store, name, mine, etag, ttl_s, clock)


def read_lease(store: Store, key: str, clock: Callable[[], float] = time.time) -> LeaseInfo | None:
    """The live lease of a task, or None. For ``status`` and ``gc``."""
    try:
        info = LeaseInfo.from_json(store.get(lease_name(key)))
    except NotFoundError:
        return None
    return info if info is not None and is_live(info, clock()) else None


def is_live(info: LeaseInfo, now: float) -> bool:
    """Whether nobody else may take it yet."""
    return info.expires > 0 and now < info.expires + SKEW_S


def lease_name(key: str) -> str:
    return f"work/{key}/lease.json"
