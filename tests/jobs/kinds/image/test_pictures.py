"""Pictures for people: sizes, colours, grids; and which images are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.explain.choice import right_samples, surest_errors
from jobs.kinds.image.pictures import as_fed, heat, jpeg, overlay, save_channel_grid
from jobs.statistics.predictions import Predictions


@pytest.mark.parametrize(("side", "shown"), [(8, 128), (64, 128), (100, 200), (150, 150), (224, 224), (299, 256)])
def test_sizes_to_look_at(side: int, shown: int) -> None:
    assert as_fed(np.zeros((3, side, side), dtype=np.uint8)).size == (shown, shown)


def test_grey_pictures_and_sharp_enlargement() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    image = as_fed(pixels)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image)[::16, ::16, 0], pixels[0])


def test_heat_rises_in_lightness() -> None:
    light = heat(np.linspace(0, 1, 50)).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > 0).all()


def test_overlay_shows_where() -> None:
    picture = Image.new("RGB", (128, 128), (90, 120, 90))
    cam = np.zeros((16, 16), dtype=np.float32)
    cam[:8, :8] = 1.0
    pixels = np.asarray(overlay(picture, cam)).astype(int)
    hot, cold = pixels[20, 20], pixels[100, 100]
    assert hot.sum() > cold.sum() + 150
    assert np.ptp(cold) < 15  # grey
    assert len(jpeg(picture)) < 5000


def test_channel_grid(tmp_path: Path) -> None:
    maps = np.stack([np.full((7, 7), 3.0), *np.random.default_rng(0).normal(size=(9, 7, 7))])
    assert save_channel_grid(maps, tmp_path / "grid.png") == 10
    grid = Image.open(tmp_path / "grid.png")
    assert grid.size == (4 * 59 + 3, 3 * 59 + 3)
    many = np.zeros((100, 2, 2))
    many[99, 0] = 1.0  # the only one that shows anything comes along, last
    assert save_channel_grid(many, tmp_path / "many.png") == 64
    assert np.asarray(Image.open(tmp_path / "many.png"))[-10, -10:-4].max() < 10
    assert np.asarray(Image.open(tmp_path / "many.png"))[-50, -10:-4].min() > 100


def _predictions() -> tuple[Predictions, list[str]]:
    chance = np.random.default_rng(3)
    labels = np.arange(60) % 3
    logits = chance.normal(size=(60, 3)) + 1.2 * np.eye(3)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(labels, p, np.arange(60) // 2), [f"{i:08x}" for i in chance.permutation(60)]


def test_surest_errors_first_and_alike_ones_once() -> None:
    p, _ = _predictions()
    chosen = surest_errors(p, count=10)
    assert len(chosen) == 10
    assert not p.right[chosen].any()
    assert (np.diff(p.confidence[chosen]) <= 0).all()
    assert p.confidence[chosen[0]] == p.confidence[~p.right].max()
    assert len({int(p.groups[i]) for i in chosen}) == 10


def test_samples_are_right_of_all_classes_and_do_not_depend_on_confidence() -> None:
    p, ids = _predictions()
    chosen = right_samples(p, ids, count=9)
    assert p.right[chosen].all()
    assert sorted(p.labels[chosen]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for label in range(3):
        own = [ids[i] for i in chosen if p.labels[i] == label]
        assert own == sorted(own)


def test_nothing_to_show() -> None:
    wrong = Predictions(np.array([0, 0]), np.array([[0.1, 0.9]] * 2), np.arange(2))
    assert right_samples(wrong, ["a", "b"]) == []
    right = Predictions(np.array([1, 1]), np.array([[0.1, 0.9]] * 2), np.arange(2))
    assert surest_errors(right) == []
