"""The inverted file finds the copies that all pairs have, whatever the threads, and looks at few pairs for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta
from threadpoolctl import threadpool_limits

from jobs.data.items import SpooledItem
from jobs.kinds.image import inverted_file
from jobs.kinds.image.candidates import Pictures, pictures_of
from jobs.kinds.image.inverted_file import InvertedFile, list_count, listed_candidates
from jobs.kinds.image.items import ImageItems
from jobs.kinds.image.near_duplicates import Copies, Pair, find_copies
from jobs.kinds.image.thumbnails import Thumbnails, thumbnail
from jobs.workers import Workers
from tests.jobs.kinds.image.test_near_duplicates import PLANTED, groups_of, planted, scene
from tlbatch.contracts import data as contract


def scenes_and_copies(path: Path, scenes: int = 120, each: int = 3) -> Thumbnails:
    """Made-up pictures, and copies of some by each change; number ``scenes`` + i is a copy of number i."""
    images = [scene(seed) for seed in range(scenes)]
    changes = [change for change in PLANTED.values() for _ in range(each)]
    images += [change(images[number], random.Random(number)) for number, change in enumerate(changes)]
    thumbnails = Thumbnails(path)
    for image in images:
        thumbnails.add(thumbnail(image))
    return thumbnails


def searched(thumbnails: Thumbnails, folder: Path) -> tuple[Pictures, InvertedFile]:
    pictures = pictures_of(thumbnails, folder, Workers(1))
    file = inverted_file.inverted_file(pictures, folder, Workers(1))
    assert file is not None
    return pictures, file


def test_finds_what_all_pairs_have(tmp_path, monkeypatch):
    thumbnails = scenes_and_copies(tmp_path / "thumbnails.bin")
    monkeypatch.setattr(inverted_file, "PROBED", 8)
    every, some = find_copies(thumbnails), find_copies(thumbnails, listed=True)
    assert every.lists == 0
    assert some.lists == list_count(len(thumbnails)) == 33
    expected = [*range(120), *range(3 * len(PLANTED))]
    assert groups_of(list(every.pairs), len(thumbnails)) == expected
    slight = len(thumbnails) - 3  # the last three are cut deep
    assert groups_of(list(some.pairs), len(thumbnails))[:slight] == expected[:slight]
    assert set(some.pairs) <= set(every.pairs)


def test_looks_at_few_pairs(tmp_path, monkeypatch):
    """Of 138 pictures in 138 lists of about one, with one probed, a handful of candidates each; nobody is his own."""
    monkeypatch.setattr(inverted_file, "PROBED", 2)
    monkeypatch.setattr(inverted_file, "ALIKE", -1.0)  # all of a probed list
    thumbnails = scenes_and_copies(tmp_path / "thumbnails.bin")
    pictures, file = searched(thumbnails, tmp_path)
    blocks = [block for start in range(0, len(thumbnails), 256) for block in listed_candidates(pictures, file, start)]
    looked_at = sum(len(block.rows) for block in blocks)
    assert 0 < looked_at < 0.35 * len(thumbnails) ** 2
    assert all((block.rows + block.start != block.columns).all() for block in blocks)
    assert [block.start for block in blocks] == list(range(0, len(thumbnails), 256))


def test_every_picture_that_shows_something_stands_in_one_list(tmp_path):
    thumbnails = scenes_and_copies(tmp_path / "thumbnails.bin")
    thumbnails.add(bytes(96 * 96))  # all black
    lists = searched(thumbnails, tmp_path)[1].lists
    assert sorted(np.concatenate(lists).tolist()) == list(range(len(thumbnails) - 1))


def test_nothing_depends_on_threads_and_blocks(tmp_path, monkeypatch):
    thumbnails = scenes_and_copies(tmp_path / "thumbnails.bin")
    found: list[Copies] = []
    for threads, together in ((1, 512), (2, 512), (2, 256)):
        monkeypatch.setattr(inverted_file, "TOGETHER", together)
        with threadpool_limits(threads):
            found.append(find_copies(thumbnails, listed=True))
    assert found[0] == found[1] == found[2]
    assert found[0].pairs


@pytest.mark.parametrize("count", [0, 1, 2])
def test_none_one_and_two(tmp_path, count):
    thumbnails = Thumbnails(tmp_path / "thumbnails.bin")
    for _ in range(count):
        thumbnails.add(thumbnail(scene(1)))
    assert [(pair.a, pair.b) for pair in find_copies(thumbnails, listed=True).pairs] == [(0, 1)] * (count == 2)


def test_from_a_number_on_and_said_in_the_card(tmp_path, monkeypatch):
    monkeypatch.setattr(contract, "ALL_PAIRS", 20)
    said = []
    for scenes in (20, 21):
        finder = ImageItems().finder(tmp_path / f"{scenes}.bin")
        facts = {"source_width": 240}
        items = [
            SpooledItem(f"{seed:040x}", 0, 1, "jpg", facts, True, finder.add(thumbnail(scene(seed)))) for seed in range(scenes)
        ]
        said.append(finder.find(items, lambda done, total: None)[1])
    assert "inverted file" not in said[0]
    assert "not all pairs were looked at, but those that share one of 16 lists of an inverted file of about 18." in said[1]


def least_recall(found: int, of: int) -> float:
    """The lower end of the exact 95 % interval (Clopper, Pearson 1934)."""
    return float(beta.ppf(0.025, found, of - found + 1))


@pytest.mark.shared
@pytest.mark.slow
def test_recall_among_photographs(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    """Of the copies that all pairs find, planted by six changes in 2,500 photographs, 95 % and more: the interval's low end."""
    from PIL import Image

    photographs = sorted(shared_data("data/dogs-vs-cats").glob("*/*.jpg"))[::2]
    copies, expected = planted(photographs, 25, random.Random(0))
    thumbnails = Thumbnails(tmp_path / "thumbnails.bin")
    for image in (Image.open(path).convert("RGB") for path in photographs):
        thumbnails.add(thumbnail(image))
    for image in copies:
        thumbnails.add(thumbnail(image))
    there: dict[tuple[int, int], Pair] = {(pair.a, pair.b): pair for pair in find_copies(thumbnails).pairs}
    listed = {(pair.a, pair.b) for pair in find_copies(thumbnails, listed=True).pairs}
    assert len([pair for pair in expected if pair in there]) >= 145
    assert listed <= set(there)
    assert least_recall(len(listed), len(there)) >= 0.95
