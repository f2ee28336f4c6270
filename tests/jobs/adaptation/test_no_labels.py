"""With ``target_labels: none`` no label of the target decides anything: others lead to the very same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from sklearn.linear_model import LogisticRegression

from jobs.data.features import load_features
from jobs.heads.standard import PRIOR
from jobs.training.hidden_labels import HIDDEN
from jobs.training.settings import Settings
from jobs.training.split_data import load_parts
from tests.jobs.adaptation.bench import FILMS, TwoDomains
from tests.jobs.conftest import CLASSES, Bench
from tlbatch.contracts.models import FinetuneParams
from tlbatch.store.artifacts import open_artifact

METHODS = ["source_only", "coral", "subspace", "optimal_transport", "reweight"]


@pytest.fixture
def two(tmp_path: Path) -> TwoDomains:
    torch.set_num_threads(1)
    return TwoDomains(Bench(tmp_path, 120))


@pytest.mark.promise(5)
@pytest.mark.parametrize("method", METHODS)
def test_other_target_labels_lead_to_the_same_bytes(two: TwoDomains, method: str) -> None:
    """Labels of the target's training and validation images are shuffled. Fails when any of them is read, for fitting,
    weighting, choosing or calibrating: the model, its card and its validation would change."""
    params = two.params("adapt", settings={"method": method})
    first = two.outputs(params, two.target, two.source)
    assert two.outputs(params, two.relabelled(), two.source) == first
    source = [{**entry, "label": CLASSES[(CLASSES.index(entry["label"]) + 1) % 3]} for entry in two.source]
    assert two.outputs(params, two.target, source)["model.safetensors"] != first["model.safetensors"]


@pytest.mark.parametrize(("method", "labels"), [("coral", "few"), ("coral", "all"), ("tradaboost", "few")])
def test_those_that_are_to_be_read_are(two: TwoDomains, method: str, labels: str) -> None:
    """And with few, none of validation."""
    rounds = {"rounds": 4} if method == "tradaboost" else {}
    params = two.params("adapt", settings={"method": method, "target_labels": labels, "few": 2, **rounds})
    first = two.outputs(params, two.target, two.source)
    assert two.outputs(params, two.relabelled(("train",)), two.source)["model.safetensors"] != first["model.safetensors"]
    again = two.outputs(params, two.relabelled(("validation",)), two.source)
    assert (again == first) == (labels == "few")
    card = json.loads(first["card.json"])["adaptation"]
    assert card["target_labels_read"] == (6 if labels == "few" else 48)
    assert card["calibrated_on"] == ([FILMS] if labels == "few" else ["target"])


def test_a_vote_is_what_its_files_say(two: TwoDomains) -> None:
    """Without code of ours: weights of source items from the rounds' errors on file, validation from the layers on file."""
    params = two.params("adapt", settings={"method": "tradaboost", "target_labels": "few", "few": 3, "rounds": 8})
    files = two.outputs(params, two.target, two.source)
    state, card = load(files["model.safetensors"]), json.loads(files["card.json"])
    found = json.loads(files["adaptation.json"])["instances"]
    trains = sorted(entry["id"] for entry in two.source if entry["part"] == "train")
    assert sorted(found["items"][FILMS]["ids"]) == trains
    missed = np.array(found["items"][FILMS]["missed"])
    assert found["beta"] == pytest.approx(1 / (1 + np.sqrt(2 * np.log(len(trains)) / 8)), abs=1e-6)
    assert found["left"] == pytest.approx((found["beta"] ** missed).mean(), abs=1e-5)
    assert card["adaptation"]["source_weight_left"] == pytest.approx(found["left"], abs=1e-4)
    assert len(found["rounds"]) == card["adaptation"]["rounds"] == 8
    assert found["rounds"][0]["source_share"] == pytest.approx(len(trains) / (len(trains) + 9), abs=1e-6)
    np.testing.assert_allclose(state["head.votes"], [each["vote"] for each in found["rounds"][3:]], atol=1e-5)
    assert card["model"]["head"] == {"votes": {}}
    held = json.loads(files["validation.json"])
    ref = two.bench.inputs["features"]
    artifact = open_artifact(two.bench.store, ref.step, ref.key, two.bench.root / "cache")
    assert artifact is not None
    x = load_features(artifact, held["ids"])
    said = (np.einsum("nd,hkd->nhk", x, state["head.weight"]) + state["head.bias"]).argmax(axis=2)
    shares = np.array([[state["head.votes"][row == k].sum() for k in range(3)] for row in said]) / state["head.votes"].sum()
    np.testing.assert_allclose(held["logits"], np.log((5 * shares + 1 / 3) / 6), atol=1e-5)


def test_who_may_not_read_them_is_not_handed_them(two: TwoDomains) -> None:
    from jobs.context import Context
    from tlbatch.tasks import Task

    params = two.params("adapt", settings={"method": "coral"})
    context = Context(two.bench.store, Task("finetune", params, two.inputs(two.target, two.source)), "a1", two.bench.root / "s")
    parts = load_parts(context, Settings.of(context.read_params(FinetuneParams)))
    assert {entry.label for entry in (*parts.train, *parts.validation)} == {HIDDEN}
    assert set(parts.labels(parts.train).tolist()) == {-1}
    assert not any(name in str(entry) for entry in (*parts.train, *parts.validation) for name in CLASSES)
    assert {entry.label for entry in parts.of(FILMS).train} == set(CLASSES)


def test_source_only_is_a_logistic_regression_on_the_source(two: TwoDomains) -> None:
    """By scikit-learn alone, on features read here: what every adaptation is held against."""
    params = two.params("adapt", settings={"method": "source_only"})
    files = two.outputs(params, two.target, two.source)
    weights, card = load(files["model.safetensors"]), json.loads(files["card.json"])
    ref = two.bench.inputs["features"]
    artifact = open_artifact(two.bench.store, ref.step, ref.key, two.bench.root / "cache")
    assert artifact is not None
    trains = [entry for entry in two.source if entry["part"] == "train"]
    x = load_features(artifact, [entry["id"] for entry in trains]).astype(np.float64)
    y = [CLASSES.index(entry["label"]) for entry in trains]
    own, mean = x.var(axis=0), x.mean(axis=0)
    sd = np.sqrt(np.average([own, np.full(len(own), own.mean())], axis=0, weights=[len(x), PRIOR]))
    theirs = LogisticRegression(C=card["logistic"]["c"], max_iter=5000, tol=1e-8).fit((x - mean) / sd, y)
    test = load_features(artifact, [entry["id"] for entry in two.target]).astype(np.float64)
    logits = test @ weights["head.classifier.weight"].T.astype(np.float64) + weights["head.classifier.bias"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.allclose(powers / powers.sum(axis=1, keepdims=True), theirs.predict_proba((test - mean) / sd), atol=2e-3)
    held = json.loads(files["validation.json"])
    assert held["of"] == [FILMS]
    assert sorted(held["ids"]) == sorted(entry["id"] for entry in two.source if entry["part"] == "validation")
