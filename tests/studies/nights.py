"""A bench's study as a schedule, fired here night after night, and what each firing left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.studies.kept import KeptBackend
from tests.studies.shapes import Bench
from tlbatch.execution.driver import Silent
from tlbatch.planning.champion_tasks import DECIDE, PIN
from tlbatch.records.executions import Execution
from tlbatch.schedules.applying import apply_here
from tlbatch.schedules.concluding import refs_of
from tlbatch.schedules.firing_backend import fire_here
from tlbatch.schedules.firings import SUCCEEDED
from tlbatch.schedules.pins import load_pins
from tlbatch.spec import load_study
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import Manifest, load_manifest
from tlbatch.tasks import InputRef


@dataclass(frozen=True)
class Night:
    """What one firing left in the store."""

    execution: Execution

    def ref(self, task: str) -> InputRef:
        return refs_of(self.execution)[task]

    def manifest(self, task: str) -> Manifest:
        ref = self.ref(task)
        manifest = load_manifest(self.execution.store, ref.step, ref.key)
        assert manifest is not None
        return manifest

    def text(self, task: str, file: str) -> str:
        return self.execution.store.get(self.manifest(task).files[file].path).decode()

    def document(self, task: str, file: str) -> dict[str, Any]:
        return dict(json.loads(self.text(task, file)))

    @property
    def decision(self) -> dict[str, Any]:
        return self.document(DECIDE, "decision.json")

    @property
    def pins(self) -> dict[str, Any]:
        return self.document(PIN, "pins.json")

    @property
    def report(self) -> dict[str, Any]:
        return self.document("report", "report.json")

    def predictions(self, task: str) -> dict[str, Any]:
        return self.document(task, "predictions.json")

    def states(self, state: str) -> set[str]:
        tasks = (self.execution.load_plan() or {})["tasks"]
        return {name for name, task in tasks.items() if task["state"] == state}


@dataclass(frozen=True)
class Nights(Bench):
    """The study is applied anew before every firing, with its overrides."""

    @property
    def opened(self) -> Store:
        return open_store(str(self.store))

    def fire(self, *overrides: str) -> Night:
        """One firing, which must succeed; every task on one core, so that torch is imported once."""
        loaded, store = load_study(self.study, overrides), self.opened
        apply_here(loaded, store)
        record = fire_here(loaded.study.name, store, KeptBackend(store, 1), Silent(), lambda _: None)
        assert record.state == SUCCEEDED, record.sentence
        return Night(Execution(store, record.execution))

    def uses(self, name: str) -> dict[int, int]:
        """How many tests each version of the test set has served, as the schedule counts."""
        pins = load_pins(self.opened, name)
        return pins.uses if pins else {}
