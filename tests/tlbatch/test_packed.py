"""Packed records are the records, in their order, in a fraction of the memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tlbatch import packed as module
from tlbatch.datasets.foldertree import FoundFile
from tlbatch.datasets.listing import ListedFile
from tlbatch.packed import Sorting, in_order, packed, those

MANY = 60_000
MOST_BYTES = 110  # a file; as objects 310
MOST_SORTING = 170  # while they are put in order


def files(count: int) -> list[ListedFile]:
    """With all that a file may have, of two classes."""
    return [
        ListedFile(
            f"{'ab'[n % 2]}/{n:05}.jpg",
            n * 1000,
            f'"{n:032x}"',
            "ab"[n % 2],
            *((None, None), ("test", "g"))[n % 3 == 0],
            tasks={"t": "x"},
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_they_are_the_records(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(module, "ROWS", 4)
    own = files(count)
    some = packed(ListedFile, iter(own))
    assert len(some) == count
    assert [*some] == own == [some[place] for place in range(count)]
    assert some == own
    assert some != [*own[:-1], None]
    assert [*some.column("size")] == [file.size for file in own]
    assert [*some.columns("label", "part")] == [(file.label, file.part) for file in own]
    assert packed(ListedFile, some) is some


def test_cuts_are_the_records_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 4)
    own = files(10)
    some = packed(ListedFile, own)
    for first in range(11):
        for last in range(11):
            cut = some[first:last]
            assert [*cut] == own[first:last]
            assert [*cut.column("path")] == [file.path for file in own[first:last]]
            assert [*cut[1:3]] == own[first:last][1:3]
    assert some[-1] == own[-1]
    with pytest.raises(IndexError):
        some[10]
    with pytest.raises(IndexError):
        some[2:5][3]
    with pytest.raises(ValueError, match="without gaps"):
        some[::2]


def test_those_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 4)
    some = packed(ListedFile, files(10))
    assert [*those(some, lambda label: label == "a", "label")] == [file for file in some if file.label == "a"]
    assert those(some, lambda label, size: bool(label) and size >= 0, "label", "size") is some


@pytest.mark.parametrize("rows", [4, 4096])
def test_in_order_as_text_sorts_and_the_first_of_equal_ones_first(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    names = ["b", "a/b", "a.b", "a", "a\0", "a\0b", "é", "z", "\ud800", "🐕", "\uffff", "a b", "", "a\x01", "b", "b"]
    own = [FoundFile(name, 100 - place) for place, name in enumerate(names)]
    wanted = sorted(own, key=lambda file: file.path)
    sorting = Sorting(FoundFile, "path")
    for file in own:
        sorting.append(file)
    assert [*sorting.packed()] == wanted
    ordered = in_order("path", packed(FoundFile, own))
    assert [*ordered] == wanted
    assert in_order("path", ordered) is ordered


def held(make: Callable[[], Sequence[Any]]) -> tuple[float, float]:
    """Bytes a record that what is made holds, and that it took at its most."""
    gc.collect()
    tracemalloc.start()
    made = make()
    now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return now / len(made), most / len(made)


def test_memory_of_a_file() -> None:
    """Files one by one, as a walk or a listing document gives them: a million listed files are at most so many bytes each."""

    def sort() -> Sequence[Any]:
        sorting = Sorting(FoundFile, "path")
        for number in range(MANY):
            sorting.append(FoundFile(f"n{number % 10:08}/n{number % 10:08}_{number}.JPEG", number * 1000, f'"{number:032x}"'))
        return sorting.packed()

    kept, most = held(sort)
    assert kept < MOST_BYTES
    assert most < MOST_SORTING
    found = sort()
    kept, _ = held(lambda: packed(ListedFile, (ListedFile(file.path, file.size, file.etag, file.path[:9]) for file in found)))
    assert kept < MOST_BYTES
