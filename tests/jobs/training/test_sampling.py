"""Batches: every image once an epoch, seeded, never a batch of one."""

from __future__ import annotations

import pytest
import torch

from jobs.training.sampling import Sampler


@pytest.mark.parametrize(("n", "size", "sizes"), [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (3, 8, [3]), (1, 8, [1]), (8, 4, [4, 4])])
def test_an_epoch_is_one_pass(n: int, size: int, sizes: list[int]) -> None:
    sampler = Sampler(n, size, seed=1)
    batches = [sampler.batch(2, step) for step in range(sampler.steps)]
    assert [len(batch) for batch in batches] == sizes
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert sampler.images == n


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    one, other = Sampler(20, 20, seed=1), Sampler(20, 20, seed=2)
    assert torch.equal(one.batch(3, 0), Sampler(20, 20, seed=1).batch(3, 0))
    assert not torch.equal(one.batch(3, 0), one.batch(4, 0))
    assert not torch.equal(one.batch(3, 0), other.batch(3, 0))


def test_fixed_steps_go_through_pass_after_pass() -> None:
    sampler = Sampler(5, 4, seed=1, steps_per_epoch=5)
    drawn = torch.cat([sampler.batch(epoch, step) for epoch in range(2) for step in range(5)])
    assert len(drawn) == 40
    for number in range(8):
        assert sorted(drawn[number * 5 : number * 5 + 5].tolist()) == list(range(5))
    assert sampler.images == 20
