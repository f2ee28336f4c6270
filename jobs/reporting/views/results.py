"""The result: the table, every run's accuracy, and the planned comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.reporting.analysis import Analysis
from jobs.reporting.contrasts import NOT_SHOWN, Contrast
from jobs.reporting.figures.intervals import Estimate, draw_intervals
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import interval_points, p_value, percent, signed_points
from jobs.reporting.sentences import contrast_sentence
from jobs.reporting.tables import Row, Table
from jobs.statistics.differences import Difference
from tlbatch import nouns

KINDS = {
    "previous": "the run before",
    "control": "control",
    "adaptation": "adaptation",
    "tasks": "alone",
    "zero_label": "no labels",
}


@dataclass(frozen=True)
class ContrastLine:
    """One line of the table of comparisons; ``mark`` is its verdict as a sign for those who do not see colours."""

    a: str
    b: str
    kinds: str
    difference: str
    interval: str
    f1: str
    f1_interval: str
    test: str
    p: str
    smallest: str
    only: str
    verdict: str
    css: str
    mark: str
    sentence: str


@dataclass(frozen=True)
class Results:
    table: Table
    accuracies: Drawn | None
    differences: Drawn | None
    contrasts: tuple[ContrastLine, ...]


def build_results(analysis: Analysis, figures: Figures) -> Results:
    return Results(
        table=analysis.table,
        accuracies=draw_accuracies(analysis.table, figures),
        differences=draw_differences(analysis.contrasts, figures),
        contrasts=tuple(contrast_line(contrast) for contrast in analysis.contrasts),
    )


def draw_accuracies(table: Table, figures: Figures) -> Drawn | None:
    """Every run's test accuracy with its interval; None where no run has any."""
    rows = [estimate for row in table.rows if (estimate := _estimate(row))]
    if not rows:
        return None
    alt = "Test accuracy with 95 % intervals: " + "; ".join(f"{row.label} {row.text}" for row in rows)
    return figures.add("accuracy", alt, draw_intervals(rows, f"accuracy on the test {nouns.items()}, %"))


def _estimate(row: Row) -> Estimate | None:
    score = row.run.score("accuracy")
    if score is None:
        return None
    low, high = (None if bound is None else 100 * bound for bound in (score.low, score.high))
    return Estimate(row.name, 100 * score.value, low, high, percent(score.value), row.run.role)


def draw_differences(contrasts: Sequence[Contrast], figures: Figures) -> Drawn | None:
    """Paired differences with their intervals; None where there are none."""
    if not contrasts:
        return None
    rows = []
    for c in contrasts:
        d = c.accuracy
        text = signed_points(d.value)
        rows.append(Estimate(f"{c.a.name} vs {c.b.name}", 100 * d.value, 100 * d.low, 100 * d.high, text, c.verdict))
    alt = "Differences in accuracy with 95 % intervals. " + " ".join(contrast_sentence(c) for c in contrasts)
    return figures.add("differences", alt, draw_intervals(rows, "difference in accuracy, points", zero=True))


def contrast_line(c: Contrast) -> ContrastLine:
    d, f1 = c.accuracy, c.macro_f1
    return ContrastLine(
        a=c.a.name,
        b=c.b.name,
        kinds=", ".join(KINDS.get(kind, kind) for kind in c.kinds),
        difference=signed_points(d.value),
        interval=interval_points(d.low, d.high),
        f1=signed_points(f1.value),
        f1_interval=interval_points(f1.low, f1.high),
        test=d.test,
        p=p_value(c.p_adjusted).removeprefix("p = ").removeprefix("p "),
        smallest=f"{100 * d.smallest:.1f}",
        only=only_words(d),
        verdict=c.verdict,
        css="none" if c.verdict == NOT_SHOWN else c.verdict,
        mark={"better": "▲", "worse": "▼"}.get(c.verdict, "○"),
        sentence=contrast_sentence(c),
    )


def only_words(d: Difference) -> str:
    """Images that only the one, or only the other, got right (mean over seeds), and units where images come in units."""
    images = f"{sum(d.only_a) / d.seeds:.0f} / {sum(d.only_b) / d.seeds:.0f}"
    if d.groups == d.images:
        return images
    return f"{images} (groups: {sum(d.units_a) / d.seeds:.0f} / {sum(d.units_b) / d.seeds:.0f})"
