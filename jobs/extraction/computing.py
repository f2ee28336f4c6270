"""Decoding and computing in bounded memory: a few batches are under way at any time, rows go to disk as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from jobs.data.index import read_all_stored
from jobs.extraction.extractor import one_thread_each
from jobs.extraction.requested_rows import Wanted, row_item
from jobs.kinds import feed_of
from tlbatch.store.artifacts import Artifact

AHEAD = 2  # batches a thread has waiting for it
A_CORE = 2
"""Threads that load and compute, a core. One hands each pass to the compiled network's own thread and waits for it, and the
system now and then wakes both on one core while another is idle: with one a core, two cores are idle a tenth of the time,
with two a fiftieth (MobileNetV2 in bfloat16: 560 images a second and 605)."""
WHILE_OPENING = 128 * 2**20  # bytes of items that are loaded while the first batch opens the network
FETCHED_AT_ONCE = 4  # shards, ahead of the items that lie in them

Item = TypeVar("Item")
Result = TypeVar("Result")
Rows = TypeVar("Rows", covariant=True)
Batch = Sequence[Wanted]


class Computing(Protocol, Generic[Rows]):
    """What makes rows of items: a network, or what rests on one. Called from several threads where it is on a CPU.

    ``batch``: items that it is best given at a time.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def batch(self) -> int: ...

    def __call__(self, items: Tensor) -> Rows: ...


class Kept:
    """Loaded items, of at most ``room`` bytes, for who asks for them once more. Safe to call from several threads."""

    def __init__(self, room: int = 0) -> None:
        self._items: dict[tuple[str, int, int | None], Tensor] = {}
        self._room, self._lock = room, Lock()

    def get(self, place: tuple[str, int, int | None]) -> Tensor | None:
        return self._items.get(place)

    def keep(self, place: tuple[str, int, int | None], item: Tensor) -> None:
        """Where there is room."""
        with self._lock:
            if place not in self._items and item.nbytes <= self._room:
                self._items[place] = item
                self._room -= item.nbytes


