"""The most memory that a process has held is its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = "from tlbatch.peak_memory import peak_memory_mib as peak; {held}; print(peak())"
PARENT = f"""
import subprocess, sys
held = bytearray(b'x') * (400 * 2**20)
sys.exit(subprocess.run([sys.executable, '-c', {PROGRAM.format(held="pass")!r}]).returncode)
"""


def peak_of(program: str) -> int:
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def test_what_was_held_and_freed_counts() -> None:
    assert peak_of(PROGRAM.format(held="held = bytearray(b'x') * (400 * 2**20); del held")) > 400


def test_what_the_process_held_that_started_it_does_not() -> None:
    assert peak_of(PARENT) < 200
