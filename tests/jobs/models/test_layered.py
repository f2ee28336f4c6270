"""All layers by one forward pass: each is what a network cut there puts out, and the logits are the classifier's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jobs.models.building import build_backbone, build_classifier
from jobs.models.layered import LOGITS, build_layered
from jobs.models.library import find
from jobs.models.pretrained import Pretrained
from tlbatch.backbones.catalogue import described
from tlbatch.errors import StudyError

SIDE = 64


def input_of(size: int = SIDE) -> dict[str, Any]:
    return {"size": size, "grayscale": False}


def weights(name: str) -> Pretrained:
    return Pretrained("weights", find(name).create_seeded(5).state_dict())


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2", pytest.param("regnet_y_400mf", marks=pytest.mark.slow)])
def test_one_pass_gives_what_each_cut_network_gives(name: str) -> None:
    """A catalogue's division, and one that is derived. Mutation tried: pooled after the pass; in-place ReLUs changed layers."""
    backbone = {"name": name, "weights": {"kind": "file"}}
    network = build_layered(backbone, input_of(), weights(name))
    x = torch.randn((2, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = network(x)
    assert rows.shape == (2, network.dim)
    for span in network.spans[:: max(1, len(network.spans) // 6)]:
        if span.name == LOGITS:
            continue
        model = {"backbone": backbone, "layer": span.name, "pool": "avg"}
        with torch.no_grad():
            alone = build_backbone(model, input_of(), weights(name))(x)
        torch.testing.assert_close(rows[:, span.start : span.start + span.dim], alone)
    logits = network.spans[-1]
    assert (logits.name, logits.dim) == (LOGITS, 1000)
    with torch.no_grad():
        torch.testing.assert_close(rows[:, logits.start :], build_classifier(backbone, weights(name))(x).flatten(1))


def test_layers_are_those_of_the_catalogue_and_the_last_of_each_stage_is_marked() -> None:
    network = build_layered({"name": "mobilenet_v2"}, input_of(), Pretrained("random", seed=1))
    info = described("mobilenet_v2")
    assert info is not None
    assert [span.name for span in network.spans] == [layer.name for layer in info.layers]
    assert [span.stage for span in network.spans if span.last] == [stage.name for stage in info.stages]
    assert network.default == "features.18"


def test_weights_without_a_classifier_have_no_logits() -> None:
    whole = find("squeezenet1_1").create_seeded(1).state_dict()
    state = {name: value for name, value in whole.items() if "classifier" not in name}
    network = build_layered({"name": "squeezenet1_1"}, input_of(), Pretrained("features", state))
    assert [span.name for span in network.spans][-1] == "fire9"


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(StudyError, match="do not fit"):
        build_layered({"name": "squeezenet1_1"}, input_of(), weights("mobilenet_v2"))


def test_a_hundred_threads_later_nothing_hangs_on_the_network() -> None:
    """Hooks are gone after each pass, also one that fails."""
    network = build_layered({"name": "squeezenet1_1"}, input_of(), Pretrained("random", seed=1))
    with torch.no_grad():
        network(torch.zeros(1, 3, SIDE, SIDE))
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 5, SIDE, SIDE))
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in network.modules())
