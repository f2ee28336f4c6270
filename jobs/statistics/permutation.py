"""The exact test of a paired difference over units, by flipping signs. Pure.

Where two models are equals, what they said about a unit might as well have been said the other way round: each unit's
difference d_u (images that only a gets right, less those that only b does) has either sign with probability 1/2,
independently of the other units (Fisher 1935). The p-value is the share of all 2^k sign patterns whose sum is as far out as
the one observed. Where every unit is one image this is exact McNemar: the binomial test of the discordant images.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from jobs.statistics.units import Floats, Ints

NEGLIGIBLE = 1e-18  #: chances below are left out: p-values are exact within 1e-13


def two_sided(differences: Ints) -> float:
    """P(|S| >= |observed|) of S, the sum of ``differences`` [units] (whole numbers) with random signs."""
    observed = abs(int(np.sum(differences)))
    return min(1.0, 2 * _tail(differences, observed)) if observed else 1.0


def one_sided(differences: Ints) -> float:
    """P(S >= observed): small where the sum of ``differences`` [units] is large."""
    observed = int(np.sum(differences))
    return _tail(differences, observed) if np.any(differences) else 1.0


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact McNemar, two-sided: of the units that just one model gets right, either is as likely to be it."""
    return min(1.0, 2 * chance(max(only_a, only_b), min(only_a, only_b))) if only_a + only_b else 1.0


def chance(won: int, lost: int) -> float:
    """Exact McNemar, one-sided: P(X >= won) of X binomial(won + lost, 1/2); 1 where nothing was won."""
    return float(special.bdtr(lost, won + lost, 0.5)) if won else 1.0


def _tail(differences: Ints, least: int) -> float:
    """P(S >= least)."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if len(sizes) == 1:  # the binomial distribution itself
        size, count = int(sizes[0]), int(counts[0])
        losses = (size * count - least) // (2 * size)
        return float(special.bdtr(losses, count, 0.5)) if losses >= 0 else 0.0
    start, law = _law_of_gains(sizes, counts)
    total = int((sizes * counts).sum())
    first = -(-(least + total) // 2) - start  # S = 2 gains - total
    return min(1.0, float(law[max(first, 0) :].sum()))


def _law_of_gains(sizes: Ints, counts: Ints) -> tuple[int, Floats]:
    """The distribution of the sum of the units whose sign is +: its least value, and the chances from there on.

    A convolution over the distinct sizes, each a multiple of a binomial variable. Chances below NEGLIGIBLE are cut off at
    both ends of each, so that 100,000 units take as long as the width of the distribution asks for, not its whole range.
    """
    start, law = 0, np.ones(1)
    for size, count in sorted(zip(sizes.tolist(), counts.tolist(), strict=True)):
        low, own = _binomial(count)
        wider = np.zeros(len(law) + size * (len(own) - 1))
        if len(own) <= len(law):
            for number, share in enumerate(own):
                wider[size * number : size * number + len(law)] += share * law
        else:
            for number, share in enumerate(law):
                wider[number : number + size * len(own) : size][: len(own)] += share * own
        there = np.flatnonzero(wider > NEGLIGIBLE)
        law = wider[there[0] : there[-1] + 1]
        start += size * low + int(there[0])
    return start, law


def _binomial(count: int) -> tuple[int, Floats]:
    """Binomial(count, 1/2): the least value that is not negligible, and the chances from there on."""
    reach = int(5 * np.sqrt(count)) + 1  # ten standard deviations
    low, high = max(0, count // 2 - reach), min(count, (count + 1) // 2 + reach)
    values = np.arange(low, high + 1, dtype=np.float64)
    logs = special.gammaln(count + 1) - special.gammaln(values + 1) - special.gammaln(count - values + 1) - count * np.log(2)
    law = np.exp(logs)
    return low, np.asarray(law / law.sum())
