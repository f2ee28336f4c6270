"""A study run on this machine, as ``tlbatch run``, ``advise`` and ``curve`` do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlbatch.execution.launch import Outcome
    from tlbatch.spec import LoadedStudy
    from tlbatch.store import Store


def run_here(
    loaded: LoadedStudy,
    store: Store,
    cores: int | None,
    *,
    quiet: bool,
    announced: bool = True,
    note: str = "",
    only: str | None = None,
) -> Outcome:
    """Progress is displayed unless ``quiet``: ``note`` first, then, if ``announced``, the execution and its store.

    ``cores``: None for all. ``only``: the task that is wanted, with what it needs.
    """
    from tlbatch.backends.local import LocalBackend
    from tlbatch.display.progress import Display
    from tlbatch.execution.launch import run_study

    display = Display(store, quiet=quiet)
    if note:
        display.say(note)
    backend = LocalBackend(store, cores or len(os.sched_getaffinity(0)))
    announce = lambda execution: display.say(f"{execution.id} in {store.url}") if announced else None  # noqa: E731
    outcome = run_study(loaded, store, backend, display, announce, display.say, only)
    display.close()
    return outcome
