"""What benches measured: JSON beside one another, and a table of it (``python -m tests.bench.records FOLDER``)."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Measured:
    """Work done by tlbatch and by a peer in one run, in turns. ``ours_s`` and ``peer_s``: seconds of each turn.

    ``limit``: items a second that the cores could do at most (tests.bench.limits), where that was measured in the same run.
    """

    what: str
    peer: str
    items: int
    ours_s: list[float]
    peer_s: list[float]
    goal: float
    settings: dict[str, str] = field(default_factory=dict)
    limit: float | None = None

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer, by the medians of the turns."""
        return median(self.peer_s) / median(self.ours_s)

    @property
    def ours(self) -> float:
        """Items a second."""
        return self.items / median(self.ours_s)

    @property
    def theirs(self) -> float:
        return self.items / median(self.peer_s)

    @property
    def share(self) -> float | None:
        """Of the limit."""
        return None if self.limit is None else self.ours / self.limit

    def line(self) -> str:
        reached = ("", "") if self.limit is None else (f"{self.limit:.1f}", f"{self.ours / self.limit:.0%}")
        measured = (f"{self.ours:.1f}", f"{self.theirs:.1f}", f"{self.ratio:.2f}", f"{self.goal:.3g}")
        return f"| {' | '.join((self.what, self.peer, *measured, *reached))} |"


def machine() -> dict[str, str]:
    """Of the processor what matters here; nothing that names the machine."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = next(
        (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine()
    )
    flags = next((line.partition(":")[2].split() for line in info.splitlines() if line.startswith("flags")), [])
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return {
        "cpu": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "has": ", ".join(known),
        "python": platform.python_version(),
    }


def record(measured: Measured) -> None:
    """Print it, and keep it where TLBATCH_BENCH names a folder."""
    print(f"\n{measured.line()}", flush=True)
    if folder := os.environ.get("TLBATCH_BENCH"):
        path = Path(folder) / f"{measured.what} beside {measured.peer}.json".replace("/", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({**asdict(measured), "ratio": measured.ratio, "share": measured.share, "machine": machine()}, indent=1)
        )


def table(folder: Path) -> str:
    """Markdown of all that is kept there."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    known = {name: each[name] for each in found for name in each}
    if not known:
        return "nothing was measured"
    lines = [f"{', '.join(f'{name}: {value}' for name, value in known['machine'].items())}", ""]
    lines += [
        "| what | beside | ours, items/s | theirs | times as fast | goal | limit | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        lines.append(Measured(**{name: each[name] for name in each if name not in ("ratio", "share", "machine")}).line())
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
