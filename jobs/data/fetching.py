"""The listed files' bytes, from a folder or from S3, several at a time, in the listing's order and in bounded memory."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jobs.data.items import BadItemError, UnreadableError
from tlbatch.datasets.foldertree import file_etag
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import DataError, StudyError
from tlbatch.store import NotFoundError, Store, open_store

IN_FLIGHT_BYTES = 64 * 2**20
Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_BYTES = 256 * 2**20
"""Larger files are refused unread."""


class Source:
    """A dataset's place. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store: Store | None = open_store(url) if url.startswith("s3://") else None
        self._root = Path(url.removeprefix("file://"))

    @property
    def is_remote(self) -> bool:
        return self._store is not None

    def read(self, file: ListedFile) -> bytes:
        """The file's bytes. Raises BadItemError where it cannot be read, DataError where it is not what was listed."""
        if file.problem:
            raise BadItemError(file.problem)
        if file.size > MOST_BYTES:
            raise BadItemError(f"a file of {file.size / 2**20:,.0f} MiB: more than {MOST_BYTES // 2**20} MiB are not read")
        return self._from_folder(file) if self._store is None else self._from_store(self._store, file)

    def _from_folder(self, file: ListedFile) -> bytes:
        try:
            with open(self._root / file.path, "rb", opener=_without_waiting) as opened:
                status = os.fstat(opened.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise self._changed(file)
                data = opened.read(file.size + 1)
        except FileNotFoundError:
            raise self._changed(file) from None
        except OSError as error:
            raise UnreadableError(f"cannot be read ({error.strerror})") from error
        if file_etag(status) != file.etag or len(data) != file.size:
            raise self._changed(file)
        return data

    def _from_store(self, store: Store, file: ListedFile) -> bytes:
        try:
            data, etag = store.get_with_etag(file.path)
        except NotFoundError:
            raise self._changed(file) from None
        except StudyError as error:  # of this object alone, or max_bad ends it
            raise UnreadableError(str(error)) from error
        if etag.strip('"') != file.etag.strip('"'):
            raise self._changed(file)
        return data

    def _changed(self, file: ListedFile) -> DataError:
        return DataError(f"{self.url}/{file.path} has changed since it was listed: the same command once more lists anew")


def _without_waiting(path: str, flags: int) -> int:
    """An opener that does not wait for the other end of a pipe that took a file's place."""
    return os.open(path, flags | os.O_NONBLOCK)


def in_threads(
    workers: int, function: Callable[[Item], Result], items: Iterable[Item], cost: Callable[[Item], int]
) -> Generator[Result, None, None]:
    """``map(function, items)`` on so many threads, in order; in flight is at most IN_FLIGHT_BYTES of cost, or one item."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        yield from ahead(pool, function, items, cost, IN_FLIGHT_BYTES)
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], cost: Callable[[Item], int], budget: int
) -> Iterator[Result]:
    """``map(function, items)``, computed ahead while what is in flight costs at most ``budget`` (or is one item)."""
    flying: deque[tuple[int, Future[Result]]] = deque()
    spent = 0
    try:
        for item in items:
            price = cost(item)
            while flying and spent + price > budget:
                paid, future = flying.popleft()
                spent -= paid
                yield future.result()
            flying.append((price, pool.submit(function, item)))
            spent += price
        while flying:
            yield flying.popleft()[1].result()
    finally:
        for _, future in flying:
            future.cancel()
