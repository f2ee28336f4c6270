"""``index.html`` of advice, and its figure: the probe's accuracy by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from jobs.advice.baselines import TOP1, Ranking
from jobs.advice.choice import Choice
from jobs.advice.judging import Judged
from jobs.advice.sentences import headline
from jobs.context import Context
from jobs.reporting.figures.style import DASHES, SERIES, WIDEST, Drawn, Figures, canvas
from jobs.reporting.formatting import number, percent
from jobs.reporting.page import TEMPLATES, environment
from tlbatch.contracts.advice import AdviseParams

MANY = 8  #: lines that a figure tells apart


@dataclass(frozen=True)
class ScoreLine:
    """A score's row: what it would pick, and what that is worth."""

    title: str
    pick: str
    below: str
    tau: str
    verdict: str


@dataclass(frozen=True)
class LayerTable:
    """The layers of one candidate, in the order of the data."""

    title: str
    rows: tuple[tuple[str, ...], ...]


def write_page(
    context: Context,
    params: AdviseParams,
    judged: Sequence[Judged],
    choice: Choice,
    ranked: Sequence[Ranking],
    report: dict[str, Any],
) -> None:
    """Draw the figure (``figures/``) and write the page."""
    figures = Figures(context.out("figures/x").parent)
    titles = {each.asked.name: each.asked.title for each in judged}
    tied = any(each.score == TOP1 and each.pick in {rival.contender.name for rival in choice.ties} for each in ranked)
    text = (
        environment()
        .get_template("advice.html.jinja")
        .render(
            study=params.study,
            headline=headline(choice),
            sign=("○", "open") if choice.how == "scratch" or choice.ties else ("▲", "good"),
            lead=report["first_sentence"].partition(": ")[2],
            sentences=report["sentences"],
            table=report["table"],
            recommended=f"{choice.recommended.title} *",
            others_top1=[each.asked for each in judged if each.asked.top1_of],
            scores=[_score_line(each, titles, tied) for each in ranked],
            curve=draw_layers(judged, figures) if any(len(each.layers) > 1 for each in judged) else None,
            layers=[_layer_table(each) for each in judged if len(each.layers) > 1],
            css=Markup(resources.files(TEMPLATES).joinpath("style.css").read_text(encoding="utf-8")),
        )
    )
    context.out("index.html").write_text(text, encoding="utf-8")


def draw_layers(judged: Sequence[Judged], figures: Figures) -> Drawn:
    """A line a candidate: the linear probe's accuracy (%) by depth, with 95 % intervals."""
    shown = list(judged[:MANY])
    numbers = "; ".join(
        f"{each.asked.title}: " + ", ".join(f"{layer.name} {percent(layer.probe.value)}" for layer in each.layers)
        for each in shown
    )
    return figures.add("layers", f"Accuracy of a linear probe by depth. {numbers}", layers_figure(shown))


def layers_figure(judged: Sequence[Judged]) -> Figure:
    """The linear probe's accuracy (%) over the share of the layers passed, a line and a 95 % band a candidate."""
    with canvas(WIDEST, 260 + 17 * len(judged)) as (figure, axes):
        for place, each in enumerate(judged):
            depth = [(number_ + 1) / len(each.layers) for number_ in range(len(each.layers))]
            colour, dashes = SERIES[place % len(SERIES)], DASHES[place % len(DASHES)]
            value = [100 * layer.probe.value for layer in each.layers]
            low, high = ([100 * getattr(layer.probe, end) for layer in each.layers] for end in ("low", "high"))
            axes.fill_between(depth, low, high, color=colour, alpha=0.12, linewidth=0)
            axes.plot(depth, value, color=colour, linestyle=dashes, marker="o", markersize=4, label=each.asked.title)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("depth: share of the judged layers passed")
        axes.set_ylabel("right by a linear probe, %")
        figure.legend(loc="outside upper left")
        return figure


def _score_line(ranking: Ranking, titles: dict[str, str], tied: bool) -> ScoreLine:
    """``tied``: what top-1 would pick is not shown to be worse than the best, so no pick is shown to be better than that."""
    verdict = {True: "better than top-1", False: "no better than top-1", None: ""}[ranking.beats_top1]
    if ranking.beats_top1 and tied and ranking.tau is None:
        verdict = "better than top-1, not shown"
    if ranking.known < ranking.candidates:
        verdict = f"known of {ranking.known} of {ranking.candidates}"
    pick = titles[ranking.pick] if ranking.pick is not None else "–"
    below = "–" if ranking.below is None else f"{100 * ranking.below:.1f}"
    return ScoreLine(ranking.title, pick, below, number(ranking.tau, 2), verdict)


def _layer_table(judged: Judged) -> LayerTable:
    rows = [
        (
            layer.name + (" (usual)" if layer.name == judged.default else ""),
            layer.stage,
            f"{layer.dim:,}",
            percent(layer.probe.value),
            f"{100 * layer.probe.low:.1f} to {100 * layer.probe.high:.1f}",
            percent(layer.knn.value),
            number(layer.logme),
            number(layer.h_score),
        )
        for layer in judged.layers
    ]
    return LayerTable(judged.asked.title, tuple(rows))
