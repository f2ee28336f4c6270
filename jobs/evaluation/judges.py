"""Whose cached features judge the labels of a study, where several could: those of the run that is best on validation."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.context import Context
from jobs.reporting.validation import standing_of
from tlbatch.contracts.evaluation import Judge
from tlbatch.store.artifacts import Artifact


def choose_judge(context: Context, judges: Sequence[Judge]) -> tuple[Judge, list[str]]:
    """The judge, and the runs that learnt from its features: as planned, the best first where models were given to tell."""
    if len(judges) == 1:
        return judges[0], list(judges[0].runs)
    order = {run: standing_of(_models(context, run)).order for judge in judges for run in judge.runs}
    best = min(order, key=lambda run: order[run])
    chosen = next(judge for judge in judges if best in judge.runs)
    return chosen, sorted(chosen.runs, key=lambda run: order[run])


def _models(context: Context, run: str) -> list[Artifact]:
    return [context.input(role) for role in sorted(context.roles(f"model:{run}:"))]
