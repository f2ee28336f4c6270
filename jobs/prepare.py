"""prepare: check every file of a dataset and pack the usable ones, with a card that says what is in it.

What follows is of images; another kind of data has its own formats, facts of an entry and measures (jobs.data.items).

Parameters are ``tlbatch.contracts.data.PrepareParams``; the listing lies where ``locations.listing`` says.

Files
-----
``index.jsonl``        an entry a usable file (jobs.data.index), sorted by content id and path
``shards/<hex>.tar``   WebDataset: ``<id>.jpg|png`` and ``<id>.json`` {id, label (null where files disagree), labels, paths},
                       of several tasks tasks: {task: its label} (null where files disagree; absent where not known).
                       Named by the first hex digit of the content id; by the first two beyond 2,000 pictures
``bad.jsonl``          {path, reason} a line, sorted by path
``card.json``          {classes, counts: {class: n}, empty_classes, bad: n, unlabelled: n (files that nothing gives a label),
                       duplicates: {exact: [[paths]], near: [{paths, kind, score, pairs: [{paths, kind, score}]}],
                       conflicting: [[paths]] (one picture, several labels)}, method,
                       tasks: {task: {class: n}} where there are several,
                       sizes: {files, images, pictures, bytes, width, height: {min, median, max}, formats, reencoded}};
                       kind is recompressed, scaled, cropped, mirrored or rotated
``grid.jpg``           some images of each class

An image is stored as it is where it decodes cleanly as JPEG or PNG, needs no turning and has a shorter side of at most
``stored_size`` pixels; else at that size, aspect kept, as RGB JPEG of quality 95 (small pictures of lossless files as PNG).
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jobs.listings import read_listing
from jobs.runtime import Context, step_main
from tlbatch.datasets.listing import Listing
from tlbatch.errors import DataError
from tlbatch.kinds import kind_field, kind_of
from tlbatch.packed import Packed, Packing

if TYPE_CHECKING:
    from jobs.data.index import IndexEntry
    from jobs.data.items import ItemKind, Likeness, SpooledItem
    from jobs.preparation.prepared import Contents, Prepared, UsedFile
    from jobs.preparation.reading import Reader
    from tlbatch.contracts.data import PrepareParams


def params_of(context: Context) -> PrepareParams:
    from tlbatch.contracts.data import PrepareParams

    return context.read_params(PrepareParams)


def run(context: Context) -> None:
    """Read, find copies, pack, describe; as one of several shards read its own files, and the rest if all are read."""
    from jobs.preparation.saved import CommittedError

    listing = load_listing(context)
    reader = _reader(context, listing)
    try:
        if context.shard and not _has_the_last_word(context, reader):
            context.defer_commit()
            return
        prepared = _gather(context, listing, reader)
    except CommittedError:
        context.defer_commit()
        return
    _put_together(context, listing, prepared)


def _put_together(context: Context, listing: Listing, prepared: Prepared) -> None:
    from jobs.data.groups import group_copies

    contents = prepared.contents()
    found, method = _near_copies(context, prepared, contents)
    groups = group_copies(found)
    started = time.monotonic()
    entries = _pack(context, prepared, contents, groups)
    duplicates = _duplicates(listing, contents, found, groups, prepared.kind)
    _describe(context, listing, prepared, contents, entries, duplicates, method)
    context.made["packing_s"] = round(time.monotonic() - started, 2)


# ---- reading ----


def load_listing(context: Context) -> Listing:
    """The listing that the driver put beside the task. Raises TransientError where it is not there as it was listed."""
    asked = params_of(context).dataset
    return read_listing(
        context,
        context.task.locations["listing"],
        Listing.load,
        lambda listing: asked in (None, listing.digest),
        "run the study again, which writes it anew",
    )


def _reader(context: Context, listing: Listing) -> Reader:
    from jobs.kinds import items_of
    from jobs.preparation.reading import Reader

    params = params_of(context)
    kind = items_of(params.kind)
    finder = kind.finder(context.scratch / "likeness.bin") if params.near_duplicates else None
    return Reader(context, listing, kind, params, finder)


def _has_the_last_word(context: Context, reader: Reader) -> bool:
    """Read this shard's files; whether it is the one that puts together what all shards have read."""
    from jobs.preparation.merging import own_files, puts_together
    from jobs.preparation.reading import all_saved, read_own

    assert context.shard is not None
    read_own(reader, *own_files(reader.files, *context.shard))
    if not all_saved(reader):
        print("other shards are not done yet: whoever finishes last puts the dataset together", flush=True)
        return False
    if not puts_together(context):
        print("another shard puts the dataset together", flush=True)
        return False
    return True


def _gather(context: Context, listing: Listing, reader: Reader) -> Prepared:
    """All files, as they are and as others have saved them. Raises CommittedError where the task is complete."""
    from jobs.data.shards import Spool
    from jobs.preparation.prepared import Prepared
    from jobs.preparation.reading import gather, some

    prepared = Prepared(reader.kind, Spool(context.scratch / "spool"), reader.finder)
    gather(reader, prepared)
    total = len(listing.files)
    if not prepared.used:
        item = kind_of(params_of(context).kind).item
        raise DataError(f"{listing.url}: none of its {total} files is a usable {item}: {some(prepared.bad)}")
    if (known := total - reader.read) > 0:
        print(f"{known} of {total} files were read by other attempts or shards", flush=True)
    context.made |= {
        "images": prepared.used,
        "images_per_s": round(reader.read / max(reader.seconds, 1e-9), 1),
        "reading_s": round(reader.seconds, 2),
        "read": reader.read,
        "bytes": prepared.bytes_read,
        "bad": len(prepared.bad),
    }
    return prepared


