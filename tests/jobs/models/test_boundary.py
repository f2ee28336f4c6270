"""Where networks begin to learn: begun there, they compute and learn what the whole does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jobs.models.boundary import Before, Boundary, begin_at, find_boundary, run_whole, unflattened
from jobs.models.building import build_network
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT

HEAD: dict[str, Any] = {"dense": [7], "dropout": 0.0, "batch_norm": False, "logistic": None}


def network_of(name: str, size: int, grayscale: bool = False) -> Network:
    model = {"backbone": {"name": name, "weights": {"kind": "random", "seed": 3}}, "layer": None, "pool": "avg", "head": HEAD}
    fed = {**SCRATCH_INPUT, "size": size, **NORMALIZATIONS["imagenet"], "grayscale": grayscale}
    built = build_network(model, fed, 3, Pretrained("random", seed=3), seed=0, init="glorot")
    assert isinstance(built, Network)
    return built


def noise(size: int, channels: int = 3) -> Tensor:
    return torch.randn((2, channels, size, size), generator=torch.Generator().manual_seed(1))


def learned(network: Network, x: Tensor, unfrozen: list[str]) -> dict[str, Tensor]:
    network.freeze(unfrozen)
    network.train_mode("eval")
    network.zero_grad()
    torch.manual_seed(5)  # dropout and drop path of what learns
    logits = network(x)
    logits.square().sum().backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **found}


QUICK = ["resnet18", "mobilenet_v2", "efficientnet_lite0", "shufflenet_v2_x0_5", "squeezenet1_1"]
MORE = ["mobilenet_v3_small", "densenet121", "convnext_tiny", "swin_t", "regnet_y_400mf"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_begun_at_its_boundary_a_network_learns_what_the_whole_learns(name: str) -> None:
    """Logits and every gradient, wherever a study can let it begin to learn. The whole is itself again afterwards."""
    network, x = network_of(name, 64).double(), noise(64).double()  # so that rounding turns no maximum over
    names = [stage.name for stage in network.stages]
    state, found = copy.deepcopy(network.state_dict()), 0
    for place in range(1, len(names)):
        boundary = find_boundary(network, x, names[place:])
        if boundary is None:
            continue
        found += 1
        whole = learned(network, x, names[place:])
        rows = Before(network, boundary, x.shape[1:])(x)
        begin_at(network, boundary)
        begun = learned(copy.deepcopy(network), unflattened(rows, boundary), names[place:])
        run_whole(network)
        assert begun.keys() == whole.keys()
        for what in whole:
            torch.testing.assert_close(begun[what], whole[what], rtol=1e-8, atol=1e-9 * float(whole[what].abs().max()))
        assert torch.equal(learned(network, x, names[place:])["logits"], whole["logits"])
    assert found >= len(names) - 2, f"{found} of {len(names) - 1} places"
    assert network.state_dict().keys() == state.keys()
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in state.items())


def test_a_head_alone_begins_at_the_features() -> None:
    network, x = network_of("resnet18", 64), noise(64)
    boundary = find_boundary(network, x, ["head"])
    assert boundary is not None
    assert (boundary.path, boundary.passed, boundary.shape) == ("head", ("backbone",), (512,))


def test_grey_pictures_go_the_same_way() -> None:
    network, x = network_of("resnet18", 64, grayscale=True), noise(64, channels=1)
    boundary = find_boundary(network, x, ["layer4", "head"])
    assert boundary is not None
    begun = unflattened(Before(network, boundary, (1, 64, 64))(x), boundary)
    with torch.no_grad():
        whole = network(x)
        begin_at(network, boundary)
        torch.testing.assert_close(network(begun), whole)


def test_before_holds_no_weights_of_what_learns() -> None:
    network, x = network_of("mobilenet_v2", 64), noise(64)
    names = [stage.name for stage in network.stages]
    boundary = find_boundary(network, x, names[-2:])
    assert boundary is not None
    frozen = sum(p.numel() for name in names[:-2] for p in network.parameters_of(name))
    assert sum(p.numel() for p in Before(network, boundary, (3, 64, 64)).parameters()) == frozen


def test_where_everything_learns_there_is_none() -> None:
    network, x = network_of("resnet18", 64), noise(64)
    assert find_boundary(network, x, [stage.name for stage in network.stages]) is None


class Body(nn.Module):
    """Two convolutions, where more may cross from one to the other than the first one's output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second, self.relu = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()
        self.drop, self.gate = nn.Dropout(0.5), nn.Parameter(torch.zeros(()))
        if kind.startswith("silent"):  # as a last layer is that starts at nothing
            nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        low = self.relu(self.first(x))
        if self.kind == "around":  # the item itself goes around what is frozen
            return self.second(low) + x
        if self.kind == "past":  # a frozen output is used once more, behind what learns
            return self.second(self.first(x) + low) + low
        if self.kind == "again":  # a frozen module runs again, behind what learns
            return self.relu(self.second(low))
        if self.kind in ("scaled", "silent scaled"):  # what is no module lies between the two
            return self.second(low * 2)
        if self.kind == "gated":  # the item goes around what is frozen, by a gate that is shut at first
            return self.second(low) + self.gate * x
        if self.kind == "dropped again":  # in eval mode it does nothing
            return self.drop(self.second(self.drop(low)))
        return self.second(low)


def staged(kind: str) -> Any:
    torch.manual_seed(0)
    body: Any = Body(kind).eval()
    body.modules_of = lambda name: [getattr(body, name)]
    body.parameters_of = lambda name: list(getattr(body, name).parameters())
    return body


def test_a_chain_has_one() -> None:
    boundary = find_boundary(staged("chain"), noise(8), ["second"])
    assert isinstance(boundary, Boundary)
    assert boundary.passed == ("first", "relu")


@pytest.mark.parametrize("kind", ["around", "past", "again", "scaled", "silent scaled", "gated", "dropped again"])
def test_where_more_crosses_over_there_is_none(kind: str) -> None:
    """Fails when the network begun at the boundary is not held against the whole; or by what both put out at first alone."""
    assert find_boundary(staged(kind), noise(8), ["second"]) is None
