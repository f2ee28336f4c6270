"""Heads that are fitted to features at once, by name: logistic regression, class means, nearest neighbours. Free of torch.

Used by the training of a head (jobs.strategies.features) and by label curves (jobs.curves), so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.heads import logistic, neighbours, prototypes
from tlbatch.spec.model import Knn, Logistic, Prototypes, fitted_head

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Ints = NDArray[np.int64]
Tick = Callable[[int, int], None]


class FittedHead(Protocol):
    """What was fitted. ``chosen``: for the card, what was chosen by which figures; ``sentence``: the same in words."""

    @property
    def chosen(self) -> dict[str, Any]: ...

    @property
    def sentence(self) -> str: ...

    def logits(self, features: Features) -> Floats:
        """[n, classes] of raw features [n, d]."""
        ...


def fit_head(
    head: Mapping[str, Any],
    features: Features,
    labels: Ints,
    n_classes: int,
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    tick: Tick = lambda done, total: None,
) -> FittedHead:
    """Fit the head that ``head`` (as a plan has it) asks for. ``features`` [n, d], ``labels`` [n] in 0..n_classes-1.

    Images of one of ``groups`` stay in one fold. ``tick`` is called after every fit. Deterministic.
    """
    name = fitted_head(head)
    if name == "logistic":
        own = Logistic.of(head[name])
        return logistic.fit(features, labels, n_classes, cs=own.c, folds=own.folds, seed=seed, groups=groups, tick=tick)
    if name == "prototypes":
        return prototypes.fit(features, labels, n_classes, scale=Prototypes.of(head[name]).scale)
    if name == "knn":
        near = Knn.of(head[name])
        ks = (near.k,) if isinstance(near.k, int) else near.k
        return neighbours.fit(features, labels, n_classes, ks=ks, folds=near.folds, seed=seed, groups=groups, tick=tick)
    raise ValueError(f"{head!r} is not fitted at once")
