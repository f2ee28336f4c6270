"""A schedule on drawn shapes, and how to fire it: here, as its pod does, or up to a point where a driver might die."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.studies.kept import KeptBackend
from tests.studies.nights import Nights
from tests.studies.shapes import SPLIT, head
from tlbatch.champions.champion import Champion, load_champion, terms
from tlbatch.champions.decisions import decisions
from tlbatch.execution.driver import Driver, Silent
from tlbatch.execution.launch import publish_report
from tlbatch.planning import Plan
from tlbatch.records.executions import Execution
from tlbatch.schedules.applying import apply_here
from tlbatch.schedules.firing import Firing, Guard, fire
from tlbatch.schedules.firing_backend import fire_here
from tlbatch.schedules.firings import CRON, FiringRecord, load_firings
from tlbatch.spec import LoadedStudy, load_study

NAME = "shapes"
STUDY = (
    head("shapes", SPLIT)
    + """\
  - name: cnn
    model: {scratch: {channels: [4, 8], padding: same, dense: [8]}}
    input: {size: 16}
    train: {epochs: 3, batch_size: 8, lr: 3e-3}
schedule: {cron: "0 3 * * *", timezone: Asia/Shanghai}
"""
)


class DeathError(BaseException):
    """The driver dies here: nothing after this line happens, nobody catches it."""


@dataclass(frozen=True)
class Pods(Nights):
    """A study that is applied once, fired here or as its pods do; ``said`` is what the firings told."""

    said: list[str] = field(default_factory=list)

    def apply(self, *overrides: str) -> None:
        apply_here(load_study(self.study, overrides), self.opened)

    def here(self) -> FiringRecord:
        """As ``schedule trigger --here`` fires."""
        return fire_here(NAME, self.opened, KeptBackend(self.opened, 2), Silent(), self.said.append)

    def pod(self, execution: str, hook: str = "", dies_after: str = "", pause: float = 0.0) -> FiringRecord:
        """As the pod of a CronJob's Job does; the same name again is the next pod. ``dies_after``: walking."""

        def walk(execution: Execution, loaded: LoadedStudy, plan: Plan, guard: Guard) -> str:
            before: Mapping[str, Any] = execution.load_status() or {}
            driver = Driver(
                plan, self.opened, KeptBackend(self.opened, 2), execution, Silent(), detach=True, guard=guard, before=before
            )
            driver.finish = lambda: publish_report(execution, driver.works.values())
            state = driver.run()
            if dies_after == "walking":
                raise DeathError
            return state

        firing = Firing(NAME, execution, CRON, walk, hook=hook, say=self.said.append, sleep=lambda _: time.sleep(pause))
        return fire(firing, self.opened)

    @property
    def champion(self) -> Champion | None:
        return load_champion(self.opened, NAME)[0]

    @property
    def serials(self) -> list[int]:
        return [term.serial for term in terms(self.opened, NAME)]

    @property
    def firings(self) -> list[FiringRecord]:
        return load_firings(self.opened, NAME)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        return decisions(self.opened, NAME)

    def file(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.opened.get(f"schedules/{NAME}/{name}"))
        return document

    def names(self, prefix: str) -> list[str]:
        return [stat.name for stat in self.opened.list(prefix)]


def numbers(record: FiringRecord) -> dict[str, Any]:
    """All of a record but its times and names."""
    return {name: value for name, value in asdict(record).items() if name not in ("started", "ended", "execution")}
