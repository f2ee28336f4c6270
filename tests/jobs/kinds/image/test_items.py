"""What changed between two copies of a picture."""

from __future__ import annotations

from jobs.data.items import Likeness, SpooledItem
from jobs.kinds.image.items import likenesses
from jobs.kinds.image.near_duplicates import Pair


def picture(name: str, number: int, width: int = 100) -> SpooledItem:
    return SpooledItem(name, 0, 1, "jpg", {"source_width": width}, True, number)


def test_changes_from_the_least_to_the_most() -> None:
    pictures = [picture("d", 0), picture("c", 1), picture("b", 2, 200), picture("a", 3)]
    pairs = [
        Pair(0, 1, 0.99, "", 0.01),
        Pair(1, 2, 0.98, "", 0.0),
        Pair(2, 3, 0.97, "", 0.05),
        Pair(0, 3, 0.9, "mirrored", 0.05),
    ]
    assert likenesses(pairs, pictures) == [
        Likeness("a", "b", "cropped", 0.97),
        Likeness("a", "d", "mirrored", 0.9),
        Likeness("b", "c", "scaled", 0.98),
        Likeness("c", "d", "recompressed", 0.99),
    ]
