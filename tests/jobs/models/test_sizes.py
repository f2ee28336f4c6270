"""What ``check`` refuses of a network's input size is what torch refuses, and the size it names works."""

from __future__ import annotations

import json
import re

import pytest
import torch

from jobs.models.building import build_backbone
from jobs.models.library import find
from jobs.models.pretrained import Pretrained
from jobs.models.sizes import SIZES, build, takes
from tlbatch.backbones.catalogue import backbones, input_sizes, other
from tlbatch.errors import StudyError
from tlbatch.spec import parse_study

torch.set_num_threads(1)
STUDY = """\
apiVersion: tlbatch/v1
kind: Study
name: s
dataset: {url: x}
runs:
  - name: a
    model: {backbone: %s, weights: random%s}
    input: {size: %d}
"""


def checked(name: str, size: int, layer: str = "") -> str:
    """What check says; "" where it has nothing against it."""
    try:
        parse_study(STUDY % (name, f", layer: {layer}" if layer else "", size))
    except StudyError as error:
        return str(error)
    return ""


def built(name: str, size: int, layer: str | None = None) -> bool:
    """Whether the network is built for the size and a batch goes through, with random weights."""
    model = {"backbone": {"name": name}, "layer": layer, "pool": "avg"}
    try:
        backbone = build_backbone(model, {"size": size}, Pretrained("random weights", seed=0))
    except StudyError:
        return False
    with torch.inference_mode():
        backbone(torch.zeros(1, 3, size, size))
    return True


def taken(name: str, size: int) -> bool:
    """As ``built``, on the meta device."""
    return takes(find(name).create_empty().eval(), size)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "inception_v3"])
def test_check_refuses_what_torch_refuses(name: str) -> None:
    """Failed before: `check` let Inception at 64 pixels pass, and extract ended with torch's words."""
    for size in (32, 64):
        assert (checked(name, size) == "") == built(name, size), (name, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*backbones()])
def test_check_refuses_what_torch_refuses_of_every_backbone_of_the_catalogue(name: str) -> None:
    least = input_sizes(name)
    assert least is not None
    for size in {8, 32, 64, 150, 224, 299, max(8, least[0] - 1), max(8, least[0])}:
        assert (checked(name, size) == "") == built(name, size), (name, size)


def test_a_layer_further_down_takes_smaller_images() -> None:
    assert checked("inception_v3", 64)
    assert not checked("inception_v3", 64, "Mixed_5d")
    assert built("inception_v3", 64, "Mixed_5d")


@pytest.mark.parametrize("name", ["vit_b_16", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_networks_of_one_size(name: str) -> None:
    """Vision transformers: what is suggested works, what is refused does not."""
    sentence = checked(name, 150)
    assert sentence.startswith("study.yaml:8: runs[0].input.size: ") or ":8:" in sentence
    suggested = int(re.findall(r"write (\d+)", sentence)[0])
    assert suggested == 224
    assert checked(name, suggested) == ""
    assert taken(name, suggested)
    assert not taken(name, 150)


def test_weights_of_another_size_than_the_network_takes() -> None:
    text = STUDY.replace("weights: random%s", "weights: IMAGENET1K_SWAG_E2E_V1").replace("    input: {size: %d}\n", "")
    with pytest.raises(StudyError, match="were trained with 384 pixels, and vit_b_16 takes images of 224"):
        parse_study(text % "vit_b_16")


def test_own_sizes_pass() -> None:
    """No network is refused at the size that it was made for, but where its default weights are for another one."""
    document = json.loads(SIZES.read_text())["sizes"]
    assert len(document) > 300
    for name, (least, most) in document.items():
        own = other(name)
        assert own is not None
        assert least >= 8
        assert most == 0 or most >= least
        if most and own.weights:
            assert own.input["size"] == most or own.library == "torchvision", name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_sizes_are_those_of_the_installed_libraries() -> None:
    """All of the table is tried anew: about half a minute of one core. Before, three networks of it were."""
    assert build() == SIZES.read_text(encoding="utf-8"), "stale: python -m jobs.models.sizes"


def test_batch_statistics_need_two_images() -> None:
    head = ", head: {dense: [8], batch_norm: true}"
    text = (STUDY % ("alexnet", head, 64)) + "    train: {batch_size: 1}\n"
    with pytest.raises(StudyError, match="no statistics of one image"):
        parse_study(text)
    parse_study(text.replace("batch_size: 1", "batch_size: 2"))


@pytest.mark.parametrize(("size", "crop", "right"), [(224, 0.01, 0.03), (2048, 0.2, 0.25)])
def test_what_images_are_scaled_to_is_bounded(size: int, crop: float, right: float) -> None:
    text = STUDY % ("resnet50", "", size)
    with pytest.raises(StudyError, match=f"write {right:g} or more"):
        parse_study(text.replace(f"size: {size}", f"size: {size}, crop: {crop}"))
    parse_study(text.replace(f"size: {size}", f"size: {size}, crop: {right}"))
