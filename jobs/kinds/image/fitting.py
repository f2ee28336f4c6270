"""Whether pictures that look alike coarsely are copies: where in the one the other lies, and whether they agree all over.

1. *Located.* The coarse spectra of 256 views (each edge moved in by 0, 4.5, 9 or 13 %) against the other's whole.
2. *Compared.* Fine spectra (48 x 48 pixels, frequencies up to 24) at the best of these views: most pairs end here. So do those
   that agree exactly in much of the picture and not at all in a part of it: the same place with something else in it.
3. *Fitted.* The view's four edges, then also the other's, are moved by 2 %, 1 % and 0.5 % to where the fine spectra agree best.
   A copy agrees in the whole by ``COPY`` and by ``TILE`` in each of 3 x 3 tiles that shows something.

The first two are done for many pictures at once, some microseconds a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.kinds.image.candidates import coarse, flat, turned
from jobs.kinds.image.thumbnails import SYMMETRIES, UNITS, WHOLE, Box, Floats, Spectrum, Symmetry

LOCATED, COMPARED, FITTED, COPY, TILE = 0.8, 0.4, 0.55, 0.86, 0.6
DEEPEST = 26  # of an edge, in 1/200: 13 %
EDGES = (0, 9, 18, DEEPEST)
AXES = tuple((low, UNITS - high) for low in EDGES for high in EDGES)
STEPS = (4, 2, 1)  # of an edge, in 1/200
TILES = 3
SHOWN = 0.15  # of a tile's fair share of the energy: less is nothing to compare
SMALL_TILES = 6
SAME_PLACE, OTHER_THING, ALIGNED = (
    0.96,
    0.5,
    0.4,
)  # cosines of tiles, and the share of small ones that agree where a fit is right

fine = Spectrum(48, 24, np.float32)
_INVERSE = tuple(
    Symmetry(True, symmetry.flipped, symmetry.mirrored) if symmetry.transposed else symmetry for symmetry in SYMMETRIES
)
"""What takes each of SYMMETRIES back."""


@dataclass(frozen=True)
class Place:
    """View ``box`` of a picture looks like the whole of picture number ``other`` turned by the symmetry number ``turn``.

    ``score``: how much, by the cosine of fine spectra, not quite aligned yet.
    """

    other: int
    box: Box
    turn: int
    score: float = 0.0

    @property
    def symmetry(self) -> Symmetry:
        return SYMMETRIES[self.turn]


class Wholes:
    """Fine spectra of whole pictures, and what of them is compared; each computed when it is first asked for."""

    def __init__(self, load: Callable[[int], Floats]) -> None:
        self._load = load
        self._known: dict[int, tuple[Floats, Floats]] = {}

    def spectrum(self, number: int) -> Floats:
        """[k, k]"""
        return self._of(number)[0]

    def spatial(self, number: int) -> Floats:
        """[side, side]"""
        return self._of(number)[1]

    def views(self, number: int) -> Views:
        return Views(self._load(number))

    def _of(self, number: int) -> tuple[Floats, Floats]:
        if number not in self._known:
            spectrum = fine(self._load(number).astype(np.float32))
            self._known[number] = (spectrum, fine.spatial(spectrum))
        return self._known[number]


class Views:
    """Fine spectra [k, k] of one picture's views, each computed once."""

    def __init__(self, picture: Floats) -> None:
        self._picture = picture.astype(np.float32)
        self._bands: dict[tuple[int, int], Floats] = {}
        self._known: dict[Box, Floats] = {}

    def __call__(self, box: Box) -> Floats:
        if box not in self._known:
            left, top, right, bottom = box
            if (top, bottom) not in self._bands:
                self._bands[top, bottom] = fine.axis(top, bottom) @ self._picture
            raw = self._bands[top, bottom] @ fine.axis(left, right).T * fine.weights
            self._known[box] = raw / (np.sqrt(np.vdot(raw, raw)) + np.float32(1e-6))
        return self._known[box]


class Turned:
    """Views turned by a symmetry, each turned once."""

    def __init__(self, views: Views, symmetry: Symmetry) -> None:
        self._views, self._symmetry = views, symmetry
        self._known: dict[Box, Floats] = {}

    def __call__(self, box: Box) -> Floats:
        if box not in self._known:
            self._known[box] = self._symmetry(self._views(box))
        return self._known[box]


