"""Near copies among pictures: recompressed, scaled, cropped, mirrored, turned by quarters. Groups are closed under likeness.

Every pair that looks alike (``candidates``) is compared (``fitting``), unless both are in one group already: a copy of a copy
of a picture is its copy. So a folder of n near-identical pictures takes n - 1 fits, not n²/2, and no number of copies hides
another. What looks alike and is no copy does not add up either: for one picture ``MOST_FAILED`` such fits are made, the
likeliest first, and the pairs left over are counted.

The thresholds are from 5,000 photographs of cats and dogs: true copies score 0.90 and more (tiles 0.8), other pairs below 0.77.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from jobs.data.joining import Joined
from jobs.kinds.image.candidates import Block, candidates
from jobs.kinds.image.fitting import COPY, TILE, Likely, Wholes
from jobs.kinds.image.inverted_file import PROBED, list_count, listed_candidates
from jobs.kinds.image.thumbnails import WHOLE, Thumbnails
from tlbatch.contracts.data import ALL_PAIRS

MOST_FAILED = 25  # fits of one picture that come to nothing: 50 ms or so
LISTED_PLACES, LISTED_FAILED = 8, 3  # of very many pictures: looked at finely, and such fits; a copy is nearly always the first
SMALLEST_SIDE = 48  # pixels of a picture's shorter side

METHOD = (
    "Equal pixels: by hash. Near copies: weighted cosine spectra of 96 x 96 grey thumbnails, each against views of every other "
    "in the square's eight symmetries; then verified at 48 x 48 with the crop fitted "
    f"(cosine {COPY} in the whole, {TILE} in each of 9 tiles). Copies of copies are one group. "
    "Found: recompressed, scaled, grey, brighter or darker, cut by up to 13 % a side, mirrored, turned by quarters, and these "
    "together. Not found: turned by some degrees, cut by more, with a caption or a border, negatives. "
    "Very simple pictures (one colour, a few strokes) are compared for equality only."
)


@dataclass(frozen=True)
class Pair:
    """Two pictures by number, ``a`` < ``b``. ``score``: cosine at the best fit; ``cut``: the largest share cut off a side.

    ``turn``: ``mirrored``, ``rotated`` by 90, 180 or 270 degrees, or "".
    """

    a: int
    b: int
    score: float
    turn: str
    cut: float


@dataclass(frozen=True)
class Copies:
    """``pairs``, sorted, hold each group together: one of n has n - 1. ``unverified``: pairs not compared to the end.

    ``lists``: of the inverted file; 0 where all pairs were looked at.
    """

    pairs: tuple[Pair, ...]
    unverified: int = 0
    lists: int = 0


def find_copies(
    thumbnails: Thumbnails, progress: Callable[[int, int], None] = lambda done, total: None, *, listed: bool = False
) -> Copies:
    """All near copies: pictures are of one group if a chain of near copies joins them. Pure but for ``progress``.

    ``listed``: not all pairs are looked at, but those that share a list of an inverted file (``inverted_file``): for data so
    large that all pairs would take days. ``progress(done, total)`` is called between blocks and may raise. On one core: the
    products are small, so that more threads would wait for each other eight times as long as they compute.
    """
    with threadpool_limits(1):
        return _find_copies(thumbnails, progress, listed)


def _find_copies(thumbnails: Thumbnails, progress: Callable[[int, int], None], listed: bool) -> Copies:
    search = _Search(thumbnails, listed)
    for block in (listed_candidates if listed else candidates)(thumbnails):
        wholes = Wholes(lambda number: thumbnails.load(number)[0])
        for row in np.unique(block.rows).tolist():
            search.compare(row, block, wholes)
        progress(block.start + len(block.pictures), len(thumbnails))
    lists = list_count(len(thumbnails)) if listed else 0
    return Copies(tuple(sorted(search.found, key=lambda pair: (pair.a, pair.b))), search.unverified, lists)


def method_of(copies: Copies, small: int) -> str:
    """How copies were looked for, in words, with what was left out. ``small``: pictures of too few pixels to be compared."""
    said = [METHOD]
    if copies.lists:
        said.append(
            f"As there are more than {ALL_PAIRS:,}, not all pairs were looked at, but those that share one of {PROBED} "
            f"lists of an inverted file of about {copies.lists:,}."
        )
    if small:
        said.append(f"Compared for equality only, as they have fewer than {SMALLEST_SIDE} pixels a side: {small:,}.")
    if copies.unverified:
        most = LISTED_FAILED if copies.lists else MOST_FAILED
        said.append(
            f"Not compared to the end: {copies.unverified:,} pairs of pictures that look alike, as more than {most} "
            "others looked like one of them and were no copies (a camera that stood still?): name what belongs together in "
            "split.group."
        )
    return " ".join(said)


class _Search:
    """What has been found so far."""

    def __init__(self, thumbnails: Thumbnails, listed: bool) -> None:
        self._both_ways = not listed  # of two pictures that look alike as they are, each is a candidate of the other
        self._most_places = LISTED_PLACES if listed else None
        self._most_failed = LISTED_FAILED if listed else MOST_FAILED
        self.found: list[Pair] = []
        self.unverified = 0
        self._group = Joined(len(thumbnails))

    def compare(self, row: int, block: Block, wholes: Wholes) -> None:
        """Join the block's picture ``row`` with those of other groups that it is a copy of."""
        number, others = block.start + row, block.of(row)
        others = others[self._group.label[others] != self._group.label[number]]
        if not len(others):
            return
        likely, failed = Likely(block.pictures[row]), 0
        for place in likely.places(others, block.wholes[others], wholes, self._most_places):
            if self._same(number, place.other) or (self._both_ways and place.box == WHOLE and place.other < number):
                continue  # the latter was compared when it was the other's turn
            if failed == self._most_failed:
                self.unverified += 1
                continue
            fit = likely.fitted(place, wholes)
            if fit is None:
                failed += 1
                continue
            self._group.join(number, place.other)
            a, b = sorted((number, place.other))
            self.found.append(Pair(a, b, round(fit.score, 3), place.symmetry.name, fit.cut))

    def _same(self, a: int, b: int) -> bool:
        return bool(self._group.label[a] == self._group.label[b])
