"""What is written piece by piece and read element by element is what json.dumps and json.loads have."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tlbatch.store import Store, elements, pieces
from tlbatch.store.elements import Elements
from tlbatch.store.pieces import put_pieces


@dataclass(frozen=True)
class Said:
    parts: tuple[bytes, ...]

    def pieces(self) -> Iterator[bytes]:
        yield from self.parts


@pytest.mark.parametrize("parts", [(), (b"abc",), (b"abc", b"", b"d"), (b"abcd", b"efgh", b"i"), (b"abcdefghij",)])
def test_an_object_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]) -> None:
    monkeypatch.setattr(pieces, "AT_ONCE", 4)
    for _ in range(2):  # the second time in the place of the first
        put_pieces(store, "work/k/listing.json", Said(parts))
        assert store.get("work/k/listing.json") == b"".join(parts)
    assert [stat.name for stat in store.list()] == ["work/k/listing.json"]


DOCUMENTS: list[dict[str, Any]] = [
    {"files": []},
    {"a": ['"files":[', "files"], "files": [{"p": 'x"]},é🐕\u2028'}, {"p": "y" * 30}], "format": 1, "z": {"n": [1]}},
    {"b": 1, "files": [1, [2], "]", None, {"deep": {"er": ["}"]}}]},
]


@pytest.mark.parametrize("at_once", [1, 2, 7, 2**20])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_elements_are_those_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], indent: int | None, at_once: int
) -> None:
    monkeypatch.setattr(elements, "AT_ONCE", at_once)
    monkeypatch.setattr(elements, "LONGEST", 100)
    for plain in (True, False):
        read = Elements(io.StringIO(json.dumps(document, indent=indent, ensure_ascii=plain)), "files")
        assert [*read] == document["files"]
        assert read.other == {**document, "files": None}


TEXT = '{"a":1,"files":[{"p":1},{"p":2}],"z":3}'


@pytest.mark.parametrize("text", [TEXT[:end] for end in range(len(TEXT))])
def test_a_part_of_it_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - where it ends decides the words
        [*Elements(io.StringIO(text), "files")]


@pytest.mark.parametrize("wrong", ['{"p":1} {"p":2}', "{},,{}", "{},]", '{"p":}', "nul", "[" * 100_000])
def test_a_list_that_is_none(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setattr(elements, "AT_ONCE", 8)
    with pytest.raises(ValueError):  # noqa: PT011
        [*Elements(io.StringIO(f'{{"files":[{wrong}],"z":1}}'), "files")]
