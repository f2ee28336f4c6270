"""What a task may compute with."""

from __future__ import annotations

import os


def granted_threads() -> int:
    """What the backend granted (TLBATCH_THREADS), else the usable CPUs."""
    if granted := os.environ.get("TLBATCH_THREADS"):
        return int(granted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
