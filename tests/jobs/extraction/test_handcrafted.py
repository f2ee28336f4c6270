"""Hand-crafted features take a backbone's way: the same bits in any batch, shard or order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from skimage.feature import hog

from jobs.data.features import load_features
from jobs.extract import run
from jobs.extraction.extractor import Extractor
from jobs.models.building import build_backbone
from jobs.models.pretrained import Pretrained
from tests.jobs.test_extract import Extraction
from tlbatch.backbones.handcrafted import HAND_CRAFTED, HAND_CRAFTED_INPUT, feature_count

MODEL: dict[str, Any] = {"backbone": {"name": HAND_CRAFTED, "weights": {"kind": "none"}}, "layer": None, "pool": "avg"}
COLOURS = 128


def described(pixels: torch.Tensor) -> np.ndarray[Any, Any]:
    """[n, d] of uint8 [n, 3, h, w]."""
    backbone = build_backbone(MODEL, HAND_CRAFTED_INPUT, Pretrained("no weights"))
    extractor = Extractor(lambda: backbone, HAND_CRAFTED_INPUT, "fp32", torch.device("cpu"))
    padded = torch.zeros((8, *pixels.shape[1:]), dtype=torch.uint8)
    padded[: len(pixels)] = pixels
    return extractor(padded)[: len(pixels)]


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, 64, 64), dtype=np.uint8))


def test_they_are_shares_of_colours_and_gradients() -> None:
    pixels = noise(2)
    found = described(pixels)
    assert found.shape == (2, feature_count())
    assert np.allclose((found[:, :COLOURS] ** 2).sum(axis=1), 1.0)
    asked = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "block_norm": "L2-Hys", "channel_axis": 0}
    fed = (pixels[0].float() / 255).double().numpy()
    assert np.allclose(found[0, COLOURS:], hog(fed, **asked), atol=1e-6)


def test_one_colour_is_one_bin() -> None:
    red = torch.zeros((1, 3, 64, 64), dtype=torch.uint8)
    red[:, 0] = 255
    found = described(red)[0]
    assert found[:COLOURS].max() == pytest.approx(1.0)
    assert np.count_nonzero(found) == 1  # and no gradient


def test_neighbours_change_no_bit() -> None:
    pixels = noise(5)
    together = described(pixels)
    for place in range(5):
        assert np.array_equal(described(pixels[place : place + 1])[0], together[place])


def test_shards_make_what_one_task_makes(bench: Any) -> None:
    extraction = Extraction(bench)
    asked = {**MODEL, "input": HAND_CRAFTED_INPUT}
    whole = extraction.run(**asked)
    ids = [entry["id"] for entry in bench.entries]
    assert load_features(extraction.artifact(whole), ids).shape == (len(ids), feature_count())
    extraction.forget(whole)
    for index in (1, 0):
        context = extraction.context(**asked, shard=(index, 2))
        run(context)
        manifest = context.finish()
    assert manifest is not None
    assert manifest.digest == whole.digest
