"""Promotions on real photographs: ten dog breeds, night after night, with rules that hold and rules that do not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.requirements import chaos_only
from tests.studies.nights import Night, Nights
from tlbatch.champions.champion import load_champion, terms
from tlbatch.champions.decisions import decisions

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: breeds
dataset:
  url: images
  split: {train: 10, validation: 100, test: 200}
control: none
precision: fp32
runs:
  - name: mobilenet
    model: {backbone: mobilenet_v2, weights: WEIGHTS, head: {logistic: {c: [0.01]}}}
    strategy: features
    input: {size: 128}
schedule: {cron: "0 3 * * *", promote: better, min_gain: 0.02, class_bound: 0.1}
"""
FEW, MANY = 31, 80  # photographs a breed: 10 for validation and 20 for the test, so 1 and 50 to learn from


def add(source: Path, images: Path, breed: str, first: int, last: int) -> None:
    (images / breed).mkdir(parents=True, exist_ok=True)
    for path in sorted((source / breed).iterdir())[first:last]:
        shutil.copy(path, images / breed / path.name)


def flip(images: Path, pinned: set[str], share: float) -> int:
    """Move a share of the photographs that are not pinned into the folders of other breeds; returns how many."""
    chance = random.Random(3)
    breeds = sorted(path.name for path in images.iterdir())
    free = [path for path in sorted(images.rglob("*.jpg")) if path.relative_to(images).as_posix() not in pinned]
    flipped = chance.sample(free, round(share * len(free)))
    for path in flipped:
        breed = chance.choice([name for name in breeds if name != path.parent.name])
        path.rename(images / breed / f"from-{path.parent.name}-{path.name}")
    return len(flipped)


def recalls(night: Night) -> dict[str, float]:
    return {row["class"]: row["recall"]["value"] for row in night.document("evaluate:mobilenet", "metrics.json")["per_class"]}


@chaos_only
@pytest.mark.shared
def test_breeds_from_one_label_to_fifty_then_flipped(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """(ii) better over all, but a breed beyond its bound; (iii) from 1 to 50 labels a breed; (i) 40 % of labels flipped."""
    source = shared_data("data/dog-breeds")
    weights = shared_data("weights/mobilenet_v2_torchvision_norm.safetensors")
    nights = Nights(tmp_path)
    nights.study.write_text(STUDY.replace("WEIGHTS", str(weights)))
    breeds = sorted(path.name for path in source.iterdir() if path.is_dir())
    for breed in breeds:
        add(source, nights.images, breed, 0, FEW)
    first = nights.fire()
    print(first.decision["sentence"])
    assert first.decision["outcome"] == "first"
    assert first.document("finetune:mobilenet:0", "card.json")["images"]["train"] == 10

    found = recalls(first)
    forgotten = max(sorted(found), key=lambda name: found[name])
    for breed in breeds:
        if breed != forgotten:
            add(source, nights.images, breed, FEW, MANY)
    bound = nights.fire().decision
    print(bound["sentence"])
    assert (bound["outcome"], bound["why"]) == ("refused", "class bound")
    assert bound["estimate"]["difference"] > 0.1
    assert [row["class"] for row in bound["classes"] if row["beyond_bound"]] == [forgotten]
    assert f"Refused for a class beyond its bound: {forgotten} falls from" in bound["sentence"]
    assert "bound 10.0 points" in bound["sentence"]

    add(source, nights.images, forgotten, FEW, MANY)
    pin = first.pins["test"][0]
    with Image.open(nights.images / pin["path"]) as photograph:
        ImageOps.mirror(photograph).save(nights.images / pin["label"] / "mirrored.jpg", quality=80)
    promoted = nights.fire()
    print(promoted.decision["sentence"])
    assert promoted.decision["outcome"] == "promoted"
    assert promoted.decision["estimate"]["p"] < promoted.decision["test"]["level"]
    assert promoted.manifest("extract:mobilenet").made["forward_passes"] == MANY - FEW + 1
    left_out = {one["path"] for one in promoted.report["pinned"]["left_out"]}
    assert f"{pin['label']}/mirrored.jpg" in left_out

    pinned = {one["path"] for part in ("test", "validation") for one in first.pins[part]}
    flipped = flip(nights.images, pinned, 0.4)
    worse = nights.fire()
    print(f"{flipped} labels flipped. {worse.decision['sentence']}")
    assert worse.pins["test"] == first.pins["test"]
    assert worse.manifest("extract:mobilenet").made["forward_passes"] == 0
    assert (worse.decision["outcome"], worse.decision["why"]) == ("refused", "worse")
    assert worse.decision["estimate"]["high"] < 0

    assert [one["outcome"] for one in decisions(nights.opened, "breeds")][::-1] == ["first", "refused", "promoted", "refused"]
    assert [one["test"]["count"] for one in decisions(nights.opened, "breeds")][::-1] == [0, 1, 2, 3]
    champion, _ = load_champion(nights.opened, "breeds")
    assert champion is not None
    assert champion.models["model:0"] == promoted.ref("finetune:mobilenet:0")
    assert [term.serial for term in terms(nights.opened, "breeds")] == [2, 1]
