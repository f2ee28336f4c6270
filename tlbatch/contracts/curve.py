"""Parameters of the ``curve`` task: accuracy of heads on features, with few labels a class."""

from __future__ import annotations

from typing import Any

from tlbatch.contracts.base import Parameters
from tlbatch.contracts.data import Divided


class CurveRun(Parameters):
    """A run: its ``head``, fitted with ``seed``, on features with so many ``views`` (inputs ``features:<name>``).

    ``control``: the same head on the frozen random backbone (``control:<name>``), by that name; None where there is none.
    """

    name: str
    head: dict[str, Any]
    seed: int
    views: int = 0
    control: str | None = None


class CurveParams(Divided):
    """``labels`` a class, rising; None: 1, 2, 5, 10, … up to what there is. ``redraw``: the seed that drew what trains."""

    labels: tuple[int, ...] | None
    draws: int
    redraw: int | None
    runs: tuple[CurveRun, ...]
