"""From a run's model to a network: scratch CNNs, heads, cut backbones, seeds, and sentences for what cannot be built."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jobs.models.building import build_backbone, build_classifier, build_head, build_network
from jobs.models.heads import build_head as same_build_head
from jobs.models.library import find
from jobs.models.pretrained import Pretrained
from tlbatch.errors import StudyError

RANDOM = Pretrained("random weights", seed=0)
REFERENCE = {"channels": [16, 64, 128], "kernel": 3, "padding": "valid", "batch_norm": False, "dense": [512], "dropout": 0.3}


def scratch(size: int = 150, *, grayscale: bool = False, init: str = "glorot", seed: int = 0, **changes: Any) -> Any:
    given = {"size": size, "grayscale": grayscale}
    return build_network({"scratch": {**REFERENCE, **changes}}, given, 2, None, seed=seed, init=init)


def backbone_of(name: str, size: int, layer: str | None = None, pool: str = "avg", seed: int = 0) -> Any:
    model = {"backbone": {"name": name, "weights": {}}, "layer": layer, "pool": pool}
    return build_backbone(model, {"size": size}, Pretrained("random weights", seed=seed))


# -- scratch CNNs -------------------------------------------------------------------------------------------------------


def test_the_reference_studys_cnn() -> None:
    network = scratch()
    assert [stage.name for stage in network.stages] == ["conv1", "conv2", "conv3", "dense1", "head"]
    assert network.backbone.body.dense1.linear.in_features == 17 * 17 * 128
    assert network.backbone.dim == 512
    assert sum(p.numel() for p in network.parameters()) == 448 + 9280 + 73856 + (36992 * 512 + 512) + (512 * 2 + 2)
    x = torch.rand(2, 3, 150, 150)
    assert network(x).shape == (2, 2)
    assert network.backbone.maps(x).shape == (2, 128, 17, 17)


def test_same_padding_one_channel_and_no_dense_layers() -> None:
    network = scratch(8, grayscale=True, channels=[32, 64], padding="same", dense=[])
    assert network.backbone.dim == 64 * 2 * 2
    assert network(torch.rand(3, 1, 8, 8)).shape == (3, 2)
    assert [stage.name for stage in network.stages] == ["conv1", "conv2", "head"]


def test_a_scratch_network_with_batch_norm_freezes_and_trains_by_stage() -> None:
    network = scratch(16, channels=[4, 4], batch_norm=True, dense=[8], padding="same")
    network.freeze(["dense1", "head"])
    network.train_mode("train", 30)
    assert [network.backbone.body.conv1.training, network.backbone.body.dense1.training] == [False, True]


def test_too_small_an_image_is_a_sentence() -> None:
    with pytest.raises(StudyError, match=r"an image of 20 pixels is used up at conv3; raise input\.size"):
        scratch(20)


def test_glorot_bounds_and_zero_biases() -> None:
    layer = scratch(32).backbone.body.conv2.conv.requires_grad_(False)
    bound = math.sqrt(6 / (16 * 9 + 64 * 9))
    assert float(layer.weight.abs().max()) <= bound
    assert float(layer.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not layer.bias.any()


def test_torch_bounds() -> None:
    layer = scratch(32, init="torch").backbone.body.conv2.conv.requires_grad_(False)
    bound = 1 / math.sqrt(16 * 9)
    assert bound * 0.95 < float(layer.weight.abs().max()) <= bound
    assert 0 < float(layer.bias.abs().max()) <= bound


def test_first_values_follow_from_the_seed_alone() -> None:
    def state(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed * 31 + 7)
        torch.rand(seed + 3)
        return dict(scratch(32, seed=5).state_dict())

    one, two = state(1), state(2)
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = scratch(32, seed=6).state_dict()
    assert not torch.equal(one["backbone.body.conv1.conv.weight"], other["backbone.body.conv1.conv.weight"])
    assert not torch.equal(one["head.classifier.weight"], other["head.classifier.weight"])


# -- heads --------------------------------------------------------------------------------------------------------------


def test_head_parts_in_order() -> None:
    head = build_head(20, 3, {"dense": [8, 6], "dropout": 0.3, "batch_norm": True, "logistic": None}, seed=0, init="glorot")
    names = [name for name, _ in head.named_children()]
    assert names == ["dense1", "norm1", "relu1", "dropout1", "dense2", "norm2", "relu2", "dropout2", "classifier"]
    assert same_build_head is build_head


@pytest.mark.parametrize("head", [{"dense": []}, {"dense": [4], "dropout": 0.5, "logistic": {"c": [1.0], "folds": 5}}])
def test_linear_and_logistic_heads_are_the_classifier_alone(head: dict[str, Any]) -> None:
    built = build_head(20, 3, head, seed=0, init="glorot")
    assert [name for name, _ in built.named_children()] == ["classifier"]
    assert built(torch.ones(2, 20)).shape == (2, 3)


def test_dropout_without_dense_layers_comes_before_the_classifier() -> None:
    head = build_head(20, 3, {"dense": [], "dropout": 0.2}, seed=0, init="glorot")
    assert [name for name, _ in head.named_children()] == ["dropout", "classifier"]


# -- backbones ----------------------------------------------------------------------------------------------------------


def test_random_backbones_follow_from_their_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    one = backbone_of("mobilenet_v2", 64).state_dict()
    assert torch.equal(torch.rand(3), expected)
    two, other = backbone_of("mobilenet_v2", 64).state_dict(), backbone_of("mobilenet_v2", 64, seed=1).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["body.features.0.0.weight"], other["body.features.0.0.weight"])


def test_features_of_a_random_backbone_tell_images_apart() -> None:
    """With BatchNorm's first statistics they would be 1e-9 of what they should be."""
    backbone = backbone_of("mobilenet_v2", 96)
    with torch.no_grad():
        features = backbone(torch.nn.functional.interpolate(torch.randn(8, 3, 6, 6), size=96, mode="bicubic"))
    assert 0.01 < float(features.std(dim=0).median()) < 10


