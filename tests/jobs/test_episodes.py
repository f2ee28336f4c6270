"""Few-shot episodes: what they draw, that scikit-learn gets the same of them right, and where they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import normalize

from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.index import IndexEntry
from jobs.episodes import run
from jobs.fewshot.drawing import draw_episode, pool_of
from jobs.heads.standard import PRIOR
from tlbatch.errors import DataError, Stopped
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.tasks import Task

HELD_OUT = ["c0", "c1", "c2", "c3", "c4", "c5"]
LEARNT = ["left", "right"]


def params(**given: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"ways": 3, "shots": [1, 3], "queries": 4, "count": 12, "heads": ["prototypes", "knn", "logistic"]}
    base |= {"classes": HELD_OUT, "learnt": LEARNT, "seed": 42}
    base |= {"runs": [{"name": "own", "trained": False, "control": "own-random"}]}
    return {**base, **given}


def entries(n: int = 12) -> list[IndexEntry]:
    """``n`` of each class, held out or not."""
    blank = IndexEntry("", "", "", None, None, None, "", 0, 0, "png")
    names = [*HELD_OUT, *LEARNT]
    return [
        replace(blank, id=sha256(str(number).encode()).hexdigest()[:40], path=str(number), label=names[number % len(names)])
        for number in range(n * len(names))
    ]


@pytest.fixture
def bench(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The dataset with eight classes, features that tell six of them apart, and a control's that do not."""
    monkeypatch.setattr("tests.jobs.conftest.CLASSES", [*LEARNT, *HELD_OUT])
    bench.entries = [
        {**vars_of(entry), "width": 16, "height": 16, "source_width": 16, "source_height": 16} for entry in entries()
    ]
    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in bench.entries)
    bench.put("prepare", "dataset", {"index.jsonl": lines.encode()})
    for role, signal in (("features:own", 4.0), ("control:own", 0.0)):
        bench.put_features(role=role, signal=signal)
    return bench


def vars_of(entry: IndexEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in IndexEntry.__dataclass_fields__ if name != "facts"}


def start(bench: Any, asked: dict[str, Any], name: str, stop: Callable[[], bool] = lambda: False) -> Context:
    inputs = {role: ref for role, ref in bench.inputs.items() if role == "dataset" or ":" in role}
    return Context(bench.store, Task("episodes", asked, inputs), name, bench.root / f"scratch-{name}", stop=stop)


def left(bench: Any, asked: dict[str, Any]) -> Artifact:
    context = start(bench, asked, "a")
    run(context)
    context.finish()
    artifact = open_artifact(bench.store, "episodes", context.task.key, bench.root / "cache")
    assert artifact is not None
    return artifact


def their_share(head: str, support: np.ndarray, labels: np.ndarray, query: np.ndarray, truth: np.ndarray) -> float:
    """By scikit-learn alone."""
    if head == "prototypes":
        theirs = NearestCentroid().fit(normalize(support), labels)
        theirs.centroids_ = normalize(theirs.centroids_)
        said = theirs.predict(normalize(query))
    elif head == "knn":
        said = KNeighborsClassifier(1, metric="cosine").fit(support, labels).predict(query)
    else:
        n, mean, variance = len(support), support.mean(axis=0), support.var(axis=0)
        scale = np.sqrt((n * variance + PRIOR * variance.mean()) / (n + PRIOR))
        theirs = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit((support - mean) / scale, labels)
        said = theirs.predict((query - mean) / scale)
    return float((said == truth).mean())


