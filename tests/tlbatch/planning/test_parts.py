"""What the steps would refuse of ready-made parts is said when the plan is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.datasets.inventory import list_dataset
from tlbatch.errors import DataError
from tlbatch.planning.resolve import check_parts
from tlbatch.spec.dataset import Dataset, Split


def listed(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    check_parts(list_dataset(Dataset(url=str(root), split=Split(folders={"train": "train", "test": "test"}))))


def test_a_class_without_training_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its train part has no image of dog: put some there"):
        listed(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg", "test/dog/3.jpg")


def test_a_class_without_test_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its test part has no image of cat"):
        listed(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/dog/3.jpg")


def test_all_classes_in_both_parts(tmp_path: Path) -> None:
    listed(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/dog/3.jpg", "test/cat/4.jpg")