@pytest.mark.parametrize(
    ("name", "layer", "size", "pool", "dim"),
    [
        ("alexnet", "fc7", 100, "avg", 4096),
        ("alexnet", None, 100, "flatten", 256 * 2 * 2),
        ("mobilenet_v2", "stage4", 64, "avg", 96),
        ("squeezenet1_1", "fire5", 64, "max", 256),
        ("resnet50", "layer1", 33, "flatten", 256 * 9 * 9),
        ("inception_v3", "mixed5", 96, "avg", 288),
        ("xception", "entry", 71, "avg", 728),
        ("efficientnet_lite0", "blocks.2.1", 65, "avg", 40),
        ("efficientnet_lite1", "stage4", 65, "avg", 80),
        ("efficientnet_lite2", None, 65, "avg", 1280),
    ],
)
def test_any_named_layer(name: str, layer: str | None, size: int, pool: str, dim: int) -> None:
    backbone = backbone_of(name, size, layer, pool)
    with torch.no_grad():
        assert backbone(torch.randn(2, 3, size, size)).shape == (2, dim)
    assert backbone.dim == dim
    wanted = {stage.name for stage in backbone.stages}
    division = find(name).division
    assert division is not None
    chosen = division.layer(layer)
    assert chosen is not None
    names = [stage.name for stage in division.stages]
    assert wanted == set(names[: names.index(chosen.stage) + 1])


def test_stages_after_the_layer_are_not_part_of_the_network() -> None:
    cut, whole = backbone_of("mobilenet_v2", 64, "stage2"), backbone_of("mobilenet_v2", 64)
    assert set(cut.state_dict()) < set(whole.state_dict())
    assert not any(name.startswith("body.features.7.") for name in cut.state_dict())
    assert not any("classifier" in name for name in whole.state_dict())


@pytest.mark.parametrize(
    ("name", "layer", "size", "sentence"),
    [
        ("vgg61", None, 64, "unknown backbone 'vgg61' .did you mean 'vgg1"),
        ("vgg16", "block9", 64, "unknown layer 'block9' of vgg16: it has block1, block2"),
        ("inception_v3", None, 64, "inception_v3 up to Mixed_7c does not take images of 64 pixels .* set input.size"),
        ("vit_tiny_patch16_224", None, 96, "does not take images of 96 pixels"),
    ],
)
def test_what_cannot_be_built_is_a_sentence(name: str, layer: str | None, size: int, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        backbone_of(name, size, layer)


def test_a_classifier_is_the_librarys_own_network() -> None:
    architecture = find("inception_v3")
    own = architecture.create_seeded(3)
    state = {name: tensor.clone() for name, tensor in own.state_dict().items()}  # with the auxiliary classifier's weights
    classifier = build_classifier({"name": "inception_v3"}, Pretrained("made here", state))
    x = torch.randn(1, 3, 80, 80)
    with torch.no_grad():
        assert torch.equal(classifier(x), own(x))
    assert not any("Aux" in name for name in classifier.state_dict())


def test_weights_without_a_classifier_give_none() -> None:
    state = {n: t for n, t in find("squeezenet1_1").create_seeded(0).state_dict().items() if n.startswith("features.")}
    pretrained = Pretrained("half.safetensors", state)
    assert build_backbone({"backbone": {"name": "squeezenet1_1"}, "layer": None}, {"size": 64}, pretrained).dim == 512
    with pytest.raises(StudyError, match=r"half.safetensors do not fit squeezenet1_1: classifier.1.weight, classifier.1.bias"):
        build_classifier({"name": "squeezenet1_1"}, pretrained)


def test_loaded_weights_are_the_files_and_stay_apart_from_them() -> None:
    own = find("squeezenet1_1").create_seeded(2)
    state = dict(own.state_dict())
    backbone = build_backbone({"backbone": {"name": "squeezenet1_1"}, "layer": None}, {"size": 64}, Pretrained("w", state))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone(x), own.features(x).mean((2, 3)))  # type: ignore[operator]
        for parameter in backbone.parameters():
            parameter.zero_()
    assert all(bool(tensor.any()) for name, tensor in state.items() if name.endswith("weight"))
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in backbone.parameters())
