"""A model card in Markdown for every trained run: what it is, what it is worth, what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jobs.reporting.analysis import Analysis
from jobs.reporting.cautions import mismatch_of
from jobs.reporting.formatting import backbone_name, count, fed, listing, number, percent, plural, recipe
from jobs.reporting.output import Output
from jobs.reporting.sentences import contrast_sentence, validated_on
from jobs.reporting.sources import RunSource
from jobs.reporting.tables import METRICS, added_metrics, format_metric
from jobs.reporting.validation import standing
from tlbatch import nouns
from tlbatch.markdown import markdown, markdown_code, markdown_table
from tlbatch.strategies import strategy_of


def write_cards(context: Output, analysis: Analysis) -> None:
    """``cards/<run>.md`` for runs and controls; a row without training has no model to speak of."""
    for run in analysis.sources.runs:
        if run.finetune:
            text = "\n".join(_card(run, analysis)).rstrip() + "\n"
            context.out(f"cards/{run.name}.md").write_text(text, encoding="utf-8")


def _card(run: RunSource, analysis: Analysis) -> Iterator[str]:
    sources = analysis.sources
    yield from (f"# {run.name}", "", f"A model of the study *{sources.params.study}*: {markdown(recipe(run.asked))}.", "")
    yield from _section("Model", _model(run))
    yield from _section("Use", _use(run, analysis))
    yield from _section("Data", _data(run, analysis))
    yield from (f"## Metrics on the test {nouns.items()}", "")
    yield from markdown_table(("metric", "value", "95 % interval"), list(_metrics(run)), range(3))
    yield from ("", f"## Compared with others on the same test {nouns.items()}", "")
    yield from (f"- {markdown(contrast_sentence(c))}" for c in analysis.contrasts if run in (c.a, c.b))
    yield ""
    if run.name in analysis.curves:
        yield from ("## Training", "", markdown(analysis.curves[run.name].sentence), "")
    yield from _section("Lineage", _lineage(run))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    """``lines`` are Markdown."""
    yield from (f"## {title}", "")
    yield from (f"- {line}" for line in lines)
    yield ""


def _model(run: RunSource) -> Iterator[str]:
    asked, card = run.asked, run.card
    if asked.model.backbone:
        name, known = backbone_name(asked), asked.trained_on
        trained_on = f", trained on {markdown(known)}" if known and known != name else ""
        yield f"Backbone: {markdown(name)}{trained_on if asked.pretrained else ', random weights'}"
    trained = count(card.get("trainable_parameters"))
    if asked.strategy is not None and strategy_of(asked.strategy).on_features:  # the card is of the head alone
        yield f"Parameters trained: {trained}, the head's; the backbone stays as it is"
    else:
        yield f"Parameters: {count(card.get('parameters'))}, of which trained: {trained}"
    yield f"Input: {markdown(fed(asked.input, scale=False))}"
    if found := mismatch_of(run):
        yield f"Fed otherwise than its weights were trained: {markdown(listing(found))}"
    yield f"Files: `model.safetensors` and `card.json` of the finetune artifact; {plural(len(run.finetune), 'trained model')}"


def _use(run: RunSource, analysis: Analysis) -> Iterator[str]:
    yield f"Tells apart: {markdown(listing(analysis.sources.classes, 'and'))}"
    yield f"Meant for {nouns.items()} like those of the study's dataset; anything else gets one of these classes too"
    seen = analysis.sources.params.seen
    if run.asked.pretrained and seen:
        yield markdown(f"Seen in pretraining? {seen.get('level')}: {seen.get('why')}")


def _data(run: RunSource, analysis: Analysis) -> Iterator[str]:
    images = run.card.get("images") or {}
    known = {"training": images.get("train"), "validation": images.get("validation"), "test": len(run.labels)}
    yield ", ".join(f"{nouns.count(int(n), part)}" for part, n in known.items() if n is not None)
    same = " (all give the same model, which counts as one)" if run.deterministic else ""
    yield f"Seeds: {', '.join(str(seed) for seed in run.seeds)}{same}"
    yield f"Accuracy on {validated_on(run)}, by which it was chosen: {percent(standing(run).accuracy)}"
    if weights := run.card.get("task_weights"):
        weighed = listing([f"{task} {number(float(weight), 2)}" for task, weight in weights.items()], "and")
        yield markdown(f"Task: {run.card['task']}, learnt together with others; factors on the losses in the end: {weighed}")
    if found := run.card.get("adaptation"):
        yield markdown(f"Adaptation: {found['method']}, {found['target_labels']}; its settings chosen by {found['chosen_by']}")
        if "source_share" in found:
            left, share = percent(found["source_weight_left"]), percent(found["source_share"])
            yield f"{left} of the sources' weight was left after {found['rounds']} rounds: {share} of all that was learnt from"


def _metrics(run: RunSource) -> Iterator[tuple[str, str, str]]:
    for name in (*METRICS, *added_metrics(run)):
        if score := run.score(name):
            bounds = [score.low, score.high]
            known = [format_metric(name, bound) for bound in bounds if bound is not None]
            yield name.replace("_", " "), format_metric(name, score.value), " to ".join(known) or "–"


def _lineage(run: RunSource) -> Iterator[str]:
    artifacts: dict[str, Any] = {"extract": run.extract, "evaluate": run.evaluate}
    for (seed, fold), artifact in run.finetune.items():
        artifacts[f"finetune, seed {seed}" + ("" if fold is None else f", fold {fold}")] = artifact
    for name, artifact in artifacts.items():
        if artifact is not None:
            yield f"{name}: `artifacts/{artifact.manifest.step}/{artifact.manifest.key}`, digest `{artifact.digest}`"
    if backbone := run.asked.model.backbone:
        yield f"Weights: {markdown_code(json.dumps(backbone.weights.as_json(), sort_keys=True))}"
