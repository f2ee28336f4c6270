"""Studies whose numbers lie: each ends with a sentence or a report that holds back, never with a bug or a nan."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.records import record
from tests.requirements import chaos_only
from tests.studies.shapes import Bench, draw_shapes
from tlbatch.errors import TlbatchError
from tlbatch.execution.launch import Outcome

HEAD = """
apiVersion: tlbatch/v1
kind: Study
name: lies
dataset: {url: images, split: {@SPLIT@}}
control: none
precision: fp32
runs:
"""
CNN = """  - name: cnn
    model: {scratch: {channels: [4, 8], padding: same, dense: [8]}}
    input: {size: 16}
    train: {epochs: 2, batch_size: 16, lr: 3e-3}
"""
FEATURES = """  - name: features
    model: {backbone: squeezenet1_1, weights: random, head: {logistic: {c: [0.01, 1.0], folds: 3}}}
    strategy: features
    input: {size: 32}
"""
SPLIT = "train: 0.5, validation: 0.2, test: 0.3"


def diverges(bench: Bench) -> str:
    draw_shapes(bench.images, 20)
    return HEAD.replace("@SPLIT@", SPLIT) + CNN.replace("lr: 3e-3", "lr: 1e30, optimizer: sgd") + FEATURES


def one_image_a_class(bench: Bench) -> str:
    draw_shapes(bench.images, 1)
    return HEAD.replace("@SPLIT@", SPLIT) + CNN + FEATURES


def all_duplicates(bench: Bench) -> str:
    draw_shapes(bench.images, 20)
    for label in ("disc", "square"):
        first, *others = sorted((bench.images / label).iterdir())
        for path in others:
            shutil.copy(first, path)
    return HEAD.replace("@SPLIT@", SPLIT) + CNN + FEATURES


def a_test_set_of_five(bench: Bench) -> str:
    draw_shapes(bench.images, 20)
    return HEAD.replace("@SPLIT@", "train: 25, validation: 10, test: 5") + CNN + FEATURES


def one_to_five_hundred(bench: Bench) -> str:
    draw_shapes(bench.images, 250)
    for path in sorted((bench.images / "disc").iterdir())[4:]:
        path.unlink()
    return HEAD.replace("@SPLIT@", SPLIT) + CNN + FEATURES


def labels_by_lot(bench: Bench) -> str:
    draw_shapes(bench.images, 40)
    chance = random.Random(3)
    files = sorted(bench.images.rglob("*.png"))
    for number, path in enumerate(files):
        path.rename(bench.images / chance.choice(["disc", "square"]) / f"x{number}.png")
    return HEAD.replace("@SPLIT@", SPLIT) + CNN + FEATURES


def a_constant_picture(bench: Bench) -> str:
    from PIL import Image

    draw_shapes(bench.images, 20)
    for number, path in enumerate(sorted((bench.images / "disc").iterdir())):
        Image.new("RGB", (40, 40), (number, number, number)).save(path)
    return HEAD.replace("@SPLIT@", SPLIT) + CNN + FEATURES


LIES: dict[str, Callable[[Bench], str]] = {
    "loss that is not finite": diverges,
    "one image a class": one_image_a_class,
    "all images are duplicates": all_duplicates,
    "test set of five": a_test_set_of_five,
    "1 : 62, four images of a class": one_to_five_hundred,
    "labels by lot": labels_by_lot,
    "flat pictures": a_constant_picture,
}


QUICK = ("loss that is not finite", "one image a class", "all images are duplicates")


@pytest.mark.slow
@pytest.mark.parametrize("lie", [pytest.param(lie, marks=[] if lie in QUICK else [chaos_only]) for lie in LIES])
def test_a_lie_is_told_or_held_back(tmp_path: Path, lie: str) -> None:
    bench = Bench(tmp_path)
    bench.study.write_text(LIES[lie](bench))
    try:
        outcome = bench.run(cores=1)
    except TlbatchError as error:
        assert error.exit_code in (2, 65), error
        record("study", lie, f"exit {error.exit_code} and a sentence")
        return
    _check(outcome)
    record("study", lie, "a report" if outcome.state == "succeeded" else f"exit {outcome.exit_code} and a sentence")


def _check(outcome: Outcome) -> None:
    for work in outcome.works:
        if work.state == "failed":
            assert work.codes[-1] in (2, 65), (work.name, work.codes, work.sentence)
            assert "Error:" not in work.sentence
    if outcome.state != "succeeded":
        return
    assert outcome.report is not None
    assert outcome.report["first_sentence"].strip()
    assert all(math.isfinite(number) for number in _numbers(outcome.report)), json.dumps(outcome.report)[:2000]


def _numbers(document: Any) -> list[float]:
    """Every number in a document, and the words that JSON writes for those that are none."""
    if isinstance(document, dict):
        return [number for value in document.values() for number in _numbers(value)]
    if isinstance(document, list):
        return [number for value in document for number in _numbers(value)]
    if isinstance(document, str):
        return [math.nan] if document.strip().lower() in ("nan", "inf", "-inf", "nan %") else []
    return [float(document)] if isinstance(document, int | float) else []
