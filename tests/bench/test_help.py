"""``tlbatch --help`` answers at once: its own time is what it takes beyond starting Python."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

TRIES = 15
OWN_S = 0.150


def seconds(*arguments: str) -> float:
    """Median wall time of a Python process, in s."""
    times = []
    for _ in range(TRIES):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@pytest.mark.bench
def test_help_takes_less_than_150_ms_of_its_own() -> None:
    bare, whole = seconds("-c", "pass"), seconds("-m", "tlbatch", "--help")
    print(f"\npython {bare * 1000:.0f} ms, tlbatch --help {whole * 1000:.0f} ms, own {(whole - bare) * 1000:.0f} ms")
    assert whole - bare < OWN_S
