"""Advice and what came out, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tlbatch import nouns
from tlbatch.advice.outcomes import Checked
from tlbatch.display.text import text_table
from tlbatch.output import terminal_width


def show_check(checked: Sequence[Checked], study: str) -> None:
    """The newest advice in full, then all of them, a line each."""
    newest = checked[0]
    click.echo(_sentence(newest, study))
    if newest.outcomes:
        rows = [_outcome(newest, name) for name in sorted(newest.outcomes, key=lambda name: -newest.outcomes[name].accuracy)]
        _table(["candidate", "test accuracy", "run", "execution"], rows, left=(0, 2, 3))
    if newest.scores:
        rows = [_score(each) for each in newest.scores]
        _table(["score", "its pick", "points below the best", "tau", "against ImageNet top-1"], rows, (0, 1, 4))
    _table(["advice", "advised", "outcomes", "regret"], [_line(each) for each in checked], left=(0, 1))


def _sentence(checked: Checked, study: str) -> str:
    if not checked.outcomes:
        return (
            f"{checked.execution} advised {checked.advised}, and nothing has come out yet: no execution of the same "
            f"{nouns.items()} in this store has a run with one of the {checked.candidates} candidates. "
            f"Run {study}, or what --write wrote."
        )
    if checked.regret is None:
        others = len(checked.outcomes)
        return f"{checked.execution} advised {checked.advised}, which has not run; of the other candidates {others} have."
    few = f" (only {len(checked.outcomes)} of {checked.candidates} candidates have run)"
    return (
        f"{checked.execution} advised {checked.advised}: {100 * checked.regret:.1f} points below the best outcome"
        + (few if len(checked.outcomes) < checked.candidates else "")
        + "."
    )


def _outcome(checked: Checked, name: str) -> list[str]:
    found = checked.outcomes[name]
    mark = " *" if name == checked.advised else ""
    return [f"{name}{mark}", f"{100 * found.accuracy:.1f} %", found.run, found.execution]


def _score(score: dict[str, Any]) -> list[str]:
    verdict = {True: "better", False: "no better", None: ""}[score["beats_top1"]]
    below = "–" if score["below"] is None else f"{100 * score['below']:.1f}"
    tau = "–" if score["tau"] is None else f"{score['tau']:.2f}"
    return [score["title"], score["pick"] or "–", below, tau, verdict]


def _line(checked: Checked) -> list[str]:
    regret = "–" if checked.regret is None else f"{100 * checked.regret:.1f}"
    return [checked.execution, checked.advised, f"{len(checked.outcomes)} of {checked.candidates}", regret]


def _table(columns: list[str], rows: list[list[str]], left: tuple[int, ...]) -> None:
    click.echo("\n" + "\n".join(text_table(columns, rows, left=left, width=terminal_width())))
