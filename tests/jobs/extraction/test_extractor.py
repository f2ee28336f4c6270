"""An image's features depend on nothing but the image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from jobs.extraction.extractor import Extractor, TorchNetwork, fold, one_thread_each
from jobs.models.building import build_backbone
from jobs.models.network import Backbone
from jobs.models.pretrained import Pretrained
from tlbatch.backbones.preprocessing import SCRATCH_INPUT

CPU = torch.device("cpu")


def extractor(name: str, precision: str, size: int) -> Extractor:
    settings = {**SCRATCH_INPUT, "size": size}
    model = {"backbone": {"name": name}, "layer": None, "pool": "avg"}
    return Extractor(lambda: build_backbone(model, settings, Pretrained("random weights", seed=1)), settings, precision, CPU)


def pictures(n: int, size: int) -> Tensor:
    chance = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (n, 3, size, size), generator=chance, dtype=torch.uint8)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("name", "size"), [("mobilenet_v2", 64), ("squeezenet1_1", 75), ("resnet50", 64), ("alexnet", 70)])
def test_neighbours_and_places_change_no_bit(name: str, size: int, precision: str) -> None:
    compute = extractor(name, precision, size)
    images = pictures(compute.batch, size)
    with one_thread_each():
        together = compute(images)
        turned = compute(images.roll(3, 0))
        alone = torch.zeros_like(images)
        alone[5] = images[2]
        lonely = compute(alone)
    assert np.array_equal(np.roll(together, 3, 0), turned)
    assert np.array_equal(lonely[5], together[2])
    assert len(np.unique(together, axis=0)) == len(images)


def test_threads_compute_side_by_side_what_one_computes() -> None:
    compute = extractor("squeezenet1_1", "fp32", 48)
    batches = [pictures(compute.batch, 48).roll(turn, 0) for turn in range(8)]
    with one_thread_each():
        alone = [compute(batch) for batch in batches]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(compute, batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_threads_weights_are_shared() -> None:
    compute = extractor("squeezenet1_1", "fp32", 48)
    compute(pictures(compute.batch, 48))
    network = compute._network
    assert isinstance(network, TorchNetwork)
    own, shared = network.own(), network.shared
    assert own is not shared
    pairs = zip(own.parameters(), shared.parameters(), strict=True)
    assert all(mine.data_ptr() == theirs.data_ptr() for mine, theirs in pairs)


def test_one_thread_each_ends_with_its_block() -> None:
    before = torch.get_num_threads()
    with one_thread_each(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == before


def test_a_network_is_opened_by_one_thread() -> None:
    """Several would wait for one another: on a machine that does other things four times as long."""
    before, seen = torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)

        def build() -> Backbone:
            seen.append(torch.get_num_threads())
            model = {"backbone": {"name": "squeezenet1_1"}, "layer": None, "pool": "avg"}
            return build_backbone(model, {**SCRATCH_INPUT, "size": 48}, Pretrained("random weights", seed=1))

        fold(build)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
