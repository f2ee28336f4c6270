"""The extract step: what it leaves; neither shards, nor threads, nor stops, nor earlier features change a bit of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jobs.extract
import jobs.extraction.rows
from jobs.context import Context
from jobs.data.features import load_features, load_views
from jobs.data.index import load_index, read_stored
from jobs.data.row_store import open_rows
from jobs.data.split import split_index
from jobs.extract import run
from jobs.extraction.computing import StoredItems
from jobs.extraction.extractor import BATCH, Extractor
from jobs.extraction.requested_rows import Wanted
from jobs.extraction.rows import put_together
from jobs.kinds.image.augmentation import apply, draw
from jobs.kinds.image.pixels import load_pixels, normaliser
from jobs.models.building import build_backbone
from jobs.models.pretrained import Pretrained
from jobs.parts import StoredParts
from jobs.randomness import generator
from tlbatch.errors import DataError, DeadlineError, Stopped
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, Manifest, manifest_name, open_artifact
from tlbatch.tasks import InputRef, Task, task_name

SIZE = 40
CLASSES = ["left", "right", "top"]
SPLIT = {"train": 20, "validation": 10, "test": 10, "seed": 42, "folds": None}
VIEWS = {
    "count": 2,
    "augmentation": {"rotate": 30.0, "flip": "horizontal"},
    "redraws": [0, 1],
    "split": SPLIT,
    "classes": CLASSES,
}
INPUT = {
    "size": SIZE,
    "resize": "crop",
    "crop": 0.875,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "channels": "rgb",
    "scale": "unit",
    "grayscale": False,
}


def params(**given: Any) -> dict[str, Any]:
    backbone = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 3}}
    base = {"backbone": backbone, "layer": None, "pool": "avg", "input": INPUT, "precision": "fp32", "views": None}
    return {**base, **given}


class Extraction:
    """Extract tasks on a prepared dataset, and what became of them."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.store, self.root = bench, bench.store, bench.root
        self.attempts = 0

    def context(self, older: list[Manifest] | None = None, **given: Any) -> Context:
        self.attempts += 1
        options = {name: given.pop(name) for name in ("stop", "shard") if name in given}
        limits = given.pop("limits", {})
        refs = [InputRef("extract", manifest.key, manifest.digest) for manifest in older or []]
        task = Task("extract", params(**given), {"dataset": self.bench.inputs["dataset"]}, limits=limits, older=refs)
        attempt = f"a{self.attempts}"
        return Context(self.store, task, attempt, self.root / attempt, **options)

    def run(self, older: list[Manifest] | None = None, **given: Any) -> Manifest:
        context = self.context(older, **given)
        run(context)
        manifest = context.finish()
        assert manifest is not None
        return manifest

    def artifact(self, manifest: Manifest) -> Artifact:
        found = open_artifact(self.store, "extract", manifest.key, self.root / "cache")
        assert found is not None
        return found

    def forget(self, manifest: Manifest) -> None:
        """Delete the artifact and what its task left in ``work``, so that it is computed anew."""
        for prefix in (f"artifacts/extract/{manifest.key}/", f"work/{manifest.key}/"):
            self.store.delete([stat.name for stat in self.store.list(prefix)])


