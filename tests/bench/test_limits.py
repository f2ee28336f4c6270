"""How a limit, what was reached of it and a start are reckoned."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from jobs.extraction.extractor import fold
from jobs.models.building import build_backbone
from jobs.models.pretrained import Pretrained
from tests.bench.limits import CoreSeconds, core_seconds, onnx_runtime_s
from tests.bench.records import Measured
from tests.bench.test_extract import started
from tlbatch.backbones.preprocessing import SCRATCH_INPUT


@pytest.mark.parametrize("fastest", ["OpenVINO", "ONNX Runtime"])
def test_the_limit_is_what_cores_could_do_that_only_load_and_compute_by_the_fastest_engine(fastest: str) -> None:
    found = CoreSeconds(load_s=0.001, passes={"OpenVINO": 0.005, "ONNX Runtime": 0.005} | {fastest: 0.004})
    assert found.limit(2) == pytest.approx(400)
    assert found.engine == fastest


def test_which_engine_is_fastest_is_said_by_medians_not_by_the_luckiest_turn() -> None:
    turns = [CoreSeconds(0.001, {"one": one, "other": 0.005}) for one in (0.006, 0.002, 0.007)]
    found = CoreSeconds.of([*turns, CoreSeconds(0.009, {"one": 0.006, "other": 0.001})])
    assert (found.engine, found.pass_s, found.load_s) == ("other", 0.005, 0.001)


def test_a_line_says_what_was_reached_of_the_limit_where_there_is_one() -> None:
    plain = Measured("extract", "a loop", 100, [1.0, 0.5, 0.4], [1.0], 1.5)
    assert plain.line() == "| extract | a loop | 200 | 100 | 2.00 | 1.5 |  |  |  |"
    limited = Measured("extract", "a loop", 100, [0.5], [1.0], 2.5, {"torch": "2"}, limit=250.0, limit_by="OpenVINO")
    assert limited.line() == "| extract | a loop (torch 2) | 200 | 100 | 2.00 | 2.5 | short | 250 (OpenVINO) | 80% |"
    assert (plain.share, limited.share) == (None, 0.8)


def test_two_sizes_tell_the_start_from_the_rest() -> None:
    a_second, start_s = started(1000, 11.5, 100, 2.5)
    assert (a_second, start_s) == pytest.approx((100, 1.5))


def test_each_is_measured_by_itself_on_one_core() -> None:
    settings = {**SCRATCH_INPUT, "size": 96}
    model = {"backbone": {"name": "squeezenet1_1"}, "layer": None, "pool": "avg"}
    network = fold(lambda: build_backbone(model, settings, Pretrained("random weights", seed=1)))
    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(stored, "JPEG")
    found = core_seconds(network, settings, [stored.getvalue()] * 4, "fp32")
    assert 0 < found.load_s < 1
    assert {name.partition(",")[0] for name in found.passes} == {"OpenVINO", "ONNX Runtime"}
    assert all(0 < seconds < 1 for seconds in found.passes.values())


def test_an_engine_that_computes_another_network_sets_no_limit() -> None:
    """Fails when what ONNX Runtime puts out is not held against torch: noise in training is another network each time."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 96 * 96, 4), Noisy())
    with pytest.raises(AssertionError, match="another network than torch"):
        onnx_runtime_s(network, torch.randn(2, 3, 96, 96), 2)


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)
