"""How many labels a study is worth: accuracy at a few numbers of labels a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tlbatch.schema.base import Count, Part
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake
from tlbatch.spec.model import FITTED

if TYPE_CHECKING:
    from tlbatch.spec.study import Run, Study

LEAST_DRAWS = 5
"""Fewer say next to nothing of what other labels would give."""
SCRATCH_DRAWS = 3


class CurveScratch(Part):
    """What the curve is held against: a network trained from random weights on the same labels, a training for each draw."""

    run: str | None = Field(
        default=None,
        description="a run of the study that learns from scratch; default: each run's own network, all of it trained from "
        "random weights, as by control: full",
    )
    labels: Annotated[tuple[Count, ...], Field(min_length=1)] | None = Field(
        default=None, description="at which of curve.labels; default: all of them"
    )
    draws: Annotated[int, Field(ge=2, le=100)] = Field(
        default=SCRATCH_DRAWS, description="of curve.draws: the first so many; fewer cost less and widen its intervals"
    )


class Curve(Part):
    """Heads fitted to few labels, drawn from the training images; only runs on features with a head that is fitted at once."""

    labels: Annotated[tuple[Count, ...], Field(min_length=1)] | None = Field(
        default=None, description="labels a class; default: 1, 2, 5, 10, 20, 50, … up to what the smallest class trains with"
    )
    draws: Annotated[int, Field(ge=LEAST_DRAWS, le=100)] = Field(
        default=LEAST_DRAWS, description="of labels: each is drawn again so often"
    )
    scratch: CurveScratch | None = Field(
        default=None, description="a control that is trained from random weights: up to how many labels transfer pays"
    )


def check_curve(study: Study) -> Iterator[Mistake]:
    """Numbers in no order, and a study none of whose runs can have a curve."""
    if study.curve is None:
        return
    labels = study.curve.labels or ()
    if list(labels) != sorted(set(labels)):
        yield Mistake(("curve", "labels"), f"must rise: write {sorted(set(labels))}")
    if not any(has_curve(run) for run in study.runs):
        text = (
            f"no run has features with a head that is fitted at once: give one head: {{logistic: {{}}}} ({', '.join(FITTED)})"
        )
        yield Mistake(("curve",), text, None, (("runs",),))
    if study.curve.scratch is not None:
        yield from _scratch(study, study.curve, study.curve.scratch)


def _scratch(study: Study, curve: Curve, asked: CurveScratch) -> Iterator[Mistake]:
    """Its trainings are planned one by one: how many there are must be known, and on what."""
    path = ("curve", "scratch")
    if curve.labels is None:
        yield Mistake(path, "needs curve.labels: each number of labels is a training for each draw; write labels: [5, 20, 50]")
    elif missing := sorted(set(asked.labels or ()) - set(curve.labels)):
        yield Mistake((*path, "labels"), f"{missing} are not among curve.labels {list(curve.labels)}")
    if asked.labels is not None and list(asked.labels) != sorted(set(asked.labels)):
        yield Mistake((*path, "labels"), f"must rise: write {sorted(set(asked.labels))}")
    if asked.draws > curve.draws:
        yield Mistake((*path, "draws"), f"are more than curve.draws, {curve.draws}: the same draws are compared")
    if study.dataset.split.folds is not None:
        yield Mistake(path, "chooses its rate on validation, which folds leave out: give dataset.split.validation")
    if asked.run is None:
        return
    names = {run.name: run for run in study.runs}
    if asked.run not in names:
        yield Mistake((*path, "run"), f"{asked.run!r} is no run of this study{suggestion(asked.run, list(names))}")
    elif names[asked.run].model.scratch is None or names[asked.run].strategy_entry.reads_sources:
        text = "does not learn from scratch, from the study's own labels: name a run with model: {scratch: …}, or leave it out"
        yield Mistake((*path, "run"), f"{asked.run} {text}")


def has_curve(run: Run) -> bool:
    """Whether its head is fitted at once to features that are extracted once."""
    head = run.model.own_head
    fitted = head is not None and run.model.backbone is not None and head.fitted in run.strategy_entry.heads
    return fitted and run.strategy_entry.on_features and not run.strategy_entry.reads_sources


def curve_cautions(study: Study) -> Iterator[str]:
    """A sentence for the runs that a curve was asked for and will not have."""
    without = [run.name for run in study.runs if study.curve is not None and not has_curve(run)]
    if without:
        yield (
            f"curve: {', '.join(without)} will have none: a curve is of heads that are fitted at once ({', '.join(FITTED)}) "
            "to features"
        )