def test_every_episode_is_scikit_learns(bench: Any) -> None:
    artifact, asked = left(bench, params()), params()
    found = artifact.read_json("accuracies.json")
    for name, role in (("own", "features:own"), ("own/control", "control:own")):
        ref = bench.inputs[role]
        features = open_artifact(bench.store, ref.step, ref.key, bench.root / "cache")
        assert features is not None
        for number, episode in enumerate(found["episodes"]):
            query = normalised_rows(features, [each for items in episode["query"] for each in items])
            for shots in asked["shots"]:
                support = normalised_rows(features, [each for items in episode["support"] for each in items[:shots]])
                labels = np.repeat(np.arange(3), shots)
                for head in asked["heads"]:
                    theirs = their_share(head, support, labels, query, np.repeat(np.arange(3), 4))
                    assert found["series"][name][head][str(shots)][number] == pytest.approx(theirs, abs=1e-9), (head, shots)
    document = artifact.read_json("episodes.json")
    for point in document["runs"][0]["points"]:
        values = np.array(found["series"]["own"][point["head"]][str(point["shots"])])
        accuracy, half = point["accuracy"], 1.959964 * values.std(ddof=1) / np.sqrt(len(values))
        assert accuracy["value"] == pytest.approx(values.mean(), abs=1e-8)
        assert accuracy["episodes"]["high"] == pytest.approx(min(1.0, values.mean() + half), abs=1e-6)
        assert accuracy["episodes"]["low"] == pytest.approx(values.mean() - half, abs=1e-6)
        assert accuracy["low"] <= accuracy["episodes"]["low"] < accuracy["episodes"]["high"] <= accuracy["high"]
    assert [point["verdict"] for point in document["runs"][0]["points"] if point["shots"] == 3] == ["helped"] * 3
    text = " ".join(document["sentences"])
    assert "6 classes (c0, c1, c2, c3, c4 and c5) were held out" in text
    assert "are of the other 2" in text
    assert "for other classes like these 6" in text


def normalised_rows(artifact: Artifact, ids: list[str]) -> np.ndarray:
    return np.asarray(load_features(artifact, ids), dtype=np.float64)


def test_an_episode_depends_on_content_alone_and_its_sides_are_apart() -> None:
    """Nor on how many episodes, shots or heads are asked for."""
    pool, turned = pool_of(entries(), HELD_OUT), pool_of(entries()[::-1], HELD_OUT)
    seen = set()
    for number in range(60):
        one = draw_episode(pool, number, 3, 2, 4, 42)
        assert draw_episode(turned, number, 3, 2, 4, 42) == one
        more = draw_episode(pool, number, 3, 5, 4, 42)
        assert more.query == one.query
        assert [items[:2] for items in more.support] == list(one.support)
        assert len(set(one.classes)) == 3
        assert set(one.classes) <= set(HELD_OUT)
        for name, support, query in zip(one.classes, one.support, one.query, strict=True):
            assert {entry.label for entry in (*support, *query)} == {name}
            assert len({entry.id for entry in (*support, *query)}) == 6
        seen.add(str(one))
    assert len(seen) == 60
    assert draw_episode(pool, 0, 3, 2, 4, 43) != draw_episode(pool, 0, 3, 2, 4, 42)


def test_copies_and_groups_are_on_one_side_and_copies_of_what_trains_are_out() -> None:
    pictures = [replace(each, group=f"{each.label}-{number // 24}") for number, each in enumerate(entries())]
    pool = pool_of(pictures, HELD_OUT)
    assert {len(units) for units in pool.units.values()} == {4}
    for number in range(20):
        episode = draw_episode(pool, number, 3, 1, 3, 1)
        for support, query in zip(episode.support, episode.query, strict=True):
            assert len({entry.group for entry in (*support, *query)}) == 4
    copies = entries()
    for n in range(6):
        copies[n], copies[8 * n + 14] = (replace(copies[at], dup=f"pair {n}") for at in (n, 8 * n + 14))
        assert (copies[n].label, copies[8 * n + 14].label) == (f"c{n}", "left")
    found = pool_of(copies, HELD_OUT)
    assert found.left_out == 6
    assert {len(units) for units in found.units.values()} == {11}


def test_too_few_items_are_named(bench: Any) -> None:
    with pytest.raises(DataError, match=r"needs 3 labelled images and 10 to judge by, .* c0 has 12, c1 has 12"):
        run(start(bench, params(queries=10), "b"))


def test_stopped_it_leaves_nothing_and_a_later_start_the_same(bench: Any) -> None:
    whole = left(bench, params())
    expected = {name: whole.read_bytes(name) for name in whole.names()}
    calls = [0]

    def stop() -> bool:
        calls[0] += 1
        return calls[0] > 10

    asked = params(runs=[{**params()["runs"][0], "trained": True}])
    with pytest.raises(Stopped):
        run(start(bench, asked, "stopped", stop))
    context = start(bench, asked, "resumed")
    run(context)
    for name in ("accuracies.json", "episodes.csv"):
        assert context.out(name).read_bytes() == expected[name]


def test_without_a_control_nothing_is_said_of_transfer(bench: Any) -> None:
    (found,) = left(bench, params(runs=[{"name": "own"}])).read_json("episodes.json")["runs"]
    assert {(point["verdict"], point["gain"]) for point in found["points"]} == {(None, None)}
