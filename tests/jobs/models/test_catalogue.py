"""tlbatch/backbones/catalogue.json is what the libraries and families.py say: stale files fail here."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import tlbatch.backbones.catalogue
from jobs.models.building import build_backbone
from jobs.models.catalogue import CATALOGUE, IMAGENET, Inputs, build, build_imagenet, describe, torchvision_weights
from jobs.models.families import FAMILIES
from jobs.models.library import find, timm_names, torchvision_names
from jobs.models.pretrained import Pretrained
from tests.requirements import chaos_only

STALE = "tlbatch/backbones/catalogue.json is stale: python -m jobs.models.catalogue"


def resolved(entry: Any, inputs: list[dict[str, Any]]) -> Any:
    """An entry with its input numbers replaced by what they stand for."""
    entry = json.loads(json.dumps(entry))
    entry["input"] = inputs[entry["input"]]
    for weight in entry["weights"]:
        weight[4] = inputs[weight[4]]
    return entry


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1"])
def test_an_entry_is_up_to_date(name: str) -> None:
    stored, inputs = json.loads(CATALOGUE.read_text()), Inputs()
    fresh = describe(FAMILIES[name], inputs)
    assert resolved(fresh, inputs.all) == resolved(stored["backbones"][name], stored["inputs"]), STALE


def test_every_model_of_the_libraries_is_known() -> None:
    stored = json.loads(CATALOGUE.read_text())
    assert list(stored["backbones"]) == list(FAMILIES), STALE
    names = {name.removeprefix("timm/") for name in stored["others"]} | set(FAMILIES)
    assert names == torchvision_names() | timm_names() | set(FAMILIES), STALE
    inputs = Inputs()
    fresh = torchvision_weights("convnext_tiny", inputs)
    assert [w[:4] for w in fresh] == [w[:4] for w in stored["others"]["convnext_tiny"][1:]], STALE


def test_imagenets_names_are_up_to_date() -> None:
    from torchvision.models import VGG16_Weights

    assert build_imagenet() == IMAGENET.read_text()
    shown = [names[0] for _, names in json.loads(IMAGENET.read_text())]
    torchvisions = VGG16_Weights.DEFAULT.meta["categories"]
    assert sum(a == b for a, b in zip(shown, torchvisions, strict=True)) > 985  # torchvision tells doubles apart by hand


@chaos_only
def test_the_whole_file_is_up_to_date() -> None:
    assert build() == CATALOGUE.read_text(), STALE


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "xception", "inception_v3", "efficientnet_lite2"])
def test_feature_sizes_and_parameters_hold_for_real_networks(name: str) -> None:
    """At a size that was not measured, and at the smallest size of the default layer."""
    info = tlbatch.backbones.catalogue.backbones()[name]
    network = find(name).create_empty()
    for layer in (None, info.layers[len(info.layers) // 2].name):
        found = info.layer(layer)
        assert found is not None
        for size in (max(found.smallest, 8), 143):
            model = {"backbone": {"name": name}, "layer": layer, "pool": "flatten"}
            backbone = build_on_meta(network, name, model, size)
            assert backbone.shape.map == info.feature_shape(layer, size), (layer, size)
        assert tuple(stage.name for stage in backbone.stages) == tuple(stage.name for stage in info.stages_to(layer))
        whole = {stage.name: stage.parameters for stage in info.stages_to(layer)[:-1]}
        counted = {
            s.name: sum(p.numel() for n, p in backbone.body.named_parameters() if s.holds(n)) for s in backbone.stages[:-1]
        }
        assert counted == whole


def build_on_meta(network: torch.nn.Module, name: str, model: dict[str, Any], size: int) -> Any:
    import copy

    from jobs.models.network import Backbone

    family = FAMILIES[name]
    layer = family.division.layer(model["layer"])
    assert layer is not None
    return Backbone(copy.deepcopy(network), family.division, layer, model["pool"], fed=(3, size, size))


def test_one_pixel_less_than_the_smallest_does_not_work() -> None:
    smallest = tlbatch.backbones.catalogue.backbones()["squeezenet1_1"].layer()
    assert smallest is not None
    model = {"backbone": {"name": "squeezenet1_1"}, "layer": None, "pool": "avg"}
    assert build_backbone(model, {"size": smallest.smallest}, Pretrained("r")).shape.map == (512, 1, 1)
    with pytest.raises(tlbatch.errors.StudyError, match=f"images of {smallest.smallest - 1} pixels"):
        build_backbone(model, {"size": smallest.smallest - 1}, Pretrained("r"))
