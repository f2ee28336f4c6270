"""Parameters of the ``curve`` task: accuracy of heads on features, with few labels a class."""

from __future__ import annotations

from typing import Any

from tlbatch.contracts.base import Parameters
from tlbatch.contracts.data import Divided


class CurveScratch(Parameters):
    """A network trained from random weights, by ``name``: on the first ``draws`` of each of ``labels``, rising.

    Inputs ``scratch:<run>:<labels>``: an evaluation whose seeds are the draws.
    """

    name: str
    labels: tuple[int, ...]
    draws: int


class CurveRun(Parameters):
    """A run: its ``head``, fitted with ``seed``, on features with so many ``views`` (inputs ``features:<name>``).

    ``control``: the same head on the frozen random backbone (``control:<name>``), by that name; None where there is none.
    ``scratch``: what is trained from random weights beside it.
    """

    name: str
    head: dict[str, Any]
    seed: int
    views: int = 0
    control: str | None = None
    scratch: CurveScratch | None = None


class CurveParams(Divided):
    """``labels`` a class, rising; None: 1, 2, 5, 10, … up to what there is. ``redraw``: the seed that drew what trains."""

    labels: tuple[int, ...] | None
    draws: int
    redraw: int | None
    runs: tuple[CurveRun, ...]
