"""Items small for the page: from the shards, as their kind shows them, and picture files that evaluate left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.data.index import IndexEntry, read_stored
from jobs.data.items import ItemView
from jobs.kinds import items_of
from tlbatch.store.artifacts import Artifact

SIDE = 132  #: pixels of a thumbnail's longer side


@dataclass(frozen=True)
class Picture:
    """``shown`` is the item itself; ``caption`` stands below; ``wrong`` marks a mistake; ``alt`` says what is shown."""

    shown: ItemView
    alt: str
    caption: str
    note: str = ""
    wrong: bool = False


def stored_item(artifact: Artifact, entry: IndexEntry, kind: str | None) -> ItemView:
    """An item of a prepared dataset of this kind (None: pictures)."""
    return items_of(kind).show(read_stored(artifact, entry), SIDE)


def artifact_picture(artifact: Artifact, name: str, side: int) -> ItemView | None:
    """A picture file of an artifact, at most ``side`` px wide or high; None where it is missing or empty."""
    from jobs.kinds.image.show import drawing_url, thumbnail_url

    content = artifact.read_bytes(name) if name in artifact else b""
    if not content:
        return None
    return ItemView(url=drawing_url(content) if name.endswith(".svg") else thumbnail_url(content, side))


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
