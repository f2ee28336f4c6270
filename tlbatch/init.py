"""The commented study that ``tlbatch init`` writes, fitted to a folder of images when one is named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tlbatch.errors import StudyError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
FEW_LABELS = 500  # below, one validation part is too small to choose by: folds
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}


@dataclass
class Found:
    """What a folder holds: images a class; ready-made parts (part -> folder), if that is how it is laid out."""

    counts: dict[str, int] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def images(self) -> int:
        return sum(self.counts.values())

    @property
    def classes(self) -> dict[str, int]:
        """Classes that have images."""
        return {name: count for name, count in sorted(self.counts.items()) if count}


def starter_study(folder: Path | None) -> str:
    """The text of a study that loads. ``folder`` becomes its dataset, as an absolute path.

    Only names are read, no image. Raises StudyError when the folder is not there or has no two class folders with images.
    """
    if folder is None:
        return _text("pets", "path/to/pets", Found(), None)
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
    return _text(study_name(absolute.name), str(absolute), found, absolute)


def study_name(text: str) -> str:
    """``text`` as a study's name: lower-case letters, digits and '-', at most 40."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "study"


def survey(folder: Path) -> Found:
    """Class folders and the images in them, also one level down in ready-made train/validation/test folders."""
    names = {child.name.lower(): child for child in _folders(folder)}
    parts = {part: names[alias] for part, aliases in PARTS.items() for alias in reversed(aliases) if alias in names}
    found = Found()
    if "train" in parts and "test" in parts:
        found.parts = {part: child.name for part, child in parts.items()}
        classes = [child for part in parts.values() for child in _folders(part)]
    else:
        classes = list(names.values())
    for child in classes:
        found.counts[child.name] = found.counts.get(child.name, 0) + sum(1 for _ in _images(child))
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _images(folder: Path) -> Iterator[str]:
    for _, _, files in os.walk(folder):  # follows no links, so a loop of links ends
        yield from (name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."))


def _split(found: Found) -> str:
    if found.parts:
        ready = ", ".join(f"{part}: {_quoted(name)}" for part, name in found.parts.items())
        return f"{{folders: {{{ready}}}}}            # ready-made"
    if found.counts and found.images < FEW_LABELS:
        folds = max(2, min(5, min(found.classes.values()) // 4))
        why = f"fewer than {FEW_LABELS} labels: {folds}-fold instead of one validation part"
        return f"{{test: 0.3, folds: {folds}, seed: 42}}     # {why}"
    return "{train: 0.7, validation: 0.15, test: 0.15, seed: 42}     # fractions, or counts; the same share of every class"


def _found_comment(found: Found) -> str:
    classes = found.classes
    if not classes:
        return "a folder per class, here or in S3 (s3://bucket/prefix); or see `labels` below"
    shown = ", ".join(f"{name} {count}" for name, count in list(classes.items())[:8])
    more = f", and {len(classes) - 8} more" if len(classes) > 8 else ""
    return _one_line(f"{found.images} images in {len(classes)} classes: {shown}{more}")


def _one_line(text: str) -> str:
    """For a comment: what would end the line, or is no printable text, is shown as '?'."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _empty_comment(found: Found) -> str:
    empty = [name for name, count in sorted(found.counts.items()) if not count]
    return f"  # without images, and so no class: {_one_line(', '.join(empty))}\n" if empty else ""


def _weights(found: Found) -> str:
    """A line for ``train`` when the largest class is more than three times the smallest."""
    sizes = list(found.classes.values())
    return "\n      class_weights: balanced    # the classes differ in size" if sizes and max(sizes) > 3 * min(sizes) else ""


def _quoted(text: str) -> str:
    """Text as a YAML scalar; `${` is kept from being read as a variable. JSON's strings are YAML's."""
    safe = text.replace("${", "$${")
    plain = re.fullmatch(r"[A-Za-z/][\w./-]*", safe, re.ASCII) is not None
    word = safe.lower() in {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
    return safe if plain and not word else json.dumps(safe, ensure_ascii=False)


def _text(name: str, url: str, found: Found, folder: Path | None) -> str:
    few = folder is not None and found.images < FEW_LABELS
    strength = (
        "{zoom: 0.2, rotate: 20, shift: 0.1, flip: horizontal}"
        if few
        else "{zoom: 0.15, rotate: 10, shift: 0.1, flip: horizontal}"
    )
    return TEMPLATE.format(
        name=name,
        url=_quoted(url),
        found=_found_comment(found),
        empty=_empty_comment(found),
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
{empty}  url: {url}
  split: {split}
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
