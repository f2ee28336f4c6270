"""The metrics by name. A new one is a decorated function in a module of its own or beside its kin, listed in MODULES."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from jobs.statistics.predictions import Floats, Weighted

MODULES = ("classification", "ranking", "scoring", "calibration")
Function = Callable[[Weighted], Floats]


@dataclass(frozen=True)
class Metric:
    """``function``: Weighted with b resamples -> [b], NaN where it is not defined."""

    name: str
    title: str
    function: Function
    higher_is_better: bool = True

    @property
    def better(self) -> str:
        return "higher" if self.higher_is_better else "lower"


_METRICS: dict[str, Metric] = {}


def metric(name: str, title: str, *, higher_is_better: bool = True) -> Callable[[Function], Function]:
    """Register a function. Raises ValueError for a name that is taken."""

    def register(function: Function) -> Function:
        if name in _METRICS:
            raise ValueError(f"two metrics called {name}")
        _METRICS[name] = Metric(name, title, function, higher_is_better)
        return function

    return register


@cache
def metrics() -> dict[str, Metric]:
    """All metrics in the order for tables: that of MODULES, and in a module that of its lines."""
    modules = [importlib.import_module(f"jobs.metrics.{module}").__name__ for module in MODULES]
    ordered = sorted(_METRICS.values(), key=lambda metric: modules.index(metric.function.__module__))
    return {metric.name: metric for metric in ordered}