# ---- copies ----


def _near_copies(context: Context, prepared: Prepared, contents: Contents) -> tuple[list[Likeness], str]:
    """Pairs of near copies, and in words how they were looked for."""
    if prepared.finder is None:
        return [], f"{prepared.kind.equal}; near copies were not looked for."
    started, items = time.monotonic(), kind_of(params_of(context).kind).items

    def progress(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, items, "looking for copies")

    found = prepared.finder.find(contents.items, progress)
    context.made["duplicates_s"] = round(time.monotonic() - started, 2)
    return found


def _duplicates(
    listing: Listing, contents: Contents, found: list[Likeness], groups: dict[str, str], kind: ItemKind
) -> dict[str, Any]:
    """The card's ``duplicates``."""
    from jobs.data.groups import conflicting, duplicates_card

    copies = {item.id: files for item, files in contents if len(files) > 1 or item.id in groups}
    paths = {name: [(file.path, file.label) for file in same] for name, same in copies.items()}
    duplicates = duplicates_card(paths, found, groups, kind.changes)
    for task in [*listing.tasks][1:]:
        also = {name: [(file.path, file.tasks.get(task, "")) for file in same] for name, same in copies.items()}
        more = [paths for paths in conflicting(also, groups) if paths not in duplicates["conflicting"]]
        duplicates["conflicting"] = sorted([*duplicates["conflicting"], *more])
    return duplicates


# ---- packing ----


def _pack(context: Context, prepared: Prepared, contents: Contents, groups: dict[str, str]) -> Packed[IndexEntry]:
    from jobs.data.index import INDEX_FILE, IndexEntry, index_lines
    from jobs.data.shards import shard_digits, write_shards

    _write_overview(context, prepared, contents)
    written = write_shards(contents, shard_digits(len(contents.items)), prepared.spool, _described, context.out)
    packing = Packing(IndexEntry)
    for item, files, shard, offset in written:
        context.check_stop()
        dup = groups.get(item.id) or (item.id if len(files) > 1 else None)
        for file in files:
            packing.append(
                IndexEntry(
                    id=item.id,
                    path=file.path,
                    label=file.label,
                    part=file.part,
                    group=file.group,
                    dup=dup,
                    shard=shard,
                    offset=offset,
                    size=item.size,
                    format=item.format,
                    facts=item.facts,
                    tasks=file.tasks,
                )
            )
    entries = packing.packed()
    _write_lines(context, INDEX_FILE, index_lines(entries))
    return entries


def _described(item: SpooledItem, files: list[UsedFile]) -> dict[str, Any]:
    """What stands beside an item in its shard."""
    labels = sorted({file.label for file in files if file.label})
    label = labels[0] if len(labels) == 1 else None
    same = {"id": item.id, "label": label, "labels": labels, "paths": [file.path for file in files]}
    return same | ({"tasks": tasks} if (tasks := tasks_of(files)) else {})


def tasks_of(files: Iterable[UsedFile]) -> dict[str, str | None]:
    """What files of one content say of several tasks; None where they disagree, nothing where none says anything."""
    said: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for task, label in file.tasks.items():
            said[task].add(label)
    return {task: next(iter(labels)) if len(labels) == 1 else None for task, labels in sorted(said.items())}


def _write_overview(context: Context, prepared: Prepared, contents: Contents) -> None:
    from jobs.data.items import SHOWN

    names: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    shown: dict[str, SpooledItem] = {}
    for item, files in contents:
        for label in sorted({file.label for file in files if file.label}):
            if len(names[label]) < SHOWN:
                names[label].append(item.id)
                shown[item.id] = item
        for file in files:
            counts[file.label] += 1 if file.label else 0
    overview = prepared.kind.overview(sorted(names), counts, names, lambda name: prepared.spool.read(shown[name]))
    if overview is not None:
        context.out(overview[0]).write_bytes(overview[1])


# ---- describing ----


def _describe(
    context: Context,
    listing: Listing,
    prepared: Prepared,
    contents: Contents,
    entries: Packed[IndexEntry],
    duplicates: dict[str, Any],
    method: str,
) -> None:
    from jobs.data.card import data_card

    bad = sorted(prepared.bad, key=lambda each: each.file.path)
    lines = ({"path": each.file.path, "reason": each.reason} for each in bad)
    _write_lines(context, "bad.jsonl", (json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines))
    measures = prepared.kind.sizes(entries)
    card = data_card(listing, entries, contents.items, bad, duplicates, method, measures)
    context.write_json("card.json", card | kind_field(params_of(context).kind))
    prepared.spool.close()
    if prepared.finder is not None:
        prepared.finder.close()


def _write_lines(context: Context, name: str, lines: Iterable[str]) -> None:
    with context.out(name).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


if __name__ == "__main__":
    step_main("prepare", run)
