"""Items for training: the same from memory and from a file, varied by place, validation never varied."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from jobs.training.items import ItemFeed, load_items, room_for
from tlbatch.backbones.preprocessing import SCRATCH_INPUT


def _load(i: int) -> Tensor:
    return torch.randint(0, 256, (3, 8, 8), generator=torch.Generator().manual_seed(i), dtype=torch.uint8)


def _feed(augmentation: dict[str, object] | None, tmp_path: Path) -> ItemFeed:
    images = load_items(6, _load, tmp_path, threads=2)
    labels = torch.arange(6) % 2
    return ItemFeed(
        images,
        labels,
        images,
        labels,
        settings={**SCRATCH_INPUT, "size": 8},
        augmentation=augmentation,
        seed=1,
        device=torch.device("cpu"),
    )


def test_a_file_holds_what_memory_would(tmp_path: Path) -> None:
    done: list[int] = []
    in_memory = load_items(300, _load, tmp_path, threads=2, tick=done.append)
    in_file = load_items(300, _load, tmp_path, threads=2, memory_bytes=1000)
    assert list(tmp_path.glob("*.uint8"))
    assert torch.equal(in_memory, in_file)
    assert torch.equal(in_memory[7], _load(7))
    assert done == [256, 300]


def test_a_disk_without_room_is_said_before_an_item_is_written(tmp_path: Path) -> None:
    """A mapped file with holes ends the process by SIGBUS where the disk is full: fails when room is not taken beforehand."""
    room_for(4, torch.zeros(3, 512, 512, dtype=torch.uint8), tmp_path, 0)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 4 * 3 * 512 * 512
    assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_plain_batches_are_the_images(tmp_path: Path) -> None:
    batch = _feed(None, tmp_path).batch(torch.tensor([4, 1]), 0, 0)
    assert torch.allclose(batch, torch.stack([_load(4), _load(1)]) / 255)


def test_augmented_batches_depend_on_the_place_alone(tmp_path: Path) -> None:
    feed = _feed({"rotate": 40.0, "flip": "horizontal"}, tmp_path)
    indices = torch.tensor([0, 1, 2])
    assert torch.equal(feed.batch(indices, 3, 1), feed.batch(indices, 3, 1))
    assert not torch.equal(feed.batch(indices, 3, 1), feed.batch(indices, 3, 2))
    assert not torch.equal(feed.batch(indices, 3, 1), feed.batch(indices, 4, 1))
    plain = torch.stack([_load(i) for i in range(6)]) / 255
    assert torch.allclose(torch.cat(list(feed.validation_batches())), plain)
