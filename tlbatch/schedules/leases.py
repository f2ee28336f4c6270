"""Leases that a thread keeps alive: who holds an execution, who holds a schedule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tlbatch.schedules.schedule import place
from tlbatch.store import Store
from tlbatch.store.heartbeat import beating
from tlbatch.store.lease import Lease, LeaseInfo, acquire_named

SCHEDULE_LEASE_S = 30.0
LOOK_AGAIN_S = 1.0


@contextmanager
def hold_schedule(
    store: Store, name: str, holder: str, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Callable[[], None] | LeaseInfo]:
    """Hold ``schedules/<name>/lease.json``; yields a guard, or who has it.

    A holder that does not beat is waited for until its lease is over: it has died. One that beats is alive.
    """
    lease = _acquired(store, name, holder, sleep)
    if isinstance(lease, LeaseInfo):
        yield lease
        return
    with beating(lease, SCHEDULE_LEASE_S / 3, f"schedule {name}: another firing holds it now") as guard:
        yield guard


def _acquired(store: Store, name: str, holder: str, sleep: Callable[[float], None]) -> Lease | LeaseInfo:
    first: LeaseInfo | None = None
    while True:
        lease = acquire_named(store, place(name, "lease.json"), holder, SCHEDULE_LEASE_S)
        if isinstance(lease, Lease) or (first is not None and (lease.token, lease.heartbeat) != (first.token, first.heartbeat)):
            return lease
        first = lease
        sleep(LOOK_AGAIN_S)
