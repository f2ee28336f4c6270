"""The tasks that add a class to a champion: what they read, what decides their keys, and what is refused before any runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tlbatch.champions.champion import Champion
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import StudyError
from tlbatch.planning.extension import EVALUATE, PREPARE, Extension, plan_extension
from tlbatch.store import Store
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import InputRef, Task, task_name

PREPARED: dict[str, Any] = {"dataset": "d", "stored_size": 300, "max_bad": 0.1, "near_duplicates": True}
DIVISION: dict[str, Any] = {"split": {"train": 4, "validation": 2, "test": 2}, "classes": ["cat", "dog"]}
MODEL: dict[str, Any] = {"backbone": {"name": "mobilenet_v2", "weights": {"kind": "file", "sha256": "ab"}}}
FILES = (ListedFile("1.jpg", 10, "etag", ""),)


def put(store: Store, task: Task) -> InputRef:
    store.put(task_name(task.key), task.to_json())
    return InputRef(task.step, task.key, f"digest of {task.step}")


def champion(store: Store, prepared: dict[str, Any] = PREPARED, folds: int = 1, model: dict[str, Any] = MODEL) -> Champion:
    dataset, pins = put(store, Task("prepare", prepared)), InputRef("pin", "a" * 40, "digest of the pins")
    source = InputRef("finetune", "c" * 40, "source")
    models = {}
    for fold in range(folds):
        params = {**DIVISION, "model": model, "precision": "bf16", "fold": fold}
        ref = put(store, Task("finetune", params, {"dataset": dataset, "source": source}, {"weights": "/weights"}))
        models[f"model:0:{fold}" if folds > 1 else "model:0"] = ref
    params = {**DIVISION, "run_kind": "trained", "precision": "bf16"}
    evaluation = put(store, Task("evaluate", params, {"dataset": dataset, "pinned": pins, **models}))
    return Champion("pets", 3, "pets", "tuned", 0, models, evaluation, pins, classes=("cat", "dog"))


def extension(store: Store, label: str = "fox", files: tuple[ListedFile, ...] = FILES, **given: Any) -> Extension:
    present = champion(store, **given)
    return plan_extension(store, present, present.evaluation, label, "/few", files)


def test_each_model_is_extended_by_what_its_evaluation_was_judged_on(directory_store: Store) -> None:
    nodes = {node.name: node for node in extension(directory_store, folds=2).nodes}
    assert list(nodes) == [PREPARE, "overlap:added", "extend:0:0", "extend:0:1", EVALUATE]
    present = champion(directory_store, folds=2)
    for fold in (0, 1):
        node = nodes[f"extend:0:{fold}"]
        assert node.needs == {"added": PREPARE, "overlap:added": "overlap:added"}
        assert set(node.given) == {"dataset", "pinned", "base", "source"}
        assert node.given["base"] == present.models[f"model:0:{fold}"]
        assert (node.locations, node.params["precision"]) == ({"weights": "/weights"}, "bf16")
    judged = nodes[EVALUATE]
    assert judged.given["before"] == present.evaluation
    assert judged.needs == {"model:0:0": "extend:0:0", "model:0:1": "extend:0:1"}
    assert nodes[PREPARE].params == {**PREPARED, "dataset": nodes[PREPARE].params["dataset"], "max_bad": 1.0}


def test_near_copies_are_looked_for_where_the_dataset_looked_for_them(directory_store: Store) -> None:
    found = extension(directory_store, prepared={**PREPARED, "near_duplicates": False})
    assert [node.name for node in found.nodes] == [PREPARE, "extend:0", EVALUATE]


def test_other_images_are_another_task_and_the_same_command_is_known_again(directory_store: Store) -> None:
    one, other = extension(directory_store), extension(directory_store, files=(replace(FILES[0], etag="other"),))
    assert one.prepare.key != other.prepare.key
    ref = {"step": "prepare", "key": one.prepare.key, "digest": "d"}
    made = replace(one.champion, classes=("cat", "dog", "fox"), extended=({"class": "fox", "added": ref},))
    again = plan_extension(directory_store, made, made.evaluation, "fox", "/few", FILES)
    assert again.done_before
    with pytest.raises(StudyError, match=r"pets knows 'fox' already \(number 3\); to add it from others.*rollback"):
        plan_extension(directory_store, made, made.evaluation, "fox", "/few", (replace(FILES[0], etag="other"),))


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("cat", r"pets knows 'cat' already \(number 3\)"),
        ("сat", "pets knows 'cat' already, which looks alike"),
        (" fox", "expected a name, without blanks around it"),
        ("", "expected a name"),
        ("fo\nx", "expected a name"),
    ],
)
def test_names_that_are_no_new_class_are_refused(directory_store: Store, label: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        extension(directory_store, label)


def test_a_class_that_the_dataset_has_by_now_is_left_to_its_study(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    present = replace(champion(store), classes=("cat",))
    with pytest.raises(StudyError, match=r"the dataset that pets is judged by has it \('dog'\): the next run of its study"):
        plan_extension(store, present, present.evaluation, "dog", "/few", FILES)
    gone = replace(present.evaluation, key="b" * 40)
    with pytest.raises(StudyError, match="how artifacts/evaluate/bbbbbbbbbbbb was made is gone"):
        plan_extension(store, present, gone, "fox", "/few", FILES)


def test_a_head_of_a_plug_in_is_refused_with_a_way_out(directory_store: Store) -> None:
    with pytest.raises(StudyError, match=r"the head example:head comes from a plug-in.*prototypes"):
        extension(directory_store, model={**MODEL, "head": {"example:head": {}}})
