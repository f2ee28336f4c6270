"""The split of a dataset of several tasks: one for all of them, so that nothing trains for one and tests another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.data.index import IndexEntry, by_content, index_lines, load_index
from jobs.data.split import Split, split_index
from tests.jobs.data.test_split import assert_disjoint, entry, ids, settings
from tlbatch.errors import DataError


def pets(n: int = 120) -> list[IndexEntry]:
    """A third of each task's labels missing, never both."""
    found = []
    for i in range(n):
        tasks = {"species": ("cat", "dog")[i % 2], "age": ("old", "young")[i // 2 % 2]}
        if i % 3 < 2:
            del tasks[("species", "age")[i % 3]]
        found.append(replace(entry(f"pet{i}", tasks.get("species", "")), tasks=tasks))
    return found


def of(task: str | None, entries: list[IndexEntry], **given: Any) -> Split:
    classes = {"age": ["old", "young"]}.get(task or "", ["cat", "dog"])
    return split_index(entries, settings(task=task, classes=classes, **given))


@pytest.mark.parametrize("given", [{}, {"folds": 3}, {"train": 40, "validation": 20, "test": 20}])
def test_every_task_sees_its_part_of_one_split(given: dict[str, Any]) -> None:
    entries = pets()
    whole = of(None, entries, **given)
    assert_disjoint(whole)
    for task in ("species", "age"):
        own = of(task, entries, **given)
        for part in ("train", "validation", "test"):
            there = {each.id: each.tasks for each in getattr(whole, part)}
            assert {each.id: each.label for each in getattr(own, part)} == {
                name: tasks[task] for name, tasks in there.items() if task in tasks
            }
        assert [ids(fold) for fold in own.folds] == [{each.id for each in fold if task in each.tasks} for fold in whole.folds]
        assert {why for _, why in own.left_out} >= {f"no label of {task}"}


def test_items_without_the_main_label_are_a_class_of_their_own() -> None:
    whole = of(None, pets(), train=60, validation=30, test=30)
    assert Counter(each.label for each in whole.test) == {"cat": 10, "dog": 10, "": 10}


def test_a_class_without_a_label_in_a_part_is_said_of_its_task() -> None:
    entries = [replace(each, tasks={**each.tasks, "age": "old"}) for each in pets()]
    with pytest.raises(DataError, match=r"no train image of young \(task age, of which labels are missing"):
        of("age", entries)


def test_the_index_keeps_what_is_known_and_says_nothing_of_what_is_not(tmp_path: Path) -> None:
    entries = [*pets(6), entry("plain", "cat")]
    text = "".join(index_lines(sorted(entries, key=by_content)))
    assert text.count('"tasks"') == 6, "one of a single task has no such field: its digest is what it was"

    class Held:
        @staticmethod
        def path(name: str) -> Path:
            (tmp_path / name).write_text(text)
            return tmp_path / name

    assert load_index(Held()) == sorted(entries, key=lambda each: each.id)  # type: ignore[arg-type]
