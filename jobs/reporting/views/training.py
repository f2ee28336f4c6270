"""How each run was trained: its curves with their sentence, what was trainable, how images were fed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.reporting.analysis import Analysis
from jobs.reporting.cautions import mismatch_of
from jobs.reporting.figures.curves import draw_curves
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import backbone_name, count, duration, fed, listing, plural, recipe
from jobs.reporting.pictures import artifact_picture
from jobs.reporting.sources import RunSource
from tlbatch import nouns
from tlbatch.contracts.reports import AskedRun
from tlbatch.plugins import find
from tlbatch.spec.added import added_name, name_and_settings
from tlbatch.spec.model import fitted_head

MOST_AUGMENTED = 3
MAP_SIDE = 420


@dataclass(frozen=True)
class Layer:
    name: str
    stage: str
    shape: str
    parameters: str
    trainable: bool


@dataclass(frozen=True)
class Training:
    """One run. ``stages`` sum up ``layers``."""

    name: str
    role: str
    recipe: str
    facts: tuple[tuple[str, str], ...]
    sentence: str
    accuracy: Drawn | None
    loss: Drawn | None
    stages: tuple[Layer, ...]
    layers: tuple[Layer, ...]
    mismatch: tuple[str, ...]
    augmented: str | None


@dataclass(frozen=True)
class FeatureMap:
    run: str
    url: str
    caption: str


def build_trainings(analysis: Analysis, figures: Figures) -> list[Training]:
    """Runs and controls in the study's order; the row without labels trained nothing."""
    trained = [run for run in analysis.sources.runs if run.finetune]
    return [_training(run, analysis, figures) for run in trained]


def _training(run: RunSource, analysis: Analysis, figures: Figures) -> Training:
    curves = analysis.curves.get(run.name)
    drawn = {}
    if curves is not None:
        for quantity in ("accuracy", "loss"):
            over = f"on training and validation {nouns.items()} over {plural(curves.epochs, 'epoch')}"
            alt = f"{quantity.capitalize()} of {run.name} {over}. {curves.sentence}"
            drawn[quantity] = figures.add(f"curves-{run.name}-{quantity}", alt, draw_curves(curves, quantity))
    model = run.first_model
    sheet = artifact_picture(model, "augmented.jpg", MAP_SIDE) if model else None
    return Training(
        name=run.name,
        role=run.role,
        recipe=recipe(run.asked),
        facts=tuple(_facts(run)),
        sentence=curves.sentence if curves else _without_epochs(run),
        accuracy=drawn.get("accuracy"),
        loss=drawn.get("loss"),
        stages=tuple(_layers(run.card.get("stages"))),
        layers=tuple(_layers(run.card.get("layers"))),
        mismatch=tuple(mismatch_of(run)),
        augmented=sheet.url if sheet else None,
    )


def _without_epochs(run: RunSource) -> str:
    name = fitted_head(run.card)
    if name is None:
        return "No curves: this training left no epochs."
    chosen = run.card[name]
    if name == "prototypes":
        nearest = "is of the class whose mean its features are nearest to, by cosine"
        return f"No epochs: each {nouns.item()} {nearest}; nothing was chosen."
    what, letter = {
        "logistic": ("a logistic regression", "C"),
        "knn": (f"a vote of the nearest training {nouns.items()}", "k"),
    }[name]
    if "rounds" in (run.card.get("adaptation") or {}):
        what = "a vote of logistic regressions"
    how = f"chosen by cross-validation on the training {nouns.items()}" if chosen["cv"] else _not_chosen(run, name)
    return f"No epochs: {what}, its {letter} = {chosen[letter.lower()]:g} {how}."


def _not_chosen(run: RunSource, name: str) -> str:
    asked = (run.asked.model.head or {}).get(name) or {}
    several = isinstance(values := asked.get("c" if name == "logistic" else "k"), list | tuple) and len(values) > 1
    return "by default, as there were too few labels to choose by" if several else "as the study asks"


