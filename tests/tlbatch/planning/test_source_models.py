"""A backbone from an earlier study: which model that is, and what is said where there is none."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tlbatch.errors import StudyError
from tlbatch.planning.source_models import find_source, resolve_source
from tlbatch.records.executions import Execution
from tlbatch.spec.model import FromRun
from tlbatch.store import Store
from tlbatch.store.artifacts import Manifest, artifact_files, commit
from tlbatch.tasks import InputRef, Task, task_name

DIGITS = {"size": 8, "grayscale": True}


class Past:
    """Executions and models of earlier studies in a store."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self._folder, self._number = store, folder, itertools.count()

    def model(self, trained_on: str = "", locations: dict[str, str] | None = None) -> InputRef:
        number = next(self._number)
        task = Task("finetune", {"number": number}, {}, locations or {})
        self.store.put(task_name(task.key), task.to_json())
        card = self._folder / f"card-{number}.json"
        card.write_text(json.dumps({"input": DIGITS, "number": number, "trained_on": trained_on}))
        entries = artifact_files({"card.json": card}, "finetune", task.key, "a1")
        self.store.upload(card, entries["card.json"].path)
        manifest = commit(self.store, Manifest("finetune", task.key, entries), "a1")
        return InputRef("finetune", task.key, manifest.digest)

    def execution(
        self, study: str, models: dict[str, InputRef], state: str = "succeeded", started: float | None = None
    ) -> None:
        number = next(self._number)
        execution = Execution(self.store, f"{study}-{number}")
        execution.save_study("name: x")
        tasks: dict[str, Any] = {"prepare": {"step": "prepare", "key": "p"}, "report": {"step": "report", "key": None}}
        tasks |= {name: {"step": "finetune", "key": ref.key, "digest": ref.digest} for name, ref in models.items()}
        execution.save_plan({"study": study, "tasks": tasks})
        execution.save_status({"state": state, "study": study, "started": float(number) if started is None else started})


@pytest.fixture
def past(store: Store, tmp_path: Path) -> Past:
    return Past(store, tmp_path)


def source(text: str, seed: int | None = None) -> FromRun:
    return FromRun.model_validate({"from": text, **({} if seed is None else {"seed": seed})})


def test_the_newest_execution_that_succeeded(past: Past) -> None:
    old, new, failed, other = past.model(), past.model(), past.model(), past.model()
    past.execution("digits", {"finetune:cnn:0": new}, started=200)
    past.execution("digits", {"finetune:cnn:0": old}, started=100)
    past.execution("digits", {"finetune:cnn:0": failed}, state="failed", started=300)
    past.execution("other", {"finetune:cnn:0": other}, started=400)
    assert find_source(past.store, source("digits/cnn")) == new


def test_the_lowest_seed_unless_one_is_named(past: Past) -> None:
    refs = {seed: past.model() for seed in (10, 2, 7)}
    past.execution("digits", {f"finetune:cnn:{seed}": ref for seed, ref in refs.items()})
    assert find_source(past.store, source("digits/cnn")) == refs[2]
    assert find_source(past.store, source("digits/cnn", 10)) == refs[10]
    with pytest.raises(StudyError, match="no model of cnn with seed 3 is left"):
        find_source(past.store, source("digits/cnn", 3))


def test_a_run_whose_name_begins_alike_is_another(past: Past) -> None:
    one, two = past.model(), past.model()
    past.execution("digits", {"finetune:cnn-large:0": one, "finetune:cnn:0:0": two})
    assert find_source(past.store, source("digits/cnn")) == two


def test_an_older_execution_where_the_newest_ones_model_is_gone(past: Past) -> None:
    kept, gone = past.model(), past.model()
    past.execution("digits", {"finetune:cnn:0": kept}, started=1)
    past.execution("digits", {"finetune:cnn:0": gone}, started=2)
    past.store.delete([f"artifacts/finetune/{gone.key}/manifest.json"])
    assert find_source(past.store, source("digits/cnn")) == kept


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("letters/cnn", "has no finished execution of letters; run letters first: tlbatch run letters.yaml --store "),
        ("digits/mlp", "digits has no run mlp; it has cnn"),
    ],
)
def test_what_to_do_where_there_is_none(past: Past, text: str, sentence: str) -> None:
    past.execution("digits", {"finetune:cnn:0": past.model()})
    past.execution("letters", {"finetune:cnn:0": past.model()}, state="cancelled")
    with pytest.raises(StudyError, match=sentence):
        find_source(past.store, source(text))


def test_settled_as_weights(past: Past) -> None:
    ref = past.model(locations={"weights": "/w.pth"}, trained_on="ImageNet-1k")
    past.execution("digits", {"finetune:cnn:0": ref})
    found = resolve_source(source("digits/cnn"), past.store)
    assert found.params == {"kind": "run", "from": "digits/cnn"}
    assert (found.source, found.own_input, found.location) == (ref, DIGITS, "/w.pth")
    assert found.trained_on == "ImageNet-1k, then digits/cnn"
