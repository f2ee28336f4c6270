"""What ``--model`` takes, and the sentences for what it does not."""

from __future__ import annotations

import json

import pytest

from tlbatch.champions.champion import Champion, crown
from tlbatch.errors import StudyError
from tlbatch.prediction.model import choose_model
from tlbatch.records.executions import Execution
from tlbatch.store import Store
from tlbatch.store.artifacts import FileEntry, Manifest, commit
from tlbatch.tasks import InputRef, Task, task_name

EXECUTION = "pets-20261123-0412-x7k2"


def model(store: Store, number: int) -> InputRef:
    """A finetune artifact, as far as choosing one goes."""
    key = f"{number:040x}"
    manifest = Manifest("finetune", key, {"card.json": FileEntry(f"artifacts/finetune/{key}/a/card.json", 1, f"{number:064x}")})
    commit(store, manifest, "a")
    return InputRef("finetune", key, manifest.digest)


@pytest.fixture
def trained(directory_store: Store) -> Store:
    """An execution with a run of two seeds and one of twelve folds, and one that is not trained yet."""
    execution = Execution(directory_store, EXECUTION)
    execution.save_study("name: pets")
    names = ["finetune:cnn:3", "finetune:cnn:1", *(f"finetune:folded:0:{fold}" for fold in range(12))]
    tasks: dict[str, dict[str, str | None]] = {}
    for number, name in enumerate(names):
        tasks[name] = {"key": model(directory_store, number).key}
    execution.save_plan(
        {"study": "pets", "tasks": {**tasks, "finetune:late:0": {"key": None}, "evaluate:cnn": {"key": "0" * 40}}}
    )
    return directory_store


def test_a_runs_lowest_seed_or_the_one_named(trained: Store) -> None:
    assert choose_model(f"{trained.url}#{EXECUTION}/cnn", "").identity["seed"] == 1
    chosen = choose_model(f"{trained.url}#pets/cnn:3", "elsewhere")
    assert chosen.identity["execution"] == EXECUTION
    assert chosen.identity["models"][0]["key"] == f"{0:040x}"
    assert chosen.name == f"run cnn of {EXECUTION}"


def test_folds_come_in_their_order_of_number(trained: Store) -> None:
    chosen = choose_model(f"{trained.url}#pets/folded", "")
    assert list(chosen.inputs) == [f"model:0:{fold}" for fold in range(12)]
    assert [ref["key"] for ref in chosen.identity["models"]] == [f"{2 + fold:040x}" for fold in range(12)]
    assert chosen.digests == [chosen.inputs[f"model:0:{fold}"].digest for fold in range(12)]


def test_one_artifact_and_what_its_task_says_of_it(trained: Store) -> None:
    prepared = Task("prepare", {"stored_size": 100})
    trained.put(task_name(prepared.key), prepared.to_json())
    inputs = {"dataset": InputRef("prepare", prepared.key, "0" * 64), "source": InputRef("finetune", "5" * 40, "1" * 64)}
    document = Task("finetune", {}, inputs, {"weights": "store:weights/w.safetensors"}).to_json()
    stored = {name: value for name, value in json.loads(document).items() if name not in ("key", "seal")}
    trained.put(task_name(f"{0:040x}"), json.dumps(stored).encode())
    chosen = choose_model(f"{trained.url}/artifacts/finetune/{0:040x}", "")
    assert chosen.weights == "store:weights/w.safetensors"
    assert chosen.prepared.stored_size == 100
    assert chosen.inputs["source"].key == "5" * 40
    assert chosen.digests == [chosen.inputs["model:0"].digest]
    without = choose_model(f"{trained.url}/artifacts/finetune/{1:040x}/", "")
    assert without.prepared.stored_size == 512
    assert without.weights is None


def test_a_champion_of_the_store(trained: Store) -> None:
    refs = {"model:7:0": model(trained, 0), "model:7:1": model(trained, 1)}
    champion = Champion("pets", 1, "pets", "cnn", 7, refs, InputRef("evaluate", "e" * 40, "0" * 64))
    crown(trained, champion, None)
    chosen = choose_model("champion:pets", trained.url)
    assert chosen.name == "champion pets number 1"
    named = {"champion": "pets", "serial": 1, "study": "pets", "run": "cnn", "seed": 7}
    assert {name: chosen.identity[name] for name in named} == named
    assert json.loads(json.dumps(chosen.identity))["models"][1]["digest"] == refs["model:7:1"].digest
    with pytest.raises(StudyError, match="did you mean 'pets'"):
        choose_model("champion:pet", trained.url)
    trained.delete([f"artifacts/finetune/{0:040x}/manifest.json"])
    with pytest.raises(StudyError, match="is not there"):
        choose_model("champion:pets", trained.url)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pets", "expected champion:NAME"),
        ("STORE/pets/cnn", "named after a #"),
        ("#pets/cnn", "name the store before the #"),
        ("STORE#pets", "EXECUTION/RUN"),
        ("STORE#pets/cnn:x", "EXECUTION/RUN"),
        ("STORE#pets/cn", "did you mean 'cnn'"),
        ("STORE#pets/cnn:2", "has no seed 2; it has 1, 3"),
        ("STORE#cats/cnn", "is not there"),
        ("STORE#pets/late", "is not trained yet"),
        ("STORE/artifacts/evaluate/" + "0" * 40, "is no model"),
        ("STORE/artifacts/finetune/" + "f" * 40, "is not there"),
        ("STORE/artifacts/finetune/0123", "expected champion:NAME"),
    ],
)
def test_all_else_is_refused_with_a_sentence(trained: Store, text: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        choose_model(text.replace("STORE", trained.url), "")
