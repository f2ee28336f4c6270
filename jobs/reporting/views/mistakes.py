"""Where the best run goes wrong: confusion, classes, its most confident mistakes, labels that may be wrong themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.data.index import IndexEntry
from jobs.reporting.analysis import Analysis
from jobs.reporting.figures.classes import draw_recalls
from jobs.reporting.figures.style import Drawn, Figures
from jobs.reporting.formatting import listing, number, percent
from jobs.reporting.pictures import Picture, artifact_picture, stored_item
from jobs.reporting.sources import RunSource
from jobs.reporting.suspected import Suspected, suspected_of
from jobs.reporting.views.confusion import Confusion, build_confusion, confusion_of, taken_for
from tlbatch import nouns

MOST_ERRORS, MOST_SUSPECTS, MOST_WORST, MOST_PREDICTIONS = 21, 21, 10, 21
GALLERY_SIDE = 180


@dataclass(frozen=True)
class ClassLine:
    name: str
    n: int
    recall: str
    interval: str
    precision: str
    f1: str
    share: float
    taken_for: str = ""


@dataclass(frozen=True)
class Mistakes:
    run: str
    confusions: tuple[Confusion, ...]  #: the best run's first
    classes: tuple[ClassLine, ...]
    worst_classes: tuple[ClassLine, ...]
    recalls: Drawn | None
    errors: tuple[Picture, ...]
    overlay: str | None
    wrong: int
    predictions: tuple[Picture, ...]
    suspects: tuple[Picture, ...]
    suspects_found: int
    suspects_method: str
    suspects_unjudged: str  #: a sentence: whose training labels no model judged that had not seen them


def build_mistakes(analysis: Analysis, figures: Figures, index: Mapping[str, IndexEntry]) -> Mistakes | None:
    """None where nothing was trained or evaluated. ``index``: entries of the dataset by id."""
    champion = analysis.findings.best
    if champion is None:
        return None
    gallery = champion.evaluate.read_json("gallery/gallery.json") if "gallery/gallery.json" in champion.evaluate else {}
    judged = suspected_of(analysis.sources)
    own = next((each for each in judged if champion.name in each.runs), None)
    ordered = [champion, *(run for run in analysis.sources.runs if run is not champion)]
    classes = analysis.sources.classes
    lines = class_lines(champion, taken_for(confusion_of(champion, len(classes)), classes))
    return Mistakes(
        run=champion.name,
        confusions=tuple(build_confusion(run, classes, figures, first=run is champion) for run in ordered),
        classes=tuple(lines),
        worst_classes=tuple(sorted((line for line in lines if line.n), key=lambda line: line.share)[:MOST_WORST]),
        recalls=_recalls(champion, lines, figures),
        errors=tuple(_errors(champion, gallery)),
        overlay=gallery.get("overlay"),
        wrong=int((first_probabilities(champion).argmax(axis=1) != champion.labels).sum()),
        predictions=tuple(_predictions(analysis, champion, index)),
        suspects=tuple(_suspects(analysis, own.suspects, index)) if own else (),
        suspects_found=own.found if own else 0,
        suspects_method=_sentence(own.method) if own else "",
        suspects_unjudged=unjudged_training_labels(judged),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def unjudged_training_labels(judged: Sequence[Suspected]) -> str:
    """Which runs leave the labels of what they trained on unjudged, and what judges them; empty where none does."""
    judging = [each.runs[0] for each in judged if "train" in each.parts]
    unjudged = [each.runs[0] for each in judged if each.parts and "train" not in each.parts]
    if not unjudged:
        return ""
    one = len(unjudged) == 1
    by = f"{listing(judging)} {'judges' if len(judging) == 1 else 'judge'} them"
    way = "a run on cached features, or dataset.split.folds, would judge them"
    return (
        f"{listing(unjudged)} {'leaves' if one else 'leave'} the labels of the training {nouns.items()} unjudged, "
        f"having learnt from "
        f"them; {by if judging else way}."
    )


def first_probabilities(run: RunSource) -> NDArray[np.float64]:
    """[n, classes] of the run's first seed: what single pictures and matrices show."""
    return run.probabilities(run.seeds[0])


