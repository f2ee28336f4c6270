"""Catching a layer's output in networks that are no chains, and dropping what comes after."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

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
