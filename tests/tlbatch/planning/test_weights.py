"""Weights resolved for a plan: what goes into the key, how images are fed, what is known of the training."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlbatch.backbones.catalogue import backbones, weights_of
from tlbatch.errors import StudyError
from tlbatch.planning.weights import ResolvedWeights, has_imagenet_head, mirror, places, resolve_weights, safetensors_shapes
from tlbatch.spec import parse_study
from tlbatch.store import Store
from tlbatch.store.artifacts import file_sha256

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: pets}}
runs: [{{name: r, model: {model}}}]
"""


def resolved(model: dict[str, Any], store: Store) -> ResolvedWeights:
    return resolve_weights(parse_study(STUDY.format(model=json.dumps(model))).study.runs[0], store)


def write_safetensors(path: Path, shapes: dict[str, list[int]]) -> Path:
    """A file of zeros, written by hand: the launcher reads such headers without torch."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    return path


def test_default_weights_are_named_by_their_published_hash(directory_store: Store) -> None:
    found = resolved({"backbone": "vgg16"}, directory_store)
    assert found.params == {"kind": "named", "name": "IMAGENET1K_V1", "file": "vgg16-397923af.pth", "hash": "397923af"}
    assert found.location == "https://download.pytorch.org/models/vgg16-397923af.pth"
    assert found.own_input == dict(weights_of("vgg16")[0].input)
    assert found.trained_on == "ImageNet-1k"
    assert has_imagenet_head(found)
    features = resolved({"backbone": "vgg16", "weights": "IMAGENET1K_FEATURES"}, directory_store)
    assert features.trained_on.startswith("ImageNet-1k")
    assert not has_imagenet_head(features)
    assert has_imagenet_head(resolved({"backbone": "vit_base_patch16_224"}, directory_store))  # after ImageNet-21k
    named = resolved({"backbone": "resnet50", "weights": "IMAGENET1K_V1"}, directory_store)
    assert named.params["hash"] == "0676ba61"
    assert resolved({"backbone": "timm/resnet50", "weights": "a1_in1k"}, directory_store).params["hash"] == "14fe96d1"


def test_random_weights_are_fed_as_the_trained_ones(directory_store: Store) -> None:
    found = resolved({"backbone": "inception_v3", "weights": "random"}, directory_store)
    assert found.params == {"kind": "random", "seed": 0}
    assert found.own_input == resolved({"backbone": "inception_v3"}, directory_store).own_input
    assert (found.trained_on, has_imagenet_head(found)) == ("", False)


def test_a_file_is_named_by_its_content_wherever_it_is(store: Store, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "mine.safetensors", {"features.0.0.weight": [32, 3, 3, 3]})
    store.upload(path, "weights/mine.safetensors")
    here = resolved({"backbone": "mobilenet_v2", "weights": str(path)}, store)
    there = resolved({"backbone": "mobilenet_v2", "weights": "store:weights/mine.safetensors"}, store)
    assert here.params == there.params == {"kind": "file", "sha256": file_sha256(path)}
    assert (here.location, there.location) == (str(path), "store:weights/mine.safetensors")
    assert here.own_input == dict(backbones()["mobilenet_v2"].input)
    assert here.own_input["crop"] == 0.875
    assert not has_imagenet_head(here)


@pytest.mark.parametrize(("outputs", "knows"), [(1000, True), (120, False)])
def test_a_classifier_over_1000_classes_tells_of_imagenet(
    directory_store: Store, tmp_path: Path, outputs: int, knows: bool
) -> None:
    shapes = {"features.0.0.weight": [4, 3], "classifier.1.weight": [outputs, 8], "classifier.1.bias": [outputs]}
    path = write_safetensors(tmp_path / "w.safetensors", shapes)
    found = resolved({"backbone": "mobilenet_v2", "weights": str(path)}, directory_store)
    assert has_imagenet_head(found) is knows
    assert found.trained_on == ("ImageNet-1k" if knows else "")


def test_a_published_file_is_recognised(directory_store: Store) -> None:
    weight, place = places("efficientnet_lite0", None)[0]
    assert place.kind == "package"
    found = resolved({"backbone": "efficientnet_lite0", "weights": place.where}, directory_store)
    assert found.own_input == dict(weight.input)
    assert found.trained_on == "ImageNet-1k"
    assert found.params == {"kind": "file", "sha256": weight.hash}


@pytest.mark.shared
def test_the_shared_files(directory_store: Store, shared_data: Callable[[str], Path]) -> None:
    whole = shared_data("weights/mobilenet_v2_torchvision_norm.safetensors")
    part = shared_data("weights/squeezenet1_1_features_torchvision_norm.safetensors")
    mobilenet = resolved({"backbone": "mobilenet_v2", "weights": str(whole)}, directory_store)
    squeezenet = resolved({"backbone": "squeezenet1_1", "weights": str(part)}, directory_store)
    assert (has_imagenet_head(mobilenet), has_imagenet_head(squeezenet)) == (True, False)
    assert (mobilenet.own_input["size"], mobilenet.own_input["crop"]) == (224, 0.875)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            {"backbone": "convnext_tiny", "weights": "IMAGENET1K_V2"},
            "unknown weights 'IMAGENET1K_V2' of convnext_tiny .did you mean",
        ),
        ({"backbone": "vgg16", "weights": "/nowhere/w.pth"}, "weights /nowhere/w.pth: no such file"),
        ({"backbone": "vgg16", "weights": "store:weights/w.pth"}, "weights/w.pth: no such file"),
    ],
)
def test_what_is_not_there_is_a_sentence(model: dict[str, Any], sentence: str, directory_store: Store) -> None:
    with pytest.raises(StudyError, match=sentence):
        resolved(model, directory_store)


def test_networks_without_published_weights(directory_store: Store) -> None:
    with pytest.raises(StudyError, match="has no published weights: name a file in weights, or weights: random"):
        resolved({"backbone": "resnet14t"} if not weights_of("resnet14t") else {"backbone": "cs3darknet_s"}, directory_store)


@pytest.mark.parametrize("content", [b"", b"\x02", b"PK\x03\x04 zip or so", b"\xff" * 40, struct.pack("<Q", 4) + b"[1]}"])
def test_other_files_have_no_safetensors_header(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert safetensors_shapes(tmp_path / "x") == {}


# -- mirroring ----------------------------------------------------------------------------------------------------------


def test_mirrored_once_and_found_there(store: Store) -> None:
    first = mirror(store, ["efficientnet_lite0"])[0]
    again = mirror(store, ["efficientnet_lite0:tensorflow"])[0]
    weight = weights_of("efficientnet_lite0")[0]
    assert (first.name, first.copied, again.copied) == (f"weights/{weight.file}", True, False)
    stat = store.stat(first.name)
    assert stat is not None
    assert first.size == again.size == stat.size
    assert places("efficientnet_lite0", store)[0][1].kind == "store"


def test_a_damaged_mirror_is_told_of(directory_store: Store) -> None:
    directory_store.put(f"weights/{weights_of('efficientnet_lite0')[0].file}", b"damaged")
    with pytest.raises(StudyError, match="is damaged"):
        mirror(directory_store, ["efficientnet_lite0"])


def test_files_of_ones_own_are_mirrored_too(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"one")
    assert [mirror(store, [str(path)])[0].copied for _ in range(2)] == [True, False]
    assert store.get("weights/mine.pth") == b"one"
    path.write_bytes(b"other")
    with pytest.raises(StudyError, match="is there already and is another file"):
        mirror(store, [str(path)])
    assert store.get("weights/mine.pth") == b"one"


def test_unknown_names_copy_nothing(directory_store: Store) -> None:
    for name, sentence in (("vgg61", "did you mean 'vgg1"), ("vgg16:V9", "unknown weights 'V9' of vgg16")):
        with pytest.raises(StudyError, match=sentence):
            mirror(directory_store, ["efficientnet_lite0", name])
    assert list(directory_store.list("weights/")) == []
