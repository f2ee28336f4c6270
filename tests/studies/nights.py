"""Firings of a schedule on a bench, one after the other: what a firing does between listing and crowning, with this process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from tests.studies.shapes import Bench
from tlbatch.backends.local import LocalBackend
from tlbatch.champions import load_champion, settle_decision
from tlbatch.driver import Driver
from tlbatch.planning.defence import CHAMPION, DECIDE, PIN, Defence
from tlbatch.planning.settle import plan_study
from tlbatch.records import Execution, new_execution_id
from tlbatch.spec import load_study
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import Manifest, load_manifest
from tlbatch.tasks import InputRef
from tlbatch.work import Work


@dataclass(frozen=True)
class Night:
    """What one firing left."""

    works: dict[str, Work]
    store: Store

    def ref(self, name: str) -> InputRef:
        found = self.works[name].ref
        assert found is not None
        return found

    def manifest(self, name: str) -> Manifest:
        ref = self.ref(name)
        manifest = load_manifest(self.store, ref.step, ref.key)
        assert manifest is not None
        return manifest

    def document(self, name: str, file: str) -> Any:
        return json.loads(self.store.get(self.manifest(name).files[file].path))

    @property
    def decision(self) -> dict[str, Any]:
        return dict(self.document(DECIDE, "decision.json"))

    @property
    def pins(self) -> dict[str, Any]:
        return dict(self.document(PIN, "pins.json"))

    def states(self, state: str) -> set[str]:
        return {name for name, work in self.works.items() if work.state == state}


@dataclass
class Nights:
    """The schedule of a bench's study: remembers pins and uses as a schedule's records do."""

    bench: Bench
    pins: InputRef | None = None
    uses: dict[int, int] = field(default_factory=dict)
    evaluated: InputRef | None = None

    @property
    def store(self) -> Store:
        return open_store(str(self.bench.store))

    def fire(self, *overrides: str) -> Night:
        """One firing; it must succeed."""
        loaded = load_study(self.bench.study, overrides)
        name, store = loaded.study.name, self.store
        seen = load_champion(store, name)
        _, plan = plan_study(loaded, store, Defence(self.pins, seen[0], dict(self.uses), self.evaluated))
        execution = Execution(store, new_execution_id(name))
        driver = Driver(plan, store, LocalBackend(store, len(os.sched_getaffinity(0))), execution)
        state = driver.run()
        assert state == "succeeded", [(work.name, work.sentence) for work in driver.failures()]
        night = Night(dict(driver.works), store)
        self.pins, decision = night.ref(PIN), night.decision
        self.uses[decision["test"]["version"]] = decision["test"]["count"]
        made = settle_decision(store, name, execution.id, decision, night.ref(DECIDE), self.pins, seen)
        self.evaluated = None if made or seen[0] is None else night.ref(CHAMPION)
        return night
