"""Code for those who use the files without tlbatch: PIL, numpy and onnxruntime. Tests run what this writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESIZE = {
    "crop": """\
    short = fed["shorter_side"]
    image = image.resize([int(short * side / min(image.size)) for side in image.size], filter)
    left, top = (round((side - size) / 2) for side in image.size)
    image = image.crop((left, top, left + size, top + size))
""",
    "squash": """\
    image = image.resize((size, size), filter)
""",
    "pad": """\
    image = image.resize([max(1, round(side * size / max(image.size))) for side in image.size], filter)
    square = Image.new(image.mode, (size, size))
    square.paste(image, tuple((size - side) // 2 for side in image.size))
    image = square
""",
}
START = """\
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

card = json.load(open("model.json"))
session = onnxruntime.InferenceSession("model.onnx")


def pixels(path):
    fed, image = card["input"], ImageOps.exif_transpose(Image.open(path)).convert("{mode}")
    size, filter = fed["size"], Image.Resampling[fed["interpolation"].upper()]
"""
END = """\
    return np.atleast_3d(image).transpose(2, 0, 1)


batch = np.stack([pixels(path) for path in ["photo.jpg"]])
for probabilities in session.run(["probabilities"], {"pixels": batch})[0]:
    print(card["classes"][probabilities.argmax()], probabilities.max())
"""


def onnx_snippet(settings: Mapping[str, Any]) -> str:
    """A program that says what ``photo.jpg`` shows, run beside ``model.onnx`` and ``model.json``."""
    return START.format(mode="L" if settings["grayscale"] else "RGB") + RESIZE[settings["resize"]] + END
