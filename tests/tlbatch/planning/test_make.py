"""A plan is a pure function of the study: who shares what, and whose key changes with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tlbatch.planning import Node, Plan
from tlbatch.planning.controls import Images, resolve_controls
from tlbatch.planning.make import make_plan, prepare_node
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import contrasts, resolve_runs
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.spec import Run, parse_study
from tlbatch.tasks import InputRef

IMAGES = Images(train=30, validation=10)
OWN = {"size": 224, "resize": "crop", "crop": 0.875, "interpolation": "bilinear", "mean": [0.485, 0.456, 0.406]}
TEXT = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: pets, split: {train: 30, validation: 10, test: 10}}
repeat: {seeds: [0, 1]}
runs:
  - name: cnn
    model: {scratch: {}}
  - name: linear
    model: {backbone: mobilenet_v2}
    strategy: features
  - name: dense
    model: {backbone: mobilenet_v2, head: {dense: [64]}}
    strategy: features
  - name: tuned
    model: {backbone: mobilenet_v2}
    strategy: {finetune: {unfreeze: all}}
"""


def weights_for(_run: Run) -> ResolvedWeights:
    return ResolvedWeights({"kind": "file", "sha256": "ab" * 32}, "/somewhere", OWN, trained_on="ImageNet")


def plan_of(*overrides: str, url: str = "pets", digest: str = "d", unused: int = 0) -> Plan:
    study = parse_study(TEXT, overrides=overrides).study
    runs = resolve_runs(study, weights_for, "fp32")
    data = ListedData(url, ("cat", "dog"), digest, files=IMAGES.train + IMAGES.validation + 10 + unused)
    images = replace(IMAGES, test=10, unused=unused)
    return make_plan(ResolvedStudy(study, data, runs, resolve_controls(runs, images), images=images))


def keys(plan: Plan, outputs: Mapping[str, str] | None = None) -> dict[str, str]:
    """Keys when every task's digest is a function of its key, but for those in ``outputs``."""
    done: dict[str, InputRef] = {}
    for node in plan:
        task = node.task(done)
        assert task is not None
        done[node.name] = InputRef(node.step, task.key, (outputs or {}).get(node.name, f"digest of {task.key}"))
    return {name: ref.key for name, ref in done.items()}


def changed(a: dict[str, str], b: dict[str, str]) -> set[str]:
    return {name for name in a if a[name] != b[name]}


def test_runs_on_the_same_features_share_one_extraction_and_controls_theirs() -> None:
    extractions = {node.name: node.runs for node in plan_of() if node.step == "extract"}
    assert extractions["extract:linear"] == ("linear", "dense")
    assert set(extractions) == {"extract:linear", "extract:linear-random", "extract:colour-and-hog"}


def test_one_runs_learning_rate_changes_only_its_own_training_evaluation_and_the_report() -> None:
    before, after = keys(plan_of()), keys(plan_of("runs[0].train.lr=0.01"))
    assert changed(before, after) == {"finetune:cnn:0", "finetune:cnn:1", "evaluate:cnn", "report"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "runs[3].strategy={finetune: {unfreeze: [last, stage6, last]}}",
            "runs[3].strategy={finetune: {unfreeze: [stage6, last]}}",
        ),
        ("runs[1].model={backbone: mobilenet_v2, layer: last}", "runs[1].model={backbone: mobilenet_v2}"),
        ("runs[1].model.head={logistic: {c: [1, 0.1, 1]}}", "runs[1].model.head={logistic: {c: [0.1, 1]}}"),
        ("runs[1].model.head={knn: {k: [5, 1]}}", "runs[1].model.head={knn: {k: [1, 5]}}"),
    ],
)
def test_the_same_written_otherwise_is_the_same(one: str, other: str) -> None:
    """Order and repetitions where they mean nothing, and a default by its name: nothing is computed again."""
    assert keys(plan_of(one)) == keys(plan_of(other))


