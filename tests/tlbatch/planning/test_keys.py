"""The keys of the ready-made studies and of three with schedules, as they are: a change of code that changes one is seen.

Each task's digest is taken as a function of its key, so that the keys hang together as they do in a store. A key that
changes on purpose is written anew with ``python -m tests.tlbatch.planning.test_keys``, and the change is named.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tlbatch.planning.test_champion_tasks import MODEL, PINS, REIGNING, SCHEDULE
from tests.tlbatch.planning.test_make import IMAGES, OWN, TEXT, keys
from tlbatch.champions.champion import Champion
from tlbatch.planning.champion_tasks import ChampionState, resolve_champion
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.resolve import document_of
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.planning.zero_label import zero_labels
from tlbatch.spec import Run, load_study, parse_study
from tlbatch.spec.model import FromRun
from tlbatch.store import open_store

SPECS = Path(__file__).parents[3] / "jobs/specs"
RECORDED = Path(__file__).with_name("keys.json")
CLASSES = ("cat", "dog")
FIRINGS = {
    "first": ChampionState(),
    "defended": ChampionState(PINS, REIGNING, {1: 4}),
    "renewed": ChampionState(PINS, REIGNING, renew=True),
}


def weights_for(run: Run) -> ResolvedWeights:
    if isinstance(run.model.backbone, FromRun):
        return ResolvedWeights({"kind": "model", "sha256": "cd" * 32}, None, OWN, source=MODEL)
    return ResolvedWeights({"kind": "file", "sha256": "ab" * 32}, "/somewhere", OWN, trained_on="ImageNet")


def of_spec(path: Path) -> dict[str, str]:
    loaded = load_study(path)
    runs = resolve_runs(loaded.study, weights_for, "fp32")
    data = ListedData("pets", CLASSES, "listing")
    zero = zero_labels(runs, {"cat": [281, 282], "dog": [200, 201]})
    sources = {name: ListedData(name, CLASSES, f"listing of {name}") for name in loaded.study.sources}
    controls, document = resolve_controls(runs, IMAGES), document_of(loaded)
    return keys(make_plan(ResolvedStudy(loaded.study, data, runs, controls, zero, document=document, sources=sources)))


def of_firing(defence: ChampionState, folder: Path) -> dict[str, str]:
    study = parse_study(TEXT + SCHEDULE).study
    runs = resolve_runs(study, weights_for, "fp32")
    found = resolve_champion(defence, study, open_store(str(folder)))
    data = ListedData("pets", CLASSES, "listing")
    return keys(make_plan(ResolvedStudy(study, data, runs, resolve_controls(runs, IMAGES), defended=found)))


def all_keys(folder: Path) -> dict[str, dict[str, str]]:
    found = {path.stem: of_spec(path) for path in sorted(SPECS.glob("*.yaml"))}
    return found | {f"schedule, {name}": of_firing(defence, folder) for name, defence in FIRINGS.items()}


def test_keys_are_the_recorded_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TLBATCH_DATA", "TLBATCH_BREEDS", "TLBATCH_SAMPLES", "TLBATCH_WEIGHTS_DIR"):
        monkeypatch.delenv(name, raising=False)
    recorded: dict[str, Any] = json.loads(RECORDED.read_text())
    found = all_keys(tmp_path)
    assert found.keys() == recorded.keys()
    for study, tasks in found.items():
        assert tasks == recorded[study], study


def test_every_kind_of_task_is_among_them(tmp_path: Path) -> None:
    assert isinstance(REIGNING, Champion)
    names = {task.split(":")[0] for tasks in json.loads(RECORDED.read_text()).values() for task in tasks}
    assert names == {"prepare", "pin", "extract", "finetune", "evaluate", "suspects", "decide", "report"}


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        RECORDED.write_text(json.dumps(all_keys(Path(place)), indent=1, sort_keys=True) + "\n")
