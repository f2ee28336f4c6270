"""Reading ahead: in order, within a budget; and what a file that changed or cannot be read leads to."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.data.fetching import Source, ahead
from jobs.kinds.image.decode import BadItemError
from tlbatch.datasets.foldertree import file_etag
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import DataError
from tlbatch.store import Store


def test_results_come_in_order_and_flights_stay_within_the_budget():
    flying, seen, lock = 0, set(), threading.Lock()

    def work(item: int) -> int:
        nonlocal flying
        with lock:
            flying += item
            seen.add(flying)
        time.sleep(0.002 * (item % 3))
        with lock:
            flying -= item
        return item

    items = [1, 5, 2, 9, 20, 1, 1, 3] * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(ahead(pool, work, items, lambda item: item, 10)) == items
    assert {spent for spent in seen if spent > 10} == {20}  # the one that is larger than the budget flies alone
    assert max(seen - {20}) > 5  # others fly together


def test_whoever_stops_early_leaves_nothing_waiting():
    started: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, lambda item: (started.append(item), time.sleep(0.01))[0], range(100), lambda item: 1, 50)
        next(results)
        results.close()
    assert len(started) < 10


def listed(root: Path, name: str) -> ListedFile:
    status = (root / name).stat()
    return ListedFile(name, status.st_size, file_etag(status), "cat")


def test_a_file_that_changed_since_it_was_listed_stops_the_step(tmp_path):
    source = Source(str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"one")
    file = listed(tmp_path, "a.jpg")
    assert source.read(file) == b"one"
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    with pytest.raises(DataError, match="has changed since"):
        source.read(file)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match="has changed since"):
        source.read(file)


def test_what_cannot_be_read_is_a_bad_file(tmp_path):
    source = Source(str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"one")
    file = listed(tmp_path, "a.jpg")
    with pytest.raises(BadItemError, match="a loop"):
        source.read(replace(file, problem="a loop"))
    with pytest.raises(BadItemError, match="a file of 1,024 MiB"):
        source.read(replace(file, size=2**30))
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadItemError, match="cannot be read"):
        source.read(replace(file, path="folder"))


@pytest.mark.s3
def test_the_same_in_s3(s3_store: Store) -> None:
    s3_store.put("a.jpg", b"one")
    stat = next(iter(s3_store.list("a.jpg")))
    source, file = Source(s3_store.url), ListedFile("a.jpg", stat.size, stat.etag, "cat")
    assert source.read(file) == b"one"
    s3_store.put("a.jpg", b"two")
    with pytest.raises(DataError, match="has changed since"):
        source.read(file)
    s3_store.delete(["a.jpg"])
    with pytest.raises(DataError, match="has changed since"):
        source.read(file)
