"""Which known name a mistyped one most likely means."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

MANY = 5_000  # names among which only those with the same beginning or end are looked at
SWAP = 0.8  # two letters that changed places are one slip of the fingers
SEPARATOR = 0.3  # '-' for '_'


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``word``, or None when nothing is near.

    In this order: the same but for case and separators; one slip away; the known name that ``word`` goes on from behind a
    separator (``resnet50.a1_in1k``: ``resnet50``); a few slips away; what ``word`` is the beginning of; what looks similar.
    """
    names = tuple(dict.fromkeys(known))
    if len(names) > MANY:
        names = tuple(name for name in names if name[:4] == word[:4] or name[-8:] == word[-8:])
    wanted = word.strip().casefold()
    return _nearest(wanted, names) if wanted and names else None


@lru_cache(4096)
def _nearest(wanted: str, names: tuple[str, ...]) -> str | None:
    same = [name for name in names if _bare(name) == _bare(wanted)]
    if same:
        return same[0]
    ranked = sorted((distance(wanted, name.casefold()), -_common(wanted, name.casefold()), i) for i, name in enumerate(names))
    best, _, place = ranked[0]
    if best <= 1:
        return names[place]
    stems = [name for name in names if re.match(re.escape(name.casefold()) + r"[^a-z0-9]", wanted)]
    if stems:
        return max(stems, key=len)
    if best <= max(1, len(wanted) / 3):
        return names[place]
    begun = [name for name in names if len(wanted) > 2 and name.casefold().startswith(wanted)]
    if begun:
        return begun[0]
    folded = {name.casefold(): name for name in reversed(names)}
    similar = difflib.get_close_matches(wanted, list(folded), 1, cutoff=0.6)
    return folded[similar[0]] if similar else None


def suggestion(word: str, known: Iterable[str], *, most: int = 12) -> str:
    """``(did you mean 'vgg16'?)``, or the known names when none is near and they are few."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f" (did you mean {near!r}?)"
    return f" (known here: {', '.join(names)})" if 0 < len(names) <= most else ""


def distance(one: str, other: str) -> float:
    """Slips from one to the other: letters put in, left out, changed or swapped (optimal string alignment)."""
    if abs(len(one) - len(other)) > max(len(one), len(other)) / 2:
        return math.inf
    before: Sequence[float] = []
    row: Sequence[float] = _edge(other)
    for i, a in enumerate(one, 1):
        now = [row[0] + _cost(a)]
        for j, b in enumerate(other, 1):
            cost = 0.0 if a == b else min(1.0, max(_cost(a), _cost(b)))
            best = min(row[j] + _cost(a), now[j - 1] + _cost(b), row[j - 1] + cost)
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b and a != b:
                best = min(best, before[j - 2] + SWAP)
            now.append(best)
        before, row = row, now
    return row[-1]


def _edge(text: str) -> list[float]:
    row = [0.0]
    for char in text:
        row.append(row[-1] + _cost(char))
    return row


def _cost(char: str) -> float:
    return SEPARATOR if char in "-_. " else 1.0


def _bare(text: str) -> str:
    return re.sub(r"[-_. ]", "", text.casefold())


def _common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
