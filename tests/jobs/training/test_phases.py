"""Which stages learn when, and how fast."""

from __future__ import annotations

import pytest

from jobs.strategies.finetune import phases_of
from jobs.training.phases import Phases
from tlbatch.errors import StudyError
from tlbatch.strategies.finetune import Finetune

STAGES = ["stem", "low", "high", "head"]


def test_a_scratch_network_learns_whole() -> None:
    assert Phases().ever(STAGES) == tuple(STAGES)
    assert Phases().at(STAGES, 0) == tuple(STAGES)


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [("none", ("head",)), ("all", tuple(STAGES)), (("low",), ("low", "head")), (("high", "stem"), ("stem", "high", "head"))],
)
def test_the_head_always_learns(unfreeze: object, expected: tuple[str, ...]) -> None:
    assert phases_of(Finetune(unfreeze=unfreeze)).ever(STAGES) == expected


def test_warm_up_then_one_more_stage_from_the_last_back() -> None:
    phases = phases_of(Finetune(unfreeze="all", warm_up=2, gradual=2))
    seen = [len(phases.at(STAGES, epoch)) for epoch in range(9)]
    assert seen == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert phases.at(STAGES, 2) == ("high", "head")


def test_rates_fall_with_the_distance_from_the_head() -> None:
    scales = phases_of(Finetune(lr_decay=0.5, lr_scale={"low": 0.1})).scales(STAGES)
    assert scales == {"stem": 0.125, "low": pytest.approx(0.025), "high": 0.5, "head": 1.0}


def test_unknown_stages_are_named_with_those_there_are() -> None:
    with pytest.raises(StudyError, match="no stage 'block9' in this network: it has stem, low, high, head"):
        phases_of(Finetune(unfreeze=("block9",))).ever(STAGES)
    with pytest.raises(StudyError, match="no stage 'top'"):
        phases_of(Finetune(lr_scale={"top": 2.0})).ever(STAGES)
