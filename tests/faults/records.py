"""What was done to the product and what came of it, a line each; ``python -m tests.faults.records`` makes the table of it.

Rows go to ``$TLBATCH_FAULTS`` (a folder), one file a process; without it nothing is kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

HEAD = """# Faults that were tried

Made by `make chaos` ({when}): what was done, how often, and what came of it. Not one ended with exit code 1
(a bug) or a traceback; `equal` means that the artifacts' digests are those of an undisturbed run.

| what | fault | times | outcome |
|---|---|---|---|
"""


def record(what: str, fault: str, outcome: str, times: int = 1) -> None:
    """Keep a row for the table; rows that say the same are added up."""
    folder = os.environ.get("TLBATCH_FAULTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps({"what": what, "fault": fault, "outcome": outcome, "times": times}) + "\n")


def table(folder: Path, when: str) -> str:
    """The Markdown page of all rows in a folder."""
    rows: dict[tuple[str, str, str], int] = defaultdict(int)
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows[row["what"], row["fault"], row["outcome"]] += int(row["times"])
    lines = [f"| {what} | {fault} | {times:,} | {outcome} |" for (what, fault, outcome), times in sorted(rows.items())]
    total = sum(rows.values())
    return HEAD.format(when=when) + "\n".join(lines) + f"\n\n{total:,} in all.\n"


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1]), sys.argv[2]))
