"""Stages and layers of networks outside the catalogue."""

from __future__ import annotations

import pytest
import torch

from jobs.models.building import build_backbone, build_network
from jobs.models.pretrained import Pretrained

CASES = {
    "resnet18": (64, 512, ["stem", "layer1", "layer2", "layer3", "layer4"], (2, 512, 2, 2)),
    "timm/resnet18": (64, 512, ["stem", "layer1", "layer2", "layer3", "layer4"], (2, 512, 2, 2)),
    "mnasnet0_5": (64, 1280, ["stem", "layers.8", "layers.9"], (2, 1280, 2, 2)),
    "convnext_atto": (64, 320, ["stem", "stages.0", "stages.1", "stages.2", "stages.3"], (2, 320, 2, 2)),
    "mobilenetv3_small_050": (64, 1024, ["stem", "blocks.0", "blocks.1"], (2, 288, 2, 2)),
    "vit_tiny_patch16_224": (224, 192, ["stem", "patch_embed", "blocks.0", "blocks.1"], None),
    "swin_t": (64, 768, ["stem", "features.1", "features.2"], (2, 768, 2, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_stages_features_and_maps(name: str) -> None:
    size, dim, first, maps = CASES[name]
    model = {"backbone": {"name": name, "weights": {}}, "layer": None, "pool": "avg", "head": {"dense": []}}
    network = build_network(model, {"size": size}, 3, Pretrained("r"), seed=0, init="glorot")
    assert [stage.name for stage in network.stages][: len(first)] == first
    owned = [id(p) for stage in network.stages for p in network.parameters_of(stage.name)]
    assert sorted(owned) == sorted(id(p) for p in network.parameters())
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        found, features = network.backbone.maps_and_features(x)
    assert features.shape == (2, network.backbone.dim) == (2, dim)
    assert (None if found is None else tuple(found.shape)) == maps


def test_the_default_layer_is_what_the_classifier_is_fed_with() -> None:
    from jobs.models.library import find

    own = find("resnet18").create_seeded(0)
    model = {"backbone": {"name": "resnet18"}, "layer": None, "pool": "avg"}
    backbone = build_backbone(model, {"size": 64}, Pretrained("w", dict(own.state_dict())))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(own.fc(backbone(x)), own(x), atol=1e-5)  # type: ignore[operator]
    assert not any(name.startswith("body.fc") for name in backbone.state_dict())


def test_a_stage_is_a_layer_too() -> None:
    model = {"backbone": {"name": "resnet18"}, "layer": "layer2", "pool": "flatten"}
    backbone = build_backbone(model, {"size": 64}, Pretrained("r"))
    assert backbone.dim == 128 * 8 * 8
    assert [stage.name for stage in backbone.stages] == ["stem", "layer1", "layer2"]


def test_frozen_transformer_blocks_stay_as_they_were() -> None:
    """Their parameters that belong to no module (position, class token) are frozen with the stem."""
    model = {"backbone": {"name": "vit_tiny_patch16_224"}, "layer": None, "pool": "avg", "head": {"dense": []}}
    network = build_network(model, {"size": 224}, 3, Pretrained("r"), seed=0, init="glorot")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.freeze(["blocks.11", "head"])
    network.train_mode("auto", 2)
    network(torch.randn(2, 3, 224, 224)).logsumexp(dim=1).sum().backward()
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1).step()
    touched = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert touched
    assert all(name.startswith(("backbone.body.blocks.11.", "backbone.body.norm.", "head.")) for name in touched)
