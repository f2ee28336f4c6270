"""Runs of two executions on the images that both met: against a count by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.comparing.pairs import FEWEST, Common, Pair, common_images, joined_groups, with_test
from jobs.reporting.sources import RunSource
from jobs.statistics.permutation import mcnemar
from tlbatch.contracts.models import Model
from tlbatch.contracts.reports import AskedRun


class Evaluation:
    """As much of an evaluate artifact as pairs look at."""

    def __init__(self, digest: str, predictions: dict[str, Any]) -> None:
        self.digest, self._predictions = digest, predictions

    def read_json(self, name: str) -> dict[str, Any]:
        assert name == "predictions.json"
        return self._predictions


def a_run(
    name: str,
    said: dict[str, tuple[str, str]],
    classes: tuple[str, ...] = ("cat", "dog"),
    seeds: int = 1,
    deterministic: bool = False,
) -> RunSource:
    """``said``: content -> (label, predicted class)."""

    def probabilities(seed: int) -> list[list[float]]:
        sure = 1.0 if deterministic else 1.0 - seed / 100
        return [[sure if other == predicted else 1 - sure for other in classes] for _, predicted in said.values()]

    predictions = {
        "ids": list(said),
        "paths": [f"{picture}.jpg" for picture in said],
        "labels": [classes.index(label) for label, _ in said.values()],
        "groups": list(said),
        "classes": list(classes),
        "probabilities": {str(seed): probabilities(seed) for seed in range(seeds)},
    }
    asked = AskedRun(name=name, model=Model(scratch={}), strategy="scratch")
    return RunSource(asked, Evaluation(name, predictions))  # type: ignore[arg-type]


def images(n: int, wrong: int = 0) -> dict[str, tuple[str, str]]:
    """n cats of which the first ``wrong`` are taken for dogs."""
    return {f"{i:03}": ("cat", "dog" if i < wrong else "cat") for i in range(n)}


def compared(a: RunSource, b: RunSource) -> Pair:
    return with_test(Pair(a, b, ("best",), common_images(a, b)))


def test_the_same_test_images() -> None:
    pair = compared(a_run("a", images(100, 5)), a_run("b", images(100, 20)))
    assert pair.common.whole
    assert pair.contrast is not None
    assert pair.contrast.accuracy.value == pytest.approx(0.15)
    assert pair.contrast.accuracy.p == pytest.approx(mcnemar(15, 0))
    assert [pair.right_a, pair.right_b] == pytest.approx([0.95, 0.8])


def test_only_images_in_both_count_and_the_rest_is_told() -> None:
    first = images(100, 5)
    second = {picture: said for picture, said in images(120, 20).items() if picture >= "010"}
    common = common_images(a_run("a", first), a_run("b", second))
    assert (common.images, common.only_a, common.only_b, common.relabelled, common.whole) == (90, 10, 20, 0, False)
    pair = compared(a_run("a", first), a_run("b", second))
    assert pair.contrast is not None
    assert pair.contrast.accuracy.value == pytest.approx(10 / 90)


def test_images_with_another_label_are_left_out() -> None:
    relabelled = {**images(50), "003": ("dog", "dog")}
    common = common_images(a_run("a", images(50)), a_run("b", relabelled))
    assert (common.images, common.relabelled, common.whole) == (49, 1, False)
    assert 3 not in common.rows_a.tolist()


def test_rows_are_matched_by_content_not_by_place() -> None:
    said = {f"{i:03}": ("cat", "cat" if i % 3 else "dog") for i in range(60)}
    pair = compared(a_run("a", said), a_run("b", dict(reversed(said.items()))))
    assert pair.contrast is not None
    assert pair.contrast.accuracy.value == 0
    assert pair.contrast.accuracy.only_a == (0,)


def test_classes_are_matched_by_name() -> None:
    """The other study knows a third class, and orders them otherwise."""
    said = images(60, 6)
    pair = compared(a_run("a", said), a_run("b", {**said, "000": ("cat", "ape")}, classes=("ape", "dog", "cat")))
    assert pair.contrast is not None
    assert pair.contrast.accuracy.value == 0
    assert np.isnan(pair.contrast.macro_f1.value)


def test_too_few_in_common_are_not_tested() -> None:
    assert compared(a_run("a", images(FEWEST - 1)), a_run("b", images(FEWEST - 1))).contrast is None
    assert compared(a_run("a", images(FEWEST)), a_run("b", images(FEWEST, 1))).contrast is not None


def test_one_and_the_same_evaluation_is_not_tested() -> None:
    run = a_run("a", images(50, 5))
    pair = compared(run, replace(run, asked=run.asked.model_copy(update={"name": "b"})))
    assert pair.same
    assert pair.contrast is None


@pytest.mark.parametrize(("seeds_a", "seeds_b", "expected"), [(1, 3, 1), (3, 3, 3), (3, 2, 2)])
def test_seeds_that_both_have_are_paired(seeds_a: int, seeds_b: int, expected: int) -> None:
    pair = compared(a_run("a", images(40, 4), seeds=seeds_a), a_run("b", images(40, 8), seeds=seeds_b))
    assert pair.contrast is not None
    assert pair.contrast.accuracy.seeds == expected


def test_a_deterministic_method_counts_as_one_seed_and_only_the_other_spreads() -> None:
    fixed = a_run("a", images(40, 4), seeds=3, deterministic=True)
    both = compared(fixed, a_run("b", images(40, 8), seeds=3, deterministic=True))
    one = compared(fixed, a_run("b", images(40, 8), seeds=3))
    assert both.contrast is not None
    assert one.contrast is not None
    assert (both.contrast.accuracy.seeds, both.contrast.accuracy.test) == (1, "exact McNemar test")
    assert one.contrast.accuracy.seeds == 3


def test_groups_of_either_are_joined() -> None:
    assert joined_groups(["x", "x", "y", "z"], ["p", "q", "q", "r"]) == ["0", "0", "0", "3"]


def test_common_counts_add_up() -> None:
    empty = common_images(a_run("a", images(5)), a_run("b", {}))
    assert empty == Common(empty.rows_a, empty.rows_b, 5, 0, 0)
    assert empty.images == 0
