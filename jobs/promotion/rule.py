"""What a schedule asks of a challenger. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.statistics.sequential import bound_level, class_level
from tlbatch.contracts.evaluation import RuleParams

NOT_WORSE, BETTER = "not_worse", "better"
WORSE_LEVEL = 0.2
"""A challenger is worse where a one-sided test shows it at this level. To refuse costs a night, to promote more."""


@dataclass(frozen=True)
class Rule:
    """A study's ``schedule`` without its times. ``class_bound``: the largest loss of recall, of every class or by class.

    ``alpha``: level of a night's tests. No level depends on how often the test images were asked.
    """

    promote_on: str
    promote: str = NOT_WORSE
    min_gain: float = 0.0
    alpha: float = 0.05
    class_bound: float | Mapping[str, float] | None = None

    @staticmethod
    def of(asked: RuleParams) -> Rule:
        return Rule(**{name: getattr(asked, name) for name in Rule.__dataclass_fields__})

    def bound(self, name: str) -> float | None:
        """Of one class; None where nothing is asked."""
        if isinstance(self.class_bound, Mapping):
            return self.class_bound.get(name)
        return self.class_bound

    def harm_level(self, classes: int) -> float:
        """Of each class's test."""
        return class_level(self.alpha, classes)

    def bound_level(self, classes: int) -> float:
        """Of the test of a class that lost more than its bound; ``classes``: all there are, bounded or not."""
        bounded = min(len(self.class_bound), classes) if isinstance(self.class_bound, Mapping) else classes
        return bound_level(self.alpha, classes, bounded)
