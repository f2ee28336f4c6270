"""Trained networks rebuilt from their artifacts, and taken along as backbones of later studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from jobs.context import Context
from jobs.models.building import build_backbone, build_network
from jobs.models.library import find
from jobs.models.network import Network
from jobs.models.pretrained import load_pretrained
from jobs.models.trained import load_trained
from tlbatch.errors import StudyError
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, file_sha256
from tlbatch.tasks import InputRef

SCRATCH = {"channels": [4, 6], "kernel": 3, "padding": "same", "batch_norm": True, "dense": [10], "dropout": 0.2}
HEAD = {"dense": [5], "dropout": 0.1, "batch_norm": True, "logistic": None}
DRAWN = {"scratch": SCRATCH}
DIGITS = {"size": 8, "grayscale": True}
SQUEEZENET = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 7}}
OF_RUN = {"name": None, "weights": {"kind": "run", "from": "first/drawn"}}

MakeContext = Callable[..., Context]
PutTrained = Callable[..., InputRef]
OpenTrained = Callable[[InputRef], Artifact]


def on(backbone: dict[str, Any], layer: str | None = None, pool: str = "avg") -> dict[str, Any]:
    return {"backbone": backbone, "layer": layer, "pool": pool, "head": HEAD}


def shaken(network: Network) -> Network:
    """As after training: every tensor moved, statistics too."""
    source = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand(tensor.shape, generator=source))
    return network.eval()


def drawn() -> Network:
    return shaken(build_network(DRAWN, DIGITS, 3, None, seed=1, init="glorot"))


def test_a_scratch_network(make_context: MakeContext, put_trained: PutTrained, open_trained: OpenTrained) -> None:
    network, x = drawn(), torch.rand(4, 1, 8, 8)
    again = load_trained(make_context(), open_trained(put_trained(network, DRAWN, DIGITS)))
    assert torch.equal(again(x), network(x))
    assert not again.training


@pytest.mark.parametrize("head_only", [False, True])
def test_a_backbone_trained_whole_or_its_head_alone(
    head_only: bool, make_context: MakeContext, put_trained: PutTrained, open_trained: OpenTrained
) -> None:
    model, given, context = on(SQUEEZENET, "fire5", "max"), {"size": 48, "grayscale": False}, make_context()
    network = build_network(model, given, 4, load_pretrained(context, SQUEEZENET), seed=1, init="torch")
    if head_only:
        shaken(network).backbone.load_state_dict(
            build_backbone(model, given, load_pretrained(context, SQUEEZENET)).state_dict()
        )
    else:
        shaken(network)
    ref = put_trained(network, model, given, head_only=head_only)
    again, x = load_trained(context, open_trained(ref)), torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


@pytest.mark.parametrize(("layer", "dim"), [("conv1", 4 * 16), ("conv2", 6 * 4), ("dense1", 10), (None, 10)])
def test_a_layer_of_an_earlier_scratch_network(
    layer: str | None, dim: int, make_context: MakeContext, put_trained: PutTrained
) -> None:
    source = drawn()
    context = make_context(source=put_trained(source, DRAWN, DIGITS))
    backbone = build_backbone(on(OF_RUN, layer, "flatten"), DIGITS, load_pretrained(context, OF_RUN))
    x = torch.rand(3, 1, 8, 8)
    assert backbone.dim == dim
    expected = x
    for name, part in source.backbone.body.named_children():
        expected = part(expected)
        if name == (layer or "dense1"):
            break
    assert torch.equal(backbone(x), expected.flatten(1))


def test_taken_along_and_trained_on(make_context: MakeContext, put_trained: PutTrained, open_trained: OpenTrained) -> None:
    """The second study's artifact is rebuilt with its source's architecture; a third study builds on the second."""
    first = put_trained(drawn(), DRAWN, DIGITS)
    context, model = make_context(source=first), on(OF_RUN, "conv2", "flatten")
    network = shaken(build_network(model, DIGITS, 5, load_pretrained(context, OF_RUN), seed=2, init="glorot"))
    second, x = put_trained(network, model, DIGITS, source=first), torch.rand(4, 1, 8, 8)
    assert [stage.name for stage in network.stages] == ["conv1", "conv2", "head"]
    assert torch.equal(load_trained(context, open_trained(second))(x), network(x))
    third = build_backbone(on(OF_RUN, None, "flatten"), DIGITS, load_pretrained(make_context(source=second), OF_RUN))
    assert third.layer.name == "conv2"
    assert torch.equal(third(x), network.features(x))


def test_a_head_on_features_of_an_earlier_network(
    make_context: MakeContext, put_trained: PutTrained, open_trained: OpenTrained
) -> None:
    first = put_trained(drawn(), DRAWN, DIGITS)
    context, model = make_context(source=first), on(OF_RUN, "dense1", "flatten")
    network = build_network(model, DIGITS, 5, load_pretrained(context, OF_RUN), seed=2, init="glorot")
    second, x = put_trained(network, model, DIGITS, head_only=True, source=first), torch.rand(4, 1, 8, 8)
    assert torch.equal(load_trained(context, open_trained(second))(x), network(x))
    third = build_backbone(on(OF_RUN, "conv1", "flatten"), DIGITS, load_pretrained(make_context(source=second), OF_RUN))
    assert torch.equal(third.body.conv1(x), network.backbone.body.conv1(x))  # type: ignore[operator]


def test_an_image_size_that_the_source_cannot_take_is_a_sentence(make_context: MakeContext, put_trained: PutTrained) -> None:
    context = make_context(source=put_trained(drawn(), DRAWN, DIGITS))
    wide = {"size": 16, "grayscale": True}
    assert build_backbone(on(OF_RUN, "conv2"), wide, load_pretrained(context, OF_RUN)).dim == 6
    with pytest.raises(StudyError, match="the source model up to dense1 does not take images of 16 pixels"):
        build_backbone(on(OF_RUN, "dense1"), wide, load_pretrained(context, OF_RUN))
    with pytest.raises(StudyError, match="unknown layer 'conv7' of the source model: it has conv1, conv2, dense1"):
        build_backbone(on(OF_RUN, "conv7"), DIGITS, load_pretrained(context, OF_RUN))


# -- files and names ----------------------------------------------------------------------------------------------------


def test_a_file_by_path_or_in_the_store(make_context: MakeContext, directory_store: Store, tmp_path: Path) -> None:
    state = dict(find("squeezenet1_1").create_seeded(5).state_dict())
    path = tmp_path / "mine.safetensors"
    save_file(state, path)
    directory_store.upload(path, "weights/mine.safetensors")
    backbone = {"name": "squeezenet1_1", "weights": {"kind": "file", "sha256": file_sha256(path)}}
    for location in (str(path), "store:weights/mine.safetensors"):
        found = load_pretrained(make_context(weights=location), backbone)
        assert found.state is not None
        assert torch.equal(found.state["features.0.weight"], state["features.0.weight"])
        assert location in found.label


def test_a_file_that_changed_since_the_plan_is_a_sentence(make_context: MakeContext, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    backbone = {"name": "squeezenet1_1", "weights": {"kind": "file", "sha256": "0" * 64}}
    with pytest.raises(StudyError, match="are no longer those this task was made for"):
        load_pretrained(make_context(weights=str(path)), backbone)
    with pytest.raises(StudyError, match="does not say where"):
        load_pretrained(make_context(), backbone)


def test_named_weights_are_taken_from_the_store_first(make_context: MakeContext, directory_store: Store) -> None:
    from tlbatch.backbones.catalogue import backbones
    from tlbatch.planning.weights import mirror

    weight = backbones()["efficientnet_lite0"].weights[0]
    backbone = {"name": "efficientnet_lite0", "weights": {"kind": "named", "name": weight.name}}
    packaged = load_pretrained(make_context(), backbone)
    mirror(directory_store, ["efficientnet_lite0"])
    mirrored = load_pretrained(make_context(), backbone)
    assert packaged.state is not None
    assert mirrored.state is not None
    assert torch.equal(packaged.state["_fc.weight"], mirrored.state["_fc.weight"])
    directory_store.put(f"weights/{weight.file}", b"damaged")
    with pytest.raises(StudyError, match="is damaged"):
        load_pretrained(make_context(), backbone)
    with pytest.raises(StudyError, match="has no weights 'V9'"):
        load_pretrained(make_context(), {**backbone, "weights": {"kind": "named", "name": "V9"}})
