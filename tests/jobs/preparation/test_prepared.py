"""What reading leaves in memory: some hundred bytes a file, in the order in which it is written."""

from __future__ import annotations

import gc
import hashlib
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.data import items
from jobs.data.items import ReadItem
from jobs.data.shards import Spool
from jobs.preparation.part import PartWriter
from jobs.preparation.prepared import Contents, Prepared
from jobs.prepare import _write_overview
from tlbatch import packed
from tlbatch.datasets.listing import ListedFile

MANY = 20_000
MOST_BYTES = 520  # a file, while they are read; 1,150 where items and files are objects
MOST_PACKED = 300  # when they are put together


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:40]


def file(number: int) -> ListedFile:
    return ListedFile(
        f"n{number % 10:08}/n{number % 10:08}_{number:06}.JPEG", 100_000 + number, f'"{number:032x}"', "ab"[number % 2]
    )


def read(folder: Path, numbers: range, copies: int = 1) -> Prepared:
    """Files by number; ``copies`` that follow each other hold one item. In parts of a thousand."""
    prepared: Any = Prepared(None, Spool(folder / "spool"), None)  # type: ignore[arg-type]
    for start in range(numbers.start, numbers.stop, 1000):
        some = range(start, min(start + 1000, numbers.stop))
        writer = PartWriter(folder / f"{start}.part", start)
        for number in some:
            sizes = {"width": 300 + number % 99, "height": 200, "source_width": 600, "source_height": 400}
            writer.add(ReadItem(file(number), content(number // copies), b"x" * (number % 7 + 1), "jpg", sizes))
        part = writer.close()
        for number, said in zip(some, part.files, strict=True):
            prepared.keep(file(number), part, said)
        part.drop()
    return prepared  # type: ignore[no-any-return]


@pytest.mark.parametrize("rows", [4, 4096])
def test_items_by_content_with_their_files_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(packed, "ROWS", rows)
    prepared = read(tmp_path, range(60), copies=3)
    assert prepared.used == 60
    contents = prepared.contents()
    found = list(contents)
    assert [item.id for item, _ in found] == sorted(content(number) for number in range(20))
    for item, files in found:
        number = next(number for number in range(20) if content(number) == item.id)
        assert [each.path for each in files] == [file(3 * number + more).path for more in range(3)]
        assert prepared.spool.read(item) == b"x" * (3 * number % 7 + 1)  # the first one's
        assert item.facts["width"] == 300 + 3 * number % 99
    prepared.spool.close()


def test_an_overview_is_offered_the_first_of_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "SHOWN", 5)
    prepared = read(tmp_path, range(60))
    offered: dict[str, Any] = {}

    class Kind:
        def overview(self, classes: Any, counts: Any, names: Any, read: Any) -> tuple[str, bytes]:
            offered.update(classes=classes, counts=dict(counts), names=dict(names))
            return "overview", b"".join(read(name) for label in classes for name in names[label])

    prepared.kind = Kind()  # type: ignore[assignment]
    context: Any = SimpleNamespace(out=lambda name: tmp_path / name)
    _write_overview(context, prepared, prepared.contents())
    first = {label: sorted((content(n), n) for n in range(60) if n % 2 == place)[:5] for place, label in enumerate("ab")}
    assert offered["classes"] == ["a", "b"]
    assert offered["counts"] == {"a": 30, "b": 30}
    assert offered["names"] == {label: [name for name, _ in some] for label, some in first.items()}
    assert (tmp_path / "overview").read_bytes() == b"x" * sum(n % 7 + 1 for some in first.values() for _, n in some)
    prepared.spool.close()


def test_memory_of_a_file(tmp_path: Path) -> None:
    read(tmp_path, range(1000)).spool.close()  # what is imported and cached once
    gc.collect()
    tracemalloc.start()
    prepared = read(tmp_path, range(MANY))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] / MANY
    contents: Contents = prepared.contents()
    gc.collect()
    packed_ = tracemalloc.get_traced_memory()[0] / MANY
    tracemalloc.stop()
    prepared.spool.close()
    print(held, packed_)
    assert len(contents.items) == len(contents.files) == MANY
    assert held < MOST_BYTES
    assert packed_ < MOST_PACKED
