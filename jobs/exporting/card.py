"""``model.json`` and ``README.md``: which model the files hold, how to feed it, what it is worth, how they were checked.

``model.json``::

    format, name, serial, study, run, seed, classes, files: {name: {size, sha256}}
    input       as in a study, + shorter_side: pixels of the shorter side before the centre crop (resize: crop)
    network     {backbone: name and weights, or scratch}, layer, pool, head, features, parameters, folds
    temperature, trained_on, test: {version, images, asked: tests they had served}, metrics (Estimates on the test images)
    fresh       null or {images, enough, metrics}: when it was crowned, on images that no decision consulted
    corrected   null or {metric, value, low, high}: then, on the test images without the luck of having been chosen there
    extended    classes that it got without training: [{class, images, units, recall, cost, ...}], as the champion's record
                has them; no test image of them was seen
    check       {safetensors, onnx: {images, difference, mean_difference, same_class, tolerance, why}}
    lineage     {models: {role: InputRef}, evaluation, pins, decided, sentence, by}

No times and no places: pulling the same champion again gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.exporting.agreement import Agreement, Evaluated
from jobs.exporting.whole import Whole
from jobs.kinds import feed_of
from jobs.kinds.feed import Usage
from tlbatch import nouns
from tlbatch.champions.exporting import CARD, Request
from tlbatch.champions.judged import own_number, times
from tlbatch.kinds import kind_of
from tlbatch.markdown import markdown, markdown_code, markdown_table
from tlbatch.spec.added import added_name
from tlbatch.store.artifacts import file_sha256

FORMAT = 1


@dataclass(frozen=True)
class Exported:
    """What was written: ``card`` is the (first) finetune artifact's; ``checks`` by format."""

    request: Request
    card: Mapping[str, Any]
    whole: Whole
    files: Sequence[str]
    evaluated: Evaluated
    checks: Mapping[str, Agreement]


def write_card(out: Path, exported: Exported) -> None:
    """The README first: its hash is in the card."""
    document = _document(out, exported)
    (out / "README.md").write_text(_readme(document), encoding="utf-8")
    document["files"]["README.md"] = _entry(out / "README.md")
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (out / CARD).write_text(text + "\n", encoding="utf-8")


def _document(out: Path, exported: Exported) -> dict[str, Any]:
    champion, card = exported.request.champion, exported.card
    network = exported.whole.__dict__["networks"][0]
    lineage = ("models", "evaluation", "pins", "decided", "sentence", "by")
    return {
        "format": FORMAT,
        **{name: champion[name] for name in ("name", "serial", "study", "run", "seed")},
        "classes": list(card["classes"]),
        "files": {name: _entry(out / name) for name in exported.files},
        "input": feed_of(card["input"]).usage(card["input"]).input,
        "network": {
            **card["model"],
            "layer": network.backbone.layer.name,
            "features": network.backbone.dim,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "folds": len(exported.whole.__dict__["networks"]),
        },
        "temperature": exported.evaluated.temperature,
        "trained_on": card.get("trained_on") or "",
        "images": card["images"],
        "test": {
            "version": champion.get("test_version"),
            "images": exported.evaluated.test_images,
            "asked": champion.get("asked"),
        },
        "metrics": champion.get("metrics") or {},
        "fresh": champion.get("fresh"),
        "corrected": champion.get("corrected"),
        "extended": champion.get("extended") or [],
        "check": {name: asdict(agreement) for name, agreement in exported.checks.items()},
        "lineage": {name: champion.get(name) for name in lineage},
    }


