"""What benches measured, as JSON beside one another."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Work done by tlbatch and by a peer in one run, in turns. ``ours_s`` and ``peer_s``: seconds of each turn.

    ``limit``: items a second that the cores could do at most (tests.bench.limits), where that was measured in the same run;
    ``limit_by``: the engine that is fastest there. ``settings``: versions of what was compared. ``machine`` and ``date``: of
    the record.
    """

    what: str
    peer: str
    items: int
    ours_s: list[float]
    peer_s: list[float]
    goal: float
    settings: dict[str, str] = field(default_factory=dict)
    limit: float | None = None
    limit_by: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    date: str = ""

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer, by the medians of the turns."""
        return median(self.peer_s) / median(self.ours_s)

    @property
    def short(self) -> bool:
        """Of what is asked for."""
        return self.ratio < self.goal

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
        """A row of Markdown."""
        versions = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        peer = f"{self.peer} ({versions})" if versions else self.peer
        measured = (
            number(self.ours),
            number(self.theirs),
            f"{self.ratio:.2f}",
            f"{self.goal:.3g}",
            "short" if self.short else "",
        )
        by = f" ({self.limit_by})" if self.limit_by else ""
        reached = ("", "") if self.share is None else (f"{number(self.limit or 0.0)}{by}", f"{self.share:.0%}")
        return f"| {' | '.join((self.what, peer, *measured, *reached))} |"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "share": self.share}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Measured:
        return cls(**{each.name: document[each.name] for each in fields(cls) if each.name in document})


def number(value: float) -> str:
    """Three digits that tell something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


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
        document = measured.to_json() | {"machine": machine(), "date": datetime.now(UTC).date().isoformat()}
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
