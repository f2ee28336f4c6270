"""Leases, with a clock that passes only when told to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from tlbatch.errors import TransientError
from tlbatch.store import Store
from tlbatch.store.lease import SKEW_S, Lease, LeaseInfo, LeaseLostError, lease_name, read_lease

KEY = "k" * 40


class Clock(Protocol):
    def __call__(self) -> float: ...
    def advance(self, seconds: float) -> None: ...


def take(store: Store, holder: str, clock: Clock, ttl_s: float = 60) -> Lease:
    lease = Lease.acquire(store, KEY, holder, ttl_s, clock)
    assert isinstance(lease, Lease)
    return lease


def test_the_second_learns_who_has_it(store: Store, clock: Clock) -> None:
    take(store, "first", clock)
    other = Lease.acquire(store, KEY, "second", 60, clock)
    assert isinstance(other, LeaseInfo)
    assert (other.holder, other.expires - clock()) == ("first", 60)
    assert read_lease(store, KEY, clock) == other


def test_a_heartbeat_keeps_it(store: Store, clock: Clock) -> None:
    lease = take(store, "first", clock)
    assert not lease.due
    for _ in range(5):
        clock.advance(50)
        assert lease.due
        lease.heartbeat()
    assert isinstance(Lease.acquire(store, KEY, "second", 60, clock), LeaseInfo)


def test_an_expired_one_is_taken_over(store: Store, clock: Clock) -> None:
    lost = take(store, "first", clock)
    clock.advance(60 + SKEW_S - 1)
    assert isinstance(Lease.acquire(store, KEY, "second", 60, clock), LeaseInfo)
    clock.advance(1)
    assert read_lease(store, KEY, clock) is None
    taken = take(store, "second", clock)
    with pytest.raises(LeaseLostError, match="first lost its lease"):
        lost.heartbeat()
    lost.release()
    taken.heartbeat()
    found = read_lease(store, KEY, clock)
    assert found is not None
    assert found.holder == "second"


def test_late_but_not_taken_is_still_held(store: Store, clock: Clock) -> None:
    lease = take(store, "first", clock)
    clock.advance(1000)
    lease.heartbeat()
    assert isinstance(Lease.acquire(store, KEY, "second", 60, clock), LeaseInfo)


def test_what_is_released_is_free_at_once(store: Store, clock: Clock) -> None:
    lease = take(store, "first", clock)
    lease.release()
    lease.release()
    assert read_lease(store, KEY, clock) is None
    second = take(store, "second", clock)
    with pytest.raises(LeaseLostError):
        lease.heartbeat()
    second.heartbeat()


def test_a_released_lease_does_not_come_back(store: Store, clock: Clock) -> None:
    lease = take(store, "first", clock)
    lease.release()
    with pytest.raises(LeaseLostError, match="released"):
        lease.heartbeat()
    assert read_lease(store, KEY, clock) is None


def test_the_same_holder_goes_on_at_once_and_its_former_self_learns_it(store: Store, clock: Clock) -> None:
    before = take(store, "execution", clock)
    after = take(store, "execution", clock)
    with pytest.raises(LeaseLostError):
        before.heartbeat()
    after.heartbeat()


def test_what_is_not_a_lease_is_overwritten(store: Store, clock: Clock) -> None:
    store.put(lease_name(KEY), b'{"holder": 3}')
    assert read_lease(store, KEY, clock) is None
    take(store, "first", clock)


def test_a_lost_lease_is_come_back_later() -> None:
    assert issubclass(LeaseLostError, TransientError)


@pytest.mark.parametrize("expired", [False, True], ids=["free", "expired"])
def test_of_many_at_once_one_gets_it(store: Store, clock: Clock, expired: bool) -> None:
    if expired:
        take(store, "dead", clock)
        clock.advance(100)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda n: Lease.acquire(store, KEY, f"driver-{n}", 60, clock), range(6)))
    winners = [result for result in results if isinstance(result, Lease)]
    assert len(winners) == 1
    assert {r.holder for r in results if isinstance(r, LeaseInfo)} == {winners[0].info.holder}
