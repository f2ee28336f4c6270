"""Small pictures for the page, as data URLs: thumbnails from the shards, and files that evaluate left."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

from jobs.data.index import IndexEntry, read_encoded
from tlbatch.store.artifacts import Artifact

SIDE = 132  #: pixels of a thumbnail's longer side
TINY = 64  #: pictures smaller than this are enlarged without smoothing, so that an 8x8 digit is seen as it is
QUALITY = 72


@dataclass(frozen=True)
class Picture:
    """``url`` is a data URL; ``caption`` stands below; ``wrong`` marks a mistake; ``alt`` says what is shown."""

    url: str
    alt: str
    caption: str
    note: str = ""
    wrong: bool = False


def thumbnail(encoded: bytes, side: int = SIDE) -> str:
    """An encoded picture as a small JPEG (or PNG, where it is tiny) data URL."""
    with Image.open(io.BytesIO(encoded)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    buffer = io.BytesIO()
    if max(image.size) < TINY:
        factor = max(1, side // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        image.quantize(64).save(buffer, "PNG", optimize=True)
        return data_url(buffer.getvalue(), "image/png")
    image.thumbnail((side, side))
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return data_url(buffer.getvalue(), "image/jpeg")


def stored_thumbnail(artifact: Artifact, entry: IndexEntry) -> str:
    return thumbnail(read_encoded(artifact, entry))


def artifact_picture(artifact: Artifact, name: str, side: int) -> str | None:
    """A picture file of an artifact, at most ``side`` px wide or high; None where it is missing or empty."""
    content = artifact.read_bytes(name) if name in artifact else b""
    return thumbnail(content, side) if content else None


def data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def spread(entries: Sequence[IndexEntry], classes: Sequence[str], most: int) -> list[IndexEntry]:
    """Up to ``most`` entries of as many classes as can be, in the classes' order. Ids are hashes: the first are random."""
    by_class = {name: [entry for entry in entries if entry.label == name] for name in classes}
    present = [name for name in classes if by_class[name]]
    if not present:
        return []
    step = max(1.0, len(present) / most)
    shown = [present[int(i * step)] for i in range(min(most, len(present)))]
    each = max(1, most // len(shown))
    return [entry for name in shown for entry in by_class[name][:each]]
