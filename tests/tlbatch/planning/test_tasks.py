"""Several tasks in a plan: one training of all of them, a line a task, and twins that are paid once."""

from __future__ import annotations

from tests.tlbatch.planning.test_make import IMAGES, keys, weights_for
from tlbatch.manifests import task_needs
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import contrasts, resolve_runs
from tlbatch.spec import parse_study

HEAD = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: pets, labels: {csv: labels.csv, tasks: {species: species, breed: breed}}}
repeat: {seeds: [0, 1]}
runs:
"""
TASKS = {"species": ("cat", "dog"), "breed": ("husky", "pug", "tabby")}
NET = "model: {backbone: mobilenet_v2, head: {dense: [64]}}"


def resolved(*runs: str) -> ResolvedStudy:
    study = parse_study(HEAD + "".join(f"  - {{{run}}}\n" for run in runs)).study
    found = resolve_runs(study, weights_for, "fp32")
    data = ListedData("pets", ("cat", "dog"), "d", tasks=TASKS)
    return ResolvedStudy(study, data, found, resolve_controls(found, IMAGES))


def steps(plan: Plan, step: str) -> list[str]:
    return [node.name for node in plan if node.step == step]


def test_one_training_of_all_and_a_model_of_each() -> None:
    plan = make_plan(resolved(f"name: both, {NET}, strategy: {{finetune: {{}}}}"))
    assert steps(plan, "finetune") == [
        *("together:both:0", "finetune:both-species:0", "together:both:1", "finetune:both-species:1"),
        *("finetune:both-breed:0", "finetune:both-breed:1"),
        *(f"finetune:{task}-alone:{seed}" for task in TASKS for seed in (0, 1)),
    ]
    whole, own = plan.nodes["together:both:0"], plan.nodes["finetune:both-breed:0"]
    assert whole.params["tasks"] == [{"name": name, "classes": list(classes)} for name, classes in TASKS.items()]
    assert "task" not in whole.params
    assert own.needs["together"] == "together:both:0"
    assert (own.params["task"], own.params["classes"], own.weight) == ("breed", list(TASKS["breed"]), "light")
    judged = plan.nodes["evaluate:both-breed"]
    assert (judged.params["task"], judged.params["classes"]) == ("breed", list(TASKS["breed"]))
    assert plan.nodes["report"].needs["together:both-breed:1"] == "together:both:1"


def test_twins_are_the_same_training_of_one_task_and_tested() -> None:
    study = resolved(f"name: both, {NET}, strategy: {{finetune: {{}}}}, train: {{epochs: 7, task_weights: uncertainty}}")
    plan = make_plan(study)
    twin, own = plan.nodes["finetune:breed-alone:0"], plan.nodes["finetune:both-breed:0"]
    assert "together" not in twin.needs
    assert twin.needs == {role: name for role, name in own.needs.items() if role != "together"}
    same = {name: value for name, value in own.params.items() if name != "train"}
    assert {name: value for name, value in twin.params.items() if name != "train"} == same
    assert {**twin.params["train"], "task_weights": "uncertainty"} == own.params["train"]
    assert contrasts(list(study.runs), list(study.controls)) == [
        {"a": f"both-{task}", "b": f"{task}-alone", "kind": "tasks"} for task in TASKS
    ]


def test_runs_that_differ_in_their_weights_share_their_twins() -> None:
    study = resolved(f"name: equal, {NET}", f"name: learnt, {NET}, train: {{task_weights: uncertainty}}")
    assert [control.name for control in study.controls] == ["species-alone", "breed-alone"]
    assert study.controls[1].control_for == ("equal-breed", "learnt-breed")
    planned = [(c["a"], c["b"], c["kind"]) for c in contrasts(list(study.runs), list(study.controls))]
    assert ("learnt-breed", "equal-breed", "previous") in planned, "each task with itself"
    assert not any({"species", "breed"} <= {a.partition("-")[2], b.partition("-")[2]} for a, b, _ in planned)
    plan = make_plan(study)
    assert len([name for name in steps(plan, "finetune") if "alone" in name]) == 4
    assert len(steps(plan, "extract")) == 1, "features know no task"


def test_runs_that_differ_otherwise_have_their_own() -> None:
    study = resolved(f"name: short, {NET}, train: {{epochs: 2}}", f"name: long, {NET}, train: {{epochs: 9}}")
    names = [control.name for control in study.controls]
    assert sorted(names) == [f"{run}-{task}-{task}-alone" for run in ("long", "short") for task in ("breed", "species")]


def test_weights_are_part_of_what_is_asked_of_the_one_training() -> None:
    plain, heavy = (
        keys(make_plan(resolved(f"name: both, {NET}, train: {{task_weights: {weights}}}")))
        for weights in ("equal", "{breed: 2.0}")
    )
    changed = {name for name in plain if plain[name] != heavy[name]}
    assert changed == {name for name in plain if "both" in name and not name.startswith("extract")} | {"report"}


def test_a_twin_has_its_runs_resources_and_taking_a_task_out_needs_no_gpu() -> None:
    study = resolved(f"name: both, {NET}, strategy: {{finetune: {{}}}}, resources: {{memory: 64Gi}}")
    gpus = study.study.model_copy(update={"resources": study.study.resources.model_copy(update={"gpu": 1})})
    nodes = make_plan(study).nodes
    asked = {name: task_needs(gpus, nodes[name]) for name in ("together:both:0", "finetune:breed-alone:0")}
    assert {(needs.gpu, needs.memory) for needs in asked.values()} == {(1, "64Gi")}
    assert task_needs(gpus, nodes["finetune:both-breed:0"]).gpu == 0
