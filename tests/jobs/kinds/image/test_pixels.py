"""Pixels as the weights want them: held against torchvision's transforms on PIL images, against PIL and Caffe's formula."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from jobs.kinds.image import pixels
from jobs.kinds.image.pixels import _cropped, decode, load_pixels, normaliser, resize
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT
from tlbatch.errors import DataError

SIZES = [(320, 200), (201, 333), (224, 224), (97, 150), (64, 511), (500, 37)]
BYTE = 255.0


def settings(**said: Any) -> dict[str, Any]:
    return {**SCRATCH_INPUT, **said}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some grain, as a photograph has."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_array(pixels: torch.Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).numpy()


def reopened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.promise(4)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_crop_is_torchvisions_resize_and_centre_crop(size: tuple[int, int], interpolation: str) -> None:
    """Fails when the picture is resized to the size that is fed, and nothing cut off."""
    content = encoded(picture(*size), quality=90)
    mode = v2.InterpolationMode(interpolation)
    expected = reference.center_crop(reference.resize(reopened(content), [256], interpolation=mode), [224, 224])
    found = as_array(load_pixels(content, settings(size=224, resize="crop", crop=0.875, interpolation=interpolation)))
    difference = np.abs(found.astype(int) - np.asarray(expected).astype(int))
    assert found.shape == (224, 224, 3)
    assert difference.mean() < 0.3
    assert difference.max() <= 3


@pytest.mark.parametrize(("size", "crop", "resized"), [(224, 224 / 232, 232), (299, 299 / 342, 342), (224, 0.875, 256)])
def test_the_weights_own_resize_is_met_to_the_pixel(size: int, crop: float, resized: int) -> None:
    content = encoded(picture(400, 300))
    expected = reference.center_crop(reference.resize(reopened(content), [resized]), [size, size])
    found = as_array(load_pixels(content, settings(size=size, resize="crop", crop=crop)))
    assert np.abs(found.astype(int) - np.asarray(expected).astype(int)).mean() < 0.3


@pytest.mark.parametrize("side", [32, 150, 224, 331])
@pytest.mark.parametrize("size", SIZES)
def test_nearest_takes_the_very_pixels_that_pil_takes(size: tuple[int, int], side: int) -> None:
    content = encoded(picture(*size))
    expected = reopened(content).resize((side, side), Image.Resampling.NEAREST)
    found = load_pixels(content, settings(size=side, resize="squash", interpolation="nearest"))
    assert np.array_equal(as_array(found), np.asarray(expected))


def test_nearest_is_pils_for_every_length() -> None:
    for before in range(5, 400, 7):
        line = Image.fromarray(np.arange(before, dtype=np.int32).reshape(1, -1), mode="I")
        wide = torch.arange(before).view(1, 1, -1)
        for after in (1, 2, 31, 150, 223, 224, 299):
            expected = np.asarray(line.resize((after, 1), Image.Resampling.NEAREST))[0]
            assert np.array_equal(resize(wide, 1, after, "nearest")[0, 0].numpy(), expected), (before, after)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_how_channels_lie_in_memory_changes_no_pixel(interpolation: str, channels: int) -> None:
    chance = np.random.default_rng(0)
    for _ in range(60):
        before, after = chance.integers(1, 300, 2), chance.integers(1, 300, 2)
        beside = torch.from_numpy(chance.integers(0, 256, (*before, channels), np.uint8)).permute(2, 0, 1)
        part = beside[:, before[0] // 4 :, before[1] // 3 :]  # of a wider picture
        for given in (beside, part):
            found = resize(given, int(after[0]), int(after[1]), interpolation)
            assert torch.equal(found, resize(given.contiguous(), int(after[0]), int(after[1]), interpolation))


def test_squash_ignores_the_aspect_ratio() -> None:
    content = encoded(picture(320, 200))
    expected = np.asarray(reopened(content).resize((150, 150), Image.Resampling.BILINEAR)).astype(int)
    found = as_array(load_pixels(content, settings(size=150, resize="squash"))).astype(int)
    assert np.abs(found - expected).mean() < 0.3


def test_padding_keeps_the_whole_picture_and_is_black() -> None:
    content = encoded(Image.new("RGB", (200, 100), (250, 250, 250)))
    found = as_array(load_pixels(content, settings(size=64, resize="pad")))
    assert found[16:48].min() > 245
    assert found[:16].max() == 0
    assert found[48:].max() == 0


def test_grayscale_is_pils_brightness() -> None:
    content = encoded(picture(64, 64), "PNG")
    found = load_pixels(content, settings(size=64, grayscale=True))
    assert found.shape == (1, 64, 64)
    assert np.array_equal(found[0].numpy(), np.asarray(reopened(content).convert("L")))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_is_decoded_as_pil_decodes_it(subsampling: int, mode: str, progressive: bool) -> None:
    """Of every size modulo the blocks that colours share."""
    for width, height, quality in ((97, 53, 90), (64, 48, 75), (33, 1, 100), (1, 7, 10), (16, 17, 95)):
        said = {"quality": quality, "progressive": progressive} | ({"subsampling": subsampling} if mode == "RGB" else {})
        content = encoded(picture(width, height).convert(mode), "JPEG", **said)
        assert decode(content).permute(1, 2, 0).numpy().tobytes() == np.asarray(reopened(content).convert("RGB")).tobytes()


def test_plain_jpeg_files_are_not_pils_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "_rgb", None)
    assert decode(encoded(picture(40, 30))).shape == (3, 30, 40)


def test_jpeg_is_the_same_where_torchvisions_library_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(picture(97, 53))
    found = decode(content)
    monkeypatch.setattr(pixels, "_jpeg_decoder", lambda: None)
    assert torch.equal(decode(content), found)


def test_damaged_jpeg_files_are_what_pil_makes_of_them() -> None:
    """Bytes changed and cut off, those that end a picture among them: the pixels of PIL, or no picture to either."""
    content = encoded(picture(97, 53))
    for change in range(2, len(content), 29):
        changed = content[:change] + bytes([content[change] ^ 0x55]) + content[change + 1 :]
        for damaged in (changed, content[:change], content[:-1]):
            try:
                expected = np.asarray(reopened(damaged).convert("RGB")).tobytes()
            except (OSError, SyntaxError, ValueError):
                with pytest.raises(DataError):
                    decode(damaged)
            else:
                assert decode(damaged).permute(1, 2, 0).numpy().tobytes() == expected


def test_grey_files_give_three_channels() -> None:
    grey = picture(40, 30).convert("L")
    for kind in ("JPEG", "PNG"):
        found = decode(encoded(grey, kind))
        assert found.shape == (3, 30, 40)
        assert torch.equal(found[0], found[2])


def test_cmyk_is_what_pil_makes_of_it() -> None:
    content = encoded(picture(40, 30).convert("CMYK"))
    assert np.array_equal(as_array(decode(content)), np.asarray(reopened(content)))


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: what is stored as 40x30 is shown as 30x40
    content = encoded(picture(40, 30), exif=exif)
    plain = decode(encoded(picture(40, 30)))
    assert decode(content).shape == (3, 40, 30)
    assert torch.equal(decode(content), plain.rot90(-1, (1, 2)))


def test_transparent_pixels_are_white() -> None:
    found = decode(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG"))
    assert found.min() == 255


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0 broken"])
def test_bytes_that_are_no_image_are_a_sentence(content: bytes) -> None:
    with pytest.raises(DataError, match="does not decode"):
        decode(content)


# -- what the network is fed ------------------------------------------------------------------------------------------------


def test_unit_scale_is_zero_to_one() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    fed = normaliser(settings(**NORMALIZATIONS["unit"]))(pixels)
    assert fed.dtype == torch.float32
    assert torch.equal(fed[0, :, 0], torch.tensor([[0.0, 1.0]]).expand(3, 2))


def test_imagenet_is_torchvisions_normalize() -> None:
    pixels = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    values = NORMALIZATIONS["imagenet"]
    expected = reference.normalize(pixels / BYTE, values["mean"], values["std"])
    assert torch.allclose(normaliser(settings(**values))(pixels), expected, atol=1e-5)


@pytest.mark.promise(4)
def test_caffe_is_bgr_minus_the_mean_in_bytes() -> None:
    """Fails when the order of the channels is not turned round."""
    pixels = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)  # red, green, blue
    fed = normaliser(settings(**NORMALIZATIONS["caffe"]))(pixels).flatten()
    assert torch.allclose(fed, torch.tensor([30 - 103.939, 20 - 116.779, 10 - 123.68]), atol=1e-4)


def test_float_and_uint8_pixels_are_fed_alike() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    normalise = normaliser(settings(**NORMALIZATIONS["symmetric"]))
    assert torch.equal(normalise(pixels), normalise(pixels.float()))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_stored_pixels_are_fed_as_one_multiplication_and_addition_at_once(name: str) -> None:
    """Every value of every channel has the bits that torch's addcmul gives it, which is what floats go through."""
    stored = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 3, 1)
    feed = normaliser(settings(**NORMALIZATIONS[name]))
    assert torch.equal(feed(stored), feed(stored.float()))
    assert torch.equal(stored, torch.arange(256, dtype=torch.uint8).repeat(2, 3, 3, 1))


