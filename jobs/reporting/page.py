"""``index.html``: one file that asks nothing of anyone, for screens light and dark, phones, paper and screen readers."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from jobs.data.index import load_index
from jobs.reporting.analysis import Analysis
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import duration, number, percent, plural
from jobs.reporting.lineage import versions_of
from jobs.reporting.output import Output
from jobs.reporting.sentences import HARMED, HELPED, Findings, tested_on
from jobs.reporting.views.adaptation import build_adaptation
from jobs.reporting.views.champion import build_champion
from jobs.reporting.views.confidence import build_confidence
from jobs.reporting.views.dataset import build_data
from jobs.reporting.views.episodes import build_episodes
from jobs.reporting.views.labels import build_labels
from jobs.reporting.views.mistakes import build_mistakes
from jobs.reporting.views.results import build_results
from jobs.reporting.views.tasks import build_tasks
from jobs.reporting.views.training import build_feature_maps, build_trainings
from jobs.statistics.differences import METHOD_SEEDS
from tlbatch import nouns
from tlbatch.output import json_printable

MANY_CLASSES = 20  #: above, long lists are folded
TEMPLATES = "jobs.reporting.templates"
SIGNS = {HELPED: ("▲", "good"), HARMED: ("▼", "bad")}


def write_page(context: Output, analysis: Analysis) -> None:
    """Draw every figure (``figures/``) and write the page."""
    figures = Figures(context.out("figures/x").parent)
    context.out("index.html").write_text(render_page(analysis, figures), encoding="utf-8")


def render_page(analysis: Analysis, figures: Figures) -> str:
    """The page as text. Figures are written on the way."""
    entries = load_index(analysis.sources.dataset)
    task = analysis.sources.params.task
    index = {each.id: each if task is None else replace(each, label=each.tasks.get(task, "")) for each in entries}
    template = environment().get_template("page.html.jinja")
    return template.render(
        study=analysis.sources.params.study,
        description=analysis.sources.params.description,
        sign=_sign(analysis.findings),
        findings=analysis.findings,
        warnings=analysis.warnings,
        champion=build_champion(analysis),
        results=build_results(analysis, figures),
        adaptation=build_adaptation(analysis, figures),
        tasks_section=build_tasks(analysis, figures),
        labels=build_labels(analysis, figures),
        episodes=build_episodes(analysis),
        trainings=build_trainings(analysis, figures),
        feature_maps=build_feature_maps(analysis),
        mistakes=build_mistakes(analysis, figures, index),
        confidence=build_confidence(analysis, figures),
        data=build_data(analysis, entries),
        tasks=analysis.records,
        versions=versions_of(list(analysis.records)),
        total_seconds=sum(record.seconds or 0.0 for record in analysis.records),
        tested=_tested(analysis),
        several_seeds=max((len(run.independent_seeds) for run in analysis.sources.runs), default=1),
        method_seeds=METHOD_SEEDS,
        redrawn=analysis.sources.redrawn,
        many_classes=MANY_CLASSES,
        js=Markup(resources.files(TEMPLATES).joinpath("matrix.js").read_text(encoding="utf-8")),
        css=Markup(resources.files(TEMPLATES).joinpath("style.css").read_text(encoding="utf-8")),
    )


def _tested(analysis: Analysis) -> str:
    """How many test images, in how many units."""
    most = max(analysis.sources.runs, key=lambda run: len(run.labels), default=None)
    return tested_on(most) if most else nouns.count(0, "test")


def _sign(findings: Findings) -> tuple[str, str]:
    """The headline's sign and CSS class: never the colour of success for a study that does not beat no labels at all."""
    return ("○", "open") if findings.beats_no_labels is False else SIGNS.get(findings.verdict, ("○", "open"))


class _Page(Template):
    """A page in which no name turns the direction of writing round, or is drawn as nothing: such characters are shown."""

    def render(self, *given: Any, **named: Any) -> str:
        return json_printable(super().render(*given, **named))


@cache
def environment() -> Environment:
    """Templates of this package; values are escaped, what is missing is an error."""
    found = Environment(
        loader=PackageLoader("jobs.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.template_class = _Page
    found.globals["nouns"] = nouns
    found.filters |= {
        "figure": _figure,
        "duration": duration,
        "plural": plural,
        "number": number,
        "percent": percent,
        "breakable": breakable,
    }
    return found


def breakable(text: str) -> Markup:
    """Escaped, and where it is too long to be broken after ``_`` or ``/`` rather than in mid-word."""
    return Markup(re.sub(r"([_/])(?=\w)", r"\1<wbr>", str(escape(text))))


def _figure(drawn: Drawn, natural: bool = False) -> Markup:
    """A figure's SVG; ``natural`` keeps its own width (its surroundings scroll) instead of fitting the column."""
    style = f"width:{drawn.width:.0f}px;max-width:none" if natural else f"max-width:{1.35 * drawn.width:.0f}px"
    return Markup(drawn.svg.replace('class="figure"', f'class="figure" style="{style}"', 1))
