"""Several tasks learnt together: masked losses and their weights by formulas that are not ours; stopped and gone on with."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor, nn
from torch.nn import functional

from jobs.finetune import run
from jobs.models.trained import load_trained
from jobs.training.batches import TARGET, At, Batch
from jobs.training.loading import item_feed
from jobs.training.objective import Forward
from jobs.training.pieces import pieces_of
from jobs.training.settings import Settings
from jobs.training.split_data import load_parts
from jobs.training.tasks_together import LOG_VARIANCES, Together, columns_of, judged_together, together
from jobs.training.validation import validation_logits
from tests.jobs.conftest import CLASSES, Bench
from tlbatch.contracts.data import LearntTask
from tlbatch.contracts.models import FinetuneParams
from tlbatch.errors import DataError, Stopped
from tlbatch.spec.train import Train
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.tasks import InputRef, Task

torch.set_num_threads(1)
SHAPE, PARITY = LearntTask(name="shape", classes=("a", "b", "c")), LearntTask(name="parity", classes=("even", "odd"))
TASKS = (SHAPE, PARITY)
MISSING = -1


def some(n: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits [n, 5] and labels [n, 2], a third of each missing and never both."""
    chance = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 5, generator=chance) * 2
    labels = torch.stack([torch.randint(len(task.classes), (n,), generator=chance) for task in TASKS], dim=1)
    labels[0::3, 0] = MISSING
    labels[1::3, 1] = MISSING
    return logits, labels


def minimised(
    objective: Together, logits: Tensor, labels: Tensor, network: nn.Module | None = None, rows: slice | None = None
) -> tuple[Tensor, Any]:
    """The objective of a network that puts out these logits; with ``rows``, which they are of, their part of it."""

    class Given(Forward):
        def __init__(self) -> None:
            self.network = network or nn.Identity()

        def __call__(self, x: Tensor) -> Tensor:
            return x

    batches = {TARGET: Batch(logits, labels, At(0, 0, 0, 0.0))}
    return objective(Given(), batches) if rows is None else objective.part(Given(), batches, rows)


def by_sklearn(logits: Tensor, labels: Tensor) -> list[float]:
    """Of each task, over the items that have its label."""
    found = []
    for place, (task, columns) in enumerate(zip(TASKS, columns_of(TASKS), strict=True)):
        known = (labels[:, place] >= 0).numpy()
        shares = torch.softmax(logits[:, columns].double(), dim=1).numpy()[known]
        found.append(log_loss(labels[known, place].numpy(), shares, labels=range(len(task.classes))))
    return found


def test_each_loss_is_the_mean_over_the_items_that_have_its_label() -> None:
    logits, labels = some()
    loss, counts = minimised(together(Train(), TASKS, labels), logits, labels)
    each = by_sklearn(logits, labels)
    assert float(loss) == pytest.approx(sum(each), rel=1e-6)
    known = [int((labels[:, place] >= 0).sum()) for place in range(2)]
    assert counts.tasks[:, 2].tolist() == known
    assert (counts.tasks[:, 0] / counts.tasks[:, 2]).tolist() == pytest.approx(each, rel=1e-6)
    weighted, _ = minimised(together(Train(task_weights={"parity": 0.25}), TASKS, labels), logits, labels)
    assert float(weighted) == pytest.approx(each[0] + 0.25 * each[1], rel=1e-6)


