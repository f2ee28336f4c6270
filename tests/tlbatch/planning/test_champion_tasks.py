"""What a schedule's firing adds to a plan, and that it adds nothing to any other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tlbatch.planning.test_make import IMAGES, TEXT, changed, keys, plan_of, weights_for
from tlbatch.champions.champion import Champion
from tlbatch.errors import StudyError
from tlbatch.manifests.needs import task_needs
from tlbatch.planning import Plan
from tlbatch.planning.champion_tasks import CHAMPION, DECIDE, PIN, ChampionState, check_class_bounds, resolve_champion
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.tasks import InputRef, Task, task_name

SCHEDULE = 'schedule: {cron: "0 3 * * *", promote: better, min_gain: 0.01, class_bound: {cat: 0.1}}\n'
MODEL = InputRef("finetune", "f" * 40, "digest of the model")
EVALUATION = InputRef("evaluate", "e" * 40, "digest of the evaluation")
PINS = InputRef("pin", "a" * 40, "digest of the pins")
REIGNING = Champion("pets", 3, "pets", "tuned", 1, {"model:1": MODEL}, EVALUATION, PINS)


def defended(store: Store, defence: ChampionState, *overrides: str) -> Plan:
    study = parse_study(TEXT + SCHEDULE, overrides=overrides).study
    runs = resolve_runs(study, weights_for, "fp32")
    found = resolve_champion(defence, study, store)
    return make_plan(
        ResolvedStudy(study, ListedData("pets", ("cat", "dog"), "d"), runs, resolve_controls(runs, IMAGES), defended=found)
    )


def test_keys_of_studies_without_a_schedule_are_those_of_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest for each plan, at version 1 of every step: another one is written here only on purpose (suspects, last)."""
    first = {name: replace(step, version=1) for name, step in STEPS.items()}
    monkeypatch.setattr("tlbatch.tasks.STEPS", first)
    several = ("dataset.split.folds=3", "runs[1].views=2", "runs[1].augmentation={flip: horizontal}")
    for plan, expected in (
        (plan_of(), "55df4190d98a0bd8147fe7c790073bc4eeb26f405712c1530462527f9417d548"),
        (plan_of(*several), "a645881b82cbddc1abebb0ff3825c3d41388669a74c1ba14778e57f75e3fe44c"),
    ):
        found = {name: key for name, key in keys(plan).items() if name != "report"}
        assert hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest() == expected


def test_all_that_divides_images_waits_for_the_pins(directory_store: Store) -> None:
    plan = defended(directory_store, ChampionState(), "runs[1].views=2", "runs[1].augmentation={flip: horizontal}")
    pinned = {node.name for node in plan if node.needs.get("pinned") == PIN}
    extractions = {node.name for node in plan if node.step == "extract"}
    assert pinned == {node.name for node in plan if node.step not in ("prepare", "pin", "extract")} | {"extract:linear"}
    assert extractions > {"extract:linear"}  # without views an extraction is of all images, and needs no pins
    assert CHAMPION not in plan.nodes
    assert plan.nodes["report"].needs["decision"] == DECIDE


def test_the_first_firing_has_no_earlier_pins_and_later_ones_do(directory_store: Store) -> None:
    assert defended(directory_store, ChampionState()).nodes[PIN].given == {}
    assert defended(directory_store, ChampionState(pins=PINS)).nodes[PIN].given == {"before": PINS}


def test_equal_pins_change_no_key_but_their_own(directory_store: Store) -> None:
    """A firing's pins are made from the last one's: another task, the same files."""
    same = {PIN: "the same pins", "prepare": "the same pictures"}
    before, after = (keys(defended(directory_store, ChampionState(pins)), same) for pins in (None, PINS))
    assert changed(before, after) == {PIN}


def test_the_champion_is_judged_on_this_firings_test_set(directory_store: Store) -> None:
    node = defended(directory_store, ChampionState(PINS, REIGNING)).nodes[CHAMPION]
    assert node.given == {"model:1": MODEL, "earlier": EVALUATION}
    assert node.needs == {"dataset": "prepare", "pinned": PIN}
    later = InputRef("evaluate", "b" * 40, "digest of last night's")
    again = defended(directory_store, ChampionState(PINS, REIGNING, evaluated=later)).nodes[CHAMPION]
    assert again.given["earlier"] == later


