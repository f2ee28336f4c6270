"""Names of cluster objects: valid, short enough, and different where the attempt is."""

from __future__ import annotations

import re

import pytest

from tlbatch.manifests.names import dns_label, label_value, task_job_name

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
EXECUTION = "dogs-vs-cats-20261123-0412-x7k2"


@pytest.mark.parametrize(
    "task",
    ["prepare", "finetune:basic-cnn:0", "finetune:a-very-long-name-of-a-run-forty-letters:12:19", "évaluate:ß", "::"],
)
@pytest.mark.parametrize("execution", [EXECUTION, "x-20261123-0412-x7k2", "s" * 33 + "-20261123-0412-x7k2"])
def test_a_tasks_job_is_a_dns_label_of_at_most_52(task: str, execution: str) -> None:
    for attempt in (1, 12, 1234):
        name = task_job_name(execution, task, "0" * 40, attempt)
        assert len(name) <= 52
        assert DNS_LABEL.fullmatch(name)
        assert re.search(rf"-{attempt}-[0-9a-f]{{8}}$", name)


def test_a_name_follows_from_execution_task_key_and_attempt_alone() -> None:
    first = task_job_name(EXECUTION, "finetune:cnn:0", "a" * 40, 1)
    assert first == task_job_name(EXECUTION, "finetune:cnn:0", "a" * 40, 1)
    others = [
        task_job_name(EXECUTION[:-1] + "3", "finetune:cnn:0", "a" * 40, 1),
        task_job_name(EXECUTION, "finetune:cnn-0", "a" * 40, 1),  # the same label, another task
        task_job_name(EXECUTION, "finetune:cnn:0", "b" * 40, 1),
        task_job_name(EXECUTION, "finetune:cnn:0", "a" * 40, 2),
    ]
    assert len({first, *others}) == 5
    assert first.startswith("dogs-vs-cats-x7k2-finetune-cnn-0-1-")


def test_labels() -> None:
    assert dns_label("Finetune:VGG_16 ") == "finetune-vgg-16"
    assert label_value("finetune:cnn:0") == "finetune-cnn-0"
    assert label_value("jane@example.org") == "jane-example.org"
    long = label_value("x" * 100)
    assert len(long) <= 63
    assert long != label_value("x" * 101)
    assert label_value("@@") == ""
