"""The decide step on made-up predictions: who is chosen, what is compared, what the document says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.context import Context
from jobs.data.pins import Pin, Pins
from jobs.decide import run
from jobs.metrics.registry import metrics
from jobs.statistics.predictions import Predictions
from jobs.statistics.sequential import Level
from tlbatch.errors import DataError
from tlbatch.store.artifacts import Manifest, artifact_files, commit
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import InputRef, Task, task_key

CLASSES = ("cat", "dog", "eel")
RULE = {"promote_on": "accuracy", "promote": "not_worse", "min_gain": 0.0, "alpha": 0.05, "class_bound": None}
Wrong = Mapping[str, int]  #: class -> how many of its images, from the first on, are predicted to be of the next class


@dataclass
class Court:
    """A directory store with pins of ``n`` images a class, and models that are wrong on as many as a test says."""

    root: Path
    n: int = 20
    pins: Pins = field(init=False)
    inputs: dict[str, InputRef] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = DirectoryStore(self.root / "store")
        pins = [Pin(f"{label}{i:03d}", label, f"{label}/{i}.jpg") for label in CLASSES for i in range(self.n)]
        self.pin(Pins(1, CLASSES, (), tuple(pins)))

    def pin(self, pins: Pins) -> None:
        self.pins = pins
        self.put("pin", "pinned", {"pins.json": {**pins.to_json(), "sentence": ""}})

    def put(self, step: str, role: str, files: Mapping[str, Any]) -> InputRef:
        key = task_key(step, {"role": role, "files": files}, {})
        local = {name: self.root / key / name for name in files}
        for name, path in local.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(files[name]))
        entries = artifact_files(local, step, key, "a1")
        for name, path in local.items():
            self.store.upload(path, entries[name].path)
        self.inputs[role] = InputRef(step, key, commit(self.store, Manifest(step, key, entries), "a1").digest)
        return self.inputs[role]

    def evaluation(self, wrong: Wrong, classes: Sequence[str] = CLASSES, seeds: Sequence[int] = (0,)) -> dict[str, Any]:
        """Rows in another order than the pins'. A class that is not known is taken for the first."""
        pins = sorted(self.pins.test, key=lambda pin: pin.id[::-1])
        p = np.full((len(pins), len(classes)), 0.05)
        for row, pin in enumerate(pins):
            place = classes.index(pin.label) if pin.label in classes else 0
            is_wrong = int(pin.id[3:]) < wrong.get(pin.label, 0)
            p[row, (place + is_wrong) % len(classes)] = 1 - 0.05 * (len(classes) - 1)
        known = [classes.index(pin.label) if pin.label in classes else 0 for pin in pins]
        found = Predictions(np.array(known), p, np.arange(len(pins)))
        values = {name: float(one.function(found.ones())[0]) for name, one in metrics().items()}
        estimates = {name: {"value": value, "low": None, "high": None, "n": len(pins)} for name, value in values.items()}
        ids = [pin.id for pin in pins]
        said = {
            "ids": ids,
            "labels": known,
            "groups": [self.groups.get(name, name) for name in ids],
            "classes": list(classes),
            "probabilities": {str(seed): p.tolist() for seed in seeds},
        }
        return {"predictions.json": said, "metrics.json": {"seeds": {str(seed): estimates for seed in seeds}}}

    def challenger(self, run_name: str, wrong: Wrong, validated: Mapping[int, float]) -> None:
        """A run with ``validated``: seed -> share of 40 validation images that it gets right."""
        self.put("evaluate", f"evaluate:{run_name}", self.evaluation(wrong, seeds=list(validated)))
        for seed, accuracy in validated.items():
            logits = [[2.0, 0.0, 0.0] if i < accuracy * 40 else [0.0, 2.0, 0.0] for i in range(40)]
            document = {"ids": [f"v{i}" for i in range(40)], "labels": [0] * 40, "logits": logits}
            self.put("finetune", f"finetune:{run_name}:{seed}", {"validation.json": document, "card.json": {"seed": seed}})

    def champion(self, wrong: Wrong, classes: Sequence[str] = CLASSES) -> dict[str, Any]:
        """What the task's parameters say of it."""
        self.put("evaluate", "champion", self.evaluation(wrong, classes, seeds=[7]))
        model = self.put("finetune", "unused", {"card.json": {"of": "the champion"}})
        del self.inputs["unused"]
        return {"serial": 4, "run": "old", "seed": 7, "models": {"model:7": asdict(model)}}

    def decide(
        self,
        champion: dict[str, Any] | None,
        uses: Mapping[str, int] | None = None,
        stream: Mapping[str, Any] | None = None,
        **rule: Any,
    ) -> dict[str, Any]:
        runs = [role.split(":")[1] for role in self.inputs if role.startswith("evaluate:")]
        params = {"rule": {**RULE, **rule}, "uses": dict(uses or {}), "runs": runs, "champion": champion, "stream": stream}
        context = Context(self.store, Task("decide", params, self.inputs), "a1", self.root / "scratch")
        run(context)
        return dict(json.loads(context.out("decision.json").read_text()))


