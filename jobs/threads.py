"""How many threads a task may compute on."""

from __future__ import annotations

import os


def granted_threads() -> int:
    """What the backend granted (TLBATCH_THREADS), else the usable CPUs."""
    return int(os.environ.get("TLBATCH_THREADS") or len(os.sched_getaffinity(0)))
