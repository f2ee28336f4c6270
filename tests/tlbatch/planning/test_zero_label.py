"""Rows without labels: one for each network and its weights, in whichever order the runs are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tlbatch.planning.test_make import TEXT, weights_for
from tlbatch.planning.runs import resolve_runs
from tlbatch.planning.weights import IMAGENET, ResolvedWeights
from tlbatch.planning.zero_label import zero_labels
from tlbatch.spec import Run, parse_study

MAPPING = {"cat": [281, 282], "dog": [200, 201]}


def two_weights(run: Run) -> ResolvedWeights:
    sha256 = {"tuned": "cd" * 32}.get(run.name, "ab" * 32)
    return replace(weights_for(run), params={"kind": "file", "sha256": sha256}, trained_on=IMAGENET)


@pytest.mark.parametrize("turn", [1, -1])
def test_other_weights_of_a_network_have_a_row_of_their_own(turn: int) -> None:
    """Fails where rows are told apart by the network's name alone: the strongest is the bar that transfer has to take."""
    runs = resolve_runs(parse_study(TEXT).study, two_weights, "fp32")[::turn]
    rows = zero_labels(runs, MAPPING)
    assert {row.backbone["weights"]["sha256"] for row in rows} == {"ab" * 32, "cd" * 32}
    first, second = (row.name for row in rows)
    assert first == "mobilenet-v2-no-labels"
    assert second == f"mobilenet-v2-{('cd' if turn == 1 else 'ab') * 4}-no-labels"


def test_the_same_weights_have_one() -> None:
    runs = resolve_runs(parse_study(TEXT).study, lambda run: replace(weights_for(run), trained_on=IMAGENET), "fp32")
    assert [row.name for row in zero_labels(runs, MAPPING)] == ["mobilenet-v2-no-labels"]
