"""Parameters of the ``report`` task: what was asked for, so that what came of it can be told."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tlbatch.contracts.base import Open, Parameters
from tlbatch.contracts.data import Divided, LearntTask
from tlbatch.contracts.models import Model


class AskedRun(Open):
    """A run, a control (``control_for`` names whose) or a row without labels (``role``), with all that was resolved of it.

    ``input_own``: how the weights were trained; ``from_``: the earlier study's run that its backbone is. ``unseen``: classes
    that a row without labels knows by their texts alone. ``prompts``: of a row whose texts name the classes,
    these. ``task``: which of several it is judged on; ``tasks``: those that it learnt together.
    """

    name: str
    role: str = "run"
    control_for: tuple[str, ...] = ()
    pretrained: bool = False
    scratch: bool = False
    strategy: str | dict[str, dict[str, Any]] | None = None
    model: Model = Model()
    input: dict[str, Any] = Field(default_factory=dict)
    input_own: dict[str, Any] | None = None
    augmentation: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    trained_on: str = ""
    seeds: tuple[int, ...] = ()
    folds: int | None = None
    unseen: tuple[str, ...] = ()
    prompts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    from_: str | None = Field(default=None, alias="from")
    task: str | None = None
    tasks: tuple[str, ...] = ()


class Contrast(Parameters):
    """Run ``a`` against ``b``, or against the best on validation of ``candidates``."""

    a: str
    b: str | None = None
    kind: str
    candidates: tuple[str, ...] = ()


class ReportParams(Divided):
    """``document``: the study as it is shown. ``seen``: whether test images may have been seen in pretraining. ``uses``: with a
    schedule, version of the test set -> tests it has served. ``corrections``: how many labels people corrected. ``tasks``: of
    several, the main one first."""

    study: str
    description: str = ""
    document: dict[str, Any] = Field(default_factory=dict)
    runs: tuple[AskedRun, ...]
    contrasts: tuple[Contrast, ...] = ()
    seen: dict[str, str] = Field(default_factory=dict)
    uses: dict[str, int] = Field(default_factory=dict)
    corrections: dict[str, int] = Field(default_factory=dict)
    tasks: tuple[LearntTask, ...] = ()
