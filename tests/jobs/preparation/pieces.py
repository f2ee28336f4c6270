"""Very many small JPEGs, cut from photographs, and copies of some: for sizes that no test data has."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

CELL, STEP = 80, 32
"""Pixels of a photograph that a piece shows, and from one to the next: neighbours have 60 % in common at most, which is not
enough for a copy (cut by up to 13 % a side)."""
SIDES = (48, 56, 64)  # pixels that pieces are stored at
Change = Callable[[Image.Image], Image.Image]


def scaled(image: Image.Image) -> Image.Image:
    return image.resize((round(image.width * 0.8), round(image.height * 0.8)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image) -> Image.Image:
    """5 % gone at the left and at the top."""
    return image.crop((round(image.width * 0.05), round(image.height * 0.05), image.width, image.height))


#: kind of a planted copy -> what is done to the picture, and the quality it is saved at
CHANGES: dict[str, tuple[Change, int]] = {
    "recompressed": (lambda image: image, 60),
    "scaled": (scaled, 90),
    "cropped": (cropped, 90),
    "mirrored": (ImageOps.mirror, 90),
}


def pieces_of(photograph: Path) -> Iterator[Image.Image]:
    """All pieces of it."""
    with Image.open(photograph) as opened:
        image = opened.convert("RGB")
    for top in range(0, image.height - CELL + 1, STEP):
        for left in range(0, image.width - CELL + 1, STEP):
            yield image.crop((left, top, left + CELL, top + CELL))


def write_pieces(photographs: Sequence[Path], folder: Path, count: int, copies: int) -> dict[str, tuple[str, str]]:
    """``count`` files ``<class>/<number>.jpg``, the last ``copies`` of them copies of others; copy -> (original, change).

    The class is that of the photograph's folder. Raises ValueError where the photographs have too few pieces. All of it
    follows from the photographs and the numbers.
    """
    originals = count - copies
    planted = set(random.Random(0).sample(range(originals), copies))
    truth: dict[str, tuple[str, str]] = {}
    written, changes = 0, list(CHANGES)
    for photograph in photographs:
        (folder / photograph.parent.name).mkdir(parents=True, exist_ok=True)
        for piece in pieces_of(photograph):
            if written == originals:
                return truth
            copied = written in planted
            side = SIDES[-1] if copied else SIDES[written % len(SIDES)]
            image = piece.resize((side, side), Image.Resampling.BICUBIC)
            name = f"{photograph.parent.name}/{written:07d}.jpg"
            image.save(folder / name, quality=90)
            written += 1
            if copied:
                kind = changes[len(truth) % len(changes)]
                change, quality = CHANGES[kind]
                copy = f"{photograph.parent.name}/{originals + len(truth):07d}.jpg"
                change(image).save(folder / copy, quality=quality)
                truth[copy] = (name, kind)
    if written < originals:
        raise ValueError(f"{len(photographs)} photographs have {written:,} pieces, and {originals:,} are asked for")
    return truth


def found_of(truth: dict[str, tuple[str, str]], card: dict[str, Any]) -> tuple[dict[str, list[int]], int]:
    """Of each change how many copies share a group with their original in a data card, and of how many; and how many groups
    hold pictures that nobody planted beside one another."""
    groups = [set(group["paths"]) for group in card["duplicates"]["near"]]
    place = {path: number for number, group in enumerate(groups) for path in group}
    found = {kind: [0, 0] for kind in CHANGES}
    for copy, (original, kind) in truth.items():
        found[kind][0] += place.get(copy, -1) == place.get(original, -2)
        found[kind][1] += 1
    origin = {copy: original for copy, (original, _) in truth.items()}
    return found, sum(len({origin.get(path, path) for path in group}) > 1 for group in groups)
