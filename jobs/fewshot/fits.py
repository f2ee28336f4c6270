"""How many of an episode's items each head gets right, fitted to the labels of the episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.context import Context
from jobs.data.features import load_features
from jobs.fewshot.drawing import Episode
from jobs.finite import finite
from jobs.heads.fitting import fit_head
from tlbatch.contracts.episodes import EpisodesParams

Floats = NDArray[np.float64]
HEADS: Mapping[str, Mapping[str, Any]] = {
    "prototypes": {"prototypes": {"scale": 10.0}},
    "knn": {"knn": {"k": 1}},
    "logistic": {"logistic": {"c": [1.0]}},
}
"""Nothing is chosen in an episode: its few labels leave nothing to choose by."""
Accuracies = dict[tuple[str, int], Floats]
"""[episodes] by head and shots."""


def judge(
    context: Context, role: str, params: EpisodesParams, episodes: Sequence[Episode], tick: Callable[[], None]
) -> Accuracies:
    """On the features of an input. Each accuracy is a share of the ways x queries items of its episode."""
    ids = sorted({entry.id for episode in episodes for items in (*episode.support, *episode.query) for entry in items})
    features, place = finite(load_features(context.input(role), ids), "features"), {each: row for row, each in enumerate(ids)}
    found: Accuracies = {(head, shots): np.zeros(len(episodes)) for head in params.heads for shots in params.shots}
    truth = np.repeat(np.arange(params.ways), params.queries)
    for number, episode in enumerate(episodes):
        query = features[[place[entry.id] for items in episode.query for entry in items]]
        for shots in params.shots:
            support = features[[place[entry.id] for items in episode.support for entry in items[:shots]]]
            labels = np.repeat(np.arange(params.ways), shots)
            for head in params.heads:
                fitted = fit_head(HEADS[head], support, labels, params.ways, seed=params.seed)
                found[head, shots][number] = (fitted.logits(query).argmax(axis=1) == truth).mean()
        tick()
    return found
