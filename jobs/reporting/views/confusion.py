"""Which class is taken for which: the matrix, its most frequent confusions, and what each class is taken for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jobs.reporting.figures.classes import draw_confusion
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.sources import RunSource
from tlbatch import nouns

LARGE_FROM = 13  #: classes from which on a matrix is scrolled
ALL_UP_TO = 60  #: classes up to which the page has every run's matrix, not only that of the run it is about
ONE_UP_TO = 300  #: classes up to which it has that one; a thousand are a million cells, which take a browser 20 s to lay out
LEVELS = 9
"""Shades of a cell (``q1`` to ``q9`` in the style sheet); their text can be told from each."""
UPRIGHT_UP_TO = 4  #: classes up to which heads of columns are written level
MOST_PAIRS, MOST_TAKEN = 15, 3
Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class PairLine:
    """How often one class was taken for another, and the other way round."""

    true: str
    said: str
    n: int
    of: int
    back: int
    back_of: int


@dataclass(frozen=True)
class Confusion:
    """``rows``: the rows of the table's body, ready; empty where the page leaves the matrix to its figure's file."""

    run: str
    classes: tuple[str, ...]
    rows: Markup
    large: bool
    upright: bool
    figure: Drawn
    pairs: tuple[PairLine, ...]


def build_confusion(run: RunSource, classes: Sequence[str], figures: Figures, *, first: bool) -> Confusion:
    """The confusion of a run's first seed. ``first``: it is the run that the page is about."""
    matrix = confusion_of(run, len(classes))
    right, total = int(matrix.trace()), int(matrix.sum())
    alt = f"Confusion matrix of {run.name}: {right:,} of {nouns.count(total, 'test')} on the diagonal."
    large = len(classes) >= LARGE_FROM
    return Confusion(
        run=run.name,
        classes=tuple(classes),
        rows=_rows(matrix, classes, large) if len(classes) <= (ONE_UP_TO if first else ALL_UP_TO) else Markup(""),
        large=large,
        upright=len(classes) <= UPRIGHT_UP_TO,
        figure=figures.add(f"confusion-{run.name}", alt, draw_confusion(matrix, classes)),
        pairs=tuple(pair_lines(matrix, classes)) if len(classes) > 2 else (),
    )


def confusion_of(run: RunSource, classes: int) -> Matrix:
    """[c, c] counts of the first seed, rows truth."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (run.labels, run.probabilities(run.seeds[0]).argmax(axis=1)), 1)
    return matrix


def pair_lines(matrix: Matrix, classes: Sequence[str], most: int = MOST_PAIRS) -> list[PairLine]:
    """The most frequent confusions, in the order of the classes where equally frequent. Pure."""
    wrong, totals = matrix - np.diag(matrix.diagonal()), matrix.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = [divmod(int(place), len(classes)) for place in order if wrong.flat[place] > 0]
    return [
        PairLine(classes[t], classes[s], int(wrong[t, s]), int(totals[t]), int(wrong[s, t]), int(totals[s])) for t, s in places
    ]


def taken_for(matrix: Matrix, classes: Sequence[str]) -> dict[str, str]:
    """For each class what it was most often taken for: 'cairn (2), basset (1)'. Pure."""
    wrong = matrix - np.diag(matrix.diagonal())
    found = {}
    for name, row in zip(classes, wrong, strict=True):
        order = [int(place) for place in np.argsort(-row, kind="stable")[:MOST_TAKEN] if row[place] > 0]
        rest = int(row.sum() - row[order].sum())
        words = ", ".join(f"{classes[place]} ({row[place]})" for place in order)
        found[name] = f"{words}, others ({rest})" if rest else words
    return found


def _rows(matrix: Matrix, classes: Sequence[str], large: bool) -> Markup:
    """``<tr>`` for each class. HTML lets the end tags of cells out, which halves a large matrix."""
    totals = matrix.sum(axis=1)
    return Markup("\n").join(
        Markup('<tr><th scope="row"><span>{}</span>{}').format(name, Markup("").join(_cells(row, place, int(total), large)))
        for place, (name, row, total) in enumerate(zip(classes, matrix, totals, strict=True))
    )


def _cells(row: NDArray[np.int64], place: int, total: int, large: bool) -> list[Markup]:
    cells = []
    for column, n in enumerate(row.tolist()):
        share = n / max(total, 1)
        level = math.ceil(LEVELS * (math.sqrt(share) if large else share))
        marks = [*([f"q{level}"] if n else []), *(["d"] if column == place else [])]
        opening = f'<td class="{" ".join(marks)}">' if len(marks) > 1 else f"<td class={marks[0]}>" if marks else "<td>"
        text = f"{n:,}" if n or column == place else "" if large else "·"
        cells.append(Markup(opening + text))
    return cells
