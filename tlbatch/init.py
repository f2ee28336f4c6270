"""The commented study that ``tlbatch init`` writes, fitted to a folder of images when one is named."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tlbatch.datasets.layout import Layout, layout_of, written_parts
from tlbatch.datasets.lookalikes import alike, written_aliases
from tlbatch.datasets.walk import Walk, examples, look
from tlbatch.errors import StudyError
from tlbatch.schema.writing import yaml_text

FEW_LABELS = 500  # below, one validation part is too small to choose by: folds
SHOWN = 8  # classes that the comment names


@dataclass(frozen=True)
class Found:
    """What a folder holds, by the walk that ``check`` and ``run`` take too: its layout, what was left out, links out of it."""

    layout: Layout = field(default_factory=Layout)
    notes: tuple[str, ...] = ()
    links_out: tuple[tuple[str, str], ...] = ()
    alike: Sequence[Sequence[str]] = ()

    @property
    def images(self) -> int:
        return sum(self.classes.values())

    @property
    def classes(self) -> dict[str, int]:
        """Classes as the study will have them: look-alikes merged."""
        counts = Counter(self.layout.classes)
        for group in self.alike:
            for name in group[1:]:
                counts[group[0]] += counts.pop(name)
        return dict(sorted(counts.items()))


def starter_study(folder: Path | None, beside: Path | None = None) -> str:
    """The text of a study that loads. ``folder`` becomes its dataset, as seen from ``beside``, the folder of the study's file;
    as an absolute path where that is None.

    Only names are read, no image. Raises StudyError when the folder is not there or has no two class folders with images.
    """
    if folder is None:
        return _text("pets", "path/to/pets", Found())
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder; name one that holds a folder of images for each class")
    found = survey(folder)
    if len(found.classes) < 2:
        had = f"found only {next(iter(found.classes))!r}" if found.classes else "found none"
        raise StudyError(
            f"{folder}: a study needs at least two folders with images, one a class, and {had}; "
            "for labels in a CSV file, start from `tlbatch init` and fill in dataset.labels"
        )
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as they are named
    return _text(study_name(absolute.name), _seen_from(beside, absolute / found.layout.below), found)


def _seen_from(beside: Path | None, folder: Path) -> str:
    """A relative path, which still holds when study and images move together; absolute where links would lead it astray."""
    if beside is not None:
        relative = os.path.relpath(folder, os.path.abspath(beside))  # noqa: PTH100 - links stay as they are named
        leads_there = os.path.realpath(beside / relative) == os.path.realpath(folder)
        if leads_there and re.match(r"[\w.]", relative) and ":" not in relative and "$" not in relative:
            return relative
    return str(folder)


def study_name(text: str) -> str:
    """``text`` as a study's name: lower-case letters, digits and '-', at most 40."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "study"


def survey(folder: Path) -> Found:
    """Class folders and the files in them, or those of ready-made parts, maybe inside of a folder around them all."""
    found = look(str(folder))
    if found.links_out:
        found = replace(look(str(folder), follow_links=True), links_out=found.links_out)
    layout = layout_of(file.path for file in found.files if "/" in file.path or file.folder)
    if layout.below:
        inner = survey(folder / layout.below)
        below = f"{layout.below}/{inner.layout.below}".rstrip("/")
        outside = [f"not in {layout.below}, and left out: {examples(layout.outside, len(layout.outside))}"] * bool(
            layout.outside
        )
        return replace(inner, layout=replace(inner.layout, below=below), notes=(*outside, *inner.notes))
    return Found(layout, tuple(_notes(found, layout)), found.links_out, alike(layout.classes))


def _notes(found: Walk, layout: Layout) -> Iterator[str]:
    """What a reader should know, a comment each."""
    if layout.beside:
        what = "no part of a split" if layout.parts else "named like a part of a split"
        way = "" if layout.parts else "; if it is a class, name it among the classes"
        yield f"{what}, and left out: {examples(layout.beside[:SHOWN], len(layout.beside))}{way}"
    inner = [name for part in layout.parts.values() for name in found.inner_folders(part)]
    empty = sorted({*(inner if layout.parts else found.inner_folders())} - {*layout.classes, *layout.beside})
    if empty:
        yield f"without images, and so no class: {', '.join(empty)}"
    unusable = [file.path for file in found.files if file.problem]
    if unusable:
        yield f"cannot be used: {len(unusable)} ({examples(unusable[:SHOWN], len(unusable))})"
    yield from (f"left out: {left}" for left in found.left_out)


