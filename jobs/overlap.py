"""overlap: which items of a source are (near copies of) items of the target, so that none trains on what the target judges by.

Parameters are ``tlbatch.contracts.data.OverlapParams``; inputs ``dataset`` and one ``source:<name>``, both prepared. What is
compared are stored items, as ``prepare`` compares those of one dataset.

Files
-----
``overlap.json``  {groups: [{target: [id], source: [id]}], pairs: [{target, source, kind, score}], method}: content ids of the
                  items of each dataset that are one group, sorted; of the pairs that hold groups together, those between the
                  two datasets
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from jobs.runtime import Context, step_main
from tlbatch import nouns
from tlbatch.roles import DATASET, SOURCE, TARGET

if TYPE_CHECKING:
    from jobs.data.index import IndexEntry
    from jobs.data.items import CopyFinder, ItemKind, SpooledItem
    from tlbatch.contracts.data import OverlapParams
    from tlbatch.store.artifacts import Artifact


def params_of(context: Context) -> OverlapParams:
    from tlbatch.contracts.data import OverlapParams

    return context.read_params(OverlapParams)


def run(context: Context) -> None:
    from jobs.data.overlaps import OVERLAP_FILE, overlap_document
    from jobs.kinds import items_of
    from tlbatch.plugins import check_used

    params = params_of(context)
    check_used(params.plugins)
    kind = items_of(params.kind)
    finder = kind.finder(context.scratch / "likeness.bin")
    if finder is None:
        context.write_json(OVERLAP_FILE, overlap_document([], {}, f"{kind.equal}; near copies were not looked for."))
        return
    kind.begin()
    started = time.monotonic()
    with closing(finder):
        ids, items = _compared(context, kind, finder)

        def progress(done: int, total: int) -> None:
            context.check_stop()
            context.progress(done, total, nouns.items(), "looking for copies")

        found, method = finder.find(items, progress)
    document = overlap_document(found, ids, method)
    context.made |= {"images": len(items), "duplicates_s": round(time.monotonic() - started, 2)}
    context.write_json(OVERLAP_FILE, document)
    shared = sum(len(group[SOURCE]) for group in document["groups"])
    print(f"{shared} {nouns.items()} of {_source(context)} are near copies of the target's", flush=True)


def _source(context: Context) -> str:
    (role,) = context.roles("source:")
    return role


def _compared(context: Context, kind: ItemKind, finder: CopyFinder) -> tuple[dict[str, set[str]], list[SpooledItem]]:
    """Which content ids each dataset has, by role; and every distinct item, those of both once, in the finder."""
    from jobs.data.index import load_index
    from jobs.data.items import SpooledItem

    ids: dict[str, set[str]] = {}
    distinct: dict[str, tuple[Artifact, IndexEntry]] = {}
    for name, role in ((TARGET, DATASET), (SOURCE, _source(context))):
        artifact = context.input(role)
        entries = load_index(artifact)
        ids[name] = {entry.id for entry in entries}
        distinct |= {entry.id: (artifact, entry) for entry in entries if entry.id not in distinct}
    items = []
    for done, (entry, likeness) in enumerate(_likenesses(context, kind, list(distinct.values())), 1):
        number = None if likeness is None else finder.add(likeness)
        items.append(SpooledItem(entry.id, entry.offset, entry.size, entry.format, entry.facts, True, number))
        context.check_stop()
        context.progress(done, len(distinct), nouns.items(), "reading")
    return ids, items


def _likenesses(
    context: Context, kind: ItemKind, wanted: list[tuple[Artifact, IndexEntry]]
) -> Iterator[tuple[IndexEntry, bytes | None]]:
    """What each stored item is compared by, in order, read and decoded in parallel; None where it is not compared."""
    from jobs.data.fetching import in_threads
    from jobs.data.index import read_stored
    from tlbatch.datasets.listing import ListedFile

    settings: dict[str, Any] = params_of(context).stored

    def read(one: tuple[Artifact, IndexEntry]) -> tuple[IndexEntry, bytes | None]:
        artifact, entry = one
        data = read_stored(artifact, entry)
        file = ListedFile(entry.path, len(data), "", entry.label)
        return entry, kind.read(file, data, settings, compare=True).likeness

    yield from in_threads(context.threads, read, wanted, lambda one: one[1].size)


if __name__ == "__main__":
    step_main("overlap", run)
