"""The search for wrong labels in a plan: once a study, by the features that its runs have anyhow, none for controls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tlbatch.contracts.test_parameters import plan_of as plan_of_study
from tests.tlbatch.planning.test_champion_tasks import SCHEDULE
from tests.tlbatch.planning.test_make import IMAGES, TEXT, changed, keys, plan_of, weights_for
from tests.tlbatch.planning.test_tasks import TASKS, resolved, steps
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study

SECOND = "runs[dense].model.backbone=squeezenet1_1"


def test_runs_on_the_same_features_have_one_and_no_model_decides() -> None:
    plan = plan_of()
    assert steps(plan, "suspects") == ["suspects"]
    node = plan.nodes["suspects"]
    assert node.needs == {"dataset": "prepare", "features:linear": "extract:linear"}
    assert node.params["judges"] == [{"name": "linear", "runs": ["linear", "dense"]}]
    assert plan.nodes["report"].needs["suspects"] == "suspects"


def test_of_several_features_the_models_decide() -> None:
    """Fails when a study with two networks searches twice, or the choice rests on less than what the report's does."""
    plan = plan_of(SECOND)
    assert steps(plan, "suspects") == ["suspects"]
    needs = plan.nodes["suspects"].needs
    assert {role for role in needs if role.startswith("features:")} == {"features:linear", "features:dense"}
    models = {f"model:{run}:{seed}": f"finetune:{run}:{seed}" for run in ("linear", "dense") for seed in (0, 1)}
    assert {role: name for role, name in needs.items() if role.startswith("model:")} == models


def test_evaluations_judge_by_networks_alone_and_controls_not_at_all() -> None:
    judging = [node.name for node in plan_of() if node.step == "evaluate" and node.params.get("label_errors", True)]
    assert judging == ["evaluate:cnn", "evaluate:tuned"]


def test_a_study_without_cached_features_has_none() -> None:
    tuned = "strategy={finetune: {}}"
    assert steps(plan_of(f"runs[linear].{tuned}", f"runs[dense].{tuned}"), "suspects") == []


def test_a_head_that_is_trained_otherwise_changes_nothing_of_it() -> None:
    """Fails when the task waits for, or depends on, what it does not read."""
    before, after = keys(plan_of()), keys(plan_of("runs[dense].train.lr=0.01"))
    assert "suspects" not in changed(before, after)
    assert "finetune:dense:0" in changed(before, after)


def test_seeds_that_draw_their_own_images_are_judged_as_the_first_draws() -> None:
    assert plan_of("repeat.seeds=[4, 5]").nodes["suspects"].params["redraw"] is None
    assert plan_of("repeat={seeds: [4, 5], redraw: train}").nodes["suspects"].params["redraw"] == 4


def test_every_task_of_several_has_its_own() -> None:
    plan = make_plan(resolved("name: both, model: {backbone: mobilenet_v2, head: {dense: [64]}}, strategy: features"))
    assert steps(plan, "suspects") == ["suspects:species", "suspects:breed"]
    own = plan.nodes["suspects:breed"]
    assert (own.params["task"], own.params["classes"]) == ("breed", list(TASKS["breed"]))
    assert own.params["judges"] == [{"name": "both-breed", "runs": ["both-breed"]}]
    assert {"suspects:species", "suspects:breed"} <= set(plan.nodes["report"].needs)


def test_a_schedules_pins_divide_its_images(tmp_path: Path) -> None:
    plan = plan_of_study(parse_study(TEXT + SCHEDULE).study, tmp_path, "first")
    assert plan.nodes["suspects"].needs["pinned"] == "pin"


@pytest.mark.parametrize(("files", "classes", "weight"), [(100_000, 1000, "heavy"), (20_000, 100, "light"), (100, 2, "light")])
def test_all_cores_fit_many_items_of_many_classes(files: int, classes: int, weight: str) -> None:
    """And one alone the rest: several run side by side then."""
    study = parse_study(TEXT).study
    data = ListedData("pets", tuple(f"class-{number}" for number in range(classes)), "d", files=files)
    runs = resolve_runs(study, weights_for, "fp32")
    plan = make_plan(ResolvedStudy(study, data, runs, resolve_controls(runs, IMAGES)))
    for name in ("suspects", "finetune:linear:0", "finetune:linear-random:0"):
        assert plan.nodes[name].weight == weight, name
