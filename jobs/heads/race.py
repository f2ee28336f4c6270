"""Choosing C where images are enough to tell: what is clearly worse is not fitted again.

A race (Maron and Moore 1994, Hoeffding Races; paired on the same images, as Moore and Lee 1994 do): after a fold a C stays in
it whose held-out loss is not clearly above the best one's, and with one left it is over. Along the first fold's path, from
strong penalty to weak, nothing is tried after a C that is clearly worse than a stronger one: held-out loss over C has one
valley. Where images are few, all folds count (jobs.heads.logistic).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.cores import one_thread, threads
from jobs.heads.held_out import MANY, Outputs, held_out, said_of, size_of
from jobs.heads.standard import Features, Floats, Ints
from jobs.statistics.units import standard_error

CLEAR = 3.0
"""Standard errors of the mean paired difference, by which one C is clearly worse than another; 2 were never wrong, either."""
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
class Finish:
    """``place`` of the C with the lowest held-out loss, the smallest of equals; ``rows``: what came of each that was tried.

    ``excess``: how far above its minimum a search stopped at most, as a share of the loss.
    """

    place: int
    rows: list[dict[str, Any]]
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
    to_the_end: bool = False,
    tick: Callable[[int, int], None],
) -> Finish:
    """Find the best of ``cs``.

    ``parts``: places held out by fold; ``judge`` is called once for every fold and C that are fitted; ``units`` [n]: images of
    one number say less than as many others. ``to_the_end``: what is left at last has been fitted on all folds. ``relative``,
    ``tick``: as of held_out. The first fold goes first; the others side by side, or one after the other where all threads share
    a fold's steps. The number of threads changes no bit.
    """
    parts = [held for held in parts if len(np.unique(np.delete(labels, held))) > 1]
    order, shape = [int(place) for place in np.argsort(cs, kind="stable")], (len(cs), len(labels))
    if not parts:
        return Finish(order[0], [], 0.0)
    run = Race(np.full(shape, np.nan), np.zeros(shape, bool), counts, units, order)
    asked, done, total, large = order, list[tuple[int, float]](), len(parts) * len(cs), size_of(labels) > MANY

    def look(said: Outputs) -> tuple[int, float]:
        own = replace(said, place=asked[said.place])
        run.losses[own.place, own.held], run.right[own.place, own.held] = judge(own)
        return own.place, own.excess

    def beat(more: int = 0) -> None:
        tick(len(done) + more, total)

    kept = np.setdiff1d(np.arange(len(labels)), parts[0])
    with one_thread():
        for said in said_of(
            features,
            labels,
            (0, parts[0], kept),
            [cs[place] for place in order],
            counts,
            relative,
            beat,
            threads() if large else 1,
        ):
            done.append(look(said))
            if run.clearly_worse(done[-1][0], [place for place, _ in done]):
                break
    run.narrow([place for place, _ in done])
    for stage in [[held] for held in parts[1:]] if large else [parts[1:]]:
        if len(run.left) == 1 and not to_the_end:
            break
        asked = run.left
        left = [cs[place] for place in asked]
        done += held_out(features, labels, stage, left, look, counts=counts, relative=relative, tick=lambda more, _: beat(more))
        run.narrow(asked)
    folds = {place: sum(place == own for own, _ in done) for place in order}
    rows = {place: run.row(place, float(cs[place]), folds[place]) for place in order if folds[place]}
    chosen = min(run.left, key=lambda place: (rows[place]["log_loss"], rows[place]["c"]))
    return Finish(chosen, list(rows.values()), max(excess for _, excess in done))
