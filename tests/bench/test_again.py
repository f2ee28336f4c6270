"""A study whose tasks are all in the store ends at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.studies.shapes import STUDY, Bench, draw_shapes

AGAIN_S = 5.0


@pytest.mark.bench
def test_the_second_run_takes_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    draw_shapes(bench.images, 48)
    bench.study.write_text(STUDY)
    command = [sys.executable, "-m", "tlbatch", "run", str(bench.study), "--store", str(bench.store), "-q"]
    seconds = []
    for _ in range(2):
        started = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        seconds.append(time.monotonic() - started)
    print(f"\nfirst run {seconds[0]:.1f} s, second {seconds[1]:.1f} s")
    assert seconds[1] < AGAIN_S
