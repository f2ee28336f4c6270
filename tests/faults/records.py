"""What was done to the product and what came of it, a line each; ``python -m tests.faults.records`` makes a page of it.

Rows go to ``$TLBATCH_FAULTS`` (a folder), one file a process; without it nothing is kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

HEAD = """# Faults that were tried

Written by `make chaos` ({when}). It ends without this page where one of them ends with exit code 1 (a bug), a traceback,
or a result that is not what it must be. {total:,} faults; `equal` means that the digests of all artifacts are those of an
undisturbed run. A time or a size in a row is that of this run, on {cores} cores.
"""
#: test file -> title and introduction of its section, in the order of the page
SECTIONS = {
    "test_kills.py": ("Steps killed", "SIGKILL before and after each write of a task to its store; then the same task again."),
    "test_driver_kills.py": (
        "Drivers killed",
        "The driver of a study with its tasks, and an upload; then the same command again.",
    ),
    "test_preemption.py": ("Preempted studies", "`tlbatch test-preempt` on a study."),
    "test_storage_faults.py": (
        "Network and S3 server",
        "A proxy before a real S3 server spoils one request in 25 at random, or all from the 60th on; "
        "then the same command again.",
    ),
    "test_disks.py": ("Disks", "No room, or no right to write."),
    "test_damage.py": (
        "Damaged files of a store",
        "A file of each kind that a schedule of two nights leaves, damaged at random (the seed is new each time): every "
        "command ends as on the whole store, or names what is damaged. It loses nothing else, and other schedules, champions "
        "and executions are still listed.",
    ),
    "test_task_documents.py": (
        "Task documents",
        "One value in a task's document replaced, or the document cut; then its step.",
    ),
    "test_hostile_files.py": ("Pictures, CSV files, weights", "Files that are broken or mean harm."),
    "test_lying_numbers.py": ("Studies that cannot work", "Each ends with a sentence, or with a report that holds back."),
    "test_scale.py": ("Large inputs", "Time and memory of the command."),
    "test_chaos.py": ("On a cluster", "Written by `make chaos-cluster`."),
}
OTHERS = ("Others", "")


def record(what: str, fault: str, outcome: str, times: int = 1) -> None:
    """Keep a row for the table of the test that runs; rows that say the same are added up."""
    folder = os.environ.get("TLBATCH_FAULTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0].rpartition("/")[2]
    row = {"test": test, "what": what, "fault": fault, "outcome": outcome, "times": times}
    with (Path(folder) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def page(folder: Path, when: str) -> str:
    """The Markdown page of all rows in a folder: a section and a table for each test file."""
    rows: dict[str, dict[tuple[str, str, str], int]] = defaultdict(lambda: defaultdict(int))
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows[row.get("test", "")][row["what"], row["fault"], row["outcome"]] += int(row["times"])
    total = sum(sum(counts.values()) for counts in rows.values())
    known = [name for name in SECTIONS if name in rows]
    text = [HEAD.format(when=when, total=total, cores=len(os.sched_getaffinity(0)))]
    return "\n".join(text + [_section(name, rows[name]) for name in [*known, *sorted(set(rows) - set(known))]])


def _section(name: str, counts: dict[tuple[str, str, str], int]) -> str:
    title, words = SECTIONS.get(name, OTHERS)
    lines = [f"## {title}", "", *([words, ""] if words else []), "| what | fault | times | outcome |", "|---|---|---:|---|"]
    for cells, times in sorted(counts.items()):
        what, fault, outcome = (cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| {what} | {fault} | {times:,} | {outcome} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]), sys.argv[2]))
