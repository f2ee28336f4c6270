"""Rows of what a network puts out for items, each computed once: what ``extract`` and ``probe`` share.

Whatever was added, stopped or sharded: rows are looked up in earlier artifacts of the same extractor, in this task's earlier
attempts and in its other shards; only the rest is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobs.context import Context
from tlbatch import nouns
from tlbatch.errors import DeadlineError, Stopped
from tlbatch.store.artifacts import load_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.data.row_store import Spool
    from jobs.extraction.cached_rows import Known, Older, Parts
    from jobs.extraction.computing import Computing, StoredItems
    from jobs.extraction.extractor import RowNetwork
    from jobs.extraction.requested_rows import Wanted

SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class Extraction:
    """What is asked for.

    ``known``: of ``features.json`` what is said before there is a network: all that rows of equal items depend on, and more.
    ``open``: the network, opened once, with the first items to be computed or to say how wide a row is; ``describe``: what it
    adds to ``features.json`` (``dim`` among it), by the names of ``described``.
    """

    wanted: Sequence[Wanted]
    known: Mapping[str, Any]
    input: Mapping[str, Any]
    precision: str
    augmentation: Mapping[str, Any] | None
    open: Callable[[], RowNetwork]
    describe: Callable[[Any], dict[str, Any]]
    described: tuple[str, ...]

    @cached_property
    def network(self) -> RowNetwork:
        return self.open()


def extract_rows(context: Context, asked: Extraction) -> None:
    """The artifact's rows and ``features.json``; as one of several shards, its own rows, and the rest if all are there."""
    from jobs.extraction.cached_rows import Known, Older, Parts

    known, description = Known(), dict(asked.known)
    older, parts = Older(context, description), Parts(context)
    older.add_to(known, {row.entry.id: row.note for row in asked.wanted})
    fresh = [row for row in asked.wanted if row.name not in known]
    count = len(asked.wanted)
    print(f"{count - len(fresh)} of {count} rows of features are known from earlier extractions", flush=True)
    if fresh or older.description is None:
        description |= compute(context, asked, fresh, known, parts)
    else:
        description |= {name: older.description[name] for name in asked.described}
    if any(row.name not in known for row in asked.wanted):
        print("other shards are not done yet: whoever finishes last puts the features together", flush=True)
        context.defer_commit()
        return
    context.made["forward_passes"] = len(fresh)
    try:
        put_together(context, asked.wanted, known, older, description)
    except FileNotFoundError:  # who commits deletes the parts
        if load_manifest(context.store, context.task.step, context.task.key) is None:
            raise
        context.defer_commit()


def compute(context: Context, asked: Extraction, fresh: list[Wanted], known: Known, parts: Parts) -> dict[str, Any]:
    """Make known what this shard has to compute and what other attempts and shards have; returns what the network adds."""
    from jobs.training.computing import choose_device

    device = choose_device(context.threads)
    context.made["device"] = device_name(device)
    index, count = context.shard or (0, 1)
    share = [row for row in fresh if row.shard(count) == index]
    parts.add_own(known, lambda: asked.network.dim, [row.name for row in share])
    own = [row for row in share if row.name not in known]
    if own:
        compute_own(context, asked, own, device, known, parts)
    if count > 1:
        parts.add_rest(known, lambda: asked.network.dim, sum(row.name not in known for row in fresh))
    return asked.describe(asked.network)


def compute_own(context: Context, asked: Extraction, own: list[Wanted], device: Any, known: Known, parts: Parts) -> None:
    """Compute rows and make them known; what ran them and how fast once the network was built, too."""
    from jobs.data.row_store import Spool
    from jobs.extraction.computing import StoredItems
    from jobs.extraction.extractor import Extractor

    built = time.monotonic()

    def build() -> RowNetwork:
        nonlocal built
        network, built = asked.network, time.monotonic()
        return network

    extractor = Extractor(build, asked.input, asked.precision, device, context.threads)
    spool = Spool(context.scratch / "rows.float32")
    items = StoredItems(context.input("dataset"), own, asked.input, asked.augmentation)
    compute_saved(context, extractor, items, spool, parts)
    context.made["engine"] = extractor.engine
    context.made["images_per_s"] = round(len(own) / (time.monotonic() - built), 2)
    known.add(spool)


def compute_saved(
    context: Context, network: Computing[NDArray[Any]], items: StoredItems, spool: Spool, parts: Parts, note: str = ""
) -> None:
    """Rows of all items, flat, into ``spool``; to the store twice a minute, when asked to stop and, of a shard, at the end."""
    from jobs.extraction.computing import compute_rows

    saved = time.monotonic()
    with closing(compute_rows(network, items, context.threads)) as batches:
        try:
            for batch, rows in batches:
                spool.extend([row.name for row in batch], rows.reshape(len(batch), -1))
                if time.monotonic() - saved > SAVE_EVERY_S:
                    parts.save(spool)
                    saved = time.monotonic()
                context.progress(len(spool.names), len(items.wanted), nouns.items(), note)
                context.check_stop()
        except (Stopped, DeadlineError):
            parts.save(spool)
            raise
    if context.shard:
        parts.save(spool)


def put_together(
    context: Context, wanted: Sequence[Wanted], known: Known, older: Older, description: Mapping[str, Any]
) -> None:
    """The artifact's files: an earlier one where it holds just the same rows, else a new one."""
    from jobs.data.features import DESCRIPTION, FEATURES, VIEWS, groups
    from jobs.data.row_store import row_name, write_rows

    dim, count = description["dim"], description["views"]
    viewed = [row.entry.id for row in wanted if row.view == 0]
    note = {row.entry.id: row.note for row in wanted}
    for kind, ids, numbers in (
        (FEATURES, [row.entry.id for row in wanted if row.view is None], [None]),
        (VIEWS, viewed, list(range(count))),
    ):
        for name, group in groups(kind, ids).items():
            shape = (len(group), dim) if kind == FEATURES else (len(group), count, dim)
            notes = [note[image_id] for image_id in group]
            entry = older.same(name, shape, group, notes)
            if entry is not None:
                context.reuse(name, entry)
                continue
            rows = known.read(row_name(image_id, number) for image_id in group for number in numbers)
            write_rows(context.out(name), kind, shape, group, rows, notes)
    context.write_json(DESCRIPTION, dict(description))


def device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
