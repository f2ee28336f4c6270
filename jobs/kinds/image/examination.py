"""Pictures that look alike, compared one after the other: the same groups whatever process compares them.

Whether two pictures are compared depends on the groups that earlier pictures have joined. So one process decides, picture by
picture in order, and others work ahead of it: each examines some pictures with the groups as it sees them, which may lack the
latest joins, and tells what it looked at and what came of it (``Look``). Where the one that decides asks the very same, it
takes that; all else (a few pictures, whose copies were found meanwhile) it computes itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.data.joining import Joined
from jobs.kinds.image.candidates import Block, Pictures, candidates
from jobs.kinds.image.fitting import Fit, Likely, Place, Wholes
from jobs.kinds.image.inverted_file import InvertedFile, listed_candidates
from jobs.kinds.image.thumbnails import WHOLE, Floats
from jobs.mapped import Mapped

MOST_FAILED = 25  # fits of one picture that come to nothing: 50 ms or so
LISTED_PLACES, LISTED_FAILED = 8, 3  # of very many pictures: looked at finely, and such fits; a copy is nearly always the first
Numbers = NDArray[Any]


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


class Groups(Protocol):
    """Pictures by number, and which of them are one group."""

    def of(self, numbers: Numbers | int) -> Numbers:
        """Equal for those of one group."""

    def join(self, a: int, b: int) -> None: ...


class Seen(Groups):
    """Groups as another process has them (``labels``), which joins more meanwhile; and what is joined here besides."""

    def __init__(self, labels: Numbers) -> None:
        self._labels, self._own = labels, Joined(len(labels))

    def of(self, numbers: Numbers | int) -> Numbers:
        return self._own.of(self._labels[numbers])

    def join(self, a: int, b: int) -> None:
        self._own.join(int(self._labels[a]), int(self._labels[b]))


class Compared(Protocol):
    """One picture against others."""

    def places(self, others: Numbers) -> list[Place]:
        """Of these, those worth a fit, the likeliest first."""

    def fitted(self, place: Place) -> Fit | None:
        """None where they are no copies."""


class Comparison:
    """Computed here. ``coarse`` [n, d]: spectra of all pictures."""

    def __init__(self, picture: Floats, coarse: Floats, wholes: Wholes, most: int | None) -> None:
        self._likely, self._coarse, self._wholes, self._most = Likely(picture), coarse, wholes, most

    def places(self, others: Numbers) -> list[Place]:
        return self._likely.places(others, self._coarse[others], self._wholes, self._most)

    def fitted(self, place: Place) -> Fit | None:
        return self._likely.fitted(place, self._wholes)


@dataclass
class Look:
    """What one picture was compared with: ``others``, of block ``block`` of those it lies in; what came of it.

    ``fits``: of the places that were fitted.
    """

    block: int
    number: int
    others: Numbers
    places: list[Place] = field(default_factory=list)
    fits: dict[Place, Fit | None] = field(default_factory=dict)

    @property
    def at(self) -> tuple[int, int]:
        return self.block, self.number


class Recorded:
    """A comparison that is noted."""

    def __init__(self, comparison: Comparison, look: Look) -> None:
        self._comparison, self._look = comparison, look

    def places(self, others: Numbers) -> list[Place]:
        self._look.others = others.astype(np.int32)
        self._look.places = self._comparison.places(others)
        return self._look.places

    def fitted(self, place: Place) -> Fit | None:
        self._look.fits[place] = self._comparison.fitted(place)
        return self._look.fits[place]


class Replayed:
    """A comparison that another process has made; ``anew`` makes it here, where something else is asked of it."""

    def __init__(self, look: Look, anew: Callable[[], Comparison]) -> None:
        self._look, self._anew = look, anew
        self._made: Comparison | None = None

    def places(self, others: Numbers) -> list[Place]:
        return self._look.places if len(others) == len(self._look.others) else self._own.places(others)

    def fitted(self, place: Place) -> Fit | None:
        return self._look.fits[place] if place in self._look.fits else self._own.fitted(place)

    @property
    def _own(self) -> Comparison:
        if self._made is None:
            self._made = self._anew()
        return self._made


class Joining:
    """Joins pictures that are copies into ``groups``. ``found``: what holds them together."""

    def __init__(self, groups: Groups, *, listed: bool) -> None:
        self._both_ways = not listed  # of two pictures that look alike as they are, each is a candidate of the other
        self._most_failed = LISTED_FAILED if listed else MOST_FAILED
        self.groups, self.found, self.unverified = groups, list[Pair](), 0

    def compare(self, number: int, others: Numbers, compared: Callable[[], Compared]) -> None:
        """Join a picture with those of other groups among ``others`` that it is a copy of."""
        others = others[self.groups.of(others) != self.groups.of(number)]
        if not len(others):
            return
        comparison, failed = compared(), 0
        for place in comparison.places(others):
            if self.same(number, place.other) or (self._both_ways and place.box == WHOLE and place.other < number):
                continue  # the latter was compared when it was the other's turn
            if failed == self._most_failed:
                self.unverified += 1
                continue
            fit = comparison.fitted(place)
            if fit is None:
                failed += 1
                continue
            self.groups.join(number, place.other)
            a, b = sorted((number, place.other))
            self.found.append(Pair(a, b, round(fit.score, 3), place.symmetry.name, fit.cut))

    def same(self, a: int, b: int) -> bool:
        return bool(self.groups.of(a) == self.groups.of(b))


@dataclass(frozen=True)
class Examination:
    """Pictures from a number on against all others: as ``__call__`` in any process, its ``Look``s, with the groups seen."""

    pictures: Pictures
    file: InvertedFile | None
    """Where not all pairs are looked at."""
    labels: Mapped

    def __call__(self, start: int) -> list[Look]:
        joining, looks = Joining(Seen(self.labels.array), listed=self.file is not None), list[Look]()
        for count, block in enumerate(self.blocks(start)):
            wholes = self.wholes()
            for number, others in block.alike():
                look = Look(count, number, others)
                joining.compare(number, others, partial(self._noted, look, block, wholes, looks))
        return looks

    def blocks(self, start: int) -> Iterator[Block]:
        if self.file is None:
            return candidates(self.pictures, start)
        return listed_candidates(self.pictures, self.file, start)

    def wholes(self) -> Wholes:
        return Wholes(lambda number: self.pictures.thumbnails.load(number)[0])

    def comparison(self, picture: Floats, wholes: Wholes) -> Comparison:
        return Comparison(picture, self.pictures.wholes.array, wholes, None if self.file is None else LISTED_PLACES)

    def anew(self, look: Look, wholes: Wholes) -> Comparison:
        return self.comparison(self.pictures.thumbnails.load(look.number)[0].astype(np.float32), wholes)

    def _noted(self, look: Look, block: Block, wholes: Wholes, looks: list[Look]) -> Recorded:
        looks.append(look)
        return Recorded(self.comparison(block.pictures[look.number - block.start], wholes), look)
