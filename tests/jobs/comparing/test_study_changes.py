"""Fields in which two studies differ."""

from __future__ import annotations

import copy
from typing import Any

from jobs.comparing.studies import ABSENT, FieldChange, study_changes

STUDY: dict[str, Any] = {
    "apiVersion": "tlbatch/v1",
    "kind": "Study",
    "name": "pets",
    "dataset": {"url": "photos", "split": {"train": 0.7, "validation": 0.15, "test": 0.15}},
    "runs": [
        {"name": "cnn", "model": {"scratch": {"channels": [4, 8], "dense": [8]}}, "train": {"epochs": 3}},
        {"name": "features", "model": {"backbone": "mobilenet_v2", "weights": "random"}},
    ],
}


def changed(**paths: Any) -> dict[str, Any]:
    """The study with values put at ``a__b`` paths; ``runs0`` is the first run."""
    document = copy.deepcopy(STUDY)
    for path, value in paths.items():
        *parents, last = path.split("__")
        place: Any = document
        for name in parents:
            place = document["runs"][int(name[4:])] if name.startswith("runs") else place.setdefault(name, {})
        place[last] = value
    return document


def test_a_study_is_like_itself() -> None:
    assert study_changes(STUDY, copy.deepcopy(STUDY)) == []


def test_one_field_of_one_run_by_its_name() -> None:
    assert study_changes(STUDY, changed(runs0__train={"epochs": 3, "lr": 0.01})) == [
        FieldChange("runs[cnn].train.lr", "0.001", "0.01")
    ]


def test_a_default_that_is_written_out_is_no_change() -> None:
    assert study_changes(STUDY, changed(runs0__train={"epochs": 3, "lr": 0.001}, control="cheap")) == []


def test_the_order_of_runs_is_no_change() -> None:
    assert study_changes(STUDY, {**STUDY, "runs": STUDY["runs"][::-1]}) == []


def test_a_run_that_only_one_has_is_one_change() -> None:
    fewer = {**STUDY, "runs": STUDY["runs"][:1]}
    removed = study_changes(STUDY, fewer)
    assert removed == [FieldChange("runs[features]", "{model: {backbone: mobilenet_v2, weights: random}}", ABSENT)]
    assert study_changes(fewer, STUDY)[0].before == ABSENT


def test_what_changes_no_result_is_marked() -> None:
    changes = study_changes(STUDY, changed(dataset__url="s3://pets/photos", resources={"gpu": 1}, description="x"))
    assert {change.path for change in changes} == {"dataset.url", "resources.gpu", "description"}
    assert all(change.neutral for change in changes)


def test_a_study_that_this_version_does_not_take_is_compared_as_it_is() -> None:
    old = {**copy.deepcopy(STUDY), "colour": "green"}
    assert FieldChange("colour", "green", ABSENT) in study_changes(old, {**STUDY, "colour": None, "size": 3})
