"""Schedules whose models have several tasks, night by night; what decides is the rule itself (judge, judge_together).

Each task has images of its own among the pinned ones; with ``World.rho`` an image is hard for all models, and for all tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.promotion.over_tasks import guard, judge_together
from jobs.promotion.rule import Rule
from jobs.promotion.verdict import PROMOTED, judge
from jobs.statistics.predictions import Bools, Floats
from tests.jobs.promotion.simulated import Schedules, World, answers, counted


@dataclass
class Together:
    """``tasks``: of each what there would be of it alone, all of the same schedules. ``why``: a night's outcomes, as there."""

    tasks: list[Schedules]
    why: list[list[str]] = field(default_factory=list)

    @staticmethod
    def start(world: World, tasks: int, count: int) -> Together:
        found = [Schedules.start(world, count, seed=7 + task) for task in range(tasks)]
        for other in found[1:]:
            other.hard = found[0].hard
        return Together(found)

    def again(self, times: int) -> Together:
        """Each ``times``, as it stands, without a past."""
        return Together([task.again(times) for task in self.tasks])

    def step(self, rule: Rule, recalls: Sequence[Floats]) -> Bools:
        """A night of which the challengers have these true recalls [count, classes] in each task; who of them was promoted."""
        right = [answers(task.world, task.rng, task.hard, own) for task, own in zip(self.tasks, recalls, strict=True)]
        said = [counted(task.world, own, task.right) for task, own in zip(self.tasks, right, strict=True)]
        why = []
        for number in range(len(right[0])):
            found = {
                str(t): (*each[number], task.levels[number])
                for t, (task, each) in enumerate(zip(self.tasks, said, strict=True))
            }
            verdicts = {t: judge(guard(rule), estimate, rows, level) for t, (estimate, rows, level) in found.items()}
            joint = judge_together(rule, verdicts, {t: estimate for t, (estimate, _, _) in found.items()})
            why.append(joint.why or PROMOTED)
            for task, (estimate, _, level) in zip(self.tasks, found.values(), strict=True):
                task.levels[number] = level.then(estimate.challenger, estimate.spread)
        promoted = np.array(why) == PROMOTED
        for task, own, true in zip(self.tasks, right, recalls, strict=True):
            task.right = np.where(promoted[:, None], own, task.right)
            task.recalls = np.where(promoted[:, None], true, task.recalls)
        self.why.append(why)
        return promoted

    def live(self, rule: Rule, nights: int, recalls: Sequence[Sequence[float]]) -> Together:
        """Nights of challengers with these recalls of the classes, a list a task."""
        count = len(self.tasks[0].recalls)
        for _ in range(nights):
            self.step(rule, [np.tile(np.array(own, dtype=float), (count, 1)) for own in recalls])
        return self

    def promoted(self, nights: int) -> float:
        """Share that was promoted within the first ``nights``."""
        return float((np.array(self.why[:nights]) == PROMOTED).any(axis=0).mean())
