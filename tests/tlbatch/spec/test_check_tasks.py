"""Studies of several tasks: what does not go with them is refused, with a way out."""

from __future__ import annotations

import pytest

from tlbatch.errors import StudyError
from tlbatch.spec import parse_study

LABELS = "labels: {csv: labels.csv, tasks: {digit: digit, parity: parity}}"
SCRATCH = "model: {scratch: {}}"
NET = "model: {backbone: mobilenet_v2}"


def said(run: str = SCRATCH, labels: str = LABELS, more: str = "", name: str = "both") -> str:
    """What is said of a study; empty when nothing is."""
    dataset = f"dataset: {{url: s3://b/p, {labels}}}"
    text = f"apiVersion: tlbatch/v1\nkind: Study\nname: mine\n{dataset}\nruns: [{{name: {name}, {run}}}]\n{more}\n"
    try:
        parse_study(text)
    except StudyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "run",
    [
        SCRATCH,
        NET,
        f"{NET}, strategy: {{finetune: {{unfreeze: none}}}}",
        f"{SCRATCH}, train: {{task_weights: uncertainty}}",
        f"{SCRATCH}, train: {{task_weights: {{parity: 0.5}}, class_weights: {{odd: 2.0}}}}",
    ],
)
def test_goes(run: str) -> None:
    assert said(run) == ""


def test_the_main_task_is_the_first() -> None:
    study = parse_study(
        "apiVersion: tlbatch/v1\nkind: Study\nname: mine\n"
        "dataset: {url: p, labels: {csv: l.csv, tasks: {zoo: z, age: a}}}\nruns: [{name: a, model: {scratch: {}}}]\n"
    ).study
    assert study.dataset.tasks == ("zoo", "age")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"labels": "labels: {csv: l.csv, tasks: {digit: digit}}"}, "labels.tasks: are two or more; one alone is labels.label"),
        ({"labels": "labels: {csv: l.csv, label: x, tasks: {a: a, b: b}}"}, "labels.tasks names the columns already"),
        ({"labels": "labels: {csv: l.csv, tasks: {a: x, b: x}}"}, "has the column of a: the same task twice"),
        ({"labels": "labels: {csv: l.csv}", "run": f"{SCRATCH}, train: {{task_weights: uncertainty}}"}, "the dataset has one"),
        ({"run": f"{SCRATCH}, train: {{task_weights: {{partiy: 1.0}}}}"}, "'partiy' is no task of dataset.labels.tasks (did"),
        ({"run": f"{SCRATCH}, train: {{mixup: 0.2}}"}, "cannot mix labels of which some are missing"),
        ({"run": f"{SCRATCH}, train: {{cutmix: 0.2}}"}, "cannot mix labels of which some are missing"),
        ({"run": "model: {backbone: mobilenet_v2, head: {logistic: {}}}"}, "learnt by dense layers: write head: {dense: []}"),
        ({"run": "model: {backbone: mobilenet_v2, head: {knn: {}}}"}, "learnt by dense layers: write head: {dense: []}"),
        ({"run": f"{NET}, control: full"}, "each is held against the same training of itself alone"),
        ({"more": "control: cheap"}, "each is held against the same training of itself alone"),
        (
            {"more": 'schedule: {cron: "0 3 * * *", promote_on: {digti: accuracy, parity: macro_f1}}'},
            "'digti' is no task of dataset.labels.tasks (did you mean 'digit'?): what is asked is asked task by task",
        ),
        ({"more": 'schedule: {cron: "0 3 * * *", promote_on: {parity: macro_f1}}'}, "names no metric of digit: name one for"),
        (
            {"more": 'schedule: {cron: "0 3 * * *", promote_on: {digit: log_loss, parity: macro_f1}}'},
            "log_loss and shares have no mean",
        ),
        ({"more": 'schedule: {cron: "0 3 * * *", class_bound: {odd: 0.1}}'}, "'odd' is no task of dataset.labels.tasks"),
        (
            {"labels": "labels: {csv: l.csv}", "more": 'schedule: {cron: "0 3 * * *", promote_on: {digit: accuracy}}'},
            "is for several tasks, and the dataset has one",
        ),
        (
            {"labels": "labels: {csv: l.csv}", "more": 'schedule: {cron: "0 3 * * *", class_bound: {digit: {odd: 0.1}}}'},
            "write {class: bound}",
        ),
        ({"more": "advise: {candidates: [{backbone: mobilenet_v2}]}"}, "advice is for one task"),
        ({"more": "described: {}"}, "classes known by their descriptions are of one task"),
        ({"run": NET, "more": "evaluate: {episodes: {ways: 2, classes: 4}}"}, "episodes are of one task"),
        ({"name": "a" * 36}, "longer than 40 characters"),
        (
            {
                "run": "model: {backbone: mobilenet_v2, head: {logistic: {}}}, strategy: {adapt: {}}",
                "more": "sources: {films: {url: f, split: {validation: 0.2}}}",
            },
            "adapt learns one task, and the dataset has several",
        ),
        (
            {
                "run": "model: {backbone: mobilenet_v2, head: {logistic: {}}}, strategy: {adapt: {}}",
                "labels": "labels: {csv: l.csv}",
                "more": f"sources: {{films: {{url: f, split: {{validation: 0.2}}, {LABELS}}}}}",
            },
            "several tasks are the target's: name one label of a source",
        ),
    ],
)
def test_is_refused(given: dict[str, str], sentence: str) -> None:
    assert sentence in said(**given)


def test_a_curve_is_of_one_task() -> None:
    run = "model: {backbone: mobilenet_v2, head: {logistic: {}}}"
    assert "a label curve is of one task" in said(run, more="curve: {}")


def test_two_runs_whose_results_would_have_one_name() -> None:
    two = f"{SCRATCH}}}, {{name: both-digit, {SCRATCH}"
    assert "'both-digit', as those of 'both-digit': name one otherwise" in said(two)
