"""The curve step: what it draws, fits and leaves; stopped and resumed; where it refuses."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize

from jobs.context import Context
from jobs.curve import run
from jobs.curves.draws import draws_of, usual_labels
from jobs.data.features import load_features
from jobs.data.index import IndexEntry, load_index
from jobs.data.split import split_index
from tests.jobs.conftest import CLASSES
from tlbatch.errors import DataError, Stopped
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.tasks import Task

SPLIT = {"train": 36, "validation": 0, "test": 24, "seed": 42, "folds": None}
PROTOTYPES = {"prototypes": {"scale": 10.0}}


def params(**given: Any) -> dict[str, Any]:
    runs = given.pop("runs", [{"name": "means", "head": PROTOTYPES, "seed": 0, "views": 0, "control": "means-random"}])
    base = {"split": SPLIT, "classes": CLASSES, "labels": [1, 2, 5, 10], "draws": 5, "redraw": None, "runs": runs}
    return {**base, **given}


@pytest.fixture
def curves(bench: Any) -> Any:
    """With features that tell the classes apart, and a control's that do not."""
    for role, signal in (("features:means", 3.0), ("control:means", 0.0)):
        bench.put_features(role=role, signal=signal)
    return bench


def start(bench: Any, asked: dict[str, Any], name: str, stop: Callable[[], bool] = lambda: False) -> Context:
    inputs = {role: ref for role, ref in bench.inputs.items() if role == "dataset" or ":" in role}
    return Context(bench.store, Task("curve", asked, inputs), name, bench.root / f"scratch-{name}", stop=stop)


def left(bench: Any, asked: dict[str, Any], name: str = "a") -> Artifact:
    context = start(bench, asked, name)
    run(context)
    context.finish()
    artifact = open_artifact(bench.store, "curve", context.task.key, bench.root / "cache")
    assert artifact is not None
    return artifact


def test_it_says_what_labels_bring_beside_the_control(curves: Any) -> None:
    document = left(curves, params()).read_json("curve.json")
    (found,) = document["runs"]
    accuracies = [point["accuracy"]["value"] for point in found["points"]]
    assert [point["labels"] for point in found["points"]] == [1, 2, 5, 10]
    assert accuracies[-1] > accuracies[0] > 0.4
    for point in found["points"]:
        for name in ("accuracy", "control", "gain"):
            assert point[name]["low"] <= point[name]["value"] <= point[name]["high"]
    assert found["points"][-1]["verdict"] == "helped"
    assert found["twice"]["labels"] == 20
    assert found["sentences"][0].startswith("means: transfer pays")


def test_every_fit_is_scikit_learns_on_the_labels_drawn(curves: Any) -> None:
    """And the labels are training images: no test image is among them."""
    artifact = left(curves, params())
    predictions = artifact.read_json("predictions.json")
    context = start(curves, params(), "again")
    split = split_index(load_index(context.input("dataset")), {**SPLIT, "classes": CLASSES})
    train, test = (load_features(context.input("features:means"), [e.id for e in part]) for part in (split.train, split.test))
    labels = np.array([CLASSES.index(entry.label) for entry in split.train])
    assert predictions["ids"] == [entry.id for entry in split.test]
    for number, draw in enumerate(draws_of(split.train, CLASSES, 5, 42)):
        places = draw.labelled(5)
        theirs = NearestCentroid().fit(normalize(train[places]), labels[places])
        theirs.centroids_ = normalize(theirs.centroids_)
        assert predictions["series"]["means"]["5"][number] == theirs.predict(normalize(test)).tolist()


@pytest.mark.promise(2)
def test_stopped_and_resumed_it_leaves_the_same(curves: Any) -> None:
    """Fails when a stop loses the fits that are done, or a draw depends on which fits were done before."""
    whole = left(curves, params())
    expected = {name: whole.read_bytes(name) for name in whole.names()}
    asked, calls = params(runs=[{**params()["runs"][0], "seed": 1}]), [0]

    def stop() -> bool:
        calls[0] += 1
        return calls[0] > 11

    with pytest.raises(Stopped):
        run(start(curves, asked, "stopped", stop))
    context = start(curves, asked, "resumed")
    done = json.loads(context.latest_checkpoint()["fits.json"].read_text())
    assert 0 < len(done) < 40
    run(context)
    for name, content in expected.items():  # class means do not depend on the seed
        assert context.out(name).read_bytes() == content


SCRATCH = {"name": "cnn", "labels": [2, 5], "draws": 2}


def put_scratch(bench: Any, labels: int, right: float) -> dict[str, Any]:
    """An evaluation by two draws, right for this share of the test images; items and classes in an order of their own."""
    classes = CLASSES[::-1]
    split = split_index(load_index(start(bench, params(), f"s{labels}").input("dataset")), {**SPLIT, "classes": CLASSES})
    entries, chance = list(split.test)[::-1], np.random.default_rng(labels)
    rows = []
    for _ in range(2):
        p = np.full((len(entries), len(classes)), 0.1)
        for row, entry in enumerate(entries):
            at = classes.index(entry.label)
            p[row, at if chance.random() < right else (at + 1) % len(classes)] = 0.8
        rows.append(p)
    said = {
        "ids": [e.id for e in entries],
        "classes": classes,
        "probabilities": {str(k): p.tolist() for k, p in enumerate(rows)},
    }
    bench.put("evaluate", f"scratch:means:{labels}", {"predictions.json": json.dumps(said).encode()})
    return {e.id: [classes[int(p[row].argmax())] for p in rows] for row, e in enumerate(entries)}


