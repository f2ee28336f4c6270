"""Choosing C where images and classes are many: what is clearly worse is not fitted again.

A race (Maron and Moore 1994, Hoeffding Races; paired on the same images, as Moore and Lee 1994 do): after each fold a C stays
in it whose held-out loss is not clearly above the best one's, and with one left it is over. Along the first fold's path, from
strong penalty to weak, nothing is tried after a C that is clearly worse than a stronger one: held-out loss over C has one
valley. Images by the thousand are held out of each fold, so that one fold mostly tells. Where they are few, all folds count
(jobs.heads.logistic).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.cores import one_thread, threads
from jobs.heads.held_out import CHOOSING, losses_of, said_of
from jobs.heads.standard import Features, Floats, Ints
from jobs.statistics.units import standard_error

CLEAR = 5.0
"""Standard errors of the mean paired difference, by which one C is clearly worse than another."""
Bools = NDArray[np.bool_]


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


def race(
    features: Features,
    labels: Ints,
    parts: Sequence[Ints],
    cs: Sequence[float],
    *,
    counts: Floats,
    units: Ints,
    tick: Callable[[int, int], None],
) -> tuple[float, list[dict[str, Any]], float]:
    """The C of ``cs`` with the lowest held-out loss (the smallest of equals), and of each that was tried what came of it.

    And how far above its minimum a search stopped at most, as a share of the loss.

    ``parts``: places held out by fold; ``units`` [n]: images of one number say less than as many others. All threads share a
    fold's steps; their number changes no bit.
    """
    order, workers, shape = [int(place) for place in np.argsort(cs, kind="stable")], threads(), (len(cs), len(labels))
    run = Race(np.full(shape, np.nan), np.zeros(shape, bool), counts, units, order)
    folds, done, excess = dict.fromkeys(order, 0), 0, 0.0

    def check() -> None:
        tick(done, len(parts) * len(cs))

    with one_thread():
        for held in parts:
            kept, asked, tried = np.setdiff1d(np.arange(len(labels)), held), run.left, list[int]()
            if len(np.unique(labels[kept])) < 2:
                continue
            fits = said_of(features, labels, (0, held, kept), [cs[place] for place in asked], counts, CHOOSING, check, workers)
            for said in fits:
                place, done, excess = asked[said.place], done + 1, max(excess, said.excess)
                run.losses[place, held], run.right[place, held] = losses_of(said, labels)
                folds[place] += 1
                tried.append(place)
                if asked is order and run.clearly_worse(place, tried):
                    break
            run.narrow(tried)
            if len(run.left) == 1:
                break
    rows = {place: run.row(place, float(cs[place]), folds[place]) for place in order if folds[place]}
    chosen = min((rows[place] for place in run.left), key=lambda row: (row["log_loss"], row["c"]))
    return float(chosen["c"]), list(rows.values()), excess
