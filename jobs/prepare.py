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
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.listings import read_listing
from jobs.runtime import Context, step_main
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.errors import DataError
from tlbatch.kinds import kind_field, kind_of
from tlbatch.output import one_line
from tlbatch.roles import field_of

if TYPE_CHECKING:
    from jobs.data.index import IndexEntry
    from jobs.data.items import BadFile, CopyFinder, ItemKind, Likeness, ReadItem, SpooledItem
    from jobs.data.shards import Spool
    from tlbatch.contracts.data import PrepareParams

SHOWN_BAD = 5  # files named in the sentence that ends a step with too many bad ones


@dataclass
class Prepared:
    """What reading leaves in memory: a few hundred bytes a file. Items, and what they are compared by, are in scratch files."""

    kind: ItemKind
    spool: Spool
    finder: CopyFinder | None
    items: dict[str, SpooledItem] = field(default_factory=dict)
    files: list[tuple[str, ListedFile]] = field(default_factory=list)  #: (content id, file)
    bad: list[BadFile] = field(default_factory=list)
    bytes_read: int = 0

    def by_content(self) -> dict[str, list[ListedFile]]:
        """Content id to its files, sorted by path."""
        found: dict[str, list[ListedFile]] = defaultdict(list)
        for name, file in sorted(self.files, key=lambda item: (item[0], item[1].path)):
            found[name].append(file)
        return dict(found)


def params_of(context: Context) -> PrepareParams:
    from tlbatch.contracts.data import PrepareParams

    return context.read_params(PrepareParams)


