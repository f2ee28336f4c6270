"""Which source items are believed: TrAdaBoost over weighted logistic regressions, the head of every other method here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.adaptation.tradaboost import Boosted, boost
from jobs.heads import logistic
from jobs.heads.logistic import Fitted
from jobs.heads.voted import Voted
from tlbatch.spec.model import Logistic

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def fit_instances(
    x: Floats,
    labels: Ints,
    n_source: int,
    n_classes: int,
    *,
    groups: Sequence[str],
    head: Logistic,
    seed: int,
    rounds: int,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Voted, Boosted[Fitted]]:
    """``x`` [n, d] and ``labels`` [n]: those of the sources, ``n_source`` of them, then the target's.

    C is chosen once, by cross-validation at the weights of the first round, all alike: by what both domains' labels together
    choose, so that what differs from their pooled regression is the weighting alone.
    """
    x32 = x.astype(np.float32)
    first = logistic.fit(x32, labels, n_classes, cs=head.c, folds=head.folds, seed=seed, groups=groups, tick=tick)
    done = 0

    def learn(weights: Floats) -> tuple[Fitted, NDArray[np.bool_]]:
        nonlocal done
        fitted = first
        if done:
            fitted = logistic.fit(x32, labels, n_classes, cs=(first.c,), folds=head.folds, seed=seed, weights=weights)
        done += 1
        tick(done, rounds)
        return fitted, np.asarray(fitted.logits(x32).argmax(axis=1) == labels)

    boosted = boost(learn, n_source, len(x) - n_source, n_classes, rounds)
    return Voted.of(boosted.hypotheses, boosted.votes, first), boosted
