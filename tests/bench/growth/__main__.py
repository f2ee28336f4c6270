"""``make growth``: what grows with what. Points one after another, each in a process of its own; then a table and a plot.

Less than a quarter of an hour on two cores: a curve ends before a point that would take it past its share, and says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.growth.page import SUBJECTS, page
from tests.bench.records import machine

SIZES = {
    "check_files_of_a_folder": [1000, 10_000, 100_000, 300_000],
    "check_keys_of_a_bucket": [1000, 10_000, 100_000, 1_000_000],
    "check_classes": [2, 10, 100, 1000],
    "check_runs": [1, 10, 30, 100],
    "drive_runs": [1, 10, 30, 100],
    "drive_studies_at_once": [1, 5, 10, 20],
    "list_executions_of_a_store": [10, 100, 1000],
    "extract_shards": [1, 4, 16, 64],
    "prepare_images": [1000, 2000, 4000, 8000],
    "head_classes": [2, 10, 100, 300],
    "metrics_classes": [2, 10, 100, 300, 1000],
    "report_runs": [3, 10, 30, 100],
    "report_classes": [2, 20, 200, 1000],
}
SHARE_S = 150.0  # of the clock, for a curve


def measure(name: str, x: int, timeout_s: float) -> dict[str, float] | None:
    """None where it takes longer, or fails (which it says itself)."""
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        command = [sys.executable, "-m", "tests.bench.growth.points", name, str(x), folder]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def curve_of(name: str, sizes: list[int]) -> dict[str, Any]:
    points: list[dict[str, float]] = []
    spent = took = 0.0
    for place, x in enumerate(sizes):
        more = took * (x / sizes[place - 1]) if place else 0.0
        if points and spent + more > 2 * SHARE_S:
            break
        started = time.monotonic()
        found = measure(name, x, 3 * SHARE_S - spent)
        took = time.monotonic() - started
        spent += took
        if found is None:
            break
        points.append({"x": x, **found})
        print(f"{name} {x}: {json.dumps(found)}", flush=True)
    left = sizes[len(points) :]
    if left:
        print(f"{name}: {', '.join(map(str, left))} would take longer than its share of time, or failed: left out", flush=True)
    return {"points": points, "left_out": left}


def main(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "growth.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if wanted and path.exists() else {"curves": {}}
    for name in wanted or SIZES:
        kept["curves"][name] = curve_of(name, SIZES[name])
    kept |= {"machine": machine(), "date": datetime.now(UTC).date().isoformat()}
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    page(kept, Path("docs"))
    print(f"{path}; docs/growth.md has the table, docs/growth.svg the plot")


if __name__ == "__main__":
    assert SIZES.keys() == SUBJECTS.keys()
    main(Path(sys.argv[1]), sys.argv[2:])
