"""Catching a layer's output in networks that are no chains, and dropping what comes after."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from jobs.models import truncate
from jobs.models.families import FAMILIES
from jobs.models.library import find
from jobs.models.truncate import Tap, drop_modules, run_to, unreached, walk


class Branched(nn.Module):
    """Two branches, an auxiliary classifier used only in training, blocks walked by hand, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.side = nn.Conv2d(3, 4, 1)
        self.aux = nn.Linear(4, 2)
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(3))
        self.fc = nn.Linear(4, 5)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        x = self.low(x) + self.side(x) * self.scale
        if self.training:
            self.aux(x.mean((2, 3)))
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.fc(x.mean((2, 3)))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return Branched().eval()


X = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4) / 100


def test_the_output_is_that_of_the_module(network: nn.Module) -> None:
    caught = run_to(network, Tap("low.0"), X, also=None)
    assert caught.output is not None
    assert torch.equal(caught.output, network.low[0](X))  # type: ignore[index,operator]


def test_what_a_module_is_fed_with_and_a_map_on_the_way(network: nn.Module) -> None:
    caught = run_to(network, Tap("fc", at_input=True), X, also="blocks.2")
    assert caught.output is not None
    assert caught.seen is not None
    assert caught.output.shape == (2, 4)
    assert torch.equal(network.fc(caught.output), network(X))  # type: ignore[operator]
    assert caught.seen.shape == (2, 4, 4, 4)


@pytest.mark.parametrize("path", ["low.0", "blocks.1", ""])
def test_nothing_stays_on_the_network(network: nn.Module, path: str) -> None:
    run_to(network, Tap(path), X)
    walk(network, Tap(path), (1, 3, 4, 4))
    with pytest.raises(RuntimeError):
        run_to(network, Tap(path), X[:, :2])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_walk_touches_no_weights_and_needs_no_memory(network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = walk(network, Tap("blocks.1"), (1, 3, 4096, 4096))
    assert found.shape == (1, 4, 4096, 4096)
    assert all(torch.equal(tensor, before[name]) and not tensor.is_meta for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_walk_of_no_item_tells_what_one_of_one_does(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations tried: shapes of no item left as they are; a whole network's walk for that up to a layer."""
    network = find(name).create_empty()
    tap = Tap(next(path for path, _ in list(network.named_modules())[len(list(network.modules())) // 2 :]))
    for end in (Tap(""), tap):
        try:
            found = walk(network, end, (1, 3, size, size))
        except RuntimeError:  # too small for it, to the meta device, too
            found = None
        with monkeypatch.context() as patched:
            patched.setattr(truncate, "PLAIN", frozenset())
            if found is None:
                with pytest.raises(RuntimeError):
                    walk(network, end, (1, 3, size, size))
            else:
                assert found == walk(network, end, (1, 3, size, size))


def test_what_runs_on_no_item(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations tried: any network; one that is to train."""
    devices: list[str] = []
    _walk = truncate._walk
    monkeypatch.setattr(truncate, "_walk", lambda network, tap, x: devices.append(x.device.type) or _walk(network, tap, x))
    plain = find("mobilenet_v2").create_empty()
    for each in (plain, network, copy.deepcopy(plain).train()):
        walk(each, Tap(""), (1, 3, 64, 64))
    assert devices == ["cpu", "meta", "meta"]


def test_one_that_is_to_train_refuses_what_its_batch_norm_does() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 4), nn.BatchNorm2d(4)).train()
    with pytest.raises(ValueError, match="more than 1 value"):
        walk(network, Tap(""), (1, 3, 4, 4))


def test_what_was_not_reached_is_dropped_and_the_rest_works_on(network: nn.Module) -> None:
    tap = Tap("blocks.0")
    expected = run_to(network, tap, X).output
    drop_modules(network, unreached(network, walk(network, tap, (1, 3, 4, 4))))
    kept = {name.rpartition(".")[0] for name in network.state_dict()}
    assert kept == {"", "low.0", "low.2", "side", "blocks.0"}
    assert len(network.blocks) == 3  # type: ignore[arg-type]
    again = run_to(network, tap, X).output
    assert expected is not None
    assert again is not None
    assert torch.equal(expected, again)


def test_a_chain_is_cut_outright(network: nn.Module) -> None:
    tap = Tap("low.0")
    drop_modules(network, unreached(network, walk(network, tap, (1, 3, 4, 4))))
    assert [name for name, _ in network.low.named_children()] == ["0"]
    assert set(network.state_dict()) == {"scale", "low.0.weight", "low.0.bias"}
