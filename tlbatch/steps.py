"""The one table of steps: what each is called, which version its output has, what runs it, and how it is planned.

Manifests, resources, the local backend, displays, reports and the tests on imports follow from it. A step is its entry here
and its program ``jobs/<name>.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Step:
    """One kind of task.

    ``version``: raise it when the same parameters give another output; it is part of every key. ``image``: whose container
    runs it. ``compute``: it runs networks: GPUs, a run's own resources and all cores may be asked for; others take one core.
    ``torch``: its program imports torch. ``saves``: it writes a checkpoint when it is asked to stop; others commit as they go.
    ``sharded``: several pods may share its work. ``reuses``: earlier outputs of the same extractor save it work, and for that
    reason its outputs need not be kept. ``memory_mib``: what it holds at its most, where that depends on nothing.
    ``model``: what it leaves is a model that predicts: ``card.json``, ``model.safetensors``, ``validation.json``.
    ``resources_of``: the step whose resources it takes; it has none of its own. ``page``: what it leaves is what people read:
    it is copied to the execution's ``report/``. ``planned``: ``module:function`` that adds
    its task to a study's plan once all runs have theirs (``tlbatch.planning.make``); others are planned with each run, or
    (``predict``, ``extend``) not at all.
    """

    name: str
    version: int
    image: str
    compute: bool = False
    torch: bool = False
    saves: bool = False
    sharded: bool = False
    reuses: bool = False
    model: bool = False
    memory_mib: int | None = None
    resources_of: str = ""
    page: bool = False
    planned: str = ""


_STEPS = (  # in the order of displays and reports
    Step("prepare", 2, "data", saves=True, sharded=True, memory_mib=250),
    Step("pin", 2, "data", memory_mib=150),
    Step("overlap", 1, "data", memory_mib=250),
    Step("extract", 3, "extract", compute=True, torch=True, sharded=True, reuses=True),
    Step("probe", 3, "extract", compute=True, torch=True, sharded=True, reuses=True),
    Step("finetune", 15, "finetune", compute=True, torch=True, saves=True, model=True),
    Step("evaluate", 9, "evaluate", compute=True, torch=True, sharded=True),
    Step("suspects", 5, "data", planned="tlbatch.planning.suspects_task:add_suspects"),
    Step("curve", 8, "data", saves=True, planned="tlbatch.planning.curve_task:add_curve"),
    Step("episodes", 7, "data", planned="tlbatch.planning.episodes_task:add_episodes"),
    Step("decide", 3, "data", memory_mib=300, planned="tlbatch.planning.make:add_decision"),
    Step("advise", 9, "data", page=True),
    Step("report", 18, "data", memory_mib=700, page=True, planned="tlbatch.planning.report_task:add_report"),
    Step("extend", 4, "evaluate", compute=True, torch=True, model=True, resources_of="evaluate"),
    Step("predict", 5, "evaluate", compute=True, torch=True, sharded=True, resources_of="evaluate"),
)
STEPS: Mapping[str, Step] = MappingProxyType({step.name: step for step in _STEPS})


MODELS = tuple(step.name for step in _STEPS if step.model)
"""Steps whose artifacts are models: what predicts, is evaluated and is crowned may be of any of them."""


PAGES = tuple(step.name for step in _STEPS if step.page)
"""Steps whose task is an execution's last, called as they are: its page."""


def more_memory(step: str) -> str:
    """What to set where a task of the step had too little memory. Only a training can do with less."""
    known = STEPS.get(step)
    if known is None or known.compute:
        return "raise resources.memory" + (" or lower train.micro_batch_size" if known and known.saves else "")
    return f"raise resources.steps.{step}.memory"


def place_of(step: str) -> int:
    """Where a step stands in displays and reports; one that this version does not know comes last."""
    return list(STEPS).index(step) if step in STEPS else len(STEPS)


def versions() -> dict[str, int]:
    """The version of each step's output, by its name."""
    return {step.name: step.version for step in STEPS.values()}
