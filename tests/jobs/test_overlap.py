"""What a source shares with the target: near copies of what the target judges by train nothing, whatever was done to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from jobs.context import Context
from jobs.data.index import load_index
from jobs.data.items import Likeness
from jobs.data.overlaps import OVERLAP_FILE, held_back_of, overlap_document
from jobs.data.source_split import split_source
from jobs.overlap import run
from tests.jobs.test_prepare import prepare, save, scene, task_for
from tlbatch.errors import Stopped
from tlbatch.spec.dataset import SourceSplit
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.tasks import InputRef, Task

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda image: image,
    "scaled": lambda image: image.resize((90, 68)),
    "cropped": lambda image: image.crop((5, 4, 112, 86)),
    "mirrored": ImageOps.mirror,
    "rotated": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}


def ref(artifact: Artifact) -> InputRef:
    return InputRef(artifact.manifest.step, artifact.manifest.key, artifact.digest)


def prepared(store: Store, folder: Path, scratch: Path) -> Artifact:
    return prepare(store, task_for(store, str(folder)), scratch)


def overlap(store: Store, target: Artifact, source: Artifact, scratch: Path, **how: object) -> Artifact:
    inputs = {"dataset": ref(target), "source:films": ref(source)}
    task = Task("overlap", {"stored_size": 512}, inputs, name="overlap:films")
    context = Context(store, task, "a1", scratch, **how)  # type: ignore[arg-type]
    run(context)
    assert context.finish() is not None
    found = open_artifact(store, "overlap", task.key, scratch / "cache")
    assert found is not None
    return found


@pytest.mark.promise(5)
def test_near_copies_of_what_the_target_holds_back_do_not_train(directory_store: Store, tmp_path: Path) -> None:
    """Fails when only equal pixels are looked for between datasets, or the ids of the target's side alone are held back."""
    for number in range(8):
        save(scene(number), tmp_path / "target" / "cat" / f"{number}.jpg", quality=92)
        save(scene(100 + number), tmp_path / "films" / "cat" / f"own{number}.jpg", quality=92)
    for place in ("target", "films"):
        save(scene(200 + len(place)), tmp_path / place / "dog" / f"{place}.jpg")
    for number, (name, change) in enumerate(CHANGES.items()):
        save(change(scene(number)), tmp_path / "films" / "cat" / f"{name}.jpg", quality=70)
    save(scene(7), tmp_path / "films" / "cat" / "equal.jpg", quality=92)
    target = prepared(directory_store, tmp_path / "target", tmp_path / "a")
    source = prepared(directory_store, tmp_path / "films", tmp_path / "b")
    found = overlap(directory_store, target, source, tmp_path / "c")
    document = found.read_json(OVERLAP_FILE)
    paths = {entry.id: Path(entry.path).stem for entry in load_index(source)}
    originals = {entry.id: Path(entry.path).stem for entry in load_index(target)}
    shared = {paths[name] for group in document["groups"] for name in group["source"]}
    assert shared == {*CHANGES, "equal"}
    for pair in document["pairs"]:
        assert list(CHANGES).index(paths[pair["source"]]) == int(originals[pair["target"]])
        assert pair["kind"] == paths[pair["source"]]
    test = {name for name, path in originals.items() if path in ("1", "4", "7")}  # the scaled, the rotated, the equal one
    held = test | held_back_of(document, test)
    split = split_source("films", load_index(source), SourceSplit(), ["cat"], held)
    assert {paths[entry.id] for entry in split.train} == set(paths.values()) - {"scaled", "rotated", "equal", "films"}
    again = overlap(directory_store, target, source, tmp_path / "d")
    assert again.digest == found.digest


def test_asked_to_stop_it_stops(directory_store: Store, tmp_path: Path) -> None:
    for number in range(3):
        save(scene(number), tmp_path / "target" / ("cat", "dog")[number % 2] / f"{number}.jpg")
    target = prepared(directory_store, tmp_path / "target", tmp_path / "a")
    with pytest.raises(Stopped):
        overlap(directory_store, target, target, tmp_path / "b", stop=lambda: True)


def test_a_copy_of_a_copy_is_held_back() -> None:
    """s2 is like s1 alone, and s1 like t: a chain through either dataset is one group."""
    ids = {"target": {"t", "u"}, "source": {"s1", "s2", "s3"}}
    chain = [Likeness("s1", "t", "scaled", 0.97), Likeness("s1", "s2", "cropped", 0.93), Likeness("s3", "u", "mirrored", 0.99)]
    document = overlap_document(chain, ids, "as is")
    assert held_back_of(document, {"t"}) == {"s1", "s2"}
    assert held_back_of(document, {"u", "elsewhere"}) == {"s3"}
    assert held_back_of(document, ()) == set()
    assert {(pair["target"], pair["source"], pair["kind"]) for pair in document["pairs"]} == {
        ("t", "s1", "scaled"),
        ("u", "s3", "mirrored"),
    }
