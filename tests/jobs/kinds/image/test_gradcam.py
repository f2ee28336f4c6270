"""Grad-CAM against its formula, on networks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from jobs.kinds.image.gradcam import grad_cam
from jobs.models.building import build_head, build_network
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained

INPUT = {"size": 32, "grayscale": False}
SCRATCH = {"channels": [4, 6], "kernel": 3, "padding": "same", "batch_norm": False, "dense": [8], "dropout": 0.0}


def _squeezenet(pool: str = "avg", layer: str | None = None) -> Network:
    backbone = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 1}}
    model = {"backbone": backbone, "layer": layer, "pool": pool, "head": {"dense": []}}
    return build_network(model, {"size": 64}, 3, Pretrained("random", seed=1), seed=0, init="torch")


def test_equals_the_class_activation_map_of_a_linear_head() -> None:
    """After average pooling and a linear head, d logit / d A_k = w_k / places, so that Grad-CAM is CAM (Zhou et al. 2016)."""
    network = _squeezenet()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([2, 0])
    cams = grad_cam(network, x, classes)
    assert cams is not None
    with torch.no_grad():
        maps = network.backbone.maps(x)
        assert maps is not None
        weights = network.head.classifier.weight[classes]
        expected = torch.relu((weights[:, :, None, None] * maps).sum(dim=1))
        expected = expected / expected.amax(dim=(1, 2), keepdim=True)
        expected = nn.functional.interpolate(expected[:, None], size=(64, 64), mode="bilinear")[:, 0]
    torch.testing.assert_close(cams, expected, atol=1e-5, rtol=1e-4)


def test_shows_where_the_evidence_is() -> None:
    """A network that answers to brightness anywhere lights up where the picture is bright."""
    model = {"scratch": {**SCRATCH, "channels": [1], "dense": [1]}}
    network = build_network(model, INPUT, 2, None, seed=0, init="glorot")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.01)
        network.head.classifier.weight[1] = -0.01
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, 4:12, 20:28] = 1.0
    cams = grad_cam(network, x, torch.tensor([0]))
    assert cams is not None
    inside, outside = cams[0, 5:11, 21:27].mean(), cams[0, 20:, :12].mean()
    assert inside > 0.8
    assert outside < 0.3
    against = grad_cam(network, x, torch.tensor([1]))
    assert against is not None
    assert against.max() == 0  # nothing speaks for the other class


@pytest.mark.parametrize("pool", ["avg", "max", "flatten"])
def test_range_shape_and_frozen_networks(pool: str) -> None:
    network = _squeezenet(pool)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        cams = grad_cam(network, x, torch.tensor([0, 1, 2]))
    assert cams is not None
    assert cams.shape == (3, 64, 64)
    assert 0 <= float(cams.min()) <= float(cams.max()) <= 1
    assert all(parameter.grad is None for parameter in network.parameters())
    assert np.isfinite(cams.numpy()).all()


def test_a_vote_has_no_slope_and_so_no_map() -> None:
    """Failed before: evaluating a run with TrAdaBoost ended in an error of torch's."""
    network = _squeezenet()
    network.head = build_head(network.backbone.dim, 3, {"votes": {}}, seed=0, init="torch")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert network(x).shape == (2, 3)
    assert grad_cam(network, x, torch.tensor([0, 1])) is None


def test_networks_without_maps_have_none() -> None:
    class Flat(nn.Module):
        dim = 4

        def maps_and_features(self, x: torch.Tensor) -> tuple[None, torch.Tensor]:
            return None, x.flatten(1)[:, :4]

    network = _squeezenet()
    network.backbone = Flat()  # type: ignore[assignment]
    assert grad_cam(network, torch.zeros(1, 3, 8, 8), torch.tensor([0])) is None