@pytest.fixture
def extraction(bench: Any) -> Extraction:
    return Extraction(bench)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every batch that is really computed."""
    batches: list[int] = []
    call = Extractor.__call__

    def counting(self: Extractor, pixels: torch.Tensor) -> np.ndarray:
        batches.append(len(pixels))
        return call(self, pixels)

    monkeypatch.setattr(Extractor, "__call__", counting)
    return batches


def test_items_are_loaded_while_the_network_is_built(extraction: Extraction, monkeypatch: pytest.MonkeyPatch) -> None:
    build, load, others = jobs.extract._open, StoredItems.load_all, threading.Event()
    loaded: list[str] = []

    def loading(items: StoredItems, rows: Sequence[Wanted]) -> list[torch.Tensor]:
        loaded.extend(row.name for row in rows)
        if len(loaded) > 2 * BATCH["cpu"]:
            others.set()
        return load(items, rows)

    def building(context: Context) -> Any:
        assert others.wait(30), f"{len(loaded)} items were loaded"
        return build(context)

    monkeypatch.setattr(StoredItems, "load_all", loading)
    monkeypatch.setattr(jobs.extract, "_open", building)
    monkeypatch.setenv("TLBATCH_THREADS", "2")
    manifest = extraction.run()
    ids = {entry.id for entry in load_index(extraction.context().input("dataset"))}
    assert manifest.made["forward_passes"] == len(loaded) == len(ids)


def expected(extraction: Extraction, pixels_of: Callable[[Any, bytes], torch.Tensor], ids: list[str]) -> np.ndarray:
    """What the backbone itself makes of single images."""
    dataset = extraction.context().input("dataset")
    entries = {entry.id: entry for entry in load_index(dataset)}
    backbone = build_backbone(params(), INPUT, Pretrained("random weights", seed=3))
    rows = []
    for image_id in ids:
        pixels = pixels_of(entries[image_id], read_stored(dataset, entries[image_id]))
        with torch.inference_mode():
            rows.append(backbone(normaliser(INPUT)(pixels.unsqueeze(0)))[0].numpy())
    return np.stack(rows)


def ids_of(extraction: Extraction) -> list[str]:
    return [entry["id"] for entry in extraction.bench.entries]


def test_features_are_the_backbones(extraction: Extraction) -> None:
    manifest = extraction.run()
    ids = ids_of(extraction)[::-7]
    found = load_features(extraction.artifact(manifest), ids)
    assert np.allclose(found, expected(extraction, lambda _, encoded: load_pixels(encoded, INPUT), ids), rtol=1e-3, atol=1e-5)
    assert len(np.unique(found.round(6), axis=0)) == len(ids)


def test_the_description_says_what_they_are(extraction: Extraction) -> None:
    manifest = extraction.run()
    said = extraction.artifact(manifest).read_json("features.json")
    assert (said["dim"], said["pool"], said["images"], said["views"], said["shape"]) == (512, "avg", 60, 0, [512, 2, 2])
    assert said["input"] == INPUT
    assert said["backbone"]["name"] == "squeezenet1_1"
    assert manifest.made["forward_passes"] == 60
    assert manifest.made["images_per_s"] > 0
    assert manifest.made["device"]


def test_the_same_again_is_the_same_to_the_bit(extraction: Extraction) -> None:
    first = extraction.run()
    extraction.forget(first)
    assert extraction.run().digest == first.digest


def test_the_number_of_threads_changes_nothing(extraction: Extraction, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for threads in ("1", "3"):
        monkeypatch.setenv("TLBATCH_THREADS", threads)
        manifest = extraction.run()
        digests.add(manifest.digest)
        extraction.forget(manifest)
    assert len(digests) == 1


# -- shards -----------------------------------------------------------------------------------------------------------------


def test_four_shards_make_what_one_makes(extraction: Extraction, computed: list[int]) -> None:
    whole = extraction.run(views=VIEWS)
    alone = len(computed)
    extraction.forget(whole)
    for index in (2, 0, 3):
        context = extraction.context(views=VIEWS, shard=(index, 4))
        run(context)
        assert context.finish() is None  # not all are done: nothing is committed
    context = extraction.context(views=VIEWS, shard=(1, 4))
    run(context)
    manifest = context.finish()
    assert manifest is not None
    assert manifest.digest == whole.digest
    assert manifest.made["forward_passes"] == whole.made["forward_passes"]
    assert alone <= len(computed) - alone <= alone + 4  # every image once, batches padded once a shard
    assert not list(extraction.store.list(f"work/{manifest.key}/checkpoints/"))


def test_a_shard_that_is_started_again_computes_nothing(extraction: Extraction, computed: list[int]) -> None:
    run(extraction.context(shard=(0, 2)))
    before = len(computed)
    run(extraction.context(shard=(0, 2)))
    assert len(computed) == before


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of every part that is fetched."""
    names: list[str] = []
    fetch = StoredParts.fetch

    def noting(self: StoredParts, name: str) -> Path:
        names.append(name)
        return fetch(self, name)

    monkeypatch.setattr(StoredParts, "fetch", noting)
    return names


@pytest.mark.parametrize("count", [3, 6, 12])
def test_parts_are_fetched_once_whatever_the_number_of_shards(extraction: Extraction, count: int, fetched: list[str]) -> None:
    """Fails when every shard fetches all that is there: bytes would grow with the square of the number of shards."""
    for index in reversed(range(count)):
        context = extraction.context(shard=(index, count))
        run(context)
        manifest = context.finish()
    assert manifest is not None
    assert len(fetched) == len(set(fetched)) == count - 1


def test_another_number_of_shards_goes_on_with_what_there_is(
    extraction: Extraction, computed: list[int], fetched: list[str]
) -> None:
    for index in (0, 1):
        run(extraction.context(shard=(index, 3)))
    fetched.clear()
    run(extraction.context(shard=(0, 2)))
    assert len(fetched) == 2  # the first third, and the second, which reaches into this half
    computed.clear()
    manifest = extraction.run(shard=(1, 2))
    assert manifest.made["forward_passes"] == 60
    assert 0 < 8 * len(computed) < 40  # its half but for what the second third had