def test_smoothing_and_class_weights_are_torchs_over_the_known() -> None:
    """torch divides by the sum of the weights, Keras (and so ours) by the number of items: the same but for that."""
    logits, labels = some()
    asked = Train(class_weights="balanced", label_smoothing=0.1)
    loss, _ = minimised(together(asked, TASKS, labels), logits, labels)
    expected = 0.0
    for place, columns in enumerate(columns_of(TASKS)):
        known = labels[:, place] >= 0
        own, classes = labels[known, place], columns.stop - columns.start
        weights = len(own) / (classes * torch.bincount(own, minlength=classes).float())
        each = functional.cross_entropy(logits[known][:, columns], own, reduction="none", label_smoothing=0.1)
        expected += float((each * weights[own]).mean())
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_uncertainty_is_equation_10_and_its_gradient() -> None:
    """Kendall, Gal and Cipolla 2018, for classification: L / σ² + log σ; by s = log σ² its slope is 1/2 - exp(-s) L."""
    logits, labels = some()
    each, network = by_sklearn(logits, labels), nn.Module()
    network.register_parameter(LOG_VARIANCES, nn.Parameter(torch.tensor([0.3, -0.7])))
    loss, _ = minimised(together(Train(task_weights="uncertainty"), TASKS, labels), logits, labels, network)
    sigmas = np.exp(np.array([0.3, -0.7]) / 2)
    assert float(loss.detach()) == pytest.approx(
        sum(loss_t / s**2 + np.log(s) for loss_t, s in zip(each, sigmas, strict=True)), rel=1e-6
    )
    loss.backward()
    slopes = [0.5 - loss_t / s**2 for loss_t, s in zip(each, sigmas, strict=True)]
    assert network.get_parameter(LOG_VARIANCES).grad.tolist() == pytest.approx(slopes, rel=1e-5)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("weights", ["equal", {"parity": 0.25}, "uncertainty"])
def test_pieces_of_a_batch_add_up_to_its_loss(weights: Any, size: int) -> None:
    """Fails when a piece weighs by its rows, and not by how many of a task's labels it has. Loss, counts and gradients."""
    logits, labels = some()
    objective = together(Train(task_weights=weights, label_smoothing=0.1), TASKS, labels)
    found = []
    for pieces in ([slice(0, 40)], pieces_of(40, size)):
        network, leaf = nn.Module(), logits.clone().requires_grad_()
        network.register_parameter(LOG_VARIANCES, nn.Parameter(torch.tensor([0.3, -0.7])))
        parts = [minimised(objective, leaf[rows], labels, network, rows) for rows in pieces]
        loss, counts = sum(part[0] for part in parts), reduce(add, (part[1] for part in parts))
        loss.backward()
        slopes = network.get_parameter(LOG_VARIANCES).grad
        found.append((loss.detach(), leaf.grad, torch.zeros(2) if slopes is None else slopes, counts.tasks, counts.right))
        assert counts.images == int((labels >= 0).sum())
    for whole, in_pieces in zip(*found, strict=True):
        torch.testing.assert_close(in_pieces, whole, rtol=1e-5, atol=1e-7)


def test_a_missing_label_is_no_class() -> None:
    """Fails when -1 is taken for the last class, or the first: what is said of an item without a label changes nothing."""
    logits, labels = some()
    logits.requires_grad_()
    loss, _ = minimised(together(Train(), TASKS, labels), logits, labels)
    loss.backward()
    assert logits.grad is not None
    for place, columns in enumerate(columns_of(TASKS)):
        missing = labels[:, place] < 0
        assert not logits.grad[missing][:, columns].any()
        assert logits.grad[~missing][:, columns].all()


@pytest.mark.parametrize("weights", ["equal", "uncertainty"])
def test_a_batch_without_a_label_of_a_task_adds_nothing_to_it(weights: str) -> None:
    """Its variance, too, is left alone: else s / 2 would fall without end where labels are rare."""
    logits, labels = some()
    labels[:, 1] = MISSING
    known = labels[:, 0] >= 0
    network = nn.Module()
    network.register_parameter(LOG_VARIANCES, nn.Parameter(torch.zeros(2)))
    loss, counts = minimised(together(Train(task_weights=weights), TASKS, some()[1]), logits, labels, network)
    expected = functional.cross_entropy(logits[known][:, :3], labels[known, 0])
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-6)
    assert counts.tasks[1].tolist() == [0, 0, 0]
    if weights == "uncertainty":
        loss.backward()
        assert network.get_parameter(LOG_VARIANCES).grad[1] == 0


def test_validation_is_the_mean_over_tasks_of_what_is_known() -> None:
    logits, labels = some(60, seed=4)
    (loss, accuracy), each = judged_together(TASKS, logits, labels)
    losses, right = by_sklearn(logits, labels), []
    for place, columns in enumerate(columns_of(TASKS)):
        known = labels[:, place] >= 0
        right.append(accuracy_score(labels[known, place], logits[known][:, columns].argmax(dim=1)))
    assert [judged[0] for judged in each if judged] == pytest.approx(losses)
    assert [judged[1] for judged in each if judged] == pytest.approx(right)
    assert (loss, accuracy) == pytest.approx((np.mean(losses), np.mean(right)))
    labels[:, 1] = MISSING
    alone, (of_shape, of_parity) = judged_together(TASKS, logits, labels)
    assert of_parity is None
    assert alone == of_shape, "a task without a label is no part of the mean"