def _facts(run: RunSource) -> list[tuple[str, str]]:
    asked, card = run.asked, run.card
    facts = [
        ("network", _network(asked)),
        ("how", recipe(asked)),
        ("fed", fed(asked.input)),
    ]
    trained, whole = card.get("trainable_parameters"), card.get("parameters")
    if trained is not None:
        facts.append(("parameters", f"{count(trained)} trained of {count(whole)}"))
    train = asked.train or {}
    if train and fitted_head(card) is None:
        rate = (card.get("lr") or {}) if isinstance(card.get("lr"), dict) else {"chosen": card.get("lr")}
        lr = rate.get("chosen") if rate.get("chosen") is not None else train.get("lr")
        kept = {"best": "best on validation kept", "last": "last epoch kept"}.get(str(train.get("select")), "")
        shown = f"{lr:g}" if isinstance(lr, int | float) else str(lr)
        facts.append(
            ("trained", f"{plural(train['epochs'], 'epoch')} at most, {train['optimizer']}, learning rate {shown}, {kept}")
        )
    if asked.augmentation:
        facts.append(("augmentation", _augmentation(asked.augmentation)))
    facts.append(("time", _time(run)))
    return facts


def _network(asked: AskedRun) -> str:
    scratch = asked.model.scratch
    if (name := added_name(scratch)) is not None:
        return f"{name}, {find('networks', name).title}"
    if scratch:
        channels = "-".join(str(n) for n in scratch.get("channels", []))
        dense = ", dense " + "-".join(str(n) for n in scratch["dense"]) if scratch.get("dense") else ""
        return f"CNN with {channels} channels{dense}"
    name, trained_on = backbone_name(asked), asked.trained_on
    if not asked.pretrained:
        return f"{name}, random weights"
    return f"{name}, trained on {trained_on}" if trained_on and trained_on != name else f"{name}, pretrained"


def _augmentation(settings: dict[str, Any]) -> str:
    if added_name(settings) is not None:
        name, own = name_and_settings(settings)
        return listing([name, *(f"{key} {value}" for key, value in own.items())])
    active = [
        f"{name} {value}" for name, value in settings.items() if value not in (0, 0.0, "none", None) and name != "shear_unit"
    ]
    return listing(active)


def _time(run: RunSource) -> str:
    made = [artifact.manifest.made for artifact in run.finetune.values()]
    epochs = [float(s) for facts in made for s in facts.get("epoch_seconds") or []]
    total = sum(float(facts.get("seconds") or 0.0) for facts in made)
    each = f", {duration(sum(epochs) / len(epochs))} an epoch" if epochs else ""
    return f"{duration(total)} for {plural(len(made), 'training')}{each}"


def _layers(listed: Any) -> list[Layer]:
    return [
        Layer(
            name=str(layer.get("name", "")),
            stage=str(layer.get("stage") or ""),
            shape="×".join(str(side) for side in layer.get("shape") or []),
            parameters=f"{int(layer.get('parameters') or 0):,}",
            trainable=bool(layer.get("trainable")),
        )
        for layer in listed or []
    ]


def build_feature_maps(analysis: Analysis) -> list[FeatureMap]:
    """The map before pooling of the best run and of the best pretrained one."""
    found = analysis.findings
    runs = {run.name: run for run in (found.best, found.subject) if run is not None}
    maps = []
    for run in runs.values():
        drawn = artifact_picture(run.evaluate, "featuremap.png", MAP_SIDE)
        if drawn:
            maps.append(FeatureMap(run.name, drawn.url, _map_caption(run)))
    return maps


def _map_caption(run: RunSource) -> str:
    gallery = run.evaluate.read_json("gallery/gallery.json") if "gallery/gallery.json" in run.evaluate else {}
    described = (gallery.get("featuremap") if isinstance(gallery, dict) else None) or {}
    shape = "×".join(str(side) for side in described.get("shape") or [])
    of = f" of {described['path']}" if described.get("path") else ""
    shown = described.get("shown")
    some = f", {shown} of its channels" if shown else ""
    return f"What the head of {run.name} sees{of}: the last map before pooling{f' ({shape})' if shape else ''}{some}."