def class_lines(run: RunSource, taken: Mapping[str, str]) -> list[ClassLine]:
    """The per-class report of the first seed, from the metrics; [] where they have none. ``taken``: what each is taken for."""
    lines = []
    for entry in run.metrics.get("per_class") or []:
        recall, precision = entry.get("recall") or {}, entry.get("precision") or {}
        known = recall.get("low") is not None and recall.get("high") is not None
        n, right = int(entry.get("n") or 0), entry.get("right")
        value = recall.get("value")
        lines.append(
            ClassLine(
                name=str(entry["class"]),
                n=n,
                recall=f"{right} of {n}" if not known and right is not None else percent(value) if value is not None else "–",
                interval=f"{100 * recall['low']:.1f} – {100 * recall['high']:.1f}" if known else "",
                precision=percent(precision["value"]) if precision.get("value") is not None else "–",
                f1=number(entry.get("f1") if not isinstance(entry.get("f1"), dict) else entry["f1"].get("value")),
                share=float(value or 0.0),
                taken_for=taken.get(str(entry["class"]), ""),
            )
        )
    return lines


def _recalls(run: RunSource, lines: list[ClassLine], figures: Figures) -> Drawn | None:
    if not lines:
        return None
    entries = sorted(run.metrics["per_class"], key=lambda entry: -((entry.get("recall") or {}).get("value") or 0.0))
    recalls = [tuple((entry.get("recall") or {}).get(key) for key in ("value", "low", "high")) for entry in entries]
    names = [str(entry["class"]) for entry in entries]
    worst = ", ".join(f"{name} {percent(recall[0] or 0.0)}" for name, recall in list(zip(names, recalls, strict=True))[-3:])
    figure = draw_recalls(names, [(value or 0.0, low, high) for value, low, high in recalls])
    return figures.add(f"recall-{run.name}", f"Recall of each class by {run.name}, best first. Lowest: {worst}.", figure)


def _errors(run: RunSource, gallery: Mapping[str, Any]) -> Iterable[Picture]:
    for entry in (gallery.get("errors") or [])[:MOST_ERRORS]:
        picture = artifact_picture(run.evaluate, entry["file"], GALLERY_SIDE)
        if picture:
            said, sure = str(entry["predicted"]), percent(float(entry["confidence"]))
            alt = f"{entry['path']}: a {entry['label']}, taken for a {said} with {sure} confidence"
            yield Picture(picture, alt, f"{entry['label']} taken for {said}", f"{sure} sure · {entry['path']}", wrong=True)


def _predictions(analysis: Analysis, run: RunSource, index: Mapping[str, IndexEntry]) -> Iterable[Picture]:
    """Test images drawn by content hash, so at random, right or wrong, with what the run says of them."""
    probabilities, ids = first_probabilities(run), run.predictions["ids"]
    classes = analysis.sources.classes
    rows = sorted((row for row in range(len(ids)) if ids[row] in index), key=lambda row: _chance(ids[row]))
    for row in rows[:MOST_PREDICTIONS]:
        said, label = classes[int(probabilities[row].argmax())], classes[int(run.labels[row])]
        sure = percent(float(probabilities[row].max()))
        entry = index[ids[row]]
        shown = stored_item(analysis.sources.dataset, entry, analysis.sources.kind)
        caption = said if said == label else f"{said}, is {label}"
        yield Picture(
            shown, f"{entry.path}: predicted {said} ({sure}), labelled {label}", caption, f"{sure} sure", said != label
        )


def _chance(name: str) -> str:
    return hashlib.sha256(f"shown:{name}".encode()).hexdigest()


def _suspects(analysis: Analysis, suspects: Sequence[Mapping[str, Any]], index: Mapping[str, IndexEntry]) -> Iterable[Picture]:
    for suspect in suspects[:MOST_SUSPECTS]:
        entry = index.get(str(suspect["id"]))
        if entry is not None:
            shown = stored_item(analysis.sources.dataset, entry, analysis.sources.kind)
            chance = percent(float(suspect.get("p_label") or 0.0))
            alt = f"{suspect['path']}: labelled {suspect['label']}, the model says {suspect['predicted']}"
            note = f"{chance} for its label · {suspect.get('part') or ''} · {suspect['path']}"
            yield Picture(shown, alt, f"{suspect['label']} → {suspect['predicted']}?", note)