# -- the step -------------------------------------------------------------------------------------------------------------

LEARNT = [{"name": "side", "classes": CLASSES}, {"name": "format", "classes": ["jpg", "png"]}]


@pytest.fixture
def several(bench: Bench) -> Bench:
    """The pictures with two labels each, a third of each missing: the side that is bright, and the file's format."""
    held = open_artifact(bench.store, "prepare", bench.inputs["dataset"].key, bench.root / "cache")
    assert held is not None
    for number, entry in enumerate(sorted(bench.entries, key=lambda entry: entry["path"])):
        tasks = {"side": entry["label"], "format": entry["format"]}
        if number % 3 < 2:
            del tasks[("side", "format")[number % 3]]
        entry |= {"tasks": tasks, "label": tasks.get("side", "")}
    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in bench.entries)
    bench.put("prepare", "dataset", {"index.jsonl": lines.encode(), "shards/00.tar": held.read_bytes("shards/00.tar")})
    return bench


def asked(bench: Bench, kind: str, **train: Any) -> dict[str, Any]:
    base = {"epochs": 4, "task_weights": "uncertainty", "weight_decay": 0.01, **train}
    if kind == "scratch":
        return bench.params(tasks=LEARNT, augmentation={"flip": "vertical"}, train=base)
    small = {**bench.model("squeezenet1_1", dense=[6], dropout=0.1), "layer": "fire3"}
    held = {"unfreeze": ("stage1",), "l2_sp": {"alpha": 0.1, "beta": 0.01}}
    return bench.params(
        tasks=LEARNT, model=small, finetune=held, train={**base, "ema": 0.9, "lr": "auto", "lr_candidates": (1e-3, 1e-2)}
    )


def test_unknown_labels_are_minus_one_and_each_task_sees_its_own(several: Bench) -> None:
    context = several.context(asked(several, "scratch"), "a")
    settings = Settings.of(context.read_params(FinetuneParams))
    parts = load_parts(context, settings)
    labels = parts.labels(parts.train)
    for place, task in enumerate(settings.tasks):
        expected = [task.classes.index(e.tasks[task.name]) if task.name in e.tasks else -1 for e in parts.train]
        assert labels[:, place].tolist() == expected
        own = parts.of_task(task)
        assert [e.label for e in own.train] == [e.tasks[task.name] for e in parts.train if task.name in e.tasks]
    assert (labels < 0).any(dim=0).all(), "some of both are missing"
    assert (labels >= 0).any(dim=1).all(), "no item is without any label"


def test_a_class_that_no_training_label_shows_is_refused(several: Bench) -> None:
    for entry in several.entries:
        entry["tasks"]["format"] = "png"
    held = open_artifact(several.store, "prepare", several.inputs["dataset"].key, several.root / "cache")
    assert held is not None
    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in several.entries)
    several.put("prepare", "dataset", {"index.jsonl": lines.encode(), "shards/00.tar": held.read_bytes("shards/00.tar")})
    context = several.context(asked(several, "scratch"), "a")
    with pytest.raises(DataError, match="a label of format show nothing of jpg: fill in labels"):
        load_parts(context, Settings.of(context.read_params(FinetuneParams)))


def taken(bench: Bench, together: Artifact, params: dict[str, Any], task: dict[str, Any]) -> Artifact:
    """The task's own artifact, as its node makes it."""
    own = {name: value for name, value in params.items() if name != "tasks"} | {
        "task": task["name"],
        "classes": task["classes"],
    }
    ref = InputRef("finetune", together.manifest.key, together.digest)
    node = Task("finetune", own, {**bench.inputs, "together": ref})
    context = bench.context(own, task["name"])
    context.task = node
    run(context)
    context.finish()
    found = open_artifact(bench.store, "finetune", node.key, bench.root / "cache")
    assert found is not None
    return found