def test_a_firing_knows_what_the_champion_got_without_training(directory_store: Store) -> None:
    """Its own images test no new class, and a challenger without the class is told from one with it."""
    ref = {"step": "prepare", "key": "d" * 40, "digest": "digest of five images"}
    told = {"class": "fox", "images": 5, "units": 5, "added": ref}
    plan = defended(directory_store, ChampionState(PINS, replace(REIGNING, extended=(told,))))
    assert plan.nodes[PIN].given == {"before": PINS, "added:0": InputRef(**ref)}
    assert plan.nodes[DECIDE].params["champion"]["added"] == ["fox"]
    assert "added" not in defended(directory_store, ChampionState(PINS, REIGNING)).nodes[DECIDE].params["champion"]


def test_the_champion_finds_its_weights_where_the_study_or_its_training_had_them(directory_store: Store) -> None:
    def trained(sha256: str) -> Task:
        params: dict[str, Any] = {
            "model": {"backbone": {"name": "mobilenet_v2", "weights": {"kind": "file", "sha256": sha256}}},
            "precision": "bf16",
        }
        source = InputRef("finetune", "c" * 40, "source")
        return Task("finetune", params, {"source": source}, {"weights": "/where/it/was"})

    for sha256, place in (("ab" * 32, "/somewhere"), ("cd" * 32, "/where/it/was")):
        task = trained(sha256)
        directory_store.put(task_name(task.key), task.to_json())
        reigning = replace(REIGNING, models={"model:1": replace(MODEL, key=task.key)})
        node = defended(directory_store, ChampionState(PINS, reigning)).nodes[CHAMPION]
        assert node.locations == {"weights": place}
        assert node.params["precision"] == "bf16"
        assert node.given["source"].key == "c" * 40


def test_a_decision_reads_the_studys_own_runs_alone(directory_store: Store) -> None:
    node = defended(directory_store, ChampionState(PINS, REIGNING, {1: 4, 2: 0})).nodes[DECIDE]
    runs = {role.split(":")[1] for role in node.needs if ":" in role}
    assert runs == {"cnn", "linear", "dense", "tuned"}
    assert node.needs["champion"] == CHAMPION
    assert {role for role in node.needs if role.startswith("finetune:cnn")} == {"finetune:cnn:0", "finetune:cnn:1"}
    assert node.params["uses"] == {"1": 4}
    assert node.params["rule"] == {
        "promote_on": "accuracy",
        "promote": "better",
        "min_gain": 0.01,
        "alpha": 0.05,
        "class_bound": {"cat": 0.1},
    }
    assert node.params["champion"]["models"] == {"model:1": {"step": "finetune", "key": MODEL.key, "digest": MODEL.digest}}


def test_a_firings_times_and_alarms_are_in_no_key(directory_store: Store) -> None:
    one = keys(defended(directory_store, ChampionState()))
    other = keys(defended(directory_store, ChampionState(), 'schedule.cron="5 5 * * *"', "schedule.keep_failed=9"))
    assert one == other


def test_no_gpu_for_pins_decisions_and_the_champion(directory_store: Store) -> None:
    plan = defended(directory_store, ChampionState(PINS, REIGNING), "resources.gpu=2")
    study = parse_study(TEXT + SCHEDULE, overrides=["resources.gpu=2"]).study
    gpus = {name: task_needs(study, plan.nodes[name]).gpu for name in (PIN, DECIDE, CHAMPION, "evaluate:tuned")}
    assert gpus == {PIN: 0, DECIDE: 0, CHAMPION: 0, "evaluate:tuned": 2}


def test_what_cannot_be_defended_is_refused(directory_store: Store) -> None:
    with pytest.raises(StudyError, match="pets has no schedule"):
        resolve_champion(ChampionState(), parse_study(TEXT).study, directory_store)
    with pytest.raises(StudyError, match="call the run something else"):
        defended(directory_store, ChampionState(), "runs[0].name=champion")


def test_bounds_of_classes_that_are_not_there_are_refused() -> None:
    study = parse_study(TEXT + SCHEDULE, overrides=["schedule.class_bound={cta: 0.1}"]).study
    with pytest.raises(StudyError, match=r"the dataset has no class 'cta' .did you mean 'cat'"):
        check_class_bounds(study, ("cat", "dog"), {})
