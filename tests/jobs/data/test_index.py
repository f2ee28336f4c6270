"""The index of a prepared dataset: read as it was written, in a few hundred bytes an entry."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.data.index import IndexEntry, index_lines, load_index

MANY = 5_000
MOST_BYTES = 450  # an entry; 1,200 where each has its own labels, facts and names of fields


class Held:
    """An artifact with an index."""

    def __init__(self, folder: Path, entries: list[IndexEntry]) -> None:
        self._path = folder / "index.jsonl"
        self._path.write_text("".join(index_lines(entries)), encoding="utf-8", newline="\n")

    def path(self, name: str) -> Path:
        assert name == self._path.name
        return self._path


def pictures(count: int) -> list[IndexEntry]:
    sizes = [{"width": 500, "height": side, "source_width": 1500, "source_height": 3 * side} for side in (333, 375)]
    return [
        IndexEntry(
            id=f"{n:040x}",
            path=f"n{n % 10:08}/n{n % 10:08}_{n}.JPEG",
            label=f"n{n % 10:08}",
            part=None,
            group=None,
            dup=None,
            shard=f"shards/{n % 16:02x}.tar",
            offset=n * 100_000,
            size=100_000 + n,
            format="jpg",
            facts=sizes[n % 2],
        )
        for n in range(count)
    ]


def test_entries_are_read_as_they_were_written(tmp_path: Path) -> None:
    first, second, *others = pictures(6)
    entries = [
        replace(first, path="a/\u2028\r\x85\n.jpg", part="test", group="p1", dup=second.id, tasks={"age": "old"}, label=""),
        replace(second, part="train", group="p1", dup=second.id, tasks={"age": "old"}, facts={}),
        *(replace(entry, facts={"length": 3, "deep": {"er": [1, None]}}) for entry in others),
    ]
    again = load_index(Held(tmp_path, entries))  # type: ignore[arg-type]
    assert again == entries
    assert again[0].tasks is again[1].tasks
    assert again[2].facts is again[3].facts
    assert again[0].facts is not again[2].facts


def test_memory_of_an_entry(tmp_path: Path) -> None:
    held: Any = Held(tmp_path, pictures(MANY))
    tracemalloc.start()
    entries = load_index(held)
    now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(entries) == MANY
    assert now / MANY < MOST_BYTES
    assert most / MANY < 1.2 * MOST_BYTES
