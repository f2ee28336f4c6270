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

from jobs.data.groups import group_copies
from jobs.data.index import IndexEntry
from jobs.data.items import SpooledItem
from jobs.data.split import split_index
from jobs.kinds.image.fitting import Likely
from jobs.kinds.image.items import likenesses
from jobs.kinds.image.near_duplicates import Copies, Pair, find_copies, method_of
from jobs.kinds.image.thumbnails import SIDE, SYMMETRIES, WHOLE, Spectrum, Symmetry, Thumbnails, thumbnail

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


def turned(image: Image.Image, chance: random.Random) -> Image.Image:
    """By 90, 180 or 270 degrees."""
    quarters = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return recompressed(image.transpose(chance.choice(quarters)), chance, 90)


def cut_deep(image: Image.Image, chance: random.Random) -> Image.Image:
    """Up to 12 % gone at each of the four edges."""
    left, top, right, bottom = (round(chance.uniform(0, 0.12) * side) for side in (*image.size, *image.size))
    return recompressed(image.crop((left, top, image.width - right, image.height - bottom)), chance, 85)


PLANTED: dict[str, Change] = {
    "recompressed": recompressed,
    "scaled": halved,
    "cropped": cropped,
    "mirrored": flipped,
    "rotated": turned,
    "cut deep": cut_deep,
}


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
    assert found.unverified == 0
    return list(found.pairs)


@pytest.mark.parametrize("change", [recompressed, halved, cropped, trimmed, flipped, turned])
def test_a_copy_is_found_among_others(tmp_path, change):
    images = [scene(seed) for seed in range(30)]
    images.append(change(images[7], random.Random(1)))
    found = search(tmp_path, images)
    turn = {flipped: "mirrored", turned: "rotated"}.get(change, "")
    assert [(pair.a, pair.b, pair.turn) for pair in found] == [(7, 30, turn)]
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


def test_every_symmetry_of_the_square_is_found_and_named(tmp_path):
    images = [scene(seed) for seed in range(8)]
    kinds = {
        Image.Transpose.FLIP_LEFT_RIGHT: "mirrored",
        Image.Transpose.FLIP_TOP_BOTTOM: "mirrored",
        Image.Transpose.TRANSPOSE: "mirrored",
        Image.Transpose.TRANSVERSE: "mirrored",
        Image.Transpose.ROTATE_90: "rotated",
        Image.Transpose.ROTATE_180: "rotated",
        Image.Transpose.ROTATE_270: "rotated",
    }
    images += [recompressed(images[i].transpose(turn), random.Random(0), 90) for i, turn in enumerate(kinds)]
    found = search(tmp_path, images)
    assert [(pair.a, pair.b, pair.turn) for pair in found] == [(i, 8 + i, kind) for i, kind in enumerate(kinds.values())]


def groups_of(found: list[Pair], count: int) -> list[int]:
    """For each picture the least number of its group."""
    group = list(range(count))
    for pair in found:
        low, high = sorted((group[pair.a], group[pair.b]))
        group = [low if each == high else each for each in group]
    return group


def test_no_number_of_copies_hides_another(tmp_path):
    """Twelve recompressions, three crops of each of twelve pictures: noise with a shape on it. Twelve groups."""
    images, truth = [], []
    for number in range(12):
        noise = np.random.default_rng(number)
        image = Image.fromarray(noise.integers(40, 200, (200, 200, 3), dtype=np.uint8))
        x, y, side = (int(value) for value in noise.integers(5, 100, 3))
        ImageDraw.Draw(image).ellipse((x, y, x + side, y + side), tuple(int(value) for value in noise.integers(0, 255, 3)))
        images += [recompressed(image, random.Random(0), quality) for quality in range(40, 88, 4)]
        images += [recompressed(image.crop((cut, cut, 200 - cut, 200 - cut)), random.Random(0), 92) for cut in (4, 8, 10)]
        truth += [number * 15] * 15
    assert groups_of(search(tmp_path, images), len(images)) == truth


STEPS = (recompressed, halved, cropped, trimmed, flipped, turned)


def exported(seed: int, pictures: int, each: int) -> tuple[list[Image.Image], list[int]]:
    """As tools export augmented data sets: each picture and ``each`` chains of one to three changes of it, in random order."""
    chance = random.Random(seed)
    images, origins = [], []
    for number in range(pictures):
        original = scene(1000 * seed + number, *chance.choice([(240, 180), (180, 240), (200, 200)]))
        images.append(original)
        for _ in range(each):
            image = original
            for change in chance.sample(STEPS, chance.randint(1, 3)):
                image = change(image, chance)
            images.append(image)
        origins += [number] * (1 + each)
    order = chance.sample(range(len(images)), len(images))
    return [images[i] for i in order], [origins[i] for i in order]


