"""Random changes of training images: drawn per image, applied to whole batches on whatever device the batch is on.

The geometry is keras-preprocessing's ``apply_affine_transform`` (order 1), the executable reference of the 2018 recipes:
an output pixel (row, column) reads the input at ``M @ (row, column, 1)`` with M = rotation · translation · shear · zoom about
the centre, and that library's centre is ``side / 2 + 0.5``. One bilinear look-up does all of it, flips included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

FILLS = ("nearest", "constant", "reflect")
ERASE_AREA = (0.02, 0.33)  # share of the image; Zhong et al., Random Erasing Data Augmentation (2017)
ERASE_ASPECT = (0.3, 3.3)
_EDGE = 1e-3  # pixels that rounding may put a coordinate outside the image without its counting as outside
_UNIFORMS = 18  # random numbers an image uses, whatever is switched on: a setting does not shift the others' draws


@dataclass(frozen=True)
class Parameters:
    """What happens to each of n images. Tensors of n entries, float64 unless said otherwise.

    ``rotate`` degrees; ``shift_rows``, ``shift_columns`` pixels; ``shear`` radians; ``zoom_*`` output to input (above 1
    shrinks); ``flip_*`` bool, after the rest; ``brightness``, ``contrast`` factors; ``erase`` [n, 4] rows and columns from,
    to (float shares of the side; an empty box erases nothing); ``erase_colour`` [n, 3] shares of white.
    """

    rotate: Tensor
    shift_rows: Tensor
    shift_columns: Tensor
    shear: Tensor
    zoom_rows: Tensor
    zoom_columns: Tensor
    flip_horizontal: Tensor
    flip_vertical: Tensor
    brightness: Tensor
    contrast: Tensor
    erase: Tensor
    erase_colour: Tensor
    fill: str = "nearest"

    def __len__(self) -> int:
        return len(self.rotate)

    def __getitem__(self, rows: slice | Tensor) -> Parameters:
        """Those of some of the images."""
        tensors = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "fill"}
        return Parameters(**tensors, fill=self.fill)

    @property
    def is_affine(self) -> bool:
        """Whether any image needs the look-up (flips alone do not)."""
        still = torch.stack([self.rotate, self.shift_rows, self.shift_columns, self.shear])
        zoom = torch.stack([self.zoom_rows, self.zoom_columns])
        return bool((still != 0).any() or (zoom != 1).any())


def draw(augmentation: Mapping[str, Any], n: int, generator: torch.Generator, size: int | tuple[int, int]) -> Parameters:
    """Parameters for n images of ``size`` (height, width; or one side) from an augmentation's settings (spec.model's names).

    Deterministic by the generator's state (a CPU generator), of which it takes the same amount whatever is switched on.
    """
    height, width = (size, size) if isinstance(size, int) else size
    u = torch.rand((n, _UNIFORMS), generator=generator, dtype=torch.float64)

    def around(column: int, key: str) -> Tensor:
        reach = float(augmentation.get(key) or 0.0)
        return (2 * u[:, column] - 1) * reach

    shear = around(3, "shear")
    flip = augmentation.get("flip") or "none"
    return Parameters(
        rotate=around(0, "rotate"),
        shift_rows=around(1, "shift") * height,
        shift_columns=around(2, "shift") * width,
        shear=shear if augmentation.get("shear_unit") == "radians" else torch.deg2rad(shear),
        zoom_rows=1 + around(4, "zoom"),
        zoom_columns=1 + around(5, "zoom"),
        flip_horizontal=(u[:, 6] < 0.5) & (flip in ("horizontal", "both")),
        flip_vertical=(u[:, 7] < 0.5) & (flip in ("vertical", "both")),
        brightness=1 + around(8, "brightness"),
        contrast=1 + around(9, "contrast"),
        erase=_erase_boxes(u[:, 10:14], u[:, 17], float(augmentation.get("erase") or 0.0)),
        erase_colour=u[:, 14:17],
        fill=str(augmentation.get("fill") or "nearest"),
    )


def _erase_boxes(u: Tensor, chance: Tensor, probability: float) -> Tensor:
    """[n, 4] top, bottom, left, right as shares of the side; empty where the image is spared."""
    area = ERASE_AREA[0] + u[:, 0] * (ERASE_AREA[1] - ERASE_AREA[0])
    low, high = math.log(ERASE_ASPECT[0]), math.log(ERASE_ASPECT[1])
    aspect = torch.exp(low + u[:, 1] * (high - low))
    high_side, wide_side = torch.sqrt(area * aspect).clamp(max=1.0), torch.sqrt(area / aspect).clamp(max=1.0)
    top, left = u[:, 2] * (1 - high_side), u[:, 3] * (1 - wide_side)
    boxes = torch.stack([top, top + high_side, left, left + wide_side], dim=1)
    return boxes * (chance < probability).unsqueeze(1)


def apply(images: Tensor, parameters: Parameters) -> Tensor:
    """``images`` [n, c, h, w] in 0..255, uint8 or float, changed; same type, shape and device. Pure.

    Raises ValueError when the number of images and of parameters differ.
    """
    if len(images) != len(parameters):
        raise ValueError(f"{len(images)} images, but parameters for {len(parameters)}")
    changed = _affine(images.float(), parameters) if parameters.is_affine else _flip(images, parameters)
    changed = _colours(changed, parameters)
    changed = _erase(changed, parameters)
    if images.dtype == torch.uint8 and changed.dtype != torch.uint8:
        return changed.round_().clamp_(0, 255).to(torch.uint8)
    return changed.to(images.dtype)


def _flip(images: Tensor, parameters: Parameters) -> Tensor:
    for flips, dim in ((parameters.flip_horizontal, 3), (parameters.flip_vertical, 2)):
        if bool(flips.any()):
            images = torch.where(flips.to(images.device).view(-1, 1, 1, 1), images.flip(dim), images)
    return images


def matrices(parameters: Parameters, height: int, width: int) -> Tensor:
    """[n, 2, 3] float64: output (row, column, 1) to input (row, column), in pixels."""
    p = parameters
    theta = torch.deg2rad(p.rotate)
    zero, one = torch.zeros_like(theta), torch.ones_like(theta)
    centre = (height / 2 + 0.5, width / 2 + 0.5)
    rotation = _square([torch.cos(theta), -torch.sin(theta), zero, torch.sin(theta), torch.cos(theta), zero])
    shift = _square([one, zero, p.shift_rows, zero, one, p.shift_columns])
    shear = _square([one, -torch.sin(p.shear), zero, zero, torch.cos(p.shear), zero])
    zoom = _square([p.zoom_rows, zero, zero, zero, p.zoom_columns, zero])
    to_centre = _square([one, zero, one * centre[0], zero, one, one * centre[1]])
    from_centre = _square([one, zero, -one * centre[0], zero, one, -one * centre[1]])
    down, across = 1 - 2 * p.flip_vertical.double(), 1 - 2 * p.flip_horizontal.double()  # the flip reads the finished output
    flip = _square([down, zero, (height - 1) * p.flip_vertical, zero, across, (width - 1) * p.flip_horizontal])
    return (to_centre @ rotation @ shift @ shear @ zoom @ from_centre @ flip)[:, :2]


def _square(entries: list[Tensor]) -> Tensor:
    """[n, 3, 3] from the first two rows' entries."""
    rows = torch.stack([entry.double() for entry in entries], dim=1).view(-1, 2, 3)
    last = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(len(rows), 1, 3)
    return torch.cat([rows, last], dim=1)