def test_each_task_gets_an_ordinary_model_of_the_one_network(several: Bench) -> None:
    params = asked(several, "scratch")
    whole = several.finished(several.context(params, "whole"))
    side, form = (taken(several, whole, params, task) for task in LEARNT)
    assert {entry.path for entry in side.manifest.files.values()} < {entry.path for entry in whole.manifest.files.values()}
    states = [load_file(artifact.path("model.safetensors")) for artifact in (side, form)]
    assert not any(LOG_VARIANCES in name for state in states for name in state)
    assert [state["head.classifier.weight"].shape[0] for state in states] == [3, 2]
    shared = [name for name in states[0] if not name.startswith("head.classifier")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in shared)
    for artifact, task in ((side, LEARNT[0]), (form, LEARNT[1])):
        card, judged = artifact.read_json("card.json"), artifact.read_json("validation.json")
        assert card["classes"] == task["classes"]
        assert set(card["task_weights"]) == {"side", "format"}
        assert all(weight != 1.0 for weight in card["task_weights"].values()), "they were learnt"
        entries = {entry["id"]: entry for entry in several.entries}
        assert [task["classes"][label] for label in judged["labels"]] == [
            entries[name]["tasks"][task["name"]] for name in judged["ids"]
        ]
        network = load_trained(several.context(params, "load"), artifact)
        with torch.no_grad():
            assert network(torch.zeros(1, 3, 16, 16)).shape == (1, len(task["classes"]))
        assert again(several, artifact, params, task) == pytest.approx(np.array(judged["logits"]), abs=1e-5)
        epoch, all_of_it = artifact.read_json("history.json")["epochs"][-1], whole.read_json("history.json")["epochs"][-1]
        assert {name: epoch[name] for name in all_of_it["tasks"][task["name"]]} == all_of_it["tasks"][task["name"]]
        right = np.argmax(judged["logits"], axis=1) == judged["labels"]
        selected = artifact.read_json("history.json")["epochs"][card["selected_epoch"] - 1]
        assert selected["validation_accuracy"] == pytest.approx(right.mean())


def again(bench: Bench, artifact: Artifact, params: dict[str, Any], task: dict[str, Any]) -> np.ndarray:
    """What the task's own model says of its validation images."""
    own = {name: value for name, value in params.items() if name != "tasks"} | {
        "task": task["name"],
        "classes": task["classes"],
    }
    context = bench.context(own, f"again-{task['name']}")
    settings = Settings.of(context.read_params(FinetuneParams))
    feed = item_feed(context, settings, load_parts(context, settings), torch.device("cpu"))
    return validation_logits(load_trained(context, artifact), feed, False).numpy()


@pytest.mark.parametrize("kind", ["scratch", pytest.param("finetune", marks=pytest.mark.slow)])
def test_stopped_anywhere_and_resumed_equals_uninterrupted(several: Bench, kind: str) -> None:
    """Fails when the learnt weights, or the sums of each task, are not in the checkpoint."""
    params = asked(several, kind, epochs=9 if kind == "scratch" else 4)
    whole = several.contents(several.finished(several.context(params, "whole")))
    several.forget(params)
    for attempt, questions in enumerate((9, 4, 17)):
        torch.manual_seed(attempt)
        with pytest.raises(Stopped):
            run(several.context(params, f"try{attempt}", after(questions)))
    assert several.contents(several.finished(several.context(params, "last"))) == whole


def after(questions: int) -> Callable[[], bool]:
    """A stop request that is there when it is asked for the n-th time."""
    counted = itertools.count(1)
    return lambda: next(counted) >= questions


@pytest.mark.slow
def test_a_head_on_features_learns_several_too(several: Bench) -> None:
    sides = {entry["id"]: entry["label"] for entry in several.entries}
    for entry in several.entries:  # features say where it is bright, whether or not the label is known
        entry["label"] = entry["path"].partition("/")[0]
    several.put_features()
    for entry in several.entries:
        entry["label"] = sides[entry["id"]]
    params = several.params(
        tasks=LEARNT, model=several.model("squeezenet1_1", dense=[6]), strategy="features", train={"epochs": 30, "lr": 0.03}
    )
    whole = several.finished(several.context(params, "whole"))
    history = whole.read_json("side/history.json")
    assert history["epochs"][history["selected_epoch"] - 1]["validation_accuracy"] > 0.8
    assert whole.read_json("format/card.json")["task_weights"] == {"side": 1.0, "format": 1.0}
