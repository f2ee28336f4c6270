"""How many labels a study is worth: accuracy at a few numbers of labels a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tlbatch.schema.base import Count, Part
from tlbatch.schema.yamltree import Mistake
from tlbatch.spec.model import FITTED

if TYPE_CHECKING:
    from tlbatch.spec.study import Run, Study

LEAST_DRAWS = 5
"""Fewer say next to nothing of what other labels would give."""


class Curve(Part):
    """Heads fitted to few labels, drawn from the training images; only runs on features with a head that is fitted at once."""

    labels: Annotated[tuple[Count, ...], Field(min_length=1)] | None = Field(
        default=None, description="labels a class; default: 1, 2, 5, 10, 20, 50, … up to what the smallest class trains with"
    )
    draws: Annotated[int, Field(ge=LEAST_DRAWS, le=100)] = Field(
        default=LEAST_DRAWS, description="of labels: each is drawn again so often"
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