@pytest.fixture
def court(tmp_path: Path) -> Court:
    return Court(tmp_path)


@pytest.mark.promise(7)
def test_without_a_champion_the_best_on_validation_is_the_first(court: Court) -> None:
    """The other is better on the test set: which is not asked. Fails when the order on validation does not choose."""
    court.challenger("plain", {}, {0: 0.8})
    court.challenger("tuned", {"cat": 9}, {0: 0.9, 1: 0.95})
    found = court.decide(None)
    assert (found["outcome"], found["challenger"]["run"], found["challenger"]["seed"]) == ("first", "tuned", 1)
    assert found["challenger"]["models"] == {"model:1": asdict(court.inputs["finetune:tuned:1"])}
    assert found["challenger"]["evaluation"] == asdict(court.inputs["evaluate:tuned"])
    assert found["challenger"]["validation"]["accuracy"] == pytest.approx(0.95)
    assert [(one["run"], one["seed"]) for one in found["candidates"]] == [("plain", 0), ("tuned", 0), ("tuned", 1)]
    assert found["test"] == {"version": 1, "images": 60, "count": 0, "k": 0, "level": None, "fresh": 0}
    assert found["stream"]["scores"] == [pytest.approx(0.85)]  # chosen by validation alone: the first of those to come
    assert "The first champion is tuned (seed 1), the best of 3 models on validation: accuracy 85.0 %" in found["sentence"]


def test_a_better_challenger_is_promoted_with_its_numbers(court: Court) -> None:
    court.challenger("new", {"cat": 2}, {0: 0.9})
    found = court.decide(court.champion({"cat": 4, "dog": 5}), {"1": 2}, promote="better", min_gain=0.05, alpha=0.2)
    assert (found["outcome"], found["why"]) == ("promoted", None)
    estimate = found["estimate"]
    assert (estimate["challenger"], estimate["champion"]) == (pytest.approx(58 / 60), pytest.approx(51 / 60))
    assert (estimate["gained"], estimate["lost"], estimate["p"]) == (7, 0, pytest.approx(2**-7))
    assert found["test"] == {"version": 1, "images": 60, "count": 3, "k": 3, "level": 0.2, "fresh": 0}
    assert "asked 3 times" in found["sentence"]
    rows = {row["class"]: row for row in found["classes"]}
    assert (rows["dog"]["champion"], rows["dog"]["challenger"], rows["dog"]["gained"]) == (0.75, 1.0, 5)
    assert found["champion"]["serial"] == 4
    assert "the champion old (number 4, seed 7) 85.0 %: 11.7 points more" in found["sentence"]


def test_a_worse_one_and_one_that_harms_a_class_are_refused(court: Court) -> None:
    champion = court.champion({"cat": 12})
    court.challenger("new", {"cat": 16}, {0: 0.9})
    assert court.decide(champion)["why"] == "worse"
    court.challenger("new", {"dog": 10}, {0: 0.9})
    harmed = court.decide(champion)
    assert (harmed["outcome"], harmed["why"]) == ("refused", "class harmed")
    assert [row["class"] for row in harmed["classes"] if row["harmed"]] == ["dog"]
    assert "dog falls from 100.0 % to 50.0 % of its 20 images (10 lost, 0 gained, p < 0.001)" in harmed["sentence"]
    bound = court.decide(champion, class_bound={"dog": 0.3})
    assert bound["why"] == "class bound"
    assert [(row["bound"], row["beyond_bound"]) for row in bound["classes"]] == [(None, False), (0.3, True), (None, False)]


def test_copies_count_once(court: Court) -> None:
    """Twelve dogs of one burst are one argument, not twelve."""
    court.groups = {f"dog{i:03d}": "burst" for i in range(12)}
    court.challenger("new", {"dog": 12}, {0: 0.9})
    found = court.decide(court.champion({"cat": 13}))
    dog = next(row for row in found["classes"] if row["class"] == "dog")
    assert (dog["lost"], dog["harmed"], found["outcome"]) == (1, False, "promoted")


def test_a_class_that_the_champion_does_not_know_counts_as_wrong(court: Court) -> None:
    court.challenger("new", {"cat": 3}, {0: 0.9})
    found = court.decide(court.champion({}, classes=("dog", "cat")))
    rows = {row["class"]: row for row in found["classes"]}
    assert (rows["eel"]["champion"], rows["eel"]["challenger"]) == (0.0, 1.0)
    assert (rows["cat"]["lost"], rows["dog"]["lost"]) == (3, 0)
    assert found["estimate"]["champion"] == pytest.approx(40 / 60)


