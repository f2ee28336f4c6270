"""Choosing C where images are enough to tell: what is clearly worse is not fitted again.

A race (Maron and Moore 1994, Hoeffding Races; paired on the same images, as Moore and Lee 1994 do): after a fold a C stays in
it whose held-out loss is not clearly above the best one's, and with one left it is over. Along the first fold's path, from
strong penalty to weak, nothing is tried after a C that is clearly worse than a stronger one: held-out loss over C has one
valley. Where images are few, all folds count (jobs.heads.logistic).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.blocks import blocks_of
from jobs.heads.cores import one_thread, threads
from jobs.heads.held_out import MANY, Learnt, Outputs, held_out, said_of, size_of
from jobs.heads.standard import Features, Floats, Ints
from jobs.statistics.units import standard_error

CLEAR = 3.0
"""Standard errors of the mean paired difference, by which one C is clearly worse than another; 2 were never wrong, either."""
TOGETHER = 2
"""Folds that are fitted before it is asked again which C are clearly worse: fewer fits, and two threads have one each."""
Bools = NDArray[np.bool_]
Judged = tuple[Floats, Bools]
"""Of the images of a fold, [held] each: losses, and which are right."""


@dataclass
class Race:
    """Held-out losses [cs, n] so far, NaN where there is none; what each image counts; its unit; the places of C still in."""

    losses: Floats
    right: Bools
    counts: Floats
    units: Ints
    left: list[int] = field(default_factory=list)

    def clearly_worse(self, place: int, others: Sequence[int]) -> bool:
        """Than any of ``others``, on the images that both judged."""
        return any(self._above(place, other) > CLEAR for other in others if other != place)

    def narrow(self, tried: Sequence[int]) -> None:
        """Leave in what is not clearly worse than another that was tried."""
        self.left = [place for place in tried if not self.clearly_worse(place, tried)]

    def _above(self, place: int, other: int) -> float:
        """By how many standard errors its mean loss is above another's."""
        difference = self.losses[place] - self.losses[other]
        both = np.isfinite(difference)
        share = self.counts[both] / self.counts[both].mean()
        mean = float((share * difference[both]).mean())
        return mean / standard_error(share * (difference[both] - mean), self.units[both])

    def row(self, place: int, c: float, folds: int) -> dict[str, Any]:
        judged = np.isfinite(self.losses[place])
        loss, right = (
            float(np.average(values[place][judged], weights=self.counts[judged])) for values in (self.losses, self.right)
        )
        return {"c": c, "log_loss": loss, "accuracy": right, "folds": folds}


@dataclass(frozen=True)
class Fit:
    """One regression: its fold, its C's place, how far above its minimum its search stopped; what it learnt, while in."""

    fold: int
    place: int
    excess: float
    learnt: Learnt | None


@dataclass(frozen=True)
class Finish:
    """``place`` of the C with the lowest held-out loss, the smallest of equals; ``rows``: what came of each that was tried.

    ``learnt``: its regressions. ``excess``: how far above its minimum a search stopped at most, as a share of the loss; of
    ``exact`` ones alone, where these were asked for.
    """

    place: int
    rows: list[dict[str, Any]]
    learnt: list[Learnt]
    excess: float


def race(
    features: Features,
    labels: Ints,
    parts: Sequence[Ints],
    cs: Sequence[float],
    judge: Callable[[Outputs], Judged],
    *,
    counts: Floats,
    units: Ints,
    relative: float,
    exact: float | None = None,
    beside: Callable[[], object] | None = None,
    tick: Callable[[int, int], None],
) -> Finish:
    """Find the best of ``cs``.

    ``parts``: places held out by fold; ``judge`` is called for every fold and C that are fitted; ``units`` [n]: images of one
    number say less than as many others. ``relative``, ``tick``: as of held_out. The first fold goes first, then TOGETHER side
    by side; or one after the other where all threads share a fold's steps. ``exact``: what the first fold leaves is fitted on
    all folds as near to the minimum as that, the first fold once more where it is not, each search from the first fold's end
    (where penalties are strong, other folds' minima are near). ``beside``: what another thread may compute while the first fold
    has but one. The number of threads changes no bit.
    """
    parts = [held for held in parts if len(np.unique(np.delete(labels, held))) > 1]
    order, shape = [int(place) for place in np.argsort(cs, kind="stable")], (len(cs), len(labels))
    if not parts:
        return Finish(order[0], [], [], 0.0)
    run = Race(np.full(shape, np.nan), np.zeros(shape, bool), counts, units, order)
    fits, large = list[Fit](), size_of(labels) > MANY

    def look(said: Outputs, folds: Sequence[int], asked: Sequence[int]) -> Fit:
        own = replace(said, fold=folds[said.fold], place=asked[said.place])
        run.losses[own.place, own.held], run.right[own.place, own.held] = judge(own)
        return Fit(own.fold, own.place, own.excess, own.learnt)

    def beat(more: int = 0) -> None:
        tick(len(fits) + more, (len(parts) + (exact is not None)) * len(cs))

    def narrow(tried: Sequence[int]) -> None:
        run.narrow(tried)
        fits[:] = [fit if fit.place in run.left else replace(fit, learnt=None) for fit in fits]  # makes room

    kept, path = np.setdiff1d(np.arange(len(labels)), parts[0]), [cs[place] for place in order]
    workers = threads()  # before there is one
    with one_thread(), _by_another_thread(beside if workers > 1 and not large else None):
        for said in said_of(features, labels, (0, parts[0], kept), path, counts, relative, beat, workers):
            fits.append(look(said, [0], order))
            if run.clearly_worse(fits[-1].place, [fit.place for fit in fits]):
                break
    first = [fit.place for fit in fits]
    narrow(first)
    starts = {fit.place: fit.learnt for fit in fits}
    begin = 0 if exact is not None and any(fit.excess > exact for fit in fits if fit.place in run.left) else 1
    together = 1 if large else TOGETHER if exact is None else len(parts)
    for stage in blocks_of(len(parts) - begin, together):
        if len(run.left) == 1 and exact is None:
            break
        folds, asked = range(begin, len(parts))[stage], run.left
        fits += held_out(
            features,
            labels,
            [parts[fold] for fold in folds],
            [cs[place] for place in asked],
            partial(look, folds=folds, asked=asked),
            counts=counts,
            relative=relative if exact is None else exact,
            starts=None if exact is None else [starts[place] for place in asked],
            tick=lambda more, _: beat(more),
        )
        narrow(asked)
    rows = {
        place: run.row(place, float(cs[place]), len({fit.fold for fit in fits if fit.place == place}))
        for place in order
        if place in first
    }
    chosen = min(run.left, key=lambda place: (rows[place]["log_loss"], rows[place]["c"]))
    learnt = [fit.learnt for fit in fits if fit.place == chosen and fit.learnt is not None]
    last = {(fit.fold, fit.place): fit.excess for fit in fits if exact is None or fit.place in run.left}
    return Finish(chosen, list(rows.values()), learnt, max(last.values()))


@contextmanager
def _by_another_thread(work: Callable[[], object] | None) -> Iterator[None]:
    """While the block runs; what it raises is raised at the block's end."""
    if work is None:
        yield
        return
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        yield
        future.result()
