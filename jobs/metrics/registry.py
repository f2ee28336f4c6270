"""The metrics by name. A new one is a decorated function in a module of its own or beside its kin, listed in MODULES."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from jobs.statistics.predictions import Floats, Weighted
from tlbatch.errors import StudyError
from tlbatch.plugins import find, program

MODULES = ("classification", "ranking", "calibration")
Function = Callable[[Weighted], Floats]


@dataclass(frozen=True)
class Metric:
    """``function``: Weighted with b resamples -> [b], NaN where it is not defined.

    ``a_share``: whether it is a kind of share of images. ``lowest`` and ``highest``: what it lies between.
    """

    name: str
    title: str
    function: Function
    higher_is_better: bool = True
    a_share: bool = False
    lowest: float = 0.0
    highest: float = math.inf

    @property
    def better(self) -> str:
        return "higher" if self.higher_is_better else "lower"


_METRICS: dict[str, Metric] = {}


def metric(name: str, title: str, *, higher_is_better: bool = True) -> Callable[[Function], Function]:
    """Register a function. Raises ValueError for a name that is taken."""

    def register(function: Function) -> Function:
        if name in _METRICS:
            raise ValueError(f"two metrics called {name}")
        highest = 1.0 if higher_is_better or name == "ece" else math.inf
        _METRICS[name] = Metric(name, title, function, higher_is_better, a_share=higher_is_better, highest=highest)
        return function

    return register


@cache
def metrics() -> dict[str, Metric]:
    """All metrics in the order for tables: that of MODULES, and in a module that of its lines."""
    modules = [importlib.import_module(f"jobs.metrics.{module}").__name__ for module in MODULES]
    ordered = sorted(_METRICS.values(), key=lambda metric: modules.index(metric.function.__module__))
    return {metric.name: metric for metric in ordered}


def metrics_with(added: Iterable[str]) -> dict[str, Metric]:
    """All metrics, and these of plug-ins (``plugin:name``) behind them. Raises StudyError."""
    return {**metrics(), **{name: _added(name) for name in added}}


def _added(name: str) -> Metric:
    entry, function = find("metrics", name), program("metrics", name)

    def checked(w: Weighted) -> Floats:
        values, resamples = np.asarray(function(w)), w.weights.shape[1]
        if values.shape != (resamples,) or values.dtype.kind not in "fiub":
            given = f"{values.dtype} of shape {list(values.shape)}"
            raise StudyError(
                f"{name} gives {given} for {resamples} resamples, and not a number for each; ask the plug-in's authors"
            )
        return np.where(np.isfinite(values), values, np.nan).astype(np.float64)

    return Metric(name, entry.title, checked, entry.higher_is_better, lowest=float(entry.lowest), highest=float(entry.highest))