def test_where_images_are_left_over_features_are_of_those_that_are_used() -> None:
    """The task says by which division; where all are used its key is that of ever, whatever the split."""
    whole, part = plan_of(), plan_of(unused=500)
    assert all("divided" not in node.params for node in whole)
    divided = {node.name: node.params.get("divided") for node in part if node.step == "extract"}
    assert divided["extract:linear"] == divided["extract:colour-and-hog"]
    assert divided["extract:linear"]["redraws"] == [None, None]
    assert divided["extract:linear"]["split"]["train"] == 30
    redrawn = plan_of("repeat.redraw=train", unused=500).nodes["extract:linear"].params["divided"]
    assert redrawn["redraws"] == [0, 1]
    left = changed(keys(whole), keys(part))
    assert {name for name in left if not name.startswith(("extract:linear", "extract:colour"))} >= {"report"}
    assert "finetune:cnn:0" not in left


def test_how_long_a_task_takes_is_estimated_by_how_many_images_it_has() -> None:
    """Fails when a study of few images tells of one with many that it takes as long."""
    few, many = plan_of(), plan_of(unused=950)
    assert many.nodes["prepare"].units == 20 * few.nodes["prepare"].units == 1000
    assert many.nodes["extract:linear"].units == few.nodes["extract:linear"].units == 50
    views = plan_of("runs[1].augmentation={flip: horizontal}", "runs[1].views=3", unused=950)
    assert views.nodes["extract:linear"].units == 50 + 3 * 30
    tuned = few.nodes["finetune:tuned:0"]
    assert tuned.units == 30 * tuned.params["train"]["epochs"]
    assert few.nodes["evaluate:tuned"].units == 2 * 10


def test_a_touched_dataset_recomputes_only_prepare() -> None:
    same = {"prepare": "the same pictures"}
    assert changed(keys(plan_of(), same), keys(plan_of(digest="touched", url="s3://pets/all"), same)) == {"prepare"}


def test_where_the_bytes_are_is_not_in_the_key() -> None:
    plan = plan_of()
    moved = Plan(plan.study, {node.name: replace(node, locations={"weights": "/elsewhere"}) for node in plan})
    assert keys(plan) == keys(moved)


def test_a_task_has_no_key_before_its_inputs_are_complete() -> None:
    plan = plan_of()
    assert plan.nodes["prepare"].task({}) is not None
    assert plan.nodes["finetune:cnn:0"].task({}) is None


def test_folds_are_tasks_of_their_own() -> None:
    names = [node.name for node in plan_of("dataset.split.folds=5") if node.runs == ("cnn",) and node.step == "finetune"]
    assert names == [f"finetune:cnn:{seed}:{fold}" for seed in (0, 1) for fold in range(5)]


def test_contrasts_are_planned_before_results() -> None:
    runs = resolve_runs(parse_study(TEXT).study, weights_for, "fp32")
    planned = contrasts(runs, resolve_controls(runs, IMAGES))
    assert [(c["a"], c["b"]) for c in planned if c["kind"] == "previous"] == [
        ("linear", "cnn"),
        ("dense", "linear"),
        ("tuned", "dense"),
    ]
    control = {c["a"]: c["candidates"] for c in planned if c["kind"] == "control"}
    assert control["linear"] == ["linear-random", "colour-and-hog", "cnn"]
    assert set(control) == {"linear", "dense", "tuned"}


def test_a_plan_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="comes before what it needs"):
        Plan("pets", {"report": Node("report", "report", {}, {"dataset": "prepare"})})


@pytest.mark.parametrize(("files", "asked"), [(50_000, None), (50_001, "inverted file")])
def test_the_key_says_how_copies_are_looked_for_in_a_large_dataset(files: int, asked: str | None) -> None:
    study = parse_study(TEXT).study
    data = ListedData("pets", ("cat", "dog"), "d", files=files)
    assert prepare_node("dataset", study.dataset, data).params.get("near_copies") == asked
    unsought = study.dataset.model_copy(update={"near_duplicates": False})
    assert "near_copies" not in prepare_node("dataset", unsought, data).params
