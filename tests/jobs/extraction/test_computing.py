"""Work under way is bounded, in order, and ends when nobody wants it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from jobs.data.index import IndexEntry
from jobs.extraction.computing import StoredItems, in_order
from jobs.extraction.requested_rows import Wanted
from tlbatch.store.artifacts import Artifact, FileEntry, Manifest, file_sha256
from tlbatch.store.directory import DirectoryStore


def test_results_come_in_order_and_few_are_under_way() -> None:
    taken: list[int] = []
    most = 0

    def items() -> Iterator[int]:
        nonlocal most
        for item in range(40):
            most = max(most, item - len(taken))
            yield item

    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    with ThreadPoolExecutor(3) as pool, closing(in_order(pool, work, items(), 6)) as results:
        for item, result in results:
            assert result == item * item
            taken.append(item)
    assert taken == list(range(40))
    assert most <= 6


def test_who_stops_taking_leaves_nothing_waiting() -> None:
    started: list[int] = []
    gate = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item:
            gate.wait(5)
        return item

    with ThreadPoolExecutor(1) as pool:
        with closing(in_order(pool, work, range(100), 10)) as results:
            next(results)
        gate.set()
    assert len(started) <= 2


def test_an_error_in_the_work_reaches_who_takes() -> None:
    def work(item: int) -> int:
        if item == 7:
            raise ValueError("seven")
        return item

    with (
        ThreadPoolExecutor(2) as pool,
        closing(in_order(pool, work, range(20), 4)) as results,
        pytest.raises(ValueError, match="seven"),
    ):
        list(results)


def entry(number: int, shard: str, size: int) -> IndexEntry:
    place = {"shard": shard, "offset": number * size, "size": size, "format": "jpg", "part": None, "group": None, "dup": None}
    sides = dict.fromkeys(("width", "height", "source_width", "source_height"), 8)
    return IndexEntry(id=f"{number:040x}", path=f"{number}.jpg", label="a", facts=sides, **place)


def test_a_shard_is_fetched_whole_only_where_much_of_it_is_wanted(tmp_path: Path) -> None:
    store, files = DirectoryStore(tmp_path / "store"), {}
    for name in ("shards/00.tar", "shards/01.tar"):
        store.put(f"data/{name}", bytes(range(100)))
        files[name] = FileEntry(f"data/{name}", 100, file_sha256(tmp_path / "store/data" / name))
    dataset = Artifact(store, Manifest("prepare", "k", files), tmp_path)
    few = [Wanted(entry(3, "shards/00.tar", 10))]
    many = [Wanted(entry(number, "shards/01.tar", 10)) for number in range(5)]
    stored = StoredItems(dataset, few + many, {})
    stored.expect(few + many)
    assert list(dataset._checked) == ["shards/01.tar"]
    assert [stored.read(row) for row in (few[0], many[4])] == [bytes(range(30, 40)), bytes(range(40, 50))]
