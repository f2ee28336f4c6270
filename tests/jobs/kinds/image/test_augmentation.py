"""The batched augmentation against keras-preprocessing, and its own promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from jobs.kinds.image.augmentation import Parameters, apply, draw

RECIPE = {"zoom": 0.3, "rotate": 50, "shift": 0.2, "shear": 0.2, "flip": "horizontal", "fill": "nearest"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(n: int, height: int, width: int) -> torch.Tensor:
    """Smooth pictures with edges, float 0..255."""
    noise = torch.rand((n, 3, 9, 9), generator=generator(1)) * 255
    smooth = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic", align_corners=False).clamp(0, 255)
    smooth[:, :, height // 3 : height // 2, width // 4 : width // 2] = 250
    return smooth


def keras_apply(image: torch.Tensor, p: Parameters, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """One image [c, h, w] through the reference."""
    from keras_preprocessing.image import affine_transformations as reference

    if not hasattr(ndimage, "interpolation") or not hasattr(ndimage.interpolation, "affine_transform"):
        namespace = type("Interpolation", (), {"affine_transform": staticmethod(ndimage.affine_transform)})
        monkeypatch.setattr(ndimage, "interpolation", namespace, raising=False)  # gone from newer scipy releases
    array = reference.apply_affine_transform(
        image.permute(1, 2, 0).numpy(),
        theta=float(p.rotate[0]),
        tx=float(p.shift_rows[0]),
        ty=float(p.shift_columns[0]),
        shear=float(torch.rad2deg(p.shear[0])),
        zx=float(p.zoom_rows[0]),
        zy=float(p.zoom_columns[0]),
        fill_mode=p.fill,
    )
    if p.flip_horizontal[0]:
        array = array[:, ::-1]
    if p.flip_vertical[0]:
        array = array[::-1]
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("fill", "shear_unit"), [("nearest", "degrees"), ("constant", "degrees"), ("reflect", "radians")])
def test_200_drawn_sets_equal_keras(fill: str, shear_unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photographs(4, 61, 50).repeat(50, 1, 1, 1)
    settings = {**RECIPE, "fill": fill, "flip": "both", "shear": 12 if shear_unit == "degrees" else 0.2}
    settings["shear_unit"] = shear_unit
    parameters = draw(settings, 200, generator(), (61, 50))
    ours = apply(images, parameters)
    worst = 0.0
    for i in range(200):
        theirs = keras_apply(images[i], parameters[i : i + 1], monkeypatch)
        worst = max(worst, float((ours[i] - theirs).abs().mean()))
    assert worst < 2.0  # of 255


def test_bytes_and_floats_agree_and_a_seed_decides() -> None:
    images = photographs(8, 32, 32).round()
    first = draw({**RECIPE, "brightness": 0.2, "contrast": 0.2, "erase": 0.5}, 8, generator(3), 32)
    again = draw({**RECIPE, "brightness": 0.2, "contrast": 0.2, "erase": 0.5}, 8, generator(3), 32)
    floats, uint8 = apply(images, first), apply(images.to(torch.uint8), again)
    assert uint8.dtype == torch.uint8
    assert float((floats - uint8.float()).abs().max()) <= 0.5 + 1e-3
    assert torch.equal(apply(images, again), floats)
    assert not torch.equal(apply(images, draw(RECIPE, 8, generator(4), 32)), floats)


def test_nothing_asked_for_changes_nothing() -> None:
    images = photographs(4, 20, 30).to(torch.uint8)
    assert torch.equal(apply(images, draw({}, 4, generator(), (20, 30))), images)


def test_draws_lie_in_their_ranges_and_one_setting_does_not_shift_another() -> None:
    all_on = draw({**RECIPE, "erase": 1.0}, 2000, generator(), (100, 200))
    assert float(all_on.rotate.abs().max()) <= 50
    assert 19 < float(all_on.shift_rows.abs().max()) <= 20
    assert 38 < float(all_on.shift_columns.abs().max()) <= 40
    assert 0.7 <= float(all_on.zoom_rows.min()) < 0.71
    assert not torch.equal(all_on.zoom_rows, all_on.zoom_columns)
    assert 0.45 < float(all_on.flip_horizontal.double().mean()) < 0.55
    assert not bool(all_on.flip_vertical.any())
    alone = draw({"rotate": 50}, 2000, generator(), (100, 200))
    assert torch.equal(alone.rotate, all_on.rotate)


def test_flips_alone_move_pixels_exactly() -> None:
    images = photographs(16, 12, 12).to(torch.uint8)
    parameters = draw({"flip": "both"}, 16, generator(), 12)
    changed = apply(images, parameters)
    for i in range(16):
        expected = images[i]
        expected = expected.flip(2) if parameters.flip_horizontal[i] else expected
        expected = expected.flip(1) if parameters.flip_vertical[i] else expected
        assert torch.equal(changed[i], expected)


def test_erase_covers_a_share_of_each_image() -> None:
    images = torch.full((50, 3, 40, 40), 300.0)
    share = (apply(images, draw({"erase": 1.0}, 50, generator(), 40)) != 300).any(dim=1).double().mean(dim=(1, 2))
    assert float(share.min()) > 0.01
    assert float(share.max()) < 0.4


def test_counts_must_agree() -> None:
    with pytest.raises(ValueError, match="4 images"):
        apply(photographs(4, 8, 8), draw({}, 3, generator(), 8))