def run(context: Context) -> None:
    """Read, find copies, pack, describe."""
    from jobs.data.groups import conflicting, duplicates_card, group_copies

    listing = load_listing(context)
    prepared = _read(context, listing)
    found, method = _near_copies(context, prepared)
    groups = group_copies(found)
    files = prepared.by_content()
    started = time.monotonic()
    entries = _pack(context, prepared, files, groups)
    paths = {name: [(file.path, file.label) for file in same] for name, same in files.items()}
    duplicates = duplicates_card(paths, found, groups, prepared.kind.changes)
    for task in [*listing.tasks][1:]:
        also = {name: [(file.path, file.tasks.get(task, "")) for file in same] for name, same in files.items()}
        more = [paths for paths in conflicting(also, groups) if paths not in duplicates["conflicting"]]
        duplicates["conflicting"] = sorted([*duplicates["conflicting"], *more])
    _describe(context, listing, prepared, entries, duplicates, method)
    context.made["packing_s"] = round(time.monotonic() - started, 2)
    context.made["peak_rss_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


# ---- reading ----


def load_listing(context: Context) -> Listing:
    """The listing that the driver put beside the task. Raises TransientError where it is not there as it was listed."""
    asked = params_of(context).dataset
    return read_listing(
        context.store,
        context.task.locations["listing"],
        Listing.from_json,
        lambda listing: asked in (None, listing.digest),
        "run the study again, which writes it anew",
    )


def _read(context: Context, listing: Listing) -> Prepared:
    from jobs.data.fetching import Source
    from jobs.data.items import BadFile
    from jobs.data.reading import read_files
    from jobs.data.shards import Spool
    from jobs.kinds import items_of

    params = params_of(context)
    entry, kind = kind_of(params.kind), items_of(params.kind)
    finder = kind.finder(context.scratch / "likeness.bin") if params.near_duplicates else None
    prepared = Prepared(kind, Spool(context.scratch / "spool"), finder)
    started, total = time.monotonic(), len(listing.files)
    source, compare = Source(context.task.locations["dataset"]), finder is not None

    def read(file: ListedFile, data: bytes) -> ReadItem:
        return kind.read(file, data, params.stored, compare=compare)

    kind.begin()
    with closing(read_files(listing.files, source, context.threads, read)) as results:
        for done, result in enumerate(results, 1):
            context.check_stop()
            if isinstance(result, BadFile):
                print(one_line(f"{result.file.path}: {result.reason}"))
                prepared.bad.append(result)
                _check_share(prepared.bad, total, params.max_bad, field_of(context.task.name))
            else:
                _keep(prepared, result)
            context.progress(done, total, entry.items, "reading")
    seconds = time.monotonic() - started
    if not prepared.files:
        raise DataError(f"{listing.url}: none of its {total} files is a usable {entry.item}: {_some(prepared.bad)}")
    context.made |= {
        "images": len(prepared.files),
        "images_per_s": round(total / max(seconds, 1e-9), 1),
        "reading_s": round(seconds, 2),
        "bytes": prepared.bytes_read,
        "bad": len(prepared.bad),
    }
    return prepared


def _keep(prepared: Prepared, item: ReadItem) -> None:
    """Spool an item the first time it comes; a file with equal content only points to it."""
    from jobs.data.items import SpooledItem

    prepared.files.append((item.id, item.file))
    prepared.bytes_read += item.file.size
    if item.id in prepared.items:
        return
    compared = None
    if item.likeness is not None and prepared.finder is not None:
        compared = prepared.finder.add(item.likeness)
    prepared.items[item.id] = SpooledItem(
        id=item.id,
        offset=prepared.spool.add(item.id, item.stored),
        size=len(item.stored),
        format=item.format,
        facts=item.facts,
        original=item.original,
        likeness=compared,
    )


def _check_share(bad: list[BadFile], total: int, most: float, field: str) -> None:
    """Stop as soon as more than the share ``most`` of all files is bad. Raises DataError. ``field``: where a study says it."""
    if len(bad) > most * total:
        raise DataError(
            f"{len(bad)} of {total} files cannot be used so far, and {field}.max_bad allows {most:.1%}: {_some(bad)}; "
            f"fix or remove them, or raise {field}.max_bad"
        )


def _some(bad: list[BadFile]) -> str:
    named = "; ".join(f"{each.file.path} ({each.reason})" for each in bad[:SHOWN_BAD])
    return named + (f"; and {len(bad) - SHOWN_BAD} more" if len(bad) > SHOWN_BAD else "")


# ---- copies ----


def _near_copies(context: Context, prepared: Prepared) -> tuple[list[Likeness], str]:
    """Pairs of near copies, and in words how they were looked for."""
    if prepared.finder is None:
        return [], f"{prepared.kind.equal}; near copies were not looked for."
    started, items = time.monotonic(), kind_of(params_of(context).kind).items

    def progress(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, items, "looking for copies")

    found = prepared.finder.find(prepared.items.values(), progress)
    context.made["duplicates_s"] = round(time.monotonic() - started, 2)
    return found


# ---- packing ----


def _pack(context: Context, prepared: Prepared, files: dict[str, list[ListedFile]], groups: dict[str, str]) -> list[IndexEntry]:
    from jobs.data.index import INDEX_FILE, IndexEntry, index_lines
    from jobs.data.shards import write_shards

    def described(name: str) -> dict[str, Any]:
        labels = sorted({file.label for file in files[name] if file.label})
        label = labels[0] if len(labels) == 1 else None
        same = {"id": name, "label": label, "labels": labels, "paths": [file.path for file in files[name]]}
        return same | ({"tasks": tasks} if (tasks := tasks_of(files[name])) else {})

    _write_overview(context, prepared, files)
    entries = []
    for name, shard, offset in write_shards(prepared.items, prepared.spool, described, context.out):
        context.check_stop()
        item = prepared.items[name]
        dup = groups.get(name) or (name if len(files[name]) > 1 else None)
        for file in files[name]:
            entries.append(
                IndexEntry(
                    id=name,
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
    _write_lines(context, INDEX_FILE, index_lines(entries))
    return entries


def tasks_of(files: Iterable[ListedFile]) -> dict[str, str | None]:
    """What files of one content say of several tasks; None where they disagree, nothing where none says anything."""
    said: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for task, label in file.tasks.items():
            said[task].add(label)
    return {task: next(iter(labels)) if len(labels) == 1 else None for task, labels in sorted(said.items())}


def _write_overview(context: Context, prepared: Prepared, files: dict[str, list[ListedFile]]) -> None:
    names: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for name, same in files.items():
        for label in sorted({file.label for file in same if file.label}):
            names[label].append(name)
        for file in same:
            counts[file.label] += 1 if file.label else 0
    read: Callable[[str], bytes] = lambda name: prepared.spool.read(prepared.items[name])  # noqa: E731
    overview = prepared.kind.overview(sorted(names), counts, names, read)
    if overview is not None:
        context.out(overview[0]).write_bytes(overview[1])


# ---- describing ----


def _describe(
    context: Context,
    listing: Listing,
    prepared: Prepared,
    entries: list[IndexEntry],
    duplicates: dict[str, Any],
    method: str,
) -> None:
    from jobs.data.card import data_card

    bad = sorted(prepared.bad, key=lambda each: each.file.path)
    lines = ({"path": each.file.path, "reason": each.reason} for each in bad)
    _write_lines(context, "bad.jsonl", (json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines))
    measures = prepared.kind.sizes(entries)
    card = data_card(listing, entries, prepared.items.values(), bad, duplicates, method, measures)
    context.write_json("card.json", card | kind_field(params_of(context).kind))
    prepared.spool.close()
    if prepared.finder is not None:
        prepared.finder.close()


def _write_lines(context: Context, name: str, lines: Iterable[str]) -> None:
    with context.out(name).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


if __name__ == "__main__":
    step_main("prepare", run)
