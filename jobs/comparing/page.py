"""The comparison as a page: one file that asks nothing of anyone, in the report's dress."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from jobs.comparing.analysis import Changes, Comparison
from jobs.comparing.document import ordered_runs, pair_sentence
from jobs.comparing.images import KINDS, ImageChange
from jobs.comparing.sides import Side
from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE
from jobs.reporting.curves import Curves, curves_of
from jobs.reporting.figures.curves import draw_overlaid
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.page import TEMPLATES, environment
from jobs.reporting.pictures import Picture, stored_item
from jobs.reporting.tables import Cell, Table, build_table
from jobs.reporting.views.results import contrast_line, draw_accuracies, draw_differences

MOST_PICTURES, MOST_LISTED = 18, 500
SIGNS = {BETTER: ("▲", "good"), WORSE: ("▼", "bad"), NOT_SHOWN: ("○", "open")}


@dataclass(frozen=True)
class SideLine:
    letter: str
    execution: str
    study: str
    ended: str
    images: int
    classes: int
    best: str
    store: str


@dataclass(frozen=True)
class RunCurves:
    """Validation curves of the runs of one name, overlaid."""

    name: str
    accuracy: Drawn
    loss: Drawn


@dataclass(frozen=True)
class ImageList:
    """Changes of one kind: some as pictures, as many as are listed by name, and how many more there are."""

    kind: str
    count: int
    pictures: tuple[Picture, ...]
    lines: tuple[tuple[str, str], ...]  #: path, what happened to it
    more: int


@dataclass(frozen=True)
class ChangesView:
    changes: Changes
    before: str
    after: str
    images: tuple[ImageList, ...]


def render_page(comparison: Comparison, folder: Path) -> str:
    """The page as text; figures are drawn into ``folder``."""
    figures = Figures(folder)
    table = build_table(ordered_runs(comparison))
    contrasts = [pair.contrast for pair in comparison.pairs if pair.contrast]
    first, *rest = comparison.sentences
    headline, _, lead = first.partition(": ") if _verdict(comparison) else ("", "", first)
    letters = " and ".join(side.letter for side in comparison.sides)
    return (
        environment()
        .get_template("compare.html.jinja")
        .render(
            headline=headline or f"{letters} side by side",
            sign=SIGNS.get(_verdict(comparison) or "", SIGNS[NOT_SHOWN]),
            lead=lead,
            sentences=rest,
            sides=[_side(side) for side in comparison.sides],
            table=table,
            rows=_rows(comparison, table),
            accuracies=draw_accuracies(table, figures),
            differences=draw_differences(contrasts, figures),
            contrasts=[contrast_line(contrast) for contrast in contrasts],
            untested=[pair_sentence(pair) for pair in comparison.pairs if pair.contrast is None],
            curves=_curves(comparison, figures),
            changes=[_changes(comparison.first, changes) for changes in comparison.changes],
            css=Markup(resources.files(TEMPLATES).joinpath("style.css").read_text(encoding="utf-8")),
        )
    )


def _verdict(comparison: Comparison) -> str | None:
    """What was found of the best runs of two executions; None of more, or where nothing was tested."""
    pairs = [pair for pair in comparison.pairs if "best" in pair.kinds]
    return pairs[0].contrast.verdict if len(comparison.sides) == 2 and pairs and pairs[0].contrast else None


def _side(side: Side) -> SideLine:
    return SideLine(
        letter=side.letter,
        execution=side.execution.id,
        study=side.study,
        ended=time.strftime("%Y-%m-%d %H:%M", time.gmtime(side.ended)),
        images=len(side.entries),
        classes=len(side.sources.classes),
        best=side.own_name(side.best) if side.best else "–",
        store=side.execution.store.url,
    )


def _rows(comparison: Comparison, table: Table) -> list[tuple[str, str, bool, bool, tuple[Cell, ...]]]:
    """(name, letter, whether a new name begins, whether it is its side's best, cells) of each run."""
    owners = {run.name: side for side in comparison.sides for run in side.sources.runs}
    rows, last = [], ""
    for row in table.rows:
        side = owners[row.run.name]
        name = side.own_name(row.run)
        rows.append((name, side.letter, name != last, row.run is side.best, row.cells))
        last = name
    return rows


def _curves(comparison: Comparison, figures: Figures) -> list[RunCurves]:
    lines: dict[str, list[tuple[str, int, Curves]]] = {}
    for place, side in enumerate(comparison.sides):
        for run in side.sources.runs:
            found = curves_of(list(run.histories.values()))
            if found is not None:
                lines.setdefault(side.own_name(run), []).append((side.letter, place, found))
    return [_overlaid(name, own, figures) for name, own in lines.items()]


def _overlaid(name: str, lines: Sequence[tuple[str, int, Curves]], figures: Figures) -> RunCurves:
    drawn = []
    for quantity in ("accuracy", "loss"):
        ends = "; ".join(f"{letter} ends at {c.mean(f'validation_{quantity}')[-1]:.3f}" for letter, _, c in lines)
        alt = f"Validation {quantity} of {name} over the epochs: {ends}"
        drawn.append(figures.add(f"{quantity}-{name}", alt, draw_overlaid(lines, quantity)))
    return RunCurves(name, *drawn)


def _changes(first: Side, changes: Changes) -> ChangesView:
    lists = [_images(first, changes.side, kind, [c for c in changes.images if c.kind == kind]) for kind in KINDS]
    return ChangesView(changes, first.letter, changes.side.letter, tuple(found for found in lists if found.count))


def _images(first: Side, other: Side, kind: str, changes: Sequence[ImageChange]) -> ImageList:
    return ImageList(
        kind=kind,
        count=len(changes),
        pictures=tuple(_picture(first, other, change) for change in changes[:MOST_PICTURES]),
        lines=tuple((change.path, _words(first, other, change)) for change in changes[:MOST_LISTED]),
        more=max(0, len(changes) - MOST_LISTED),
    )


def _picture(first: Side, other: Side, change: ImageChange) -> Picture:
    side, entry = (other, change.after) if change.after else (first, change.before)
    assert entry is not None
    words = _words(first, other, change)
    shown = stored_item(side.sources.dataset, entry, side.sources.kind)
    return Picture(shown, f"{entry.path}: {words}", entry.path, words)


def _words(first: Side, other: Side, change: ImageChange) -> str:
    """What happened to an image, without its path."""
    before, after = change.before, change.after
    part_before = first.parts.get((before.id, before.path), "no part") if before else ""
    part_after = other.parts.get((after.id, after.path), "no part") if after else ""
    if after is None:
        why = other.bad.get(change.path, "")
        return f"was {before.label if before else ''}, in {part_before}{f'; {why}' if why else ''}"
    if before is None:
        return f"{after.label}, in {part_after}"
    label = after.label if before.label == after.label else f"{before.label} → {after.label}"
    part = f"in {part_after}" if part_before == part_after else f"{part_before} → {part_after}"
    moved = f"; was {before.path}" if before.path != after.path else ""
    return f"{label}, {part}{moved}"
