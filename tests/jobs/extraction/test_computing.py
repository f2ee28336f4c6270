"""Work under way is bounded, in order, and ends when nobody wants it any more."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from jobs.data import index
from jobs.data.index import IndexEntry, read_all_stored, read_stored
from jobs.extraction import computing, requested_rows
from jobs.extraction.computing import StoredItems, compute_batches, in_order
from jobs.extraction.extractor import Extractor, TorchNetwork
from jobs.extraction.requested_rows import Wanted
from jobs.kinds.image.feed import ImageFeed
from tlbatch.backbones.preprocessing import SCRATCH_INPUT
from tlbatch.errors import CorruptArtifactError
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


class Opening:
    """A network whose first call ends when ``until`` says so; its rows are the items. ``held``: batches loaded until then."""

    device, batch = torch.device("cpu"), 2

    def __init__(self, until: Callable[[list[int]], bool], wait_s: float) -> None:
        self.loaded: list[int] = []
        self.held = 0
        self._until, self._wait_s, self._opening = until, wait_s, threading.Lock()

    def load(self, number: int) -> list[Tensor]:
        if number == 60:
            raise ValueError("the sixtieth")
        self.loaded.append(number)
        return [torch.full((3,), float(number))] * self.batch

    def __call__(self, items: Tensor) -> Tensor:
        with self._opening:
            if not self.held:
                end = time.monotonic() + self._wait_s
                while not self._until(self.loaded) and time.monotonic() < end:
                    time.sleep(0.005)
                self.held = len(self.loaded)
        return items


def numbers(network: Opening, count: int, threads: int) -> list[int]:
    found = []
    with closing(compute_batches(network, iter(range(count)), network.load, threads)) as results:
        for number, rows in results:
            assert rows.shape == (2, 3)
            assert (rows == number).all()
            found.append(number)
    return found


@pytest.mark.parametrize("threads", [2, 3])
def test_while_one_thread_opens_the_network_the_others_load(threads: int) -> None:
    network = Opening(lambda loaded: len(loaded) >= 50, wait_s=20)
    assert numbers(network, 55, threads) == list(range(55))
    assert network.held >= 50
    assert sorted(network.loaded) == list(range(55))


@pytest.mark.parametrize("cores", [2, 4])
def test_who_opens_the_network_has_a_core_to_itself(cores: int) -> None:
    network, loading, most, lock = Opening(lambda loaded: len(loaded) >= 40, wait_s=20), 0, 0, threading.Lock()

    def load(number: int) -> list[Tensor]:
        nonlocal loading, most
        with lock:
            loading += number > 0  # the first is loaded by who opens
            most = max(most, loading if not network.held else 0)
        time.sleep(0.005)
        with lock:
            loading -= number > 0
        return network.load(number)

    with closing(compute_batches(network, iter(range(50)), load, cores)) as results:
        assert [number for number, _ in results] == list(range(50))
    assert most == cores - 1


def test_what_is_loaded_meanwhile_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "WHILE_OPENING", 10 * 2 * 3 * 4)
    network = Opening(lambda loaded: len(loaded) >= 50, wait_s=1)
    assert numbers(network, 55, 2) == list(range(55))
    assert 10 <= network.held <= 10 + 2 + computing.AHEAD * 2


def test_one_thread_opens_and_computes_alone() -> None:
    network = Opening(lambda loaded: False, wait_s=0.05)
    assert numbers(network, 5, 1) == list(range(5))
    assert network.held == 1
    assert numbers(network, 0, 1) == []


def test_a_network_that_cannot_be_built_is_tried_once() -> None:
    built: list[int] = []

    def build() -> None:
        built.append(1)
        time.sleep(0.2)
        raise ValueError("no such layer")

    extractor = Extractor(build, {**SCRATCH_INPUT, "size": 8}, "fp32", torch.device("cpu"), 2)

    def load(_number: int) -> list[Tensor]:
        return [torch.zeros((3, 8, 8), dtype=torch.uint8)]

    with closing(compute_batches(extractor, iter(range(50)), load, 2)) as results, pytest.raises(ValueError, match="no such"):
        next(results)
    assert built == [1]


def test_an_item_that_cannot_be_loaded_meanwhile_is_told_in_its_place() -> None:
    network = Opening(lambda loaded: len(loaded) >= 60, wait_s=20)
    with closing(compute_batches(network, iter(range(80)), network.load, 2)) as results:
        assert [number for number, _ in islice(results, 60)] == list(range(60))
        with pytest.raises(ValueError, match="the sixtieth"):
            next(results)


def test_who_stops_taking_leaves_nothing_to_load() -> None:
    network = Opening(lambda loaded: len(loaded) >= 30, wait_s=20)
    with closing(compute_batches(network, iter(range(10_000)), network.load, 2)) as results:
        next(results)
        loaded = len(network.loaded)
    assert network.held <= loaded < 1000  # loading ahead ends when the network is there
    assert len(network.loaded) <= loaded + computing.AHEAD * 2 + 2


def entry(number: int, shard: str, size: int) -> IndexEntry:
    place = {"shard": shard, "offset": number * size, "size": size, "format": "jpg", "part": None, "group": None, "dup": None}
    sides = dict.fromkeys(("width", "height", "source_width", "source_height"), 8)
    return IndexEntry(id=f"{number:040x}", path=f"{number}.jpg", label="a", facts=sides, **place)


def sharded(folder: Path, count: int) -> tuple[Artifact, list[Wanted]]:
    """Shards of ten items of ten bytes, and all items."""
    store, files = DirectoryStore(folder / "store"), {}
    for number in range(count):
        name = f"shards/{number:02}.tar"
        store.put(f"data/{name}", bytes(range(number, number + 100)))
        files[name] = FileEntry(f"data/{name}", 100, file_sha256(folder / "store/data" / name))
    wanted = [Wanted(entry(place, name, 10)) for name in files for place in range(10)]
    return Artifact(store, Manifest("prepare", "k", files), folder), wanted


def pictures_stored(folder: Path, count: int) -> tuple[Artifact, list[Wanted]]:
    """Photographs, as it were, of noise, in one shard."""
    chance, data, wanted = np.random.default_rng(2), b"", []
    for number in range(count):
        written = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (20, 24, 3), np.uint8)).save(written, "JPEG")
        size = len(written.getvalue())
        place = {"label": "a", "part": None, "group": None, "dup": None, "shard": "shards/0.tar", "format": "jpg"}
        wanted.append(Wanted(IndexEntry(f"{number:040x}", f"{number}.jpg", offset=len(data), size=size, **place)))
        data += written.getvalue()
    store = DirectoryStore(folder / "store")
    store.put("data/0.tar", data)
    files = {"shards/0.tar": FileEntry("data/0.tar", len(data), file_sha256(folder / "store/data/0.tar"))}
    return Artifact(store, Manifest("prepare", "k", files), folder), wanted


def test_a_batch_comes_when_its_shards_are_here_and_the_next_ones_are_fetched_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, wanted = sharded(tmp_path, 12)
    path, fetched, together = dataset.path, list[str](), threading.Barrier(computing.FETCHED_AT_ONCE)

    def slow(name: str) -> Path:
        fetched.append(name)
        together.wait(20)  # whoever fetches one after the other waits for ever
        return path(name)

    monkeypatch.setattr(dataset, "path", slow)
    taken: list[Wanted] = []
    with closing(StoredItems(dataset, wanted, {}).batches(8)) as batches:
        for batch in batches:
            assert {row.entry.shard for row in batch} <= set(fetched)
            taken += batch
            assert len(fetched) <= len(taken) / 10 + 2 * computing.FETCHED_AT_ONCE  # the disk holds no more than it has to
    assert taken == wanted
    assert sorted(fetched) == sorted({row.entry.shard for row in wanted})


def test_only_shards_in_which_an_item_lies_are_fetched(tmp_path: Path) -> None:
    dataset, wanted = sharded(tmp_path, 4)
    items = StoredItems(dataset, wanted[33:] + wanted[3:5], {})
    assert [len(batch) for batch in items.batches(8)] == [8, 1]
    assert sorted(dataset._checked) == ["shards/00.tar", "shards/03.tar"]


@pytest.mark.parametrize("at_once", [1, 25, 2**20])
def test_items_come_in_order_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    dataset, wanted = sharded(tmp_path, 3)
    reads, read = list[int](), dataset.read_ranges

    def reading(name: str, pieces: Sequence[tuple[int, int]]) -> list[bytes]:
        reads.append(sum(size for _, size in pieces))
        return read(name, pieces)

    monkeypatch.setattr(index, "READ_AT_ONCE", at_once)
    monkeypatch.setattr(dataset, "read_ranges", reading)
    entries = [wanted[place].entry for place in (3, 4, 5, 6, 14, 29, 28, 2, 3)]
    found = list(read_all_stored(dataset, entries))
    assert [each for each, _ in found] == entries
    assert [data for _, data in found] == [read_stored(dataset, each) for each in entries]
    assert max(reads) <= max(at_once, 10)
    assert len(reads[:-9]) == {1: 9, 25: 5, 2**20: 4}[at_once]


def test_an_item_is_decoded_once_for_all_its_views_of_a_batch(tmp_path: Path) -> None:
    """And each is what it is alone."""
    dataset, wanted = pictures_stored(tmp_path, 3)
    settings, augmentation = {**SCRATCH_INPUT, "size": 16}, {"flip": "horizontal", "rotate": 20}
    rows = [Wanted(row.entry, view) for row in wanted for view in (None, 0, 1)]
    items, loads = StoredItems(dataset, rows, settings, augmentation), list[bytes]()

    class Counting(ImageFeed):
        def load(self, stored: bytes, settings: Mapping[str, Any]) -> Tensor:
            loads.append(stored)
            return super().load(stored, settings)

    items._feed = Counting()
    found = items.load_all(rows)
    assert len(loads) == len(wanted)
    for row, item in zip(rows, found, strict=True):
        assert torch.equal(item, items.load(row))
    assert not torch.equal(found[0], found[1])


def test_an_augmentation_that_changes_what_it_is_given_changes_one_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, wanted = pictures_stored(tmp_path, 1)
    rows = [Wanted(wanted[0].entry, view) for view in (None, 0, 1)]
    monkeypatch.setattr(requested_rows, "vary", lambda _settings, items, _augmentation, _chance: items.add_(1))
    plain, *views = StoredItems(dataset, rows, {**SCRATCH_INPUT, "size": 16}, {}).load_all(rows)
    assert all(torch.equal(view, plain + 1) for view in views)


def test_a_shard_that_cannot_be_fetched_is_told_where_it_is_needed(tmp_path: Path) -> None:
    dataset, wanted = sharded(tmp_path, 6)
    (tmp_path / "store/data/shards/03.tar").write_bytes(b"x" * 100)
    batches, found = StoredItems(dataset, wanted, {}).batches(10), list[int]()
    with pytest.raises(CorruptArtifactError, match=r"shards/03\.tar"):
        found.extend(len(batch) for batch in batches)
    assert found == [10, 10, 10]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 4), (3, 6)])
def test_two_threads_a_core_compute_and_a_single_core_has_one(cores: int, threads: int) -> None:
    """So that a core has work while one of its threads waits for another to compute a pass."""
    meeting, calls = threading.Barrier(threads), count()

    class Meets:
        device, batch = torch.device("cpu"), 1

        def __call__(self, items: Tensor) -> Tensor:
            if 0 < next(calls) <= threads:  # the first opens a network, and the others load meanwhile
                meeting.wait(20)
            return items

    rows = list(compute_batches(Meets(), range(4 * threads), lambda number: [torch.tensor([number])], cores))
    assert [int(row) for _, row in rows] == list(range(4 * threads))


def test_torch_computes_no_more_passes_at_a_time_than_there_are_cores() -> None:
    """Each holds what its layers put out: memory is forecast by the cores."""
    inside, most, lock = 0, 0, threading.Lock()

    class Slow(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1
            return x.flatten(1)

    network = TorchNetwork(Slow(), "fp32", torch.device("cpu"), 2, at_once=2)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(network, [torch.zeros(2, 3, 4, 4)] * 12))
    assert most == 2
