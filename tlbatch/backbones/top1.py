"""Top-1 accuracy on ImageNet's validation images as published with the weights: the baseline that advice is held against.

``top1.json``: torchvision's own figures (its weights' metadata), EfficientNet-Lite's by its authors' table (Google's TPU
repository), Xception's by timm's. In per cent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def _published() -> dict[str, list[tuple[str, float]]]:
    text = resources.files("tlbatch.backbones").joinpath("top1.json").read_text(encoding="utf-8")
    document: dict[str, list[tuple[str, float]]] = json.loads(text)
    return document


def published_top1(backbone: str | None, weights: Mapping[str, Any]) -> tuple[float | None, str]:
    """Per cent, and the weights that it was published for where these are others of the same architecture, else "".

    ``weights`` as a plan has them. (None, "") where nothing was published.
    """
    known = _published().get(backbone or "", [])
    if not known or weights["kind"] in ("random", "none", "run"):
        return None, ""
    for name, value in known:
        if weights.get("name") == name:
            return value, ""
    return known[-1][1], known[-1][0]
