"""Killed (SIGKILL) at any write, and gone on with: the artifact of an undisturbed run, bit for bit, for every step."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.faults.conftest import Season, Ward
from tests.faults.records import record
from tests.requirements import CHAOS
from tlbatch.tasks import InputRef

KILLED = -9
STEPS = ("prepare", "pin", "extract", "finetune", "evaluate", "decide", "report")
MOST = 400  #: writes of a task: far more than any here makes


def tasks_of(season: Season, step: str) -> list[str]:
    return sorted(name for name, ref in season.tasks().items() if ref.step == step)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_writes_and_resumed_equals_uninterrupted(season: Season, ward: Ward, step: str) -> None:
    """Promise 2. Mutation tried: checkpoints that leave out the optimizer's state; the digest of finetune differs."""
    for name in tasks_of(season, step)[:2]:
        ref = _again(ward, season.tasks()[name])
        boundaries = _kill_along(ward, name, ref) if CHAOS else _kill_one_after_the_other(ward, name, ref)
        assert boundaries, f"{name}: no write was met"
        assert ward.manifest(ref).digest == ref.digest
        record(f"step {step}", "SIGKILL before and after writes to the store", "equal", boundaries)


def _again(ward: Ward, ref: InputRef) -> InputRef:
    """The task undisturbed, in this store: equal to what the study's own run left, but for a report, which tells times."""
    ward.forget(ref)
    assert ward.attempt(ref) == 0, ward.said()
    again = replace(ref, digest=ward.manifest(ref).digest)
    assert again == ref or ref.step == "report"
    return again


def _kill_one_after_the_other(ward: Ward, name: str, ref: InputRef) -> int:
    """One life after the other ends at a write of its own, nothing is cleaned between; then one that lives."""
    chance, killed = random.Random(name), 0
    ward.forget(ref)
    for at in (1, 2, chance.randint(3, 6), chance.randint(3, 9)):
        code = ward.attempt(ref, at, chance.choice(["before", "after"]))
        assert code in (KILLED, 0), ward.said()
        killed += code == KILLED
    assert ward.attempt(ref) == 0, ward.said()
    return killed


def _kill_along(ward: Ward, name: str, ref: InputRef) -> int:
    """The first writes in turn, then ever fewer up to the last, before and after; the next life must end equally."""
    chance, killed = random.Random(name), 0
    for when in ("before", "after"):
        at = 0
        while at < MOST:
            at += chance.randint(1, 1 + at // 2)
            ward.forget(ref)
            code = ward.attempt(ref, at, when)
            assert code in (KILLED, 0), ward.said()
            assert ward.attempt(ref) == 0, ward.said()
            assert ward.manifest(ref).digest == ref.digest, f"{name}: killed {when} write {at}"
            if code == 0:
                break
            killed += 1
    return killed