@pytest.mark.promise(5)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_no_test_image_of_an_augmented_export_has_a_copy_in_train(tmp_path, seed):
    """Fails when each picture is compared with its nearest few only, or when copies are looked for in four of the eight
    SYMMETRIES.
    """
    images, origins = exported(seed, 20, 10)
    pairs = search(tmp_path, images)
    assert all(origins[pair.a] == origins[pair.b] for pair in pairs)
    widths = [{"source_width": image.width} for image in images]
    pictures = [SpooledItem(f"{i:040x}", 0, 1, "jpg", facts, True, i) for i, facts in enumerate(widths)]
    groups = group_copies(likenesses(pairs, pictures))
    entries = [
        IndexEntry(
            picture.id, f"{i}.jpg", f"{origins[i] % 2}", None, None, groups.get(picture.id),
            "shards/0.tar", 0, 1, "jpg",
        )
        for i, picture in enumerate(pictures)
    ]  # fmt: skip
    split = split_index(entries, {"train": 0.6, "validation": 0.2, "test": 0.2, "seed": seed, "classes": ["0", "1"]})
    parts = [{origins[int(entry.id, 16)] for entry in part} for part in (split.train, split.validation, split.test)]
    assert all(parts)
    assert not parts[2] & (parts[0] | parts[1])
    assert not parts[0] & parts[1]


def test_many_alike_take_a_fit_each_and_are_one_group(tmp_path, monkeypatch):
    """Not a fit for each pair: 150 near-identical pictures have 11,175."""
    fits = []
    monkeypatch.setattr(Likely, "fitted", lambda *args, fit=Likely.fitted: fits.append(1) or fit(*args))
    image = np.asarray(scene(3), dtype=float)
    noise = np.random.default_rng(0)
    alike = [Image.fromarray((image + noise.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)) for _ in range(150)]
    others = [scene(100 + seed) for seed in range(20)]
    found = search(tmp_path, [*others, *alike])
    assert groups_of(found, 170) == [*range(20), *[20] * 150]
    assert len(found) == 149
    assert len(fits) < 170


def test_one_place_with_other_things_in_it(tmp_path):
    """A camera that stands still: most are no copies of each other."""
    background, images = scene(1), []
    for seed in range(40):
        image = background.copy()
        chance = random.Random(seed)
        image.paste(scene(100 + seed, 100, 80), (chance.randint(0, 140), chance.randint(0, 100)))
        images.append(image)
    thumbnails = Thumbnails(tmp_path / "thumbnails.bin")
    for image in images:
        thumbnails.add(thumbnail(image))
    found = find_copies(thumbnails)
    worst = max(sum(pair.a == n or pair.b == n for pair in found.pairs) for n in range(40))
    assert worst < 20


def test_what_is_left_unverified_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.kinds.image.examination.MOST_FAILED", 0)
    monkeypatch.setattr("jobs.kinds.image.fitting.COPY", 2)
    thumbnails = Thumbnails(tmp_path / "thumbnails.bin")
    for image in (scene(1), recompressed(scene(1), random.Random(0))):
        thumbnails.add(thumbnail(image))
    found = find_copies(thumbnails)
    assert found == Copies((), 1)
    assert "Not compared to the end: 1 pairs" in method_of(found, 0)


def test_blocks_do_not_matter(tmp_path, monkeypatch):
    images = [scene(seed) for seed in range(40)]
    images += [change(images[i], random.Random(i)) for i, change in enumerate(PLANTED.values())]
    whole = search(tmp_path, images)
    assert len(whole) == len(PLANTED)
    monkeypatch.setattr("jobs.kinds.image.candidates.ROWS", 7)
    monkeypatch.setattr("jobs.kinds.image.near_duplicates.ROWS", 7)
    monkeypatch.setattr("jobs.kinds.image.candidates.COLUMNS", 11)
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


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_turned_picture_has_the_turned_spectrum(symmetry):
    picture = np.random.default_rng(0).random((SIDE, SIDE))
    turned = picture.T if symmetry.transposed else picture
    turned = turned[:, ::-1] if symmetry.mirrored else turned
    turned = turned[::-1] if symmetry.flipped else turned
    spectrum = Spectrum(48, 24)
    assert np.allclose(spectrum(turned), symmetry(spectrum(picture)))


def test_names_of_the_symmetries():
    assert [symmetry.name for symmetry in SYMMETRIES].count("mirrored") == 4
    assert [symmetry.name for symmetry in SYMMETRIES].count("rotated") == 3
    assert Symmetry().name == ""


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
    assert found.total() >= 0.98 * 25 * len(PLANTED), found
    assert others == []


@pytest.mark.shared
@pytest.mark.slow
def test_planted_copies_among_5000_photographs(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    photographs = sorted(shared_data("data/dogs-vs-cats").glob("*/*.jpg"))
    found, others = search_photographs(tmp_path, photographs, 25)
    assert found.total() >= 0.98 * 25 * len(PLANTED), found
    names = {tuple(sorted(photographs[n].name for n in (pair.a, pair.b) if n < len(photographs))) for pair in others}
    assert names == {("dog.180.jpg", "dog.74.jpg"), ("dog.1273.jpg", "dog.980.jpg")}  # true copies, looked at
