"""Near copies: planted ones are found with the right kind, others are not, and nothing depends on order or blocks."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from jobs.data.copies import Pair, find_copies
from jobs.data.thumbnails import SIDE, WHOLE, Spectrum, Thumbnails, mirrored, thumbnail

Change = Callable[[Image.Image, random.Random], Image.Image]


def recompressed(image: Image.Image, _: random.Random, quality: int = 50) -> Image.Image:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return Image.open(target).convert("RGB")


def halved(image: Image.Image, chance: random.Random) -> Image.Image:
    return recompressed(image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC), chance, 90)


def cropped(image: Image.Image, chance: random.Random) -> Image.Image:
    """5 % of either side gone, somewhere at the edges."""
    width, height = round(image.width * 0.95), round(image.height * 0.95)
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    return recompressed(image.crop((left, top, left + width, top + height)), chance, 90)


def trimmed(image: Image.Image, chance: random.Random) -> Image.Image:
    """5 % gone at each of the four edges."""
    by = round(image.width * 0.05), round(image.height * 0.05)
    return recompressed(ImageOps.crop(image, (*by, *by)), chance, 90)


def flipped(image: Image.Image, chance: random.Random) -> Image.Image:
    return recompressed(ImageOps.mirror(image), chance, 90)


PLANTED: dict[str, Change] = {"recompressed": recompressed, "scaled": halved, "cropped": cropped, "mirrored": flipped}


def scene(seed: int, width: int = 240, height: int = 180) -> Image.Image:
    """A made-up picture: a smooth background with shapes, something like a photograph in its spectrum."""
    chance = np.random.default_rng(seed)
    levels = chance.integers(0, 255, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, r = chance.integers(0, width), chance.integers(0, height), chance.integers(4, 40)
        draw.ellipse((x - r, y - r, x + r, y + r * 0.7), tuple(int(value) for value in chance.integers(0, 255, 3)))
    return image


def search(folder: Path, images: Iterable[Image.Image]) -> list[Pair]:
    thumbnails = Thumbnails(folder / "thumbnails.bin")
    for image in images:
        thumbnails.add(thumbnail(image))
    found = find_copies(thumbnails)
    thumbnails.close()
    return found


@pytest.mark.parametrize("change", [recompressed, halved, cropped, trimmed, flipped])
def test_a_copy_is_found_among_others(tmp_path, change):
    images = [scene(seed) for seed in range(30)]
    images.append(change(images[7], random.Random(1)))
    found = search(tmp_path, images)
    assert [(pair.a, pair.b, pair.is_mirrored) for pair in found] == [(7, 30, change is flipped)]
    assert found[0].score > 0.9
    assert (found[0].cut > 0.015) == (change in (cropped, trimmed))


def test_changes_together(tmp_path):
    images = [scene(seed) for seed in range(10)]
    chance = random.Random(1)
    images.append(recompressed(flipped(cropped(halved(images[3], chance), chance), chance), chance, 60))
    assert [(pair.a, pair.b) for pair in search(tmp_path, images)] == [(3, 10)]


def test_two_things_before_one_background_are_not_copies(tmp_path):
    background = scene(1)
    images = []
    for seed in range(4):
        image = background.copy()
        image.paste(scene(100 + seed, 90, 70), (80, 50))
        images.append(image)
    assert search(tmp_path, images) == []


def test_simple_shapes_are_not_compared(tmp_path):
    """Handwritten ones, say: many look nearly alike, and none is a copy."""
    images = []
    for lean in range(-6, 7):
        image = Image.new("RGB", (64, 64))
        ImageDraw.Draw(image).line((32 - lean, 8, 32 + lean, 56), "white", 9)
        images.append(image.resize((8, 8)).resize((64, 64), Image.Resampling.BICUBIC))
    assert search(tmp_path, images) == []


def test_uniform_pictures_are_not_compared(tmp_path):
    noise = np.random.default_rng(0)
    images = [Image.fromarray((120 + noise.normal(0, 2, (90, 90, 3))).astype(np.uint8)) for _ in range(4)]
    assert search(tmp_path, [*images, *images, Image.new("RGB", (90, 90)), Image.new("RGB", (90, 90))]) == []


def test_more_copies_than_neighbours_are_kept_of_each(tmp_path):
    images = [recompressed(scene(5), random.Random(0), quality) for quality in range(40, 95, 3)]
    found = search(tmp_path, images)
    reached = {0}
    for _ in images:
        reached |= {n for pair in found for n in (pair.a, pair.b) if reached & {pair.a, pair.b}}
    assert reached == set(range(len(images)))


def test_blocks_do_not_matter(tmp_path, monkeypatch):
    images = [scene(seed) for seed in range(40)]
    images += [change(images[i], random.Random(i)) for i, change in enumerate(PLANTED.values())]
    whole = search(tmp_path, images)
    assert len(whole) == 4
    monkeypatch.setattr("jobs.data.copies.ROWS", 7)
    monkeypatch.setattr("jobs.data.copies.COLUMNS", 11)
    assert search(tmp_path, images) == whole


def test_none_and_one(tmp_path):
    assert search(tmp_path, []) == []
    assert search(tmp_path, [scene(0)]) == []


def test_a_stop_between_blocks_goes_through(tmp_path):
    thumbnails = Thumbnails(tmp_path / "thumbnails.bin")
    for seed in range(2):
        thumbnails.add(thumbnail(scene(seed)))

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        find_copies(thumbnails, stop)


# ---- spectra ----


def test_a_mirrored_picture_has_the_mirrored_spectrum():
    picture = np.random.default_rng(0).random((SIDE, SIDE))
    spectrum = Spectrum(48, 24)
    assert np.allclose(spectrum(picture[:, ::-1]), mirrored(spectrum(picture)))


def test_a_view_is_the_spectrum_of_what_it_shows():
    picture = np.random.default_rng(0).random((SIDE, SIDE))
    spectrum = Spectrum(24, 12)
    half = picture[:, : SIDE // 2]  # the left half, each pixel twice as wide
    assert np.allclose(spectrum(half.repeat(2, 1)), spectrum(picture, (0, 0, 100, 200)))
    assert np.allclose(np.linalg.norm(spectrum(picture, WHOLE)), 1)


# ---- photographs ----


def planted(photographs: list[Path], each: int, chance: random.Random) -> tuple[list[Image.Image], dict[tuple[int, int], str]]:
    """Copies of ``each`` photographs for every kind of change, to follow after ``photographs``; (original, copy) -> kind."""
    copies: list[Image.Image] = []
    expected: dict[tuple[int, int], str] = {}
    for kind, change in PLANTED.items():
        for number in chance.sample(range(len(photographs)), each):
            expected[number, len(photographs) + len(copies)] = kind
            copies.append(change(Image.open(photographs[number]).convert("RGB"), chance))
    return copies, expected


def search_photographs(folder: Path, photographs: list[Path], each: int) -> tuple[Counter[str], list[Pair]]:
    """How many planted copies were found, by kind; and the other pairs."""
    copies, expected = planted(photographs, each, random.Random(0))
    originals = (Image.open(path).convert("RGB") for path in photographs)
    found = {(pair.a, pair.b): pair for pair in search(folder, (image for images in (originals, copies) for image in images))}
    by_copy = {copy: original for original, copy in expected}

    def origin(number: int) -> int:
        return by_copy.get(number, number)

    others = [pair for (a, b), pair in found.items() if origin(a) != origin(b)]
    return Counter(kind for pair, kind in expected.items() if pair in found), others


@pytest.mark.shared
def test_planted_copies_of_photographs(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    photographs = sorted(shared_data("data/dogs-vs-cats").glob("*/*.jpg"))[::20]
    found, others = search_photographs(tmp_path, photographs, 25)
    assert found.total() >= 95, found
    assert others == []


@pytest.mark.shared
@pytest.mark.slow
def test_planted_copies_among_5000_photographs(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    photographs = sorted(shared_data("data/dogs-vs-cats").glob("*/*.jpg"))
    found, others = search_photographs(tmp_path, photographs, 25)
    assert found.total() >= 95, found
    names = {tuple(sorted(photographs[n].name for n in (pair.a, pair.b) if n < len(photographs))) for pair in others}
    assert names == {("dog.180.jpg", "dog.74.jpg"), ("dog.1273.jpg", "dog.980.jpg")}  # true copies, looked at
