"""Pictures: what may be set of how they are fed and varied, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT, fed_shape, mismatch
from tlbatch.kinds.entry import Kind
from tlbatch.nouns import IMAGES
from tlbatch.schema.base import Fraction, Part, Positive

SMALL_INPUT = 64
"""Images up to this many pixels a side are trained on one core: two such tasks side by side beat one on two cores."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


class Normalize(Part):
    """(pixel / 255 - mean) / std per channel, in RGB order."""

    mean: Annotated[tuple[float, float, float], Field(description="of red, green and blue, between 0 and 1")]
    std: Annotated[tuple[Positive, Positive, Positive], Field(description="of red, green and blue")]


class Input(Part):
    """How a network is fed. What is not said is as the weights were trained (for scratch CNNs: squash, bilinear, unit)."""

    size: Annotated[int, Field(ge=8, le=2048)] | None = Field(default=None, description="side of the square in pixels")
    resize: Literal["crop", "squash", "pad"] | None = Field(
        default=None, description="crop: shorter side, then the centre; squash: both sides, aspect ratio not kept"
    )
    crop: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="with crop: centre share of the resized side"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = Field(
        default=None, description="how pixels are made when an image is resized"
    )
    normalize: Literal["unit", "imagenet", "symmetric", "caffe"] | Normalize | None = Field(
        default=None,
        description="unit: [0, 1]; symmetric: [-1, 1]; imagenet: mean/std; caffe: BGR minus the mean, 0-255",
    )
    grayscale: bool = Field(default=False, description="images in grey")


class Augmentation(Part):
    """Random changes of training images, drawn per image and epoch, applied in batches. Fields as in Keras' generator."""

    zoom: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="per axis from U(1-z, 1+z), output to input")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(default=0.0, description="degrees, U(-r, r)")
    shift: Fraction = Field(default=0.0, description="share of height and width, U(-s, s)")
    shear: Annotated[float, Field(ge=0)] = Field(default=0.0, description="angle, U(-s, s), in the unit below")
    shear_unit: Literal["degrees", "radians"] = Field(default="degrees", description="radians: as in Keras before 2.1.3")
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(default="none", description="mirrored, one time in two")
    fill: Literal["nearest", "constant", "reflect"] = Field(default="nearest", description="what lies beyond the image's edge")
    brightness: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="factor from U(1-b, 1+b)")
    contrast: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="factor from U(1-c, 1+c)")
    erase: Fraction = Field(default=0.0, description="probability of erasing a random rectangle")


def resolve_input(said: Input, own: Mapping[str, Any]) -> dict[str, Any]:
    """The full input parameters of a run: ``own`` (the weights' or SCRATCH_INPUT) with what the study says on top. Pure."""
    resolved = {name: own.get(name, SCRATCH_INPUT[name]) for name in SCRATCH_INPUT}
    for name in ("size", "resize", "crop", "interpolation"):
        value = getattr(said, name)
        if value is not None:
            resolved[name] = value
    if said.resize is not None and said.resize != "crop":
        resolved["crop"] = 1.0
    if said.grayscale:
        resolved["grayscale"] = True
    if isinstance(said.normalize, Normalize):
        resolved |= {"mean": list(said.normalize.mean), "std": list(said.normalize.std), "channels": "rgb", "scale": "unit"}
    elif said.normalize is not None:
        resolved |= NORMALIZATIONS[said.normalize]
    return resolved


def item_bytes(input: Mapping[str, Any]) -> int:
    """As uint8."""
    return math.prod(fed_shape(input))


def describe(input: Mapping[str, Any]) -> str:
    return f"{input['size']} {input['resize']}, {input['interpolation']}"


def phrase(input: Mapping[str, Any]) -> str:
    how = {"crop": f"resized and cropped to {input['crop']:g}", "squash": "squashed"}.get(
        str(input.get("resize")), str(input.get("resize"))
    )
    colour = "grey" if input.get("grayscale") else str(input.get("channels", "rgb")).upper()
    return f"{input['size']}×{input['size']}, {how}, {input.get('interpolation')}, {colour}"


def scaling(input: Mapping[str, Any]) -> str:
    mean, std = input.get("mean"), input.get("std")
    if mean == [0.0] * 3 and std == [1.0] * 3:
        return "pixels in [0, 1]" if input.get("scale") == "unit" else "pixels in [0, 255]"
    shown = [", ".join(f"{float(value):.3f}" for value in values) for values in (mean or [], std or [])]
    return f"mean {shown[0]}, std {shown[1]}"


IMAGE = Kind(
    name="image",
    title="pictures: JPEG, PNG, WebP, TIFF and more",
    **asdict(IMAGES),
    items_program="jobs.kinds.image.items:IMAGE",
    feed_program="jobs.kinds.image.feed:FEED",
    suffixes=SUFFIXES,
    input=Input,
    defaults=SCRATCH_INPUT,
    resolve=resolve_input,
    shape=fed_shape,
    item_bytes=item_bytes,
    measure=lambda input: str(input["size"]),
    small=lambda input: int(input["size"]) <= SMALL_INPUT,
    differences=mismatch,
    describe=describe,
    phrase=phrase,
    scaling=scaling,
)