class StoredItems:
    """Stored items of the dataset, as their kind loads them by ``settings``, and their augmented views."""

    def __init__(
        self,
        dataset: Artifact,
        wanted: Sequence[Wanted],
        settings: Mapping[str, Any],
        augmentation: Mapping[str, Any] | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.wanted, self._dataset = wanted, dataset
        self._settings, self._augmentation = settings, augmentation
        self._kept = kept or Kept()
        self._feed = feed_of(settings)

    def only(self, wanted: Sequence[Wanted]) -> StoredItems:
        """Some of them; what is kept is shared."""
        return StoredItems(self._dataset, wanted, self._settings, self._augmentation, self._kept)

    def batches(self, size: int) -> Generator[Batch, None, None]:
        """In order, each once the shards that its items lie in are here and checked: those to come are fetched meanwhile."""
        shards, there = dict.fromkeys(row.entry.shard for row in self.wanted), set[str]()
        with (
            ThreadPoolExecutor(FETCHED_AT_ONCE) as pool,
            closing(in_order(pool, self._dataset.path, shards, FETCHED_AT_ONCE)) as fetched,
        ):
            for start in range(0, len(self.wanted), size):
                batch = self.wanted[start : start + size]
                while not {row.entry.shard for row in batch} <= there:
                    there.add(next(fetched)[0])
                yield batch

    def load(self, row: Wanted) -> Tensor:
        """Safe to call from several threads, as ``load_all`` is."""
        return self.load_all([row])[0]

    def load_all(self, rows: Sequence[Wanted]) -> list[Tensor]:
        """In order. Neighbours are read at once, and an item of which several views are asked for is decoded once."""
        found = {row.place: kept for row in rows if (kept := self._kept.get(row.place)) is not None}
        missing = [row for row in rows if row.place not in found]
        entries = {row.place[:2]: row.entry for row in missing}
        stored = read_all_stored(self._dataset, entries.values())
        items = {(entry.shard, entry.offset): self._feed.load(data, self._settings) for entry, data in stored}
        for row in missing:
            found[row.place] = row_item(row, items[row.place[:2]], self._settings, self._augmentation)
            self._kept.keep(row.place, found[row.place])
        return [found[row.place] for row in rows]


def compute_rows(network: Computing[Rows], items: StoredItems, threads: int) -> Generator[tuple[Batch, Rows], None, None]:
    """Batches and their rows [len(batch), …], in the order of ``items.wanted``, from ``threads`` threads."""
    with closing(items.batches(network.batch)) as batches:
        yield from compute_batches(network, batches, items.load_all, threads)


def compute_batches(
    network: Computing[Rows], batches: Iterable[Item], load: Callable[[Item], Sequence[Tensor]], threads: int
) -> Generator[tuple[Item, Rows], None, None]:
    """Batches and their rows, in order. On a CPU threads load and compute, each on its own; for a GPU they load alone.
    ``threads``: cores to use.

    The first batch of a CPU's opens the network, which takes a thread a second or more: the other cores load what comes next,
    up to ``WHILE_OPENING`` bytes, instead of waiting for it. More threads than that would take the core of who opens.
    """

    def loaded(batch: Item) -> Tensor:
        return stacked(load(batch), pinned=on_gpu)

    on_gpu, other_cores = network.device.type == "cuda", max(1, threads - 1)
    if not on_gpu and threads > 1:  # a single one computes its passes itself
        threads *= A_CORE
    with one_thread_each(), ThreadPoolExecutor(threads) as pool:
        if on_gpu:
            with closing(in_order(pool, loaded, batches, AHEAD * threads)) as fed:
                yield from ((batch, network(items)) for batch, items in fed)
        else:
            opened = Future[None]()
            with (
                closing(_loadable(pool, iter(batches), loaded, opened, other_cores)) as loadable,
                closing(in_order(pool, partial(_computed, network, opened), loadable, AHEAD * threads)) as results,
            ):
                yield from ((batch, rows) for (batch, _), rows in results)


def _computed(network: Computing[Rows], opened: Future[None], item: tuple[Any, Callable[[], Tensor]]) -> Rows:
    try:
        return network(item[1]())
    finally:
        with suppress(InvalidStateError):  # only the first tells
            opened.set_result(None)


def _loadable(
    pool: ThreadPoolExecutor, batches: Iterator[Item], load: Callable[[Item], Tensor], opened: Future[None], at_once: int
) -> Generator[tuple[Item, Callable[[], Tensor]], None, None]:
    """Batches, each with what gives its items. Whoever takes the second is kept until the first is computed, or room ends."""
    for first in islice(batches, 1):
        yield first, partial(load, first)
    ahead: deque[tuple[Item, Future[Tensor]]] = deque()
    room = WHILE_OPENING
    try:
        while room > 0 and not opened.done() and (batch := next(batches, None)) is not None:
            ahead.append((batch, pool.submit(load, batch)))
            if len(ahead) >= at_once:
                before = ahead[-at_once][1]
                either: list[Future[Any]] = [opened, before]
                wait(either, return_when=FIRST_COMPLETED)
                room -= before.result().nbytes if before.done() and before.exception() is None else 0
        while ahead:
            batch, future = ahead.popleft()
            yield batch, future.result
    finally:
        for _, future in ahead:
            future.cancel()
    for batch in batches:
        yield batch, partial(load, batch)


def stacked(items: Sequence[Tensor], *, pinned: bool = False) -> Tensor:
    """[n, …]: a batch of items of one shape and type."""
    batch = torch.empty((len(items), *items[0].shape), dtype=items[0].dtype, pin_memory=pinned)
    return torch.stack(list(items), out=batch)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[tuple[Item, Result], None, None]:
    """Items and what ``work`` makes of them, in order; at most ``ahead`` are under way or waiting to be taken.

    Whoever stops taking leaves none running for longer than the work under way.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
