"""Near copies among pictures: recompressed, scaled, cropped, mirrored, turned by quarters. Groups are closed under likeness.

Every pair that looks alike (``candidates``) is compared (``fitting``), unless both are in one group already: a copy of a copy
of a picture is its copy. So a folder of n near-identical pictures takes n - 1 fits, not n²/2, and no number of copies hides
another. What looks alike and is no copy does not add up either: for one picture ``MOST_FAILED`` such fits are made, the
likeliest first, and the pairs left over are counted.

The thresholds are from 5,000 photographs of cats and dogs: true copies score 0.90 and more (tiles 0.8), other pairs below 0.77.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from jobs.data.joining import Joined
from jobs.kinds.image.candidates import ROWS, Block, pictures_of
from jobs.kinds.image.examination import LISTED_FAILED, MOST_FAILED, Examination, Joining, Look, Pair, Replayed
from jobs.kinds.image.fitting import COPY, TILE
from jobs.kinds.image.inverted_file import PROBED, inverted_file, list_count, together
from jobs.kinds.image.thumbnails import Thumbnails
from jobs.mapped import save
from jobs.workers import Workers
from tlbatch.contracts.data import ALL_PAIRS

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
class Copies:
    """``pairs``, sorted, hold each group together: one of n has n - 1. ``unverified``: pairs not compared to the end.

    ``lists``: of the inverted file; 0 where all pairs were looked at.
    """

    pairs: tuple[Pair, ...]
    unverified: int = 0
    lists: int = 0


def find_copies(
    thumbnails: Thumbnails,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    listed: bool = False,
    processes: int = 1,
) -> Copies:
    """All near copies: pictures are of one group if a chain of near copies joins them. Pure but for ``progress``.

    ``listed``: not all pairs are looked at, but those that share a list of an inverted file (``inverted_file``): for data so
    large that all pairs would take days. ``progress(done, total)`` is called again and again and may raise.
    ``processes`` share the work, and what is found does not depend on them: with one it is done here. Each computes on one
    core: the products are small, so that more threads would wait for each other eight times as long as they compute, and the
    steps of several so short that most of the time they would wait for Python's lock. Beside the thumbnails there has to be
    room on disk for what is computed of each picture, some 250 bytes.
    """
    count, lists = len(thumbnails), list_count(len(thumbnails)) if listed else 0
    if count < 2:
        return Copies((), lists=lists)
    done = 0

    def waiting() -> None:
        progress(done, count)

    size = together(count) if listed else ROWS
    starts = range(0, count, size)
    folder = Path(mkdtemp(prefix="search-", dir=thumbnails.path.parent))
    try:
        with threadpool_limits(1), Workers(min(processes, len(starts)), waiting) as workers:
            pictures = pictures_of(thumbnails, folder, workers)
            file = inverted_file(pictures, folder, workers) if listed else None
            if listed and file is None:
                return Copies((), lists=lists)
            labels = save(folder / "labels", [np.arange(count)])
            joining = Joining(Joined(count, labels.writable()), listed=listed)
            for end in _compared(joining, Examination(pictures, file, labels), starts, workers):
                done = min(end, count)
                waiting()
    finally:
        rmtree(folder, ignore_errors=True)
    return Copies(tuple(sorted(joining.found, key=lambda pair: (pair.a, pair.b))), joining.unverified, lists)


def _compared(joining: Joining, examination: Examination, starts: range, workers: Workers) -> Iterator[int]:
    """Up to where all pictures are compared."""
    if workers.count == 1:
        for start in starts:
            for block in examination.blocks(start):
                _compare(joining, examination, block)
                yield block.start + len(block.pictures)
        return
    for start, looks in zip(starts, workers.in_order(examination, starts), strict=True):
        _decide(joining, examination, start, looks)
        yield start + starts.step


def _compare(joining: Joining, examination: Examination, block: Block, after: int = -1) -> None:
    """A block's pictures beyond number ``after``."""
    wholes = examination.wholes()
    for number, others in block.alike():
        if number > after:
            picture = block.pictures[number - block.start]
            joining.compare(number, others, lambda picture=picture: examination.comparison(picture, wholes))  # type: ignore[misc]


def _decide(joining: Joining, examination: Examination, start: int, looks: list[Look]) -> None:
    """What ``_compare`` does, with what another process has seen."""
    wholes = examination.wholes()
    for look in looks:
        joining.compare(look.number, look.others, partial(Replayed, look, partial(examination.anew, look, wholes)))
        joined = (place.other for place, fit in look.fits.items() if fit is not None)
        if not all(joining.same(look.number, other) for other in joined):
            break  # what the other process took for one group is none, and it has left out what it held for known
    else:
        return
    for count, block in enumerate(examination.blocks(start)):
        if count >= look.block:
            _compare(joining, examination, block, look.number if count == look.block else -1)


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
