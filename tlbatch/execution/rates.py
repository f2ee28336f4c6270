"""How long tasks of a kind took before, for estimates: ``work/rates/<kind>.json``. Deletable like all of ``work/``."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass

from tlbatch.errors import TlbatchError
from tlbatch.planning import Node
from tlbatch.store import Store
from tlbatch.store.documents import read_disposable, sealed, shaped

START_S = 4.0  # a process with torch to start


@dataclass(frozen=True)
class Rate:
    shape: str
    seconds_per_unit: float


def rate_name(node: Node) -> str:
    return f"work/rates/{hashlib.sha256(node.shape.encode()).hexdigest()[:16]}.json"


def remember_rate(store: Store, node: Node, seconds: float, computed: int | None = None) -> None:
    """Keep seconds per unit of the newest task of this kind. A failure costs only the estimate.

    ``computed``: so many of its units; of a task that found most of them made already nothing is kept.
    """
    if computed is not None and computed < node.units / 2:
        return
    document = {"shape": node.shape, "seconds_per_unit": max(0.0, seconds - START_S) / (computed or node.units)}
    with suppress(TlbatchError):
        store.put(rate_name(node), sealed(document))


def estimate_s(store: Store, node: Node) -> float | None:
    """Seconds a task of this node will take, or None where none of its kind was measured."""
    rate = read_disposable(store, rate_name(node), shaped(Rate))
    if rate is None or rate.shape != node.shape or not 0 <= rate.seconds_per_unit < float("inf"):
        return None
    return START_S + rate.seconds_per_unit * node.units