def _affine(images: Tensor, parameters: Parameters) -> Tensor:
    n, _, height, width = images.shape
    matrix = matrices(parameters, height, width).to(images.device, torch.float32)
    row = torch.arange(height, device=images.device, dtype=torch.float32).view(1, height, 1)
    column = torch.arange(width, device=images.device, dtype=torch.float32).view(1, 1, width)
    m = matrix.view(n, 6, 1, 1)
    rows = m[:, 0] * row + m[:, 1] * column + m[:, 2]
    columns = m[:, 3] * row + m[:, 4] * column + m[:, 5]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=3)
    padding = "reflection" if parameters.fill == "reflect" else "border"
    result = functional.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    if parameters.fill == "constant":  # scipy does not interpolate towards the constant: what lies outside is black
        inside = (rows >= -_EDGE) & (rows <= height - 1 + _EDGE) & (columns >= -_EDGE) & (columns <= width - 1 + _EDGE)
        result = result * inside.unsqueeze(1)
    return result


def _colours(images: Tensor, parameters: Parameters) -> Tensor:
    if bool((parameters.brightness != 1).any()):
        factor = parameters.brightness.to(images.device, torch.float32).view(-1, 1, 1, 1)
        images = (images.float() * factor).clamp_(0, 255)
    if bool((parameters.contrast != 1).any()):
        factor = parameters.contrast.to(images.device, torch.float32).view(-1, 1, 1, 1)
        images = images.float()
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = ((images - mean) * factor + mean).clamp_(0, 255)
    return images


def _erase(images: Tensor, parameters: Parameters) -> Tensor:
    if not bool((parameters.erase[:, 1] > parameters.erase[:, 0]).any()):
        return images
    _, channels, height, width = images.shape
    box = parameters.erase.to(images.device)
    rows = (torch.arange(height, device=images.device, dtype=torch.float64) + 0.5) / height
    columns = (torch.arange(width, device=images.device, dtype=torch.float64) + 0.5) / width
    in_rows = (rows >= box[:, :1]) & (rows < box[:, 1:2])
    in_columns = (columns >= box[:, 2:3]) & (columns < box[:, 3:4])
    inside = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1)
    colour = (parameters.erase_colour[:, :channels] * 255).round().to(images.device, images.dtype)
    return torch.where(inside, colour.view(len(images), channels, 1, 1), images)
