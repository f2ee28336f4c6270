"""New items that trained another class: themselves, or as near copies; said by path and class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.split import Split
from jobs.evaluation.extended import _of_copies
from jobs.extending.added import ADDED, Added, trained_copies
from tlbatch.roles import overlap_input


def entry(id_: str, label: str) -> IndexEntry:
    place = {"shard": "s", "offset": 0, "size": 1, "format": "png"}
    return IndexEntry(id=id_, path=f"{label}/{id_}.png", label=label, part=None, group=None, dup=None, **place)  # type: ignore[arg-type]


@dataclass
class Overlapping:
    """What the step reads: one artifact, where near copies were looked for."""

    groups: list[dict[str, list[str]]] | None
    task: Any = field(init=False)

    def __post_init__(self) -> None:
        self.task = self
        self.inputs = {} if self.groups is None else {overlap_input(ADDED): None}

    def input(self, _: str) -> Any:
        return self

    def read_json(self, _: str) -> dict[str, Any]:
        return {"groups": self.groups}


def test_items_that_trained_another_class_are_named_with_it() -> None:
    """Fails when near copies are left out, or copies of validation items are taken for trained ones."""
    added = Added((entry("1", "otter"), entry("2", "otter"), entry("3", "otter")), ["1", "2", "3"])
    split = Split((entry("1", "cat"), entry("7", "dog"), entry("8", "cat")), (entry("9", "dog"),), ())
    groups = [{"target": ["7", "8"], "source": ["2"]}, {"target": ["9"], "source": ["3"]}]
    itself = {"path": "otter/1.png", "class": "cat"}
    near = [{"path": "otter/2.png", "class": "cat"}, {"path": "otter/2.png", "class": "dog"}]
    assert trained_copies(Overlapping(groups), added, split) == [itself, *near]  # type: ignore[arg-type]
    assert trained_copies(Overlapping(None), added, split) == [itself]  # type: ignore[arg-type]
    assert _of_copies([]) == ""
    assert "1 is, or nearly is, a training image of another class (otter/1.png: cat)" in _of_copies([itself])
    six = [{**itself, "path": f"{number}.png"} for number in range(6)]
    assert "6 are, or nearly are, training images of another class (0.png: cat; 1.png: cat;" in _of_copies(six)
    assert "; 4.png: cat and 1 more)" in _of_copies(six)
    assert "Of its own images 1 is, or nearly is" in _of_copies(near)
