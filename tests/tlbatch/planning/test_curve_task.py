"""The label curve in a plan: its features are those of the study's own runs and controls, and nothing is extracted twice."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.tlbatch.planning.test_make import IMAGES, TEXT, weights_for
from tlbatch.datasets.inventory import list_dataset
from tlbatch.errors import StudyError
from tlbatch.forecast import memory_facts
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Plan
from tlbatch.planning.resolve import check_scratch_labels
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study
from tlbatch.spec.curve import curve_cautions
from tlbatch.spec.dataset import Dataset, Split

FITTED = ("runs[linear].model.head={prototypes: {}}", "runs[dense].model.head={logistic: {}}")


def resolved_of(*overrides: str) -> ResolvedStudy:
    study = parse_study(TEXT, overrides=overrides).study
    runs = resolve_runs(study, weights_for, "fp32")
    return ResolvedStudy(study, ListedData("pets", ("cat", "dog"), "d"), runs, resolve_controls(runs, IMAGES), images=IMAGES)


def plan_of(*overrides: str) -> Plan:
    return make_plan(resolved_of(*overrides))


def extracted(plan: Plan) -> list[str]:
    return [node.name for node in plan if node.step == "extract"]


def test_it_shares_the_features_of_runs_and_cheap_controls() -> None:
    plain, plan = plan_of(*FITTED), plan_of(*FITTED, "curve={}")
    assert extracted(plan) == extracted(plain)
    needs = plan.nodes["curve"].needs
    assert needs["features:linear"] == needs["features:dense"] == "extract:linear"
    assert needs["control:linear"] == needs["control:dense"] == "extract:linear-random"
    assert plan.nodes["report"].needs["curve"] == "curve"
    assert {name: node.params for name, node in plain.nodes.items() if name != "report"} == {
        name: node.params for name, node in plan.nodes.items() if name not in ("report", "curve")
    }


@pytest.mark.parametrize("control", ["none", "full"])
def test_without_cheap_controls_it_has_features_of_random_weights_extracted(control: str) -> None:
    plan = plan_of(*FITTED, f"control={control}", "curve={}")
    name = plan.nodes["curve"].needs["control:linear"]
    assert plan.nodes[name].params["backbone"]["weights"] == {"kind": "random", "seed": 0}
    assert name not in plan_of(*FITTED, f"control={control}").nodes


def test_beside_it_the_same_network_is_trained_from_random_weights_on_the_same_draws() -> None:
    """One training for each number of labels and draw, shared by heads on the same network; all else stays as it was."""
    plain, plan = plan_of(*FITTED, "curve={labels: [2, 5]}"), plan_of(*FITTED, "curve={labels: [2, 5], scratch: {draws: 2}}")
    added = {name: node for name, node in plan.nodes.items() if name not in plain.nodes}
    assert {name: node.step for name, node in added.items()} == {
        f"{step}:linear-scratch-{labels}-labels{part}": step
        for labels in (2, 5)
        for step, parts in (("finetune", (":0", ":1")), ("evaluate", ("",)))
        for part in parts
    }
    training = added["finetune:linear-scratch-5-labels:1"].params
    assert (training["drawn"], training["seed"]) == ({"labels": 5, "draw": 1}, 1)
    assert training["model"]["backbone"]["weights"]["kind"] == "random"
    assert (training["train"]["lr"], training["train"]["steps_per_epoch"]) == ("auto", 50)
    assert "drawn" not in plain.nodes["finetune:cnn:0"].params
    needs, runs = plan.nodes["curve"].needs, plan.nodes["curve"].params["runs"]
    assert needs["scratch:linear:2"] == needs["scratch:dense:2"] == "evaluate:linear-scratch-2-labels"
    assert [run["scratch"] for run in runs] == [
        {"name": f"{name}-scratch", "labels": [2, 5], "draws": 2} for name in ("linear", "dense")
    ]
    assert all("scratch" not in run for run in plain.nodes["curve"].params["runs"])
    same = {name: node.params for name, node in plan.nodes.items() if name not in {*added, "curve", "report"}}
    assert same == {name: node.params for name, node in plain.nodes.items() if name not in ("curve", "report")}


def test_a_run_of_the_study_takes_its_place_with_its_own_recipe() -> None:
    plan = plan_of(*FITTED, "curve={labels: [2, 5], scratch: {run: cnn, labels: [5]}}")
    names = [node.name for node in plan if node.name.startswith("finetune:cnn-")]
    assert names == [f"finetune:cnn-5-labels:{draw}" for draw in range(3)]
    own, drawn = plan.nodes["finetune:cnn:0"].params, plan.nodes["finetune:cnn-5-labels:0"].params
    assert drawn == {**own, "drawn": {"labels": 5, "draw": 0}}
    assert plan.nodes["curve"].needs["scratch:dense:5"] == "evaluate:cnn-5-labels"


@pytest.mark.parametrize("run", ["", "run: cnn, "])
def test_what_it_trains_has_a_memory_forecast_as_runs_have(run: str) -> None:
    """Fails when a task of the curve is found in no run: `check` would say nothing of a pod that is killed for memory."""
    asked = (*FITTED, f"curve={{labels: [2, 5], scratch: {{{run}draws: 2}}}}")
    known = {fact.task: fact.needed_mib for fact in memory_facts(resolved_of(*asked), plan_of(*asked))}
    trained = [name for name in known if "-labels" in name]
    assert len(trained) == 6
    assert all(known[name] for name in trained)
    if run:
        assert known["finetune:cnn-5-labels:0"] == known["finetune:cnn:0"]


def test_the_command_runs_no_more_than_it_needs() -> None:
    part = plan_of(*FITTED, "curve={}").leading_to("curve")
    assert {node.step for node in part} == {"prepare", "extract", "curve"}
    assert extracted(part) == ["extract:linear", "extract:linear-random"]


def test_a_run_that_bears_the_name_of_a_control_is_no_clash() -> None:
    taken = "runs[tuned]={name: linear-random, model: {backbone: mobilenet_v2, layer: stage3, head: {knn: {}}}}"
    plan = plan_of(*FITTED, taken, "control=none", "curve={}")
    assert plan.nodes["curve"].needs["control:linear"] == "extract:linear-random-control"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["curve={}"], "curve: no run has features with a head that is fitted at once"),
        ([*FITTED, "curve={labels: [5, 2, 2]}"], "curve.labels: must rise: write [2, 5]"),
        ([*FITTED, "curve={draws: 3}"], "curve.draws: must be at least 5"),
        ([*FITTED, "curve={labels: [0]}"], "curve.labels[0]: must be at least 1"),
        ([*FITTED, "curve={scratch: {}}"], "curve.scratch: needs curve.labels"),
        ([*FITTED, "curve={labels: [2, 5], scratch: {labels: [3]}}"], "curve.scratch.labels: [3] are not among curve.labels"),
        ([*FITTED, "curve={labels: [2, 5], scratch: {labels: [5, 2]}}"], "curve.scratch.labels: must rise: write [2, 5]"),
        ([*FITTED, "curve={labels: [2], scratch: {draws: 9}}"], "curve.scratch.draws: are more than curve.draws, 5"),
        ([*FITTED, "curve={labels: [2], scratch: {run: cnm}}"], "'cnm' is no run of this study (did you mean 'cnn'?)"),
        ([*FITTED, "curve={labels: [2], scratch: {run: tuned}}"], "curve.scratch.run: tuned does not learn from scratch"),
        (
            [*FITTED, "curve={labels: [2], scratch: {}}", "dataset.split={train: 30, test: 10, folds: 3}"],
            "curve.scratch: chooses its rate on validation, which folds leave out",
        ),
    ],
)
def test_what_cannot_be_is_said(overrides: list[str], said: str) -> None:
    with pytest.raises(StudyError) as error:
        parse_study(TEXT, overrides=overrides)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("scratch", "said"),
    [
        ("{}", "dog has 3 images, and 5 labels a class are asked for: write curve.scratch.labels: [2]"),
        ("{labels: [5]}", "dog has 3 images, and 5 labels a class are asked for: leave curve.scratch out"),
        ("{labels: [2]}", ""),
    ],
)
def test_more_labels_than_a_class_has_are_refused_before_anything_is_trained(scratch: str, said: str, tmp_path: Path) -> None:
    """Heads are fitted to as many as there are; a training would fail hours later. What only tests is not counted."""
    for name, part, count in (("cat", "train", 9), ("dog", "train", 3), ("cat", "test", 9), ("dog", "test", 9)):
        (tmp_path / part / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / part / name / f"{number}.jpg").write_bytes(b"x")
    listing = list_dataset(Dataset(url=str(tmp_path), split=Split(folders={"train": "train", "test": "test"})))
    study = parse_study(TEXT, overrides=[*FITTED, f"curve={{labels: [2, 5], scratch: {scratch}}}"]).study
    with pytest.raises(StudyError) if said else nullcontext() as error:
        check_scratch_labels(study, listing)
    assert error is None or said in str(error.value)


def test_runs_that_will_have_none_are_named() -> None:
    study: Any = parse_study(TEXT, overrides=[*FITTED, "curve={}"]).study
    (said,) = curve_cautions(study)
    assert said.startswith("curve: cnn, tuned will have none")
    assert list(curve_cautions(parse_study(TEXT).study)) == []