def test_a_champion_that_got_a_class_is_kept_until_the_dataset_has_it(court: Court) -> None:
    """However much better the challenger is on the other classes. Fails when what was added is not asked for."""
    court.challenger("new", {}, {0: 0.9})
    champion = court.champion({"cat": 9, "dog": 9}, (*CLASSES, "fox"))
    found = court.decide({**champion, "added": ["fox"]})
    assert (found["outcome"], found["why"]) == ("refused", "class lost")
    assert found["sentence"].startswith(
        "Refused, as the champion knows fox, which was added to it and which the dataset has not:"
    )
    assert "tlbatch champion rollback" in found["sentence"]
    assert court.decide({**champion, "added": ["eel"]})["outcome"] == "promoted"


def test_the_champions_own_model_is_tested_against_nothing(court: Court) -> None:
    court.challenger("new", {}, {0: 0.9})
    champion = court.champion({})
    champion |= {"seed": 7, "models": {"model:0": asdict(court.inputs["finetune:new:0"])}}
    found = court.decide(champion, {"1": 5})
    assert (found["outcome"], found["estimate"], found["test"]["count"], found["test"]["k"]) == ("same", None, 5, 5)


def test_a_new_version_of_old_images_is_as_worn_as_they_are(court: Court) -> None:
    court.pin(replace(court.pins, version=2, test=(replace(court.pins.test[0], since=2), *court.pins.test[1:])))
    court.challenger("new", {}, {0: 0.9})
    test = court.decide(court.champion({"cat": 1}), {"1": 9, "2": 1})["test"]
    assert (test["version"], test["count"], test["k"]) == (2, 2, 11)


def stream(scores: Sequence[float], metric: str = "accuracy", version: int = 1) -> dict[str, Any]:
    level = Level(tuple(scores), 50, 0.0)
    return {**level.to_json(), "metric": metric, "classes": list(CLASSES), "version": version}


def test_who_stands_is_told_without_the_luck_of_having_been_chosen(court: Court) -> None:
    """Twenty challengers had 85 %, the champion has 95 % here: what is printed lies between, whoever wins."""
    champion = court.champion({"cat": 1, "dog": 1, "eel": 1})
    court.challenger("new", {"cat": 3, "dog": 3, "eel": 3}, {0: 0.9})
    kept = court.decide(champion, {"1": 50}, stream([0.85] * 20))
    assert kept["outcome"] == "refused"
    assert kept["corrected"]["metric"] == "accuracy"
    assert 0.84 < kept["corrected"]["value"] < 0.9
    court.challenger("new", {"cat": 1}, {0: 0.9})
    taken = court.decide(champion, {"1": 50}, stream([0.85] * 20))
    assert taken["outcome"] == "promoted"
    assert 0.84 < taken["corrected"]["value"] < taken["challenger"]["metrics"]["accuracy"]["value"] - 0.02
    loss = court.decide(champion, {"1": 50}, stream([-0.9] * 20, "log_loss"), promote_on="log_loss")
    assert loss["corrected"]["metric"] == "log_loss"
    assert loss["corrected"]["value"] > loss["challenger"]["metrics"]["log_loss"]["value"], "a loss is flattered downwards"


def test_on_renewed_test_images_nobody_was_chosen_yet(court: Court) -> None:
    """What challengers scored on the images before says nothing here; the champion's own score is the first of the new ones."""
    court.pin(replace(court.pins, version=2, test=tuple(replace(pin, since=2) for pin in court.pins.test)))
    court.challenger("new", {"cat": 6}, {0: 0.9})
    champion = court.champion({"cat": 3})
    found = court.decide(champion, {"1": 50}, stream([0.5] * 20))
    assert found["stream"]["scores"] == [pytest.approx(0.95), pytest.approx(0.9)]
    changed = court.decide(champion, {"1": 50}, stream([0.5] * 20, "macro_f1", version=2))
    assert changed["stream"]["scores"] == [pytest.approx(0.9)], "there the champion may have been chosen on these very images"


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "log_loss"])
def test_every_metric_decides(court: Court, metric: str) -> None:
    court.challenger("new", {"cat": 1}, {0: 0.9})
    champion = court.champion({"cat": 6, "eel": 4})
    found = court.decide(champion, promote_on=metric, promote="better")
    assert (found["outcome"], found["estimate"]["metric"]) == ("promoted", metric)
    assert found["estimate"]["gain"] > 0
    assert found["estimate"]["challenger"] == pytest.approx(found["challenger"]["metrics"][metric]["value"])


def test_evaluations_of_another_test_set_are_refused(court: Court) -> None:
    court.challenger("new", {}, {0: 0.9})
    champion = court.champion({})
    court.pin(replace(court.pins, version=2, test=court.pins.test[1:]))
    with pytest.raises(DataError, match="is of other images than test set version 2: run the schedule again"):
        court.decide(champion)


def test_the_same_numbers_give_the_same_bytes(court: Court) -> None:
    court.challenger("new", {"cat": 1}, {0: 0.9})
    champion = court.champion({"cat": 6, "eel": 4})
    assert court.decide(champion, promote_on="macro_f1") == court.decide(champion, promote_on="macro_f1")
