"""What a schedule asks of a challenger, and how strict its tests are the k-th time a test set is used. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOT_WORSE, BETTER = "not_worse", "better"


@dataclass(frozen=True)
class Rule:
    """A study's ``schedule`` without its times. ``class_bound``: the largest loss of recall, of every class or by class."""

    promote_on: str
    promote: str = NOT_WORSE
    min_gain: float = 0.0
    alpha: float = 0.05
    class_bound: float | Mapping[str, float] | None = None

    @staticmethod
    def of(document: Mapping[str, Any]) -> Rule:
        """Leniently: unknown fields are ignored."""
        return Rule(**{name: value for name, value in document.items() if name in Rule.__dataclass_fields__})

    def bound(self, name: str) -> float | None:
        """Of one class; None where nothing is asked."""
        if isinstance(self.class_bound, Mapping):
            return self.class_bound.get(name)
        return self.class_bound

    def level(self, k: int) -> float:
        """Of the k-th test (from 1) on one test set: alpha 6 / (pi^2 k^2), which over all k adds up to alpha.

        However often equal challengers are tested, the chance that any of them passes stays below alpha (alpha spending).
        """
        return self.alpha * 6 / (math.pi**2 * k**2)
