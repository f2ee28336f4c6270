"""Decoding and computing in bounded memory: a few batches are under way at any time, rows go to disk as they come."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.data.index import read_stored
from jobs.extraction.extractor import Extractor, one_thread_each
from jobs.extraction.requested_rows import Wanted, loaded_row
from tlbatch.store.artifacts import Artifact

AHEAD = 2  # batches a thread has waiting for it
WHOLE = 0.25  # of a shard's bytes wanted: then it is fetched in one piece

Item = TypeVar("Item")
Result = TypeVar("Result")
Batch = Sequence[Wanted]


class StoredItems:
    """Stored items of the dataset. A shard of which much is wanted is fetched whole, of others only what is wanted."""

    def __init__(self, dataset: Artifact, wanted: Iterable[Wanted]) -> None:
        self._dataset = dataset
        self._bytes: Counter[str] = Counter()
        for entry in {row.entry.id: row.entry for row in wanted}.values():
            self._bytes[entry.shard] += entry.size

    def expect(self, batch: Batch) -> None:
        """Fetch what is better fetched whole. To be called by one thread, before the items are read."""
        for shard in {row.entry.shard for row in batch}:
            if self._bytes.pop(shard, 0) >= WHOLE * self._dataset.manifest.files[shard].size:
                self._dataset.path(shard)

    def read(self, row: Wanted) -> bytes:
        return read_stored(self._dataset, row.entry)


def compute_rows(
    extractor: Extractor,
    dataset: Artifact,
    wanted: Sequence[Wanted],
    settings: Mapping[str, Any],
    augmentation: Mapping[str, Any] | None,
    threads: int,
) -> Generator[tuple[Batch, NDArray[np.float32]], None, None]:
    """Batches and their features [len(batch), d], in the order of ``wanted``, from ``threads`` threads."""
    stored, on_gpu = StoredItems(dataset, wanted), extractor.device.type == "cuda"

    def loaded(batch: Batch) -> Tensor:
        rows = [loaded_row(row, stored.read(row), settings, augmentation) for row in batch]
        return padded(rows, extractor.batch, pinned=on_gpu)

    def batches() -> Iterator[Batch]:
        for start in range(0, len(wanted), extractor.batch):
            batch = wanted[start : start + extractor.batch]
            stored.expect(batch)
            yield batch

    def computed(batch: Batch) -> NDArray[np.float32]:
        return extractor(loaded(batch))

    with one_thread_each(), ThreadPoolExecutor(threads) as pool:
        if on_gpu:
            with closing(in_order(pool, loaded, batches(), AHEAD * threads)) as decoded:
                yield from ((batch, extractor(fed)[: len(batch)]) for batch, fed in decoded)
        else:
            with closing(in_order(pool, computed, batches(), AHEAD * threads)) as results:
                yield from ((batch, features[: len(batch)]) for batch, features in results)


def padded(items: Sequence[Tensor], size: int, *, pinned: bool = False) -> Tensor:
    """[size, …]: a batch of items of one shape and type, then zeros, so that every forward pass has one shape."""
    batch = torch.zeros((size, *items[0].shape), dtype=items[0].dtype, pin_memory=pinned)
    for place, item in enumerate(items):
        batch[place] = item
    return batch


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
