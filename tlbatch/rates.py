"""How long tasks of a kind took before, for estimates: ``work/rates/<kind>.json``. Deletable like all of ``work/``."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

from tlbatch.errors import TlbatchError
from tlbatch.executions.records import load_document
from tlbatch.planning import Node
from tlbatch.store import Store

START_S = 4.0  # a process with torch to start


def rate_name(node: Node) -> str:
    return f"work/rates/{hashlib.sha256(node.shape.encode()).hexdigest()[:16]}.json"


def remember_rate(store: Store, node: Node, seconds: float) -> None:
    """Keep seconds per unit of the newest task of this kind. A failure costs only the estimate."""
    document = {"shape": node.shape, "seconds_per_unit": max(0.0, seconds - START_S) / node.units}
    with suppress(TlbatchError):
        store.put(rate_name(node), json.dumps(document).encode())


def estimate_s(store: Store, node: Node) -> float | None:
    """Seconds a task of this node will take, or None where none of its kind was measured."""
    document = load_document(store, rate_name(node))
    if document is None or document.get("shape") != node.shape:
        return None
    return START_S + float(document["seconds_per_unit"]) * node.units
