"""Networks of every kind of run go through extract's engine: torch's numbers, the same bytes whatever the threads."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from jobs import evaluate
from jobs.evaluation import outputs
from jobs.evaluation import trained as trained_runs
from jobs.evaluation.images import load_dataset
from jobs.extraction import computing, engine
from jobs.extraction.extractor import Extractor, fold
from jobs.heads.cores import threads
from jobs.kinds.image import feed as image_feed
from jobs.kinds.image.feed import ImageFeed
from jobs.models.trained import load_trained
from tests.jobs.test_evaluate import INPUT, LINEAR, SQUEEZENET, Bench, context_of, finished, task_of, trained
from tlbatch.tasks import InputRef, Task

LARGER = {**INPUT, "size": 64}
MODEL = {"backbone": SQUEEZENET, "layer": None, "pool": "avg", "head": {**LINEAR, "dense": [16], "batch_norm": True}}
MAPPING = {"left": [3, 4], "right": [7], "top": [10, 11, 12]}


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SMALL", 0)
    monkeypatch.setenv("TLBATCH_THREADS", "1")  # of trainings on pictures of 16 pixels more would only wait for each other


def of_network(bench: Bench, precision: str = "fp32") -> Task:
    """SqueezeNet, all of it trained."""
    options = {"model": MODEL, "finetune": {"unfreeze": "all"}, "input": LARGER, "train": {"epochs": 1}}
    return task_of(bench, {"model:0": trained(bench, "m", precision=precision, **options)}, precision=precision)


def of_scratch(bench: Bench, *seeds: int) -> Task:
    return task_of(bench, {f"model:{seed}": trained(bench, f"m{seed}", seed=seed, train={"epochs": 1}) for seed in seeds})


def of_features(bench: Bench) -> Task:
    bench.put_features(dim=512)
    return task_of(bench, {"model:0": trained(bench, "m", model=MODEL, strategy="features", input=INPUT)})


def without_labels(bench: Bench) -> Task:
    return task_of(bench, {}, run_kind="zero_label", backbone=SQUEEZENET, input=LARGER, mapping=MAPPING)


def ran(bench: Bench, task: Task, name: str) -> tuple[dict[str, bytes], str]:
    """The artifact's files made anew, and the engine."""
    bench.store.delete([stat.name for stat in bench.store.list(f"artifacts/evaluate/{task.key}/")])
    context = context_of(bench, task, name)
    artifact = finished(context, evaluate.run, "evaluate")
    return {name: artifact.read_bytes(name) for name in artifact.names()}, context.made.get("engine", "")


