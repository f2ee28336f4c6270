"""Parameters of the ``episodes`` task: few labels of classes that nothing was trained on."""

from __future__ import annotations

from typing import Literal

from tlbatch.contracts.base import Parameters


class EpisodesRun(Parameters):
    """A run, by its features (inputs ``features:<name>``). ``trained``: of the network that its first seed trained.

    ``control``: of the same network with random weights (``control:<name>``), by that name; None where there is none.
    """

    name: str
    trained: bool = False
    control: str | None = None


class EpisodesParams(Parameters):
    """``classes`` are held out of training, ``learnt`` are not. ``seed``: of the split; it draws the episodes."""

    ways: int
    shots: tuple[int, ...]
    queries: int
    count: int
    heads: tuple[Literal["prototypes", "knn", "logistic"], ...]
    classes: tuple[str, ...]
    learnt: tuple[str, ...]
    seed: int
    runs: tuple[EpisodesRun, ...]
