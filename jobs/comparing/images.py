"""What became of the images from one prepared dataset to another: added, removed, relabelled, moved, replaced. Pure.

A picture is known by its content (``id``: its decoded pixels), so a renamed file is no new picture; a file by its path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from jobs.data.index import IndexEntry

ADDED, REMOVED, RELABELLED, MOVED, REPLACED = "added", "removed", "relabelled", "moved", "replaced"
KINDS = (ADDED, REMOVED, RELABELLED, REPLACED, MOVED)


@dataclass(frozen=True)
class ImageChange:
    """One image: ``before`` is None where it was added, ``after`` where it was removed.

    relabelled: the same picture with another label, at the same path or another; moved: the same picture and label at
    another path; replaced: another picture at the same path.
    """

    kind: str
    before: IndexEntry | None
    after: IndexEntry | None

    @property
    def path(self) -> str:
        """Where it lies now, or lay last."""
        entry = self.after or self.before
        assert entry is not None
        return entry.path


def image_changes(before: Iterable[IndexEntry], after: Iterable[IndexEntry]) -> list[ImageChange]:
    """All changes, in the order of KINDS, then of paths. Images that are as they were are not among them."""
    olds, news = _by_id(before), _by_id(after)
    changes, gone, come = [], [], []
    for picture in {**olds, **news}:
        matched, old, new = _match(olds.get(picture, []), news.get(picture, []))
        changes += [change for pair in matched if (change := _changed(*pair))]
        gone += old
        come += new
    same_path, gone, come = _pair(gone, come, lambda entry: entry.path)
    changes += [ImageChange(REPLACED, *pair) for pair in same_path]
    changes += [ImageChange(REMOVED, entry, None) for entry in gone]
    changes += [ImageChange(ADDED, None, entry) for entry in come]
    return sorted(changes, key=lambda change: (KINDS.index(change.kind), change.path))


def _changed(before: IndexEntry, after: IndexEntry) -> ImageChange | None:
    if before.label != after.label:
        return ImageChange(RELABELLED, before, after)
    return ImageChange(MOVED, before, after) if before.path != after.path else None


Pairs = list[tuple[IndexEntry, IndexEntry]]


def _match(old: list[IndexEntry], new: list[IndexEntry]) -> tuple[Pairs, list[IndexEntry], list[IndexEntry]]:
    """Files of one picture: those at the same path belong together, then those of the same label, then any."""
    here, old, new = _pair(old, new, lambda entry: entry.path)
    alike, old, new = _pair(old, new, lambda entry: entry.label)
    rest, old, new = _pair(old, new, lambda entry: "")
    return [*here, *alike, *rest], old, new


def _pair(
    old: Sequence[IndexEntry], new: Sequence[IndexEntry], key: Callable[[IndexEntry], str]
) -> tuple[Pairs, list[IndexEntry], list[IndexEntry]]:
    """Pairs with equal keys, each entry in one at most, and what is left of both."""
    waiting: dict[str, list[IndexEntry]] = defaultdict(list)
    for entry in new:
        waiting[key(entry)].append(entry)
    pairs, left = [], []
    for entry in old:
        if waiting[key(entry)]:
            pairs.append((entry, waiting[key(entry)].pop(0)))
        else:
            left.append(entry)
    return pairs, left, [entry for entries in waiting.values() for entry in entries]


def _by_id(entries: Iterable[IndexEntry]) -> dict[str, list[IndexEntry]]:
    found: dict[str, list[IndexEntry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: (entry.id, entry.path)):
        found[entry.id].append(entry)
    return found
