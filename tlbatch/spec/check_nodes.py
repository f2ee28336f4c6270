"""``resources.nodes`` and ``resources.shards``: pods that do a task together. Which steps and runs can."""

from __future__ import annotations

from collections.abc import Iterator

from tlbatch.errors import StudyError
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.study import Run, Study
from tlbatch.steps import STEPS
from tlbatch.strategies import sharing

TRAINS = "finetune"
OTHERS = "pods share an extraction or an evaluation by resources.shards, and other tasks run side by side"


def check_nodes(study: Study) -> Iterator[Mistake]:
    """Several pods that a step or a run cannot use."""
    for step, resources in study.resources.steps.items():
        if (resources.nodes or 1) > 1 and step != TRAINS:
            way = "use shards" if STEPS[step].sharded else f"only {TRAINS} can"
            yield Mistake(
                ("resources", "steps", step, "nodes"), f"{step} is not done by several pods together: {way}; {OTHERS}"
            )
    for number, run in enumerate(study.runs):
        if (run.resources.nodes or 1) > 1 and not _shares(run):
            path: Path = ("runs", number, "resources", "nodes")
            text = f"{run.strategy_entry.name} is trained by one process, {' and '.join(sharing())} by several: leave nodes out"
            yield Mistake(path, text, None, (("runs", number, "strategy"),))
    training = study.resources.steps.get(TRAINS)
    for path, nodes in (
        (("resources", "nodes"), study.resources.nodes),
        (("resources", "steps", TRAINS, "nodes"), training and training.nodes),
    ):
        if (nodes or 1) > 1 and not any(map(_shares, study.runs)):
            text = f"no run here is trained by several pods: only {' and '.join(sharing())} are; leave nodes out"
            yield Mistake(path, text, None, (("runs",),))


def check_shards(study: Study) -> Iterator[Mistake]:
    """Of a step by itself that pods cannot share."""
    for step, resources in study.resources.steps.items():
        if (resources.shards or 1) > 1 and not STEPS[step].sharded:
            able = ", ".join(name for name, each in STEPS.items() if each.sharded and not each.resources_of)
            yield Mistake(("resources", "steps", step, "shards"), f"{step} is not shared by pods: {able} are; leave shards out")


def _shares(run: Run) -> bool:
    """A strategy that cannot be found has its own mistake."""
    try:
        return run.strategy_entry.shares
    except StudyError:
        return True