def _entry(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": file_sha256(path)}


# -- for people ---------------------------------------------------------------------------------------------------------


def _readme(document: Mapping[str, Any]) -> str:
    usage = feed_of(document["input"]).usage(document["input"])
    parts = [
        f"# {document['name']}, champion number {document['serial']}\n\n{_what(document)}",
        f"## Classes\n\n{', '.join(map(markdown, document['classes']))}",
        f"## What it is worth\n\n{_worth(document)}",
        f"## How {kind_of(document['input'].get('kind')).items} are fed\n\n{usage.words}",
        f"## Files\n\n{_files(document, usage)}",
        f"## Lineage\n\n{_lineage(document)}",
    ]
    return "\n\n".join(parts) + "\n"


def _what(document: Mapping[str, Any]) -> str:
    network, images = document["network"], document["images"]
    own = added_name(network.get("scratch")) or "a CNN"
    name = network["backbone"]["name"] if network.get("backbone") else f"{own} trained from scratch"
    folds = f", {network['folds']} folds" if network["folds"] > 1 else ""
    learned = f" Its backbone learned from {markdown(document['trained_on'])}." if document["trained_on"] else ""
    said = markdown(document["lineage"].get("sentence") or "")
    return (
        f"Run `{document['run']}` of the study `{document['study']}` (seed {document['seed']}{folds}): "
        f"{markdown(name or 'an earlier model')} up to {markdown_code(network['layer'])}, "
        f"{network['parameters']:,} parameters, "
        f"trained on {images['train']:,} {nouns.items()}, chosen on {images['validation']:,}.{learned} {said}"
    ).strip()


def _worth(document: Mapping[str, Any]) -> str:
    rows = list[tuple[str, str, str]]()
    for name, found in sorted(document["metrics"].items()):
        if found and found.get("value") is not None:
            among = f"{found['low']:.3f} – {found['high']:.3f}" if found.get("low") is not None else ""
            rows.append((name.replace("_", " "), f"{found['value']:.3f}", among))
    asked, corrected = document["test"]["asked"], document["corrected"]
    metric = str((corrected or {}).get("metric") or "accuracy")
    own = own_number(metric, document["fresh"], corrected)
    table = markdown_table(("metric", "value", "95 % interval"), rows, range(3))
    text = "\n".join(table) + f"\n\nOn {document['test']['images']:,} test {nouns.items()} it did not learn from"
    text += f", {times(asked)}: it was chosen on them, which flatters it." if asked else "."
    text += "".join(_added(each) for each in document["extended"])
    return f"{metric.replace('_', ' ').capitalize()} {own.words}.\n\n{text}" if own else text


def _added(each: Mapping[str, Any]) -> str:
    """A class that no test item is of, and what it cost."""
    recall, cost = each["recall"], each["cost"]
    own = "one alone: nothing could be held out"
    if recall is not None:
        own = f"{recall['k']} of {recall['n']} recognised by the others ({recall['low']:.3f} – {recall['high']:.3f})"
    return (
        f"\n\n{markdown_code(each['class'])} was added without training, from {nouns.count(each['images'])}: its accuracy is "
        f"not tested ({own}). It took {nouns.count(cost['taken'], 'test')} of the other classes that were right before: "
        f"accuracy there {cost['after']:.3f}, {cost['before']:.3f} before."
    )


def _files(document: Mapping[str, Any], usage: Usage) -> str:
    check = document["check"]
    lines = [
        f"- `{name}`: backbone and head (`backbone.body.*`, `head.*`), float32"
        for name in document["files"]
        if name.endswith("s")
    ]
    if "onnx" in check:
        scaled = "" if document["temperature"] is None else "; `calibrated` has those that `tlbatch predict` gives"
        lines.append(f"- `model.onnx`: {usage.onnx} to `probabilities` [{usage.items}, classes]{scaled}")
    for name, found in check.items():
        lines.append(
            f"- {name}: on {found['images']} test {nouns.items()} the probabilities differ from the evaluated ones by at most "
            f"{found['difference']:.2g} (allowed: {found['tolerance']:g}); "
            f"the likeliest class is the same for {found['same_class']}"
        )
    text = "\n".join(lines)
    return text + (f"\n\n```python\n{usage.program}```" if "onnx" in check and usage.program else "")


def _lineage(document: Mapping[str, Any]) -> str:
    models = document["lineage"]["models"].items()
    lines = [f"- {role}: `artifacts/{ref['step']}/{ref['key']}`, digest `{ref['digest']}`" for role, ref in models]
    evaluation = document["lineage"]["evaluation"]
    return "\n".join([*lines, f"- evaluation: `artifacts/{evaluation['step']}/{evaluation['key']}`"])
