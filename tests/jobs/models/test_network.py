"""Frozen means frozen, and what a network tells of its features and maps."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jobs.models.building import build_backbone, build_network
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained

SIZE = 64
HEAD = {"dense": [8], "dropout": 0.5, "batch_norm": True, "logistic": None}


def network_of(name: str, size: int = SIZE, layer: str | None = None, pool: str = "avg") -> Network:
    model = {"backbone": {"name": name, "weights": {}}, "layer": layer, "pool": pool, "head": HEAD}
    return build_network(model, {"size": size, "grayscale": False}, 3, Pretrained("random", seed=1), seed=2, init="glorot")


def images(n: int, size: int = SIZE) -> Tensor:
    return torch.randn((n, 3, size, size), generator=torch.Generator().manual_seed(n))


def train(network: Network, unfrozen: Iterable[str], batch_norm: str, n: int, steps: int = 2, size: int = SIZE) -> None:
    network.freeze(unfrozen)
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1, weight_decay=0.1)
    for step in range(steps):
        network.train_mode(batch_norm, n)
        loss = nn.functional.cross_entropy(network(images(n, size) + step), torch.arange(n) % 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def state(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.promise(3)
def test_frozen_stages_are_bit_identical_statistics_too() -> None:
    """Fails when frozen stages train their BatchNorm statistics, or ``freeze`` leaves their parameters to the optimizer."""
    network = network_of("mobilenet_v2")
    before = state(network)
    train(network, ["stage5", "stage6", "last", "head"], "train", 6)
    touched = changed(before, network.state_dict())
    features = {int(name.split(".")[3]) for name in touched if name.startswith("backbone.")}
    assert features == {14, 15, 16, 17, 18}  # what dogs-vs-cats-small.yaml means: features[14:]
    assert {name for name in before if name.startswith("head.")} <= touched
    assert {name.rpartition(".")[2] for name in touched} >= {"weight", "bias", "running_mean", "running_var"}


@pytest.mark.promise(3)
def test_batch_norm_of_trained_stages_keeps_its_statistics_in_small_batches() -> None:
    """Fails when ``auto`` trains statistics below 32 images a batch."""
    for batch_norm, n, moves in (("auto", 6, False), ("auto", 32, True), ("eval", 32, False), ("train", 6, True)):
        network = network_of("mobilenet_v2")
        before = state(network)
        train(network, ["last", "head"], batch_norm, n, steps=1)
        moved = {name for name in changed(before, network.state_dict()) if "running" in name}
        assert any(name.startswith("backbone.") for name in moved) is moves, (batch_norm, n)
        assert any(name.startswith("head.norm1") for name in moved)  # a new layer has no statistics to keep
        assert all(name.startswith(("backbone.body.features.18", "head.")) for name in moved)


@pytest.mark.promise(3)
def test_frozen_stages_are_in_eval_mode_whole() -> None:
    """Fails when only the BatchNorm layers of frozen stages are in eval mode: dropout and drop path go on."""
    network = network_of("efficientnet_lite0")
    network.freeze(["stage7", "head"])
    network.train_mode("train", 64)
    for stage in network.stages:
        modes = {module.training for outer in network.modules_of(stage.name) for module in outer.modules()}
        assert modes == {stage.name in {"stage7", "head"}}, stage.name
    network.train_mode("eval", 64)
    norms = [m for outer in network.modules_of("stage7") for m in outer.modules() if isinstance(m, _BatchNorm)]
    assert norms
    assert not any(norm.training for norm in norms)


def test_every_parameter_is_in_one_stage() -> None:
    network = network_of("inception_v3", size=96)
    owned = [id(p) for stage in network.stages for p in network.parameters_of(stage.name)]
    assert sorted(owned) == sorted(id(p) for p in network.parameters())
    network.freeze(())
    assert not any(p.requires_grad for p in network.parameters())
    with pytest.raises(KeyError):
        network.freeze(["block9"])


def test_vgg16_with_blocks_4_and_5_unfrozen() -> None:
    """Blocks 1 to 3 are bit-identical after training, blocks 4 and 5 are not; 150 pixels give 4x4x512 features."""
    network = network_of("vgg16", size=32, layer="block5", pool="flatten")
    before = state(network)
    train(network, ["block4", "block5", "head"], "auto", 4, size=32)
    touched = {name.removeprefix("backbone.body.") for name in changed(before, network.state_dict())}
    convolutions = {int(name.split(".")[1]) for name in touched if name.startswith("features.")}
    assert convolutions == {17, 19, 21, 24, 26, 28}
    assert [stage.name for stage in network.stages] == ["block1", "block2", "block3", "block4", "block5", "head"]


def test_vgg16_bottleneck_of_150_pixels_has_8192_values() -> None:
    model = {"backbone": {"name": "vgg16", "weights": {}}, "layer": "block5", "pool": "flatten"}
    backbone = build_backbone(model, {"size": 150}, Pretrained("random"))
    assert backbone.dim == 8192
    assert backbone(images(1, 150)).shape == (1, 8192)


@pytest.mark.parametrize(("pool", "dim"), [("avg", 512), ("max", 512), ("flatten", 512 * 9)])
def test_pooling(pool: str, dim: int) -> None:
    network = network_of("squeezenet1_1", pool=pool)
    x = images(2)
    with torch.no_grad():
        maps, features = network.backbone.maps_and_features(x)
        assert maps is not None
        expected = {"avg": maps.mean((2, 3)), "max": maps.amax((2, 3)), "flatten": maps.flatten(1)}[pool]
        assert torch.equal(features, expected)
        assert torch.equal(network(x), network.classify(network.features(x)))
    assert features.shape == (2, network.backbone.dim) == (2, dim)


def test_maps_before_a_dense_layer_carry_gradients_to_the_logits() -> None:
    network = network_of("alexnet", size=128, layer="fc6")
    maps, features = network.backbone.maps_and_features(images(1, 128))
    assert maps is not None
    (gradient,) = torch.autograd.grad(network.classify(features).sum(), maps)
    assert gradient.shape == maps.shape
    assert maps.shape[:2] == (1, 256)
    assert float(gradient.abs().sum()) > 0
    assert network.stages[-2].name == "fc"


def test_one_channel_is_repeated_for_networks_of_three() -> None:
    network = network_of("squeezenet1_1")
    gray = images(2)[:, :1]
    assert torch.equal(network(gray), network(gray.repeat(1, 3, 1, 1)))


def test_a_copy_is_independent() -> None:
    network = network_of("squeezenet1_1")
    twin = copy.deepcopy(network)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    x = images(1)
    assert not torch.equal(network(x), twin(x))
    assert torch.equal(network(x), network_of("squeezenet1_1")(x))


def test_channels_last_gives_the_same_features() -> None:
    network = network_of("squeezenet1_1")
    x = images(2)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert torch.allclose(network.features(x), last.features(x.contiguous(memory_format=torch.channels_last)), atol=1e-4)