KINDS: dict[str, Callable[[Bench], Task]] = {
    "network": of_network,
    "bf16": lambda bench: of_network(bench, "bf16"),
    "features": of_features,
    "no labels": without_labels,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runs_it", ["openvino", "torch"])
def test_the_number_of_threads_changes_no_byte(bench: Bench, kind: str, runs_it: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of where the network looks included. torch by itself would divide sums among its threads otherwise."""
    if runs_it == "torch":
        monkeypatch.setitem(sys.modules, "openvino", None)
    whatever_the_threads(bench, KINDS[kind](bench), "" if kind == "features" else runs_it, monkeypatch)


def whatever_the_threads(bench: Bench, task: Task, runs_it: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for count in ("1", "3"):
        monkeypatch.setenv("TLBATCH_THREADS", count)
        files, by = ran(bench, task, f"e{count}")
        found.append(files)
        assert by.partition(" ")[0] == runs_it
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["features", "scratch"])
def test_what_is_computed_in_torch_is_computed_by_one_thread_each(
    bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads on cached features, where a network looks, the metrics' linear algebra: large ones would have other last bits."""
    task = of_features(bench) if kind == "features" else of_scratch(bench, 0)
    seen: dict[str, set[tuple[int, int]]] = {}
    monkeypatch.setenv("TLBATCH_THREADS", "3")

    def watched(module: Any, name: str) -> None:
        function = getattr(module, name)

        def watch(*args: Any) -> Any:
            seen.setdefault(name, set()).add((torch.get_num_threads(), threads()))
            return function(*args)

        monkeypatch.setattr(module, name, watch)

    for module, name in ((trained_runs, "head_logits"), (trained_runs, "metrics_document"), (image_feed, "grad_cam")):
        watched(module, name)
    ran(bench, task, "e")
    names = {"metrics_document", "grad_cam"} | ({"head_logits"} if kind == "features" else set())
    assert seen == {name: {(1, 1)} for name in names}


@pytest.mark.parametrize("kind", ["network", "bf16", "no labels"])
def test_it_says_what_torch_says(
    bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agrees(bench, KINDS[kind](bench), 0.02 if kind == "bf16" else 1e-5, monkeypatch, capsys)


def agrees(
    bench: Bench, task: Task, tolerance: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fast, by = ran(bench, task, "fast")
    assert by.startswith("openvino ")
    assert "torch's" not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "openvino", None)
    plain, by = ran(bench, task, "plain")
    assert by.startswith("torch ")
    assert "forward passes are torch's, which takes about twice as long: there is no openvino" in capsys.readouterr().out
    p, expected = (np.array(json.loads(one["predictions.json"])["probabilities"]["0"]) for one in (fast, plain))
    assert len(np.unique(expected, axis=0)) == 12
    assert 0 < np.abs(p - expected).max() <= tolerance


# -- several models -------------------------------------------------------------------------------------------------------


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was decoded."""
    decoded: list[bytes] = []
    load = ImageFeed.load

    def count(self: ImageFeed, stored: bytes, settings: Any) -> torch.Tensor:
        decoded.append(stored)
        return load(self, stored, settings)

    monkeypatch.setattr(ImageFeed, "load", count)
    return decoded


def test_pictures_are_decoded_once_for_all_models_where_they_fit(
    bench: Bench, loads: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = of_scratch(bench, 0, 1, 2)
    loads.clear()
    together, _ = ran(bench, task, "e")
    assert len(loads) == len(set(loads)) == 12
    monkeypatch.setattr(outputs, "KEPT_BYTES", 5 * 3 * 16 * 16)
    loads.clear()
    apart, _ = ran(bench, task, "again")
    assert len(loads) >= 12 + 2 * 7
    assert apart == together


def test_one_model_keeps_none(bench: Bench, loads: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[computing.StoredItems] = []
    made = computing.StoredItems.__init__

    def init(self: computing.StoredItems, *args: Any, **given: Any) -> None:
        made(self, *args, **given)
        kept.append(self)

    task = of_scratch(bench, 0)
    monkeypatch.setattr(computing.StoredItems, "__init__", init)
    loads.clear()
    ran(bench, task, "e")
    assert kept
    assert not any(items._kept._items for items in kept)
    assert len(loads) > 12  # the gallery's once more


def test_models_that_different_engines_ran_are_both_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    task, calls = of_scratch(bench, 0, 1), iter(range(9))
    compiled = engine.compiled
    monkeypatch.setattr("jobs.extraction.extractor.compiled", lambda *args: compiled(*args) if next(calls) else None)
    _, by = ran(bench, task, "e")
    assert [name.split()[0] for name in by.split(", ")] == ["torch", "openvino"]


# -- heads on features, judged by whole models (champions) ------------------------------------------------------------------


def test_heads_of_folds_share_the_backbone_that_extract_runs(bench: Bench) -> None:
    """As a champion's are: a pass an image, and what evaluate says of cached features."""
    bench.put_features(dim=512)
    models: dict[str, InputRef] = {
        f"model:0:{number}": trained(bench, f"m{number}", model=MODEL, strategy="features", input=LARGER, seed=number)
        for number in (0, 1)
    }
    context = context_of(bench, task_of(bench, models))
    ((_, artifacts),) = outputs.models_of(context).items()
    dataset, device = load_dataset(context), torch.device("cpu")
    fed = outputs.load_fed(dataset, LARGER, 2)
    logits = outputs.trained_outputs(outputs.Outputs(context), artifacts, fed, device, "the champion")
    assert context.made["forward_passes"] == 12
    assert len(logits) == 2
    assert not np.array_equal(logits[0], logits[1])
    extractor = Extractor(lambda: fold(lambda: load_trained(context, artifacts[0]).backbone), LARGER, "fp32", device)
    features = np.concatenate([rows for _, rows in computing.compute_rows(extractor, fed, 1)])
    for artifact, said in zip(artifacts, logits, strict=True):
        assert np.array_equal(outputs.head_logits(artifact, features, device), said)
