"""What planning writes of a task's parameters is what its step reads; what another version wrote is told as that."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from jobs.context import Context
from tests.tlbatch.planning.test_adapt_controls import HEAD as ADAPTING
from tests.tlbatch.planning.test_adapt_controls import run as adapting
from tests.tlbatch.planning.test_champion_tasks import SCHEDULE
from tests.tlbatch.planning.test_episodes_task import ASKED
from tests.tlbatch.planning.test_episodes_task import plan_of as plan_of_episodes
from tests.tlbatch.planning.test_extension import extension
from tests.tlbatch.planning.test_keys import CLASSES, FIRINGS, IMAGES, SPECS, TEXT, weights_for
from tests.tlbatch.planning.test_tasks import resolved as of_tasks
from tlbatch.contracts.advice import AdviseParams, ProbeParams
from tlbatch.contracts.base import Parameters
from tlbatch.contracts.curve import CurveParams
from tlbatch.contracts.data import OverlapParams, PinParams, PrepareParams
from tlbatch.contracts.episodes import EpisodesParams
from tlbatch.contracts.evaluation import (
    DecideParams,
    EvaluateChampionParams,
    EvaluateExtendedParams,
    EvaluateRunParams,
    EvaluateZeroLabelParams,
    SuspectsParams,
)
from tlbatch.contracts.models import ExtendParams, ExtractParams, FinetuneParams, Trained
from tlbatch.contracts.prediction import PredictParams
from tlbatch.contracts.reports import ReportParams
from tlbatch.errors import OtherVersionError
from tlbatch.planning.advice import make_advice_plan, resolve_candidates
from tlbatch.planning.champion_tasks import resolve_champion
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Node, Plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.planning.weights import IMAGENET
from tlbatch.planning.zero_label import zero_labels
from tlbatch.spec import Study, load_study, parse_study
from tlbatch.steps import STEPS
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task, task_name

CURVE = "curve: {labels: [1, 5], draws: 6}\n"
OF_STEP: dict[str, type[Parameters]] = {
    "probe": ProbeParams,
    "advise": AdviseParams,
    "prepare": PrepareParams,
    "pin": PinParams,
    "overlap": OverlapParams,
    "extract": ExtractParams,
    "finetune": FinetuneParams,
    "evaluate:trained": EvaluateRunParams,
    "evaluate:zero_label": EvaluateZeroLabelParams,
    "evaluate:champion": EvaluateChampionParams,
    "evaluate:extended": EvaluateExtendedParams,
    "suspects": SuspectsParams,
    "extend": ExtendParams,
    "curve": CurveParams,
    "episodes": EpisodesParams,
    "decide": DecideParams,
    "report": ReportParams,
    "predict": PredictParams,
}


def plan_of(study: Study, folder: Path, firing: str | None = None) -> Plan:
    runs = resolve_runs(study, lambda run: replace(weights_for(run), trained_on=IMAGENET), "fp32")
    store = DirectoryStore(folder)
    defended = resolve_champion(FIRINGS[firing], study, store) if firing else None
    zero = zero_labels(runs, {"cat": [281, 282], "dog": [200, 201]})
    data = ListedData("pets", CLASSES, "listing")
    sources = {name: ListedData(name, CLASSES, f"listing of {name}") for name in study.sources}
    controls = resolve_controls(runs, IMAGES)
    return make_plan(ResolvedStudy(study, data, runs, controls, zero, defended=defended, sources=sources))


def nodes(folder: Path) -> list[Node]:
    plans = [plan_of(load_study(path).study, folder) for path in sorted(SPECS.glob("*.yaml"))]
    plans += [plan_of(parse_study(TEXT + SCHEDULE).study, folder, firing) for firing in FIRINGS]
    plans.append(advice_plan())
    plans.append(plan_of(parse_study(ADAPTING + adapting("coral", method="coral")).study, folder))
    plans.append(tasks_plan())
    plans.append(plan_of(parse_study(TEXT + CURVE, overrides=["runs[linear].model.head={prototypes: {}}"]).study, folder))
    plans.append(plan_of_episodes(ASKED))
    return [*(node for plan in plans for node in plan), *extension(DirectoryStore(folder / "store")).nodes]


def tasks_plan() -> Plan:
    return make_plan(of_tasks("name: both, model: {backbone: mobilenet_v2}, strategy: {finetune: {}}"))


def advice_plan() -> Plan:
    study = parse_study(
        TEXT + "advise: {candidates: [{backbone: mobilenet_v2}, {backbone: squeezenet1_1}], images: 50}\n"
    ).study
    runs = resolve_candidates(study, weights_for, "fp32")
    return make_advice_plan(ResolvedStudy(study, ListedData("pets", CLASSES, "listing"), runs))


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """To the byte, by way of JSON: the key is of these bytes. Fails when a step's model leaves out what planning writes."""
    seen = set()
    for node in nodes(tmp_path):
        name = f"{node.step}:{node.params['run_kind']}" if node.step == "evaluate" else node.step
        written = json.dumps(node.params, sort_keys=True)
        read = OF_STEP[name].of(json.loads(written))
        assert json.dumps(read.as_json(), sort_keys=True) == written
        assert not getattr(read, "model_extra", None)
        seen.add(name)
    assert seen == OF_STEP.keys() - {"predict"}


def test_every_step_has_its_parameters() -> None:
    assert {name.partition(":")[0] for name in OF_STEP} == STEPS.keys()


def test_they_are_frozen() -> None:
    params = PrepareParams(dataset="d", stored_size=512, max_bad=0.1, near_duplicates=True)
    with pytest.raises(ValueError, match="frozen"):
        params.stored_size = 5  # type: ignore[misc]


def test_unknown_fields_are_ignored_beside_and_refused_in_what_a_study_says() -> None:
    document = {"split": {}, "classes": ["a"], "fresh": 0.1}
    assert PinParams.of({**document, "newer": 1}) == PinParams.of(document)
    with pytest.raises(ValueError, match="newer"):
        PinParams.of({**document, "split": {"newer": 1}})
    assert PinParams.of_another_time({**document, "split": {"newer": 1}}).classes == ("a",)


def test_what_is_read_years_after_needs_little_of_it() -> None:
    model: dict[str, Any] = {"backbone": {"name": "x", "weights": {"kind": "file", "sha256": "ab"}}}
    trained = Trained.of_another_time({"model": model, "precision": "bf16", "train": {"gone": 1}})
    assert trained.model.backbone is not None
    assert (trained.precision, trained.model.backbone.weights.sha256) == ("bf16", "ab")


@pytest.mark.parametrize("step", STEPS)
def test_parameters_of_another_version_are_a_sentence(tmp_path: Path, step: str) -> None:
    """Each step reads its parameters first, and says whose they are; fails with KeyError where one digs for a name."""
    task = Task(step, {"renamed": 1}, name=step)
    context = Context(DirectoryStore(tmp_path / "store"), task, "a1", tmp_path / "scratch")
    with pytest.raises(OtherVersionError, match=r"another version of tlbatch wrote this task \(\w+: .*run the study again"):
        import_module(f"jobs.{step}").run(context)


def test_its_exit_code_is_that_of_a_study_to_plan_anew(tmp_path: Path) -> None:
    store, task = DirectoryStore(tmp_path / "store"), Task("pin", {"split": {"train": "many"}, "classes": []}, name="pin")
    store.put(task_name(task.key), task.to_json())
    command = [sys.executable, "-m", "jobs.pin", "--task", f"{store.url}/{task_name(task.key)}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "split.train" in result.stderr
    assert "another version of tlbatch" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
