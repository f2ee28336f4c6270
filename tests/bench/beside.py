"""How ours and a peer's are measured: in turns in one run, on the same cores; and where the peers' programs are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.requirements import missing

CORES, TURNS = 2, 3
ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).with_name("peers")


def in_turns(
    ours: Callable[[int], float], peer: Callable[[], float], turns: int = TURNS, *, warm: Callable[[], object] | None = None
) -> tuple[list[float], list[float]]:
    """Seconds of ours and of the peer's: what else runs falls on both alike. ``ours`` is given the number of the turn.

    One turn of ours before it, unmeasured, and ``warm``: files are in memory then.
    """
    ours(0)
    if warm is not None:
        warm()
    both = [(ours(turn), peer()) for turn in range(1, turns + 1)]
    return [mine for mine, _ in both], [theirs for _, theirs in both]


def peer(program: str) -> list[str]:
    """The beginning of a command: a program of the environment that `make bench` makes. Skips the test where there is none."""
    path = Path(os.environ.get("TLBATCH_PEERS", "")).with_name(program) if os.environ.get("TLBATCH_PEERS") else Path()
    if not path.is_file():
        missing("peers", f"{program} is not there to be measured beside: make bench installs it (build/peers)")
    return [str(path)]
