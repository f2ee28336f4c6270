"""How images are fed: the normalisations, and in words how one way differs from another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)

SCRATCH_INPUT: dict[str, Any] = {
    "size": 150,
    "resize": "squash",
    "crop": 1.0,
    "interpolation": "bilinear",
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
    "channels": "rgb",
    "scale": "unit",
    "grayscale": False,
}
"""What a scratch CNN is fed where the study says nothing: the reference study's 150 pixels, in [0, 1]."""

NORMALIZATIONS: dict[str, dict[str, Any]] = {
    "unit": {"mean": [0.0] * 3, "std": [1.0] * 3, "channels": "rgb", "scale": "unit"},
    "symmetric": {"mean": [0.5] * 3, "std": [0.5] * 3, "channels": "rgb", "scale": "unit"},
    "imagenet": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD), "channels": "rgb", "scale": "unit"},
    "caffe": {"mean": list(CAFFE_MEAN_RGB[::-1]), "std": [1.0] * 3, "channels": "bgr", "scale": "byte"},
}
"""``unit`` feeds (pixel / 255 - mean) / std, ``byte`` (pixel - mean) / std; the means are in the order of ``channels``."""


def fed_shape(input: Mapping[str, Any]) -> tuple[int, ...]:
    """Of one item as a network is fed, without the batch: (channels, height, width). Pure."""
    return (1 if input.get("grayscale") else 3, int(input["size"]), int(input["size"]))


def mismatch(resolved: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """In words, how images are fed differently from what the weights were trained with; empty where alike. Pure."""
    differences = []
    names = {"size": "size", "resize": "resize", "interpolation": "interpolation", "grayscale": "grayscale"}
    for name, word in names.items():
        if name in own and resolved[name] != own[name]:
            differences.append(f"{word} {_show(resolved[name])} instead of {_show(own[name])}")
    if resolved["resize"] == own.get("resize") == "crop" and resolved["crop"] != own.get("crop", resolved["crop"]):
        differences.append(f"crop {resolved['crop']:g} instead of {own['crop']:g}")
    if any(resolved[name] != own[name] for name in ("mean", "std", "channels", "scale") if name in own):
        differences.append(f"pixels {_pixels(resolved)} instead of {_pixels(own)}")
    return differences


def _show(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _pixels(settings: Mapping[str, Any]) -> str:
    for name, values in NORMALIZATIONS.items():
        if all(settings.get(key) == value for key, value in values.items()):
            return {"unit": "in [0, 1]", "symmetric": "in [-1, 1]", "imagenet": "standardised as for ImageNet"}.get(
                name, "as BGR minus the mean (Caffe)"
            )
    return f"minus {settings.get('mean')} over {settings.get('std')}"