class Likely:
    """One picture [96, 96] against others: which of them may be its copies, and where they lie in it."""

    def __init__(self, picture: Floats) -> None:
        self._coarse = flat(coarse.grid(picture, AXES)).reshape(len(AXES) ** 2, -1)
        self._fine = Views(picture)

    def places(self, others: NDArray[Any], coarse_wholes: Floats, wholes: Wholes, most: int | None = None) -> list[Place]:
        """Of pictures ``others`` [n], with coarse spectra ``coarse_wholes`` [n, d]: those worth a fit, the likeliest first.

        ``most``: so many at most are looked at finely, those that lie best in this one coarsely.
        """
        located = self._located(others, coarse_wholes)
        if most is not None:
            located = sorted(located, key=lambda place: (-place.score, place.other))[:most]
        by_view: dict[tuple[Box, int], list[Place]] = {}
        for place in located:
            by_view.setdefault((place.box, place.turn), []).append(place)
        found = [place for same in by_view.values() for place in self._compared(same, wholes)]
        return sorted(found, key=lambda place: (-place.score, place.other))

    def _located(self, others: NDArray[Any], wholes: Floats) -> list[Place]:
        some = self._coarse[_SOME]
        by_turn = np.stack([some @ turned(wholes, turn).T for turn in range(len(SYMMETRIES))])
        turns = by_turn.max(axis=1).argmax(axis=0)
        found = []
        for turn in np.unique(turns).tolist():
            chosen = np.flatnonzero(turns == turn)
            cosines = self._coarse @ turned(wholes[chosen], turn).T
            views, scores = cosines.argmax(axis=0), cosines.max(axis=0)
            placed = np.flatnonzero(scores >= LOCATED).tolist()
            found += [Place(int(others[chosen[i]]), _box(int(views[i])), turn, float(scores[i])) for i in placed]
        return found

    def _compared(self, places: list[Place], wholes: Wholes) -> list[Place]:
        """Of places with one view and symmetry those that may be copies, though view and whole are not quite aligned yet."""
        spectrum = _INVERSE[places[0].turn](self._fine(places[0].box))
        spectra = np.stack([wholes.spectrum(place.other) for place in places])
        scores = spectra.reshape(len(places), -1) @ spectrum.ravel()
        close = np.flatnonzero(scores >= COMPARED).tolist()
        if not close:
            return []
        view, others = fine.spatial(spectrum), np.stack([wholes.spatial(places[i].other) for i in close])
        other_things = _aligned(view, others) & (tile_cosines(view, others).min(axis=1) < OTHER_THING)
        left = [i for i, other_thing in zip(close, other_things.tolist(), strict=True) if not other_thing]
        return [replace(places[i], score=round(float(scores[i]), 3)) for i in left]

    def fitted(self, place: Place, wholes: Wholes) -> Fit | None:
        """Where the pictures agree best; None where they are no copies. First this one is cut, then both."""
        symmetry = place.symmetry
        target = symmetry(wholes.spectrum(place.other))
        fit = _best_fit(self._fine, lambda box: target, Fit(-1, place.box), both=False)
        if FITTED <= fit.score < COPY and not _aligned(fine.spatial(self._fine(fit.box)), fine.spatial(target)[None])[0]:
            views = Turned(wholes.views(place.other), symmetry)
            fit = _best_fit(self._fine, views, fit, both=True)
            target = views(fit.other)
        if fit.score < COPY:
            return None
        return fit if tile_cosines(fine.spatial(self._fine(fit.box)), fine.spatial(target)[None]).min() >= TILE else None


def _aligned(view: Floats, others: Floats) -> NDArray[np.bool_]:
    """[n]: whether so much of the pictures agrees that no better fit is to be found."""
    return np.asarray((tile_cosines(view, others, SMALL_TILES) >= SAME_PLACE).mean(axis=1) >= ALIGNED)


def _box(number: int) -> Box:
    (top, bottom), (left, right) = AXES[number // len(AXES)], AXES[number % len(AXES)]
    return left, top, right, bottom


_SOME = [i for i in range(len(AXES) ** 2) if set(_box(i)) <= {EDGES[0], EDGES[2], UNITS - EDGES[0], UNITS - EDGES[2]}]
"""Views enough to tell the symmetry by."""


@dataclass(frozen=True)
class Fit:
    """View ``box`` of a picture and view ``other`` of another agree by the cosine ``score``."""

    score: float
    box: Box
    other: Box = WHOLE

    @property
    def cut(self) -> float:
        """The largest share cut off a side."""
        return max(max(box[0], box[1], UNITS - box[2], UNITS - box[3]) for box in (self.box, self.other)) / UNITS


def _best_fit(one: Callable[[Box], Floats], other: Callable[[Box], Floats], fit: Fit, *, both: bool) -> Fit:
    """The views that agree best, by moving one edge at a time; given up where the first round leaves them far off."""
    fit = replace(fit, score=float(np.vdot(one(fit.box), other(fit.other))))
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            moves = [(box, fit.other) for box in _neighbours(fit.box, step)]
            moves += [(fit.box, box) for box in _neighbours(fit.other, step)] if both else []
            for box, cut in moves:
                score = float(np.vdot(one(box), other(cut)))
                if score > fit.score + 1e-5:
                    fit, moved = Fit(score, box, cut), True
        if fit.score < FITTED:
            break
    return fit


@lru_cache(maxsize=2**12)
def _neighbours(box: Box, step: int) -> Sequence[Box]:
    """Views with one edge moved by ``step``: some thousand are asked for again and again."""
    found = []
    for edge in range(4):
        for move in (step, -step):
            value = box[edge] + move
            if 0 <= (value if edge < 2 else UNITS - value) <= DEEPEST:
                left, top, right, bottom = (value if i == edge else box[i] for i in range(4))
                found.append((left, top, right, bottom))
    return found


def tile_cosines(one: Floats, others: Floats, tiles: int = TILES) -> Floats:
    """[n, tiles²]: a picture [side, side] and others [n, side, side], the cosine of each tile; 1 where both show nothing."""
    ones, others = _tiled(one[None], tiles), _tiled(others, tiles)
    energies = np.stack([np.broadcast_to((ones**2).sum(-1), others.shape[:2]), (others**2).sum(-1)])
    cosines = (others * ones).sum(-1) / np.sqrt(energies.prod(0) + 1e-12)
    return np.asarray(np.where(energies.max(0) > SHOWN / tiles**2, cosines, 1))


def _tiled(pictures: Floats, tiles: int) -> Floats:
    """[n, tiles², pixels]"""
    side = pictures.shape[-1] // tiles
    return pictures.reshape(-1, tiles, side, tiles, side).swapaxes(2, 3).reshape(len(pictures), tiles**2, side * side)