def test_beside_a_network_trained_from_scratch_it_says_where_transfer_stops_paying(curves: Any) -> None:
    """The pairs are the first draws; the evaluation's own order of images and classes does not matter."""
    said = {labels: put_scratch(curves, labels, right) for labels, right in ((2, 0.3), (5, 0.9))}
    asked = params(runs=[{**params()["runs"][0], "scratch": SCRATCH}])
    artifact = left(curves, asked)
    document, predictions = artifact.read_json("curve.json"), artifact.read_json("predictions.json")
    scratch = document["runs"][0]["scratch"]
    assert (scratch["name"], scratch["draws"], [point["labels"] for point in scratch["points"]]) == ("cnn", 2, [2, 5])
    for point in scratch["points"]:
        answers = said[point["labels"]]
        truth = [CLASSES[label] for label in predictions["labels"]]
        theirs = np.array([[answers[id_][k] for id_ in predictions["ids"]] for k in range(2)]) == truth
        ours = np.array(predictions["series"]["means"][str(point["labels"])][:2]) == predictions["labels"]
        assert point["control"]["value"] == pytest.approx(theirs.mean())
        assert point["gain"]["value"] == pytest.approx(ours.mean() - theirs.mean())
        assert point["gain"]["low"] <= point["gain"]["value"] <= point["gain"]["high"]
    assert scratch["beyond"] is None
    (sentence,) = [each for each in document["runs"][0]["sentences"] if "from random weights" in each]
    assert sentence.startswith("means beside cnn, trained from random weights on the same labels (2 draws): ")
    assert 'cnn,"scratch, beside means",2,' in artifact.read_bytes("curve.csv").decode()
    plain = left(curves, params(), "b").read_json("curve.json")
    assert {name: value for name, value in document["runs"][0].items() if name not in ("scratch", "sentences")} == {
        name: value for name, value in plain["runs"][0].items() if name != "sentences"
    }


def test_an_evaluation_of_other_test_images_is_refused(curves: Any) -> None:
    put_scratch(curves, 2, 0.5)
    curves.put("evaluate", "scratch:means:5", {"predictions.json": json.dumps({"ids": ["x"], "classes": CLASSES}).encode()})
    with pytest.raises(DataError, match="judged by other test images"):
        run(start(curves, params(runs=[{**params()["runs"][0], "scratch": SCRATCH}]), "other"))


def test_equal_heads_on_equal_features_are_fitted_once(curves: Any) -> None:
    runs = [{**params()["runs"][0], "name": name} for name in ("means", "twin")]
    curves.inputs |= {f"{kind}:twin": curves.inputs[f"{kind}:means"] for kind in ("features", "control")}
    context = start(curves, params(runs=runs), "a")
    run(context)
    assert context.made["fits"] == 2 * 4 * 5


def test_numbers_that_a_class_has_too_few_images_for_are_named(curves: Any) -> None:
    document = left(curves, params(labels=[2, 200])).read_json("curve.json")
    assert document["labels"] == [2]
    assert document["left_out"] == [{"labels": 200, "class": document["left_out"][0]["class"], "images": 12}]
    assert document["runs"][0]["twice"] is None
    with pytest.raises(DataError, match="trains with 12 images, and 200 labels a class or more are asked for"):
        run(start(curves, params(labels=[200]), "b"))


def test_without_a_control_nothing_is_said_of_transfer(curves: Any) -> None:
    (found,) = left(curves, params(runs=[{**params()["runs"][0], "control": None}])).read_json("curve.json")["runs"]
    assert {point["verdict"] for point in found["points"]} == {None}
    assert "no control" in found["sentences"][0]


@pytest.mark.parametrize("head", [{"knn": {"k": [1, 3], "folds": 3}}, {"logistic": {"c": [0.01, 1.0], "folds": 3}}])
def test_other_heads_choose_on_the_labels_drawn(curves: Any, head: dict[str, Any]) -> None:
    asked = params(labels=[1, 8], runs=[{**params()["runs"][0], "head": head}])
    points = left(curves, asked).read_json("curve.json")["runs"][0]["points"]
    assert all(each == {"k": 1} or each == {"c": 1.0} for each in points[0]["chosen"])  # nothing to choose by
    assert points[1]["accuracy"]["value"] > 0.5


# -- draws ------------------------------------------------------------------------------------------------------------------


def entries(groups: int = 0) -> list[IndexEntry]:
    blank = IndexEntry("", "", "", None, None, None, "", 0, 0, "png")
    return [
        replace(blank, id=f"{n:040x}", path=f"{n}", label="ab"[n % 2], group=f"g{n % 2}{n // 8}" if n < groups else None)
        for n in range(60)
    ]


def test_fewer_labels_are_among_more_and_their_order_is_that_of_content() -> None:
    images = entries(groups=30)
    draws = draws_of(images, ["a", "b"], 5, 7)
    turned = draws_of(images[::-1], ["a", "b"], 5, 7)
    for draw, other in zip(draws, turned, strict=True):
        drawn = [{images[place].id for place in draw.labelled(n)} for n in (1, 2, 5, 10, 30)]
        assert [len(each) for each in drawn] == [2, 4, 10, 20, 60]
        assert all(few < more for few, more in itertools.pairwise(drawn))
        assert drawn == [{images[::-1][place].id for place in other.labelled(n)} for n in (1, 2, 5, 10, 30)]
    assert len({tuple(draw.labelled(3)) for draw in draws}) == 5


def test_images_of_a_group_are_labelled_one_after_the_other() -> None:
    images = entries(groups=60)
    for draw in draws_of(images, ["a", "b"], 5, 7):
        for places in draw.order.values():
            names = [images[place].group for place in places]
            assert len([name for name, before in zip(names, [None, *names], strict=False) if name != before]) == len(set(names))


def test_the_usual_numbers_of_labels() -> None:
    assert usual_labels(140) == [1, 2, 5, 10, 20, 50, 100]
    assert usual_labels(1) == [1]
