"""What became of the images: known changes are named, each once, and nothing else."""

from __future__ import annotations

import random

import pytest

from jobs.comparing.images import ADDED, MOVED, RELABELLED, REMOVED, REPLACED, image_changes
from jobs.data.index import IndexEntry


def image(picture: str, path: str, label: str = "cat") -> IndexEntry:
    return IndexEntry(picture, path, label, None, None, None, "shards/00.tar", 0, 1, "jpg")


def found(before: list[IndexEntry], after: list[IndexEntry]) -> list[tuple[str, str | None, str | None]]:
    """(kind, path before, path after) of every change."""
    changes = image_changes(before, after)
    return [(c.kind, c.before.path if c.before else None, c.after.path if c.after else None) for c in changes]


def test_the_same_images_in_another_order_are_no_change() -> None:
    images = [image(f"{n}", f"cat/{n}.jpg") for n in range(50)]
    shuffled = list(images)
    random.Random(0).shuffle(shuffled)
    assert found(images, shuffled) == []


def test_added_and_removed() -> None:
    assert found([image("1", "a"), image("2", "b")], [image("2", "b"), image("3", "c")]) == [
        (ADDED, None, "c"),
        (REMOVED, "a", None),
    ]


def test_a_renamed_file_is_no_new_picture() -> None:
    assert found([image("1", "cat/a.jpg")], [image("1", "cat/b.jpg")]) == [(MOVED, "cat/a.jpg", "cat/b.jpg")]


def test_another_label_is_told_as_such_whether_the_file_moved_or_not() -> None:
    assert found([image("1", "x", "cat")], [image("1", "x", "dog")]) == [(RELABELLED, "x", "x")]
    assert found([image("1", "cat/a.jpg", "cat")], [image("1", "dog/a.jpg", "dog")]) == [(RELABELLED, "cat/a.jpg", "dog/a.jpg")]


def test_another_picture_at_the_same_path() -> None:
    assert found([image("1", "a")], [image("2", "a")]) == [(REPLACED, "a", "a")]


def test_two_files_that_changed_places_moved_both() -> None:
    before, after = [image("1", "a"), image("2", "b")], [image("1", "b"), image("2", "a")]
    assert found(before, after) == [(MOVED, "b", "a"), (MOVED, "a", "b")]


@pytest.mark.parametrize("copies", [2, 3])
def test_of_copies_only_the_file_that_came_or_went(copies: int) -> None:
    before = [image("1", f"cat/{n}.jpg") for n in range(copies)]
    assert found(before, before[1:]) == [(REMOVED, "cat/0.jpg", None)]
    assert found(before[1:], before) == [(ADDED, None, "cat/0.jpg")]


def test_a_copy_under_another_label_is_an_added_file() -> None:
    assert found([image("1", "cat/a", "cat")], [image("1", "cat/a", "cat"), image("1", "dog/a", "dog")]) == [
        (ADDED, None, "dog/a")
    ]


def test_many_known_changes_at_once() -> None:
    before = [image(f"{n:03}", f"cat/{n:03}.jpg") for n in range(200)]
    after = list(before)
    after[3] = image("003", "cat/003.jpg", "dog")
    after[5] = image("005", "cat/renamed.jpg")
    after[7] = image("other", "cat/007.jpg")
    del after[100:110]
    after += [image(f"new{n}", f"cat/new{n}.jpg") for n in range(4)]
    changes = found(before, after)
    assert changes == [
        *((ADDED, None, f"cat/new{n}.jpg") for n in range(4)),
        *((REMOVED, f"cat/{n}.jpg", None) for n in range(100, 110)),
        (RELABELLED, "cat/003.jpg", "cat/003.jpg"),
        (REPLACED, "cat/007.jpg", "cat/007.jpg"),
        (MOVED, "cat/005.jpg", "cat/renamed.jpg"),
    ]
