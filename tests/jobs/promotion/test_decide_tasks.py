"""The decide step where models have several tasks: who is chosen, that any task refuses, and what the document says of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.context import Context
from jobs.data.pins import Pin, Pins
from jobs.decide import run
from tests.jobs.promotion.test_decide import CLASSES, RULE, Court, Wrong
from tlbatch.tasks import Task

SEX = ("female", "male")
WRONG: Mapping[str, Wrong] = {"kind": {"cat": 4}, "sex": {"male": 6}}


class TwoTasks(Court):
    """Every picture has its kind; every third not its sex."""

    def __post_init__(self) -> None:
        super().__post_init__()
        pins = []
        for number, pin in enumerate(self.pins.test):
            known = {"kind": pin.label} | ({"sex": SEX[number % 2]} if number % 3 else {})
            pins.append(replace(pin, tasks=tuple(sorted(known.items()))))
        self.whole = Pins(1, CLASSES, (), tuple(pins), tasks={"kind": CLASSES, "sex": SEX})
        self.pin(self.whole)

    def of(self, task: str) -> list[Pin]:
        """The pins of a task, numbered by class, so that ``wrong`` counts from the first of each."""
        self.pins = self.whole.of_task(task)
        return list(self.pins.test)

    def said(self, task: str, wrong: Wrong, seeds: list[int]) -> dict[str, Any]:
        pins, classes = self.of(task), self.whole.tasks[task]
        p, seen = np.full((len(pins), len(classes)), 0.01), dict.fromkeys(classes, 0)
        for row, pin in enumerate(pins):
            place, is_wrong = classes.index(pin.label), seen[pin.label] < wrong.get(pin.label, 0)
            seen[pin.label] += 1
            p[row, (place + is_wrong) % len(classes)] = 0.97
        right = float((p.argmax(axis=1) == [classes.index(pin.label) for pin in pins]).mean())
        estimate = {"value": right, "low": None, "high": None, "n": len(pins)}
        predictions = {
            "ids": [pin.id for pin in pins],
            "labels": [classes.index(pin.label) for pin in pins],
            "groups": [pin.id for pin in pins],
            "classes": list(classes),
            "probabilities": {str(seed): p.tolist() for seed in seeds},
        }
        return {
            "predictions.json": predictions,
            "metrics.json": {"seeds": {str(seed): {"accuracy": estimate} for seed in seeds}},
        }

    def run_of(self, name: str, wrong: Mapping[str, Wrong], validated: Mapping[str, float], seed: int = 0) -> None:
        for task, accuracy in validated.items():
            classes = len(self.whole.tasks[task])
            self.put("evaluate", f"evaluate:{name}-{task}", self.said(task, wrong.get(task, {}), [seed]))
            logits = [
                [2.0, *[0.0] * (classes - 1)] if i < accuracy * 40 else [0.0, 2.0, *[0.0] * (classes - 2)] for i in range(40)
            ]
            document = {"ids": [f"v{i}" for i in range(40)], "labels": [0] * 40, "logits": logits}
            self.put("finetune", f"finetune:{name}-{task}:{seed}", {"validation.json": document, "card.json": {"of": name}})

    def standing(self, wrong: Mapping[str, Wrong]) -> dict[str, Any]:
        found = {}
        for task in self.whole.tasks:
            self.put("evaluate", f"champion:{task}", self.said(task, wrong.get(task, {}), [7]))
            model = self.put("finetune", "unused", {"card.json": {"of": f"the champion's {task}"}})
            del self.inputs["unused"]
            found[task] = {"serial": 4, "run": "old", "seed": 7, "models": {"model:7": asdict(model)}}
        return found

    def judge(
        self, champion: Mapping[str, Any] | None, streams: Mapping[str, Any] | None = None, **rule: Any
    ) -> dict[str, Any]:
        asked = {**RULE, **rule}
        runs = list(
            dict.fromkeys(role.split(":")[1].rpartition("-")[0] for role in self.inputs if role.startswith("evaluate:"))
        )
        tasks = [
            {"name": task, "rule": asked, "stream": (streams or {}).get(task), "champion": champion[task] if champion else None}
            for task in self.whole.tasks
        ]
        params = {"rule": asked, "uses": {}, "runs": runs, "champion": champion["kind"] if champion else None, "stream": None}
        context = Context(self.store, Task("decide", {**params, "tasks": tasks}, self.inputs), "a1", self.root / "scratch")
        run(context)
        return dict(json.loads(context.out("decision.json").read_text()))


@pytest.fixture
def court(tmp_path: Path) -> TwoTasks:
    return TwoTasks(tmp_path)


def test_the_best_mean_over_the_tasks_challenges(court: TwoTasks) -> None:
    """Fails when the main task alone chooses: there ``narrow`` is the best."""
    court.run_of("narrow", {}, {"kind": 0.95, "sex": 0.6})
    court.run_of("broad", {"sex": {"male": 3}}, {"kind": 0.9, "sex": 0.9})
    found = court.judge(None)
    assert (found["outcome"], found["challenger"]["run"]) == ("first", "broad")
    assert [task["name"] for task in found["tasks"]] == ["kind", "sex"]
    assert [task["challenger"]["models"] for task in found["tasks"]] == [
        {"model:0": asdict(court.inputs[f"finetune:broad-{task}:0"])} for task in ("kind", "sex")
    ]
    assert found["tasks"][1]["challenger"]["evaluation"] == asdict(court.inputs["evaluate:broad-sex"])
    assert found["test"]["images"] == 60
    assert [task["test"]["images"] for task in found["tasks"]] == [60, 40]
    assert (
        "broad (seed 0), the best of 2 models on validation (mean over the tasks): kind accuracy 100.0 % on 60, sex"
        in found["sentence"]
    )
    assert found["candidates"][0]["validation"]["sex"]["accuracy"] == pytest.approx(0.6)


def test_better_in_one_and_no_worse_in_the_other_is_promoted(court: TwoTasks) -> None:
    champion = court.standing({"kind": {"cat": 10, "dog": 4}, "sex": {"male": 2}})
    court.run_of("new", {"sex": {"male": 2}}, {"kind": 0.9, "sex": 0.9})
    found = court.judge(champion, promote="better")
    assert (found["outcome"], found["refused_by"]) == ("promoted", [])
    assert found["gains"]["kind"] < 0.01
    assert found["gains"]["sex"] == 1.0
    assert found["gains"]["kind"] == pytest.approx(2 * found["tasks"][0]["estimate"]["p"])
    assert "better in kind (p < 0.001), by Holm over 2 tasks" in found["sentence"]
    assert "sex: accuracy 95.0 % on 40 test images, the champion 95.0 %: as much" in found["sentence"]


@pytest.mark.parametrize("promote", ["not_worse", "better"])
def test_harm_to_the_lesser_task_refuses_however_much_the_main_one_gains(court: TwoTasks, promote: str) -> None:
    """Fails when only the main task is judged, or gains and losses are added up."""
    champion = court.standing({"kind": {"cat": 15, "dog": 15}})
    court.run_of("new", {"sex": {"male": 9}}, {"kind": 0.99, "sex": 0.9})
    found = court.judge(champion, promote=promote)
    assert (found["outcome"], found["why"], found["refused_by"]) == ("refused", "worse", ["sex"])
    assert "Refused for sex, which is worse (p" in found["sentence"]
    assert "kind: accuracy 100.0 % on 60 test images, the champion 50.0 %: 50.0 points more" in found["sentence"]
    assert [task["why"] for task in found["tasks"]] == [None, "worse"]
    corrected = [task["corrected"]["value"] for task in found["tasks"]]
    assert corrected[0] < 0.6, "of who stands, the old one"


def test_a_bound_of_one_task_is_of_its_classes(court: TwoTasks) -> None:
    champion = court.standing({})
    court.run_of("new", {"kind": {"cat": 5}}, {"kind": 0.9, "sex": 0.9})
    found = court.judge(champion, class_bound={"male": 0.01})
    assert found["why"] == "worse"
    assert [row["bound"] for task in found["tasks"] for row in task["classes"]] == [None, None, None, None, 0.01]


def test_each_task_keeps_what_challengers_before_scored_in_it(court: TwoTasks) -> None:
    """Scores alone: the level of one task is not that of another."""
    champion = court.standing(WRONG)
    court.run_of("new", WRONG, {"kind": 0.9, "sex": 0.9})
    first = court.judge(champion)
    streams = {task["name"]: task["stream"] for task in first["tasks"]}
    assert streams["kind"]["scores"] == [pytest.approx(56 / 60)]
    assert streams["sex"]["scores"] == [pytest.approx(34 / 40)]
    again = court.judge(champion, streams)
    assert [task["stream"]["count"] for task in again["tasks"]] == [2, 2]
    assert again["tasks"][1]["stream"]["scores"] == [pytest.approx(34 / 40)] * 2


def test_the_champions_own_model_is_no_challenger(court: TwoTasks) -> None:
    court.run_of("new", WRONG, {"kind": 0.9, "sex": 0.9})
    own = {task: {"model:0": asdict(court.inputs[f"finetune:new-{task}:0"])} for task in ("kind", "sex")}
    champion = {task: {**each, "models": own[task]} for task, each in court.standing(WRONG).items()}
    found = court.judge(champion)
    assert (found["outcome"], found["estimate"], found["refused_by"]) == ("same", None, [])
    assert "Nothing new to judge: new (seed 0) is the champion itself, with kind accuracy" in found["sentence"]
