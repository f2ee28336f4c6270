"""What it takes to do what was advised, on the whole data: by rates that the probes measured, and the memory forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbatch import nouns
from tlbatch.display.text import duration
from tlbatch.execution.task_state import TaskState
from tlbatch.forecast import gibibytes, memory_facts
from tlbatch.planning.resolve import plan_study
from tlbatch.spec.load import parse_study
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest


@dataclass(frozen=True)
class Costs:
    """``rate``: images a second that the recommended network's probe measured, on ``threads`` threads of ``device``.

    ``forward_passes``: for its features of the whole data; ``probed``: what advice itself has computed, over all candidates.
    ``memory_mib``: of the task of the advised study that holds most, None where it is not known.
    """

    forward_passes: int
    probed: int
    rate: float | None
    device: str
    threads: int
    memory_mib: int | None
    task: str

    def to_json(self) -> dict[str, Any]:
        seconds = None if self.rate is None else round(self.forward_passes / self.rate, 1)
        return {**self.__dict__, "seconds": seconds}

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.rate:
            passes = f"{self.forward_passes:,} forward passes take about {duration(self.forward_passes / self.rate)}"
            yield f"Here ({self.device}, {self.threads} threads, {self.rate:g} {nouns.items()}/s as measured), {passes}."
        if self.memory_mib is not None:
            yield f"Of the study that does it, {self.task} holds most: about {gibibytes(self.memory_mib)} of memory."


def costs(store: Store, works: Iterable[TaskState], advice: dict[str, Any], study: str, folder: Path) -> Costs:
    """``study``: text of the study that does it. Reads the probes' manifests, and lists the dataset once more."""
    name = str(advice["recommended"]["name"])
    made: dict[str, Any] = {}
    probed = 0
    for work in works:
        if work.node.step == "probe" and work.ref is not None:
            manifest = load_manifest(store, work.ref.step, work.ref.key)
            found = manifest.made if manifest else {}
            probed += int(found.get("forward_passes", 0))
            made = found if work.name == f"probe:{name}" else made
    resolved, plan = plan_study(parse_study(study, "the advised study", folder=folder), store)
    facts = memory_facts(resolved, plan)
    known = all(fact.needed_mib is not None for fact in facts)  # else the one that holds most may be among the others
    most = max(facts, key=lambda fact: fact.needed_mib or 0) if known else None
    return Costs(
        forward_passes=int(advice["images"]["whole"]),
        probed=probed,
        rate=made.get("images_per_s"),
        device=str(made.get("device", "")),
        threads=int(made.get("threads", 1)),
        memory_mib=most.needed_mib if most else None,
        task=most.task if most else "",
    )