def test_parts_of_earlier_versions_are_read(extraction: Extraction, computed: list[int]) -> None:
    """Their names say nothing but their hash."""
    context = extraction.context(shard=(0, 2))
    run(context)
    prefix = f"work/{context.task.key}/checkpoints/rows/"
    (part,) = [stat.name for stat in extraction.store.list(prefix)]
    extraction.store.put(prefix + part.rpartition("-")[2], extraction.store.get(part))
    extraction.store.delete([part])
    before = len(computed)
    run(extraction.context(shard=(0, 2)))
    assert len(computed) == before
    assert extraction.run(shard=(1, 2)).made["forward_passes"] == 60


def test_two_shards_that_finish_at_once_commit_one_artifact(extraction: Extraction) -> None:
    run(extraction.context(shard=(0, 2)))
    contexts = [extraction.context(shard=(1, 2)), extraction.context(shard=(1, 2))]
    for context in contexts:
        run(context)
    first, second = [context.finish() for context in contexts]
    assert first is not None
    assert first == second


def test_a_shard_whose_parts_go_because_another_commits_is_done(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(extraction.context(shard=(0, 2)))
    late = extraction.context(shard=(1, 2))

    def too_late(*arguments: Any) -> None:
        monkeypatch.setattr(jobs.extraction.rows, "put_together", put_together)
        extraction.run(shard=(1, 2))
        put_together(*arguments)

    monkeypatch.setattr(jobs.extraction.rows, "put_together", too_late)
    run(late)
    manifest = late.finish()  # from its own checked copies: who commits second takes what the first has committed
    winner = extraction.run()
    assert manifest is not None
    assert (manifest.digest, manifest.files) == (winner.digest, winner.files)
    assert extraction.artifact(winner).names("features/")


@pytest.mark.s3
def test_shards_on_s3_make_what_a_directory_has(extraction: Extraction, s3_store: Store, computed: list[int]) -> None:
    whole = extraction.run()
    for stat in extraction.store.list("artifacts/prepare/"):
        s3_store.put(stat.name, extraction.store.get(stat.name))
    extraction.store = s3_store
    for index in range(2):
        context = extraction.context(shard=(index, 2))
        run(context)
        manifest = context.finish()
    assert manifest is not None
    assert manifest.digest == whole.digest


# -- stops ------------------------------------------------------------------------------------------------------------------


def test_what_was_computed_before_a_stop_is_not_computed_again(extraction: Extraction, computed: list[int]) -> None:
    whole = extraction.run()
    batches = len(computed)
    extraction.forget(whole)
    computed.clear()
    context = extraction.context(stop=lambda: len(computed) >= 3)
    with pytest.raises(Stopped):
        run(context)
    (part,) = extraction.store.list(f"work/{context.task.key}/checkpoints/rows/")
    saved = len(open_rows(extraction.store.root / part.name).names)
    assert 0 < saved < 60
    computed.clear()
    manifest = extraction.run()
    assert manifest.digest == whole.digest
    assert manifest.made["forward_passes"] == 60
    assert len(computed) == math.ceil((60 - saved) / 8) < batches


def test_over_its_deadline_it_keeps_what_it_has(extraction: Extraction) -> None:
    context = extraction.context(limits={"deadline_s": 0.0})
    with pytest.raises(DeadlineError):
        run(context)
    assert list(extraction.store.list(f"work/{context.task.key}/checkpoints/rows/"))


def test_a_broken_part_is_computed_again(extraction: Extraction) -> None:
    context = extraction.context()
    extraction.store.put(f"work/{context.task.key}/checkpoints/rows/broken.safetensors", b"nothing of use")
    assert extraction.run().made["forward_passes"] == 60


# -- earlier features -------------------------------------------------------------------------------------------------------


def grown(extraction: Extraction, more: int) -> Extraction:
    """The same store, and a dataset with ``more`` images beside the old ones."""
    bench = type(extraction.bench)(extraction.root, extraction.bench.n + more)
    bench.store = extraction.store
    extended = Extraction(bench)
    extended.attempts = extraction.attempts + 100
    return extended


@pytest.mark.promise(1)
def test_ten_more_images_are_ten_forward_passes(extraction: Extraction, computed: list[int]) -> None:
    """Fails when rows of an earlier extraction are not taken: all images are computed again."""
    first = extraction.run()
    computed.clear()
    more = grown(extraction, 10)
    second = more.run([first])
    assert second.made["forward_passes"] == 10
    assert len(computed) == 2  # 8 and 2
    more.forget(second)
    assert more.run().digest == second.digest  # as computed without anything to go by


DIVIDED = {"split": SPLIT, "classes": CLASSES, "redraws": [None]}


def parts_of(extraction: Extraction, redraws: list[int | None], **changed: Any) -> set[str]:
    """Ids of all parts in any redraw."""
    entries = load_index(extraction.context().input("dataset"))
    division = {**SPLIT, **changed, "classes": CLASSES}
    splits = [split_index(entries, division, seed_redraw=redraw) for redraw in redraws]
    return {entry.id for each in splits for part in (each.train, each.validation, each.test) for entry in part}


@pytest.mark.promise(1)
def test_images_that_no_part_uses_are_not_computed(extraction: Extraction) -> None:
    """Fails when all prepared images are. Rows are those of an extraction of everything, bit for bit."""
    everything = extraction.artifact(extraction.run())
    used = sorted(parts_of(extraction, [None]))
    assert len(used) == 40
    manifest = extraction.run(divided=DIVIDED)
    assert manifest.made["forward_passes"] == 40
    artifact = extraction.artifact(manifest)
    assert artifact.read_json("features.json")["images"] == 40
    np.testing.assert_array_equal(load_features(artifact, used), load_features(everything, used))
    with pytest.raises(KeyError):
        load_features(artifact, ids_of(extraction))


@pytest.mark.promise(1)
def test_another_division_computes_what_the_one_before_left_out(extraction: Extraction) -> None:
    """More that train, another seed, seeds that draw their own. Fails when rows that are there are computed again."""
    known, older = parts_of(extraction, [None]), [extraction.run(divided=DIVIDED)]
    for split, redraws in (({"train": 30}, [None]), ({"seed": 7}, [None]), ({}, [0, 1, 2])):
        used = parts_of(extraction, redraws, **split)
        manifest = extraction.run(older, divided={**DIVIDED, "split": {**SPLIT, **split}, "redraws": redraws})
        assert manifest.made["forward_passes"] == len(used - known)
        assert load_features(extraction.artifact(manifest), sorted(used)).shape == (len(used), 512)
        known |= used
        older = [manifest, *older]


def test_files_with_the_same_rows_are_not_written_again(extraction: Extraction) -> None:
    first = extraction.run(views=VIEWS)
    more = grown(extraction, 2)
    second = more.run([first], views=None)
    new = {entry["id"][0] for entry in more.bench.entries} & {
        image_id[0] for image_id in set(ids_of(more)) - set(ids_of(extraction))
    }
    for name, entry in second.files.items():
        if name.startswith("features/"):
            kept = entry.path.startswith(f"artifacts/extract/{first.key}/")
            assert kept == (name.removeprefix("features/")[0] not in new), name


def test_nothing_new_needs_no_network(extraction: Extraction, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extraction.run(views=VIEWS)

    def never(*_: Any) -> None:
        raise AssertionError("the network was built")

    monkeypatch.setattr("jobs.extraction.extractor.open_backbone", never)
    again = extraction.run([first], views={**VIEWS, "redraws": [1]})
    assert again.made["forward_passes"] == 0
    assert again.key != first.key


def test_other_pixels_are_another_extractor(extraction: Extraction) -> None:
    first = extraction.run()
    second = extraction.run([first], input={**INPUT, "interpolation": "nearest"})
    assert second.made["forward_passes"] == 60
    assert second.files.keys() == first.files.keys()


def test_pixels_that_are_stored_otherwise_are_computed_anew(extraction: Extraction) -> None:
    first = extraction.run()
    bench = type(extraction.bench)(extraction.root)
    for entry in bench.entries[:5]:
        entry["width"] += 1  # as if prepare had stored it in another size
    lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in bench.entries)
    dataset = extraction.context().input("dataset")
    bench.put("prepare", "dataset", {"index.jsonl": lines.encode(), "shards/00.tar": dataset.read_bytes("shards/00.tar")})
    other = Extraction(bench)
    other.attempts = 50
    assert other.run([first]).made["forward_passes"] == 5


def test_damaged_earlier_features_are_left_aside(extraction: Extraction) -> None:
    first = extraction.run()
    clean = grown(extraction, 10).run()
    more = grown(extraction, 10)
    more.forget(clean)
    victim = first.files["features/0.safetensors"].path
    extraction.store.put(victim, extraction.store.get(victim)[:-1] + b"\x07")
    assert more.run([first]).digest == clean.digest


def test_earlier_features_of_a_newer_version_are_left_aside(extraction: Extraction, capsys: pytest.CaptureFixture[str]) -> None:
    first = extraction.run()
    clean = grown(extraction, 10).run()
    more = grown(extraction, 10)
    more.forget(clean)
    newer = {**json.loads(first.to_json()), "format": 99}
    extraction.store.put(manifest_name(first.step, first.key), json.dumps(newer).encode())
    assert more.run([first]).digest == clean.digest
    assert "its manifest has format 99" in capsys.readouterr().out


# -- views ------------------------------------------------------------------------------------------------------------------


def test_views_are_of_the_training_images_of_every_redraw(extraction: Extraction) -> None:
    manifest = extraction.run(views=VIEWS)
    entries = load_index(extraction.context().input("dataset"))
    splits = [split_index(entries, {**SPLIT, "classes": CLASSES}, seed_redraw=redraw) for redraw in (0, 1)]
    training = {entry.id for split in splits for entry in split.train}
    artifact = extraction.artifact(manifest)
    assert load_views(artifact, sorted(training)).shape == (2, len(training), 512)
    assert manifest.made["forward_passes"] == 60 + 2 * len(training)
    with pytest.raises(KeyError):
        load_views(artifact, [splits[0].test[0].id])


def test_a_view_is_the_changed_image_drawn_from_its_content_and_number(extraction: Extraction) -> None:
    artifact = extraction.artifact(extraction.run(views=VIEWS))
    entries = load_index(extraction.context().input("dataset"))
    ids = [entry.id for entry in split_index(entries, {**SPLIT, "classes": CLASSES}, seed_redraw=0).train][:5]

    def second_view(entry: Any, encoded: bytes) -> torch.Tensor:
        changes = draw(VIEWS["augmentation"], 1, generator("view", entry.id, 1), SIZE)  # type: ignore[arg-type]
        return apply(load_pixels(encoded, INPUT).unsqueeze(0), changes)[0]

    found = load_views(artifact, ids)
    assert np.allclose(found[1], expected(extraction, second_view, ids), rtol=1e-3, atol=1e-5)
    assert not np.allclose(found[0], found[1], rtol=1e-2)


# -- models and layers ------------------------------------------------------------------------------------------------------


def test_a_named_layer_flattened(extraction: Extraction) -> None:
    manifest = extraction.run(layer="features.3", pool="flatten")
    said = extraction.artifact(manifest).read_json("features.json")
    assert said["dim"] == np.prod(said["shape"])
    assert said["layer"] == "fire2"  # as the catalogue calls it
    assert load_features(extraction.artifact(manifest), ids_of(extraction)[:2]).shape == (2, said["dim"])


def test_a_flattened_map_that_dwarfs_the_backbone_is_warned_of(
    extraction: Extraction, capsys: pytest.CaptureFixture[str]
) -> None:
    extraction.run(layer="features.2", pool="flatten")
    assert "consider pool: avg" in capsys.readouterr().out
    extraction.run(layer="features.2", pool="avg")
    assert "consider pool: avg" not in capsys.readouterr().out


def test_half_precision_is_close_and_not_the_same(extraction: Extraction) -> None:
    ids = ids_of(extraction)
    full = load_features(extraction.artifact(extraction.run()), ids)
    half = load_features(extraction.artifact(extraction.run(precision="bf16")), ids)
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.99
    assert not np.array_equal(full, half)


def test_grey_images(extraction: Extraction) -> None:
    manifest = extraction.run(input={**INPUT, "grayscale": True})
    assert load_features(extraction.artifact(manifest), ids_of(extraction)).std() > 0


def test_features_that_are_no_numbers_are_a_sentence(extraction: Extraction) -> None:
    with pytest.raises(DataError, match="no finite numbers"):
        extraction.run(input={**INPUT, "std": [1e-38] * 3, "mean": [1e38] * 3})


@pytest.mark.slow
def test_shards_as_programs(extraction: Extraction, tmp_path: Path) -> None:
    task = extraction.context().task
    extraction.store.put(task_name(task.key), task.to_json())
    for index in range(2):
        command = [sys.executable, "-m", "jobs.extract", "--task", f"{extraction.store.url}/{task_name(task.key)}"]
        result = subprocess.run([*command, "--shard", f"{index}/2"], capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stderr
        committed = open_artifact(extraction.store, "extract", task.key, tmp_path / "cache")
        assert (committed is not None) == (index == 1)
