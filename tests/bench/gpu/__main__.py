"""``make bench-gpu``: everything that is to be measured on one GPU, in at most eight minutes. Writes JSON, prints a table.

Each part is a process of its own with a share of the time; one that does not end within it is ended, and said to be missing.
``--device cpu --small`` goes through all of it with tiny sizes: what its figures say then is nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.gpu.sizes import BUDGET_S, SHARES
from tests.bench.records import machine

ORDER = ("pictures", "study", "step", "extraction")


def run_part(name: str, device: str, size: str, folder: Path, timeout_s: float) -> dict[str, Any]:
    """``rows`` of a part, and in ``missing`` why there are none. Whatever it started ends with it."""
    command = [sys.executable, "-m", "tests.bench.gpu.parts", name, device, size, str(folder)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"rows": [], "missing": f"{name}: not over after its {timeout_s:.0f} s, ended"}
    if process.returncode:
        return {"rows": [], "missing": f"{name}: ended with code {process.returncode}; what it said is above"}
    return {"rows": json.loads(said.splitlines()[-1]), "seconds": round(time.monotonic() - started, 1)}


def table(found: dict[str, Any]) -> str:
    """Markdown: what is short of its goal is said to be."""
    lines = [", ".join(f"{name}: {value}" for name, value in found["machine"].items()), ""]
    lines += ["| what | ours | beside | theirs | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    for part in found["parts"].values():
        for each in part["rows"]:
            theirs, ratio, goal = each.get("theirs"), each.get("ratio"), each.get("goal")
            short = "short" if goal is not None and ratio < goal else ""
            told = ["" if value is None else f"{value:,.2f}" for value in (theirs, ratio, goal)]
            lines.append(
                f"| {each['what']} | {each['ours']:,.2f} {each['unit']} | {each['beside']} | {' | '.join(told)} | {short} |"
            )
    return "\n".join([*lines, *(f"missing: {part['missing']}" for part in found["parts"].values() if "missing" in part)])


def gpu_of(device: str) -> str:
    """Its name. Ends with a sentence where there is none: figures of a CPU would be taken for those of a GPU."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "bench-gpu: torch finds no CUDA device here. Run it where there is one GPU (H100 or H200), or see that it goes "
            "through at all with `python -m tests.bench.gpu OUT --device cpu --small`, whose figures say nothing"
        )
    return torch.cuda.get_device_name() if device == "cuda" else "none: figures of this run say nothing"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for gpu.json")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it goes through")
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="S", help="seconds for all of it")
    parser.add_argument("--only", choices=ORDER[1:], action="append", help="this part, once for each")
    given = parser.parse_args(arguments)
    about = {"gpu": gpu_of(given.device), **machine()}
    found: dict[str, Any] = {"machine": about, "parts": {}}
    wanted = [name for name in ORDER if name == "pictures" or not given.only or name in given.only]
    ends = time.monotonic() + given.budget
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        for name in wanted:
            time_s = min(ends - time.monotonic(), SHARES[name] * given.budget)
            size = "small" if given.small else "whole"
            found["parts"][name] = run_part(name, given.device, size, Path(folder), max(time_s, 1.0))
            print(f"{name}: {json.dumps(found['parts'][name])}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "gpu.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found))
    return int(any("missing" in part for part in found["parts"].values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
