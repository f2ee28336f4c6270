"""What an item of the study at hand is called: an image, or what its kind of data says (tlbatch.kinds).

A process is about one kind of data, and its sentences speak of that, as those of other programs speak the language of their
user: ``set_nouns`` once it is known (``tlbatch.kinds.speak_of``), then ``f"no usable {item()}"``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nouns:
    """One and several; ``content``, ``contents``: where copies of one are spoken of, which are one picture, not one image."""

    item: str
    items: str
    content: str = ""
    contents: str = ""


IMAGES = Nouns("image", "images", "picture", "pictures")
_nouns = IMAGES


def set_nouns(nouns: Nouns) -> None:
    global _nouns
    _nouns = nouns


def item() -> str:
    return _nouns.item


def an_item() -> str:
    return f"{'an' if _nouns.item[0] in 'aeiou' else 'a'} {_nouns.item}"


def items() -> str:
    return _nouns.items


def content() -> str:
    return _nouns.content or _nouns.item


def contents() -> str:
    return _nouns.contents or _nouns.items


def count(n: int, which: str = "") -> str:
    """'1 image', '1,000 images'; with ``which`` of them '12 test images'."""
    return f"{n:,} {which} {item() if n == 1 else items()}".replace("  ", " ")
