"""Runs that are not shown to be above chance: said wherever a sentence rests on one of them."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.reporting.formatting import listing, p_value, percent
from jobs.reporting.sources import RunSource
from tlbatch import nouns


def doubt(run: RunSource) -> str:
    """', not shown to be above chance (10.0 %)' after what a run got right; nothing where it is shown."""
    found = run.above_chance
    return "" if found.shown else f", not shown to be above chance ({percent(found.rate)})"


def chance_sentence(runs: Sequence[RunSource]) -> list[str]:
    """All such runs of a table in one sentence, and what that means for comparisons with them."""
    doubted = [run for run in runs if not run.above_chance.shown]
    if not doubted:
        return []
    rate = percent(doubted[0].above_chance.rate)
    named = listing([f"{run.name} ({p_value(run.above_chance.p)})" for run in doubted])
    chance = f"chance, which is naming the commonest class ({rate} of the test {nouns.items()})"
    return [f"Not shown to be above {chance}: {named}. To be better than such a run is to be better than chance, no more."]