def test_one_grey_channel_stays_one_unless_the_channels_differ() -> None:
    grey = torch.full((2, 1, 4, 4), 128, dtype=torch.uint8)
    assert normaliser(settings(grayscale=True))(grey).shape == (2, 1, 4, 4)
    fed = normaliser(settings(grayscale=True, **NORMALIZATIONS["imagenet"]))(grey)
    assert torch.equal(fed, normaliser(settings(**NORMALIZATIONS["imagenet"]))(grey.expand(2, 3, 4, 4)))


@pytest.mark.shared
def test_photographs_are_fed_as_by_the_weights_own_transforms(shared_data: Callable[[str], Path]) -> None:
    from torchvision.models import MobileNet_V2_Weights

    own = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    said = settings(size=224, resize="crop", crop=0.875, **NORMALIZATIONS["imagenet"])
    for path in sorted(shared_data("data/dogs-vs-cats/cat").iterdir())[:20]:
        found = normaliser(said)(load_pixels(path.read_bytes(), said).unsqueeze(0))[0]
        expected = own(Image.open(path).convert("RGB"))
        assert float((found - expected).abs().mean()) < 0.3 / BYTE / 0.225


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "crop"), [(90, 4000, 0.8), (4001, 90, 0.8), (300, 301, 0.05), (12, 2400, 1.0)])
def test_a_large_resized_picture_is_not_made_whole(monkeypatch, interpolation, height, width, crop):
    """Only its centre is; within rounding the pixels are those of the whole one."""
    levels = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    levels = functional.avg_pool2d(levels.float(), 5, 1, 2).to(torch.uint8)
    whole = _cropped(levels, 96, crop, interpolation)
    made: list[int] = []
    monkeypatch.setattr("jobs.kinds.image.pixels.MOST_RESIZED", 96 * 96)

    def measured(pixels, h, w, mode):
        made.append(h * w)
        return resize(pixels, h, w, mode)

    monkeypatch.setattr("jobs.kinds.image.pixels.resize", measured)
    part = _cropped(levels, 96, crop, interpolation)
    assert part.shape == whole.shape == (3, 96, 96)
    assert (part.int() - whole.int()).abs().float().mean() < 6
    assert made[0] <= (96 / crop) ** 2 * 4.5


def test_decoding_leaves_the_processs_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads decode while another follows a network: what one puts back would be what another had silenced."""

    def refuse(**_: Any) -> None:
        raise AssertionError("catch_warnings is not for threads")

    monkeypatch.setattr("warnings.catch_warnings", refuse)
    assert decode(encoded(picture(20, 20))).shape == (3, 20, 20)
