"""A schedule whose models have several tasks: what a firing plans of each, and which champion it cannot defend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tlbatch.planning.test_make import IMAGES, weights_for
from tests.tlbatch.planning.test_tasks import HEAD, NET, TASKS
from tlbatch.champions.champion import Champion, ChampionTask
from tlbatch.errors import StudyError
from tlbatch.planning.champion_tasks import DECIDE, PIN, ChampionState, TaskState, check_class_bounds, resolve_champion
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study
from tlbatch.store import Store
from tlbatch.tasks import InputRef

SCHEDULE = """
schedule:
  cron: "0 3 * * *"
  promote_on: {species: accuracy, breed: macro_f1}
  class_bound: {species: 0.1, breed: {pug: 0.2}}
"""
PINS = InputRef("pin", "a" * 40, "pins")


def ref(step: str, letter: str) -> InputRef:
    return InputRef(step, letter * 40, letter)


OF_TASKS = (
    ChampionTask("species", {"model:1": ref("finetune", "b")}, ref("evaluate", "c")),
    ChampionTask("breed", {"model:1": ref("finetune", "d")}, ref("evaluate", "e")),
)
REIGNING = Champion("pets", 3, "pets", "both", 1, OF_TASKS[0].models, OF_TASKS[0].evaluation, PINS, tasks=OF_TASKS)


def defended(store: Store, defence: ChampionState, schedule: str = SCHEDULE) -> Plan:
    study = parse_study(HEAD + f"  - {{name: both, {NET}, strategy: features}}\n" + schedule).study
    runs = resolve_runs(study, weights_for, "fp32")
    found = resolve_champion(defence, study, store, TASKS)
    data = ListedData("pets", TASKS["species"], "d", tasks=TASKS)
    return make_plan(ResolvedStudy(study, data, runs, resolve_controls(runs, IMAGES), defended=found))


def test_the_champion_is_judged_in_every_task_by_what_is_asked_of_it(directory_store: Store) -> None:
    stream = {"scores": [0.9], "count": 1, "floor": 0.8, "metric": "macro_f1", "classes": ["pug"], "version": 1}
    tasks = {"species": TaskState(), "breed": TaskState(ref("evaluate", "f"), stream)}
    plan = defended(directory_store, ChampionState(PINS, REIGNING, {1: 2}, tasks=tasks))
    assert plan.nodes["evaluate:champion-species"].given == {**OF_TASKS[0].models, "earlier": OF_TASKS[0].evaluation}
    breed = plan.nodes["evaluate:champion-breed"]
    assert breed.given == {**OF_TASKS[1].models, "earlier": ref("evaluate", "f")}
    assert (breed.params["task"], breed.params["classes"]) == ("breed", list(TASKS["breed"]))
    decide = plan.nodes[DECIDE]
    assert decide.needs["champion:breed"] == "evaluate:champion-breed"
    assert "evaluate:both-breed" in decide.needs
    assert not [role for role in decide.needs if "alone" in role], "twins are no challengers"
    assert decide.params["runs"] == ["both"]
    species, of_breed = decide.params["tasks"]
    assert (species["rule"]["promote_on"], species["rule"]["class_bound"], species["stream"]) == ("accuracy", 0.1, None)
    assert (of_breed["rule"]["promote_on"], of_breed["rule"]["class_bound"]) == ("macro_f1", {"pug": 0.2})
    assert of_breed["stream"]["scores"] == [0.9]
    assert of_breed["champion"]["run"] == "both"
    assert plan.nodes[PIN].params["tasks"] == [{"name": name, "classes": list(classes)} for name, classes in TASKS.items()]


def test_what_cannot_be_defended_is_refused_with_its_place(directory_store: Store) -> None:
    wrong = HEAD + f"  - {{name: both, {NET}, strategy: features}}\n" + SCHEDULE.replace("pug: 0.2", "pgu: 0.2")
    with pytest.raises(StudyError, match=r"schedule.class_bound.breed: the dataset has no class 'pgu' .did you mean 'pug'"):
        check_class_bounds(parse_study(wrong).study, (), TASKS)
    for other in (replace(REIGNING, tasks=OF_TASKS[:1]), replace(REIGNING, tasks=())):
        with pytest.raises(
            StudyError, match=r"learnt for other tasks .* so the two cannot be compared: give the study another"
        ):
            defended(directory_store, ChampionState(PINS, other))
