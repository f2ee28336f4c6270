"""When checkpoints are written, and that what they held comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import Parameter

from jobs.context import Context
from jobs.training.checkpoints import Keeper, Snapshot, optimizer_tensors, restore_optimizer
from tlbatch.errors import DeadlineError, Stopped
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task


class Counter:
    """Stands at a number."""

    def __init__(self, at: int = 0) -> None:
        self.at = at

    def snapshot(self) -> Snapshot:
        return Snapshot({"at": torch.tensor([self.at])}, {"trainer": {"at": self.at}})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def context(tmp_path: Path, *answers: bool, **limits: Any) -> Context:
    """Of a task whose stop request reads as ``answers``, then as the last of them."""
    left = list(answers or [False])
    stop = lambda: left.pop(0) if len(left) > 1 else left[0]  # noqa: E731
    task = Task("finetune", {"name": str(tmp_path)}, limits=limits)
    return Context(DirectoryStore(tmp_path / "store"), task, "a", tmp_path / "scratch", stop=stop)


def saved(tmp_path: Path) -> Any:
    found = Keeper(context(tmp_path)).load()
    return found and found.place["trainer"]["at"]


def test_in_mid_epoch_within_a_minute_at_the_end_of_an_epoch_sooner(tmp_path: Path) -> None:
    clock = Clock()
    keeper = Keeper(context(tmp_path), clock=clock)
    for now, epoch_end, expected in (
        (4.0, True, None),
        (40.0, False, None),
        (44.0, True, 44),
        (60.0, False, 44),
        (95.0, False, 95),
    ):
        clock.now = now
        keeper.tick(Counter(int(now)), 0, 1, "", epoch_end=epoch_end)
        assert saved(tmp_path) == expected


def test_a_stop_is_obeyed_after_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        Keeper(context(tmp_path, True)).tick(Counter(7), 0, 1, "")
    assert saved(tmp_path) == 7


def test_a_stop_that_comes_a_moment_later_is_obeyed_at_the_next_batch(tmp_path: Path) -> None:
    keeper = Keeper(context(tmp_path, False, True))
    keeper.tick(Counter(1), 0, 1, "")
    with pytest.raises(Stopped):
        keeper.tick(Counter(2), 0, 1, "")
    assert saved(tmp_path) == 2


def test_over_the_deadline_after_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DeadlineError):
        Keeper(context(tmp_path, deadline_s=-1)).tick(Counter(3), 0, 1, "")
    assert saved(tmp_path) == 3


def test_what_is_known_outside_goes_with_it(tmp_path: Path) -> None:
    keeper = Keeper(context(tmp_path))
    keeper.extra["trials"] = [1]
    keeper.save(Counter(1))
    keeper.save(Counter(2))
    found = Keeper(context(tmp_path)).load()
    assert found is not None
    assert found.place == {"trainer": {"at": 2}, "trials": [1], "number": 2}
    assert found.tensors["at"].item() == 2


@pytest.mark.parametrize("name", ["AdamW", "RMSprop", "SGD"])
def test_an_optimizer_comes_back_in_the_parameters_own_layout(name: str) -> None:
    def fresh() -> tuple[Parameter, torch.optim.Optimizer]:
        weight = torch.linspace(-1, 1, 2 * 3 * 2 * 2).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
        parameter = Parameter(weight)
        settings = {"momentum": 0.9} if name == "SGD" else {}
        return parameter, getattr(torch.optim, name)([parameter], lr=0.1, **settings)

    def steps(parameter: Parameter, optimizer: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()

    whole, optimizer = fresh()
    steps(whole, optimizer, 2)
    tensors = {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in optimizer_tensors(optimizer).items()}
    resumed, other = fresh()
    resumed.data.copy_(whole.data)
    restore_optimizer(other, tensors)
    steps(whole, optimizer, 3)
    steps(resumed, other, 3)
    assert torch.equal(whole, resumed)
    for key, value in other.state[resumed].items():
        if isinstance(value, torch.Tensor) and value.dim() == 4:
            assert value.stride() == resumed.stride(), key
