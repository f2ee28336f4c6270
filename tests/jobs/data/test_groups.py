"""Groups of copies, and labels that contradict each other."""

from __future__ import annotations

from jobs.data.groups import duplicates_card, group_copies
from jobs.data.items import Likeness
from jobs.kinds.image.items import IMAGE


def test_chains_are_one_group_named_by_its_least_id():
    pairs = [Likeness("d", "e", "scaled", 1), Likeness("b", "c", "scaled", 1), Likeness("c", "d", "scaled", 1)]
    assert group_copies(pairs) == dict.fromkeys("bcde", "b")
    assert group_copies([]) == {}


def test_the_card_lists_copies_and_contradictions():
    paths = {
        "a": [("cat/1.jpg", "cat"), ("cat/9.jpg", "cat")],
        "b": [("dog/2.jpg", "dog")],
        "c": [("cat/3.jpg", "cat"), ("dog/3.jpg", "dog")],
        "d": [("dog/4.jpg", "dog")],
        "e": [("dog/5.jpg", "dog")],
        "f": [("dog/6.jpg", "dog")],
    }
    pairs = [Likeness("a", "b", "mirrored", 0.9), Likeness("d", "e", "scaled", 0.95)]
    card = duplicates_card(paths, pairs, group_copies(pairs), IMAGE.changes)
    assert card["exact"] == [["cat/1.jpg", "cat/9.jpg"], ["cat/3.jpg", "dog/3.jpg"]]
    assert [(group["paths"], group["kind"], group["score"]) for group in card["near"]] == [
        (["cat/1.jpg", "cat/9.jpg", "dog/2.jpg"], "mirrored", 0.9),
        (["dog/4.jpg", "dog/5.jpg"], "scaled", 0.95),
    ]
    assert card["near"][0]["pairs"] == [{"paths": ["cat/1.jpg", "dog/2.jpg"], "kind": "mirrored", "score": 0.9}]
    assert card["conflicting"] == [["cat/1.jpg", "cat/9.jpg", "dog/2.jpg"], ["cat/3.jpg", "dog/3.jpg"]]