def _split(found: Found) -> str:
    if found.layout.parts:
        return f"{{folders: {written_parts(replace(found.layout, below=''))}}}            # ready-made"
    if found.classes and found.images < FEW_LABELS:
        folds = max(2, min(5, min(found.classes.values()) // 4))
        why = f"fewer than {FEW_LABELS} labels: {folds}-fold instead of one validation part"
        return f"{{test: 0.3, folds: {folds}, seed: 42}}     # {why}"
    return "{train: 0.7, validation: 0.15, test: 0.15, seed: 42}     # fractions, or counts; the same share of every class"


def _dataset_lines(found: Found) -> str:
    """What the dataset needs said beside its place and its split: aliases, classes, links."""
    lines = []
    if found.alike:
        lines.append(f"aliases: {written_aliases(found.alike)}     # they look alike; if they differ, name all classes instead")
    if found.layout.beside and not found.layout.parts:
        lines.append(f"classes: [{', '.join(yaml_text(name) for name in found.classes)}]")
    if found.links_out:
        path, target = found.links_out[0]
        more = f" and {len(found.links_out) - 1} more" if len(found.links_out) > 1 else ""
        lines.append(f"follow_links: true     # out of this folder: {_one_line(f'{path} → {target}{more}')}")
    return "".join(f"  {line}\n" for line in lines)


def _found_comment(found: Found) -> str:
    classes = found.classes
    if not classes:
        return "a folder per class, here or in S3 (s3://bucket/prefix); or see `labels` below"
    shown = ", ".join(f"{name} {count}" for name, count in list(classes.items())[:SHOWN])
    more = f", and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
    return _one_line(f"{found.images} files in {len(classes)} classes: {shown}{more}")


def _one_line(text: str) -> str:
    """For a comment: what would end the line, or is no printable text, is shown as '?'."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _weights(found: Found) -> str:
    """A line for ``train`` when the largest class is more than three times the smallest."""
    sizes = list(found.classes.values())
    return "\n      class_weights: balanced    # the classes differ in size" if sizes and max(sizes) > 3 * min(sizes) else ""


def _text(name: str, url: str, found: Found) -> str:
    few = bool(found.classes) and found.images < FEW_LABELS
    strength = (
        "{zoom: 0.2, rotate: 20, shift: 0.1, flip: horizontal}"
        if few
        else "{zoom: 0.15, rotate: 10, shift: 0.1, flip: horizontal}"
    )
    return TEMPLATE.format(
        name=name,
        url=yaml_text(url),
        found=_found_comment(found),
        notes="".join(f"  # {_one_line(note)}\n" for note in found.notes),
        extra=_dataset_lines(found),
        split=_split(found),
        augmentation=strength,
        weights=_weights(found),
        epochs=20 if few else 10,
        patience=6 if few else 3,
    )


TEMPLATE = """\
# A study: what to train on which images, and what to compare. `tlbatch check` says what it would do, `tlbatch run` does it.
# Any field can be changed for once: tlbatch run THIS.yaml --set runs[finetuned].train.lr=3e-4
apiVersion: tlbatch/v1
kind: Study
name: {name}

dataset:
  # {found}
{notes}  url: {url}
{extra}  split: {split}
  # labels: {{csv: labels.csv, id: id, label: breed}}     # instead of a folder per class
  # classes: [cat, dog]                                 # only these, in this order

repeat: {{seeds: [0]}}            # three or more seeds let the report speak of methods, not only of these models
control: cheap                  # a pretrained run is held against the same head on random weights; full | cheap | none

augmentations:
  gentle: {augmentation}     # no flip where left and right mean something

runs:
  # Features of a pretrained network, extracted once, and a logistic regression: minutes on a laptop, and hard to beat.
  - name: features
    model: {{backbone: efficientnet_lite0, head: {{logistic: {{}}}}}}     # `tlbatch backbones` lists what there is
    strategy: features

  # The same network trained on, after an epoch for the new head alone; stages further from the head learn more slowly.
  - name: finetuned
    model: {{backbone: efficientnet_lite0, head: {{dropout: 0.2}}}}
    strategy: {{finetune: {{unfreeze: all, warm_up: 1, lr_decay: 0.5}}}}
    augmentation: gentle
    train:
      epochs: {epochs}
      batch_size: 32
      optimizer: adamw
      lr: 3e-4                    # or auto: a few values, judged on validation
      schedule: cosine
      early_stopping: {{patience: {patience}}}{weights}

# On a cluster, per task:
# resources: {{gpu: 1, cpu: 8, memory: 32Gi}}
# schedule: {{cron: "0 3 * * *", timezone: Etc/UTC, promote_on: accuracy}}     # again every night
"""
