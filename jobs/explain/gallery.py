"""The pictures of an evaluation: mistakes and right predictions with where the network looks, and a feature map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.context import Context
from jobs.explain.choice import right_samples, surest_errors
from jobs.explain.gradcam import grad_cam
from jobs.explain.pictures import as_fed, jpeg, overlay, save_channel_grid
from jobs.models.network import Network
from jobs.statistics.predictions import Predictions

BATCH = 8


@dataclass(frozen=True)
class Shown:
    """What the gallery is made of. ``pixels(i)`` is test image i as uint8 [c, h, w], ``normalise`` what makes it the fed one.

    ``network`` is None where there is nothing to look into (zero labels).
    """

    predictions: Predictions
    ids: Sequence[str]
    paths: Sequence[str]
    classes: Sequence[str]
    pixels: Callable[[int], Tensor]
    normalise: Callable[[Tensor], Tensor]
    network: Network | None
    device: torch.device


def write_gallery(context: Context, shown: Shown, seed: str) -> None:
    """``gallery/…`` and ``featuremap.png`` (see jobs.evaluate)."""
    errors = surest_errors(shown.predictions)
    samples = right_samples(shown.predictions, shown.ids)
    document: dict[str, Any] = {"seed": seed, "overlay": None}
    for name, places in (("errors", errors), ("samples", samples)):
        document[name] = [_described(shown, i, f"gallery/{name}-{number:02d}") for number, i in enumerate(places)]
        if _write_pictures(context, shown, places, document[name]):
            document["overlay"] = "Grad-CAM"
    document["featuremap"] = _write_featuremap(context, shown, (samples or errors or [0])[0])
    context.write_json("gallery/gallery.json", document)


def _described(shown: Shown, i: int, name: str) -> dict[str, Any]:
    p, classes = shown.predictions, shown.classes
    return {
        "file": f"{name}.jpg",
        "plain": f"{name}.jpg",
        "id": shown.ids[i],
        "path": shown.paths[i],
        "label": classes[p.labels[i]],
        "predicted": classes[p.predicted[i]],
        "confidence": float(p.confidence[i]),
        "p_label": float(p.probabilities[i, p.labels[i]]),
    }


def _write_pictures(context: Context, shown: Shown, places: Sequence[int], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether there are overlays; a row's ``plain`` is then a picture of its own."""
    overlaid = False
    for start in range(0, len(places), BATCH):
        context.check_stop()
        batch = places[start : start + BATCH]
        pixels = torch.stack([shown.pixels(i) for i in batch])
        cams = None
        if shown.network is not None:
            fed = shown.normalise(pixels.to(shown.device))
            predicted = torch.as_tensor(shown.predictions.predicted[batch], device=shown.device)
            cams = grad_cam(shown.network, fed, predicted)
        for number, row in enumerate(rows[start : start + BATCH]):
            picture = as_fed(pixels[number].numpy())
            if cams is not None:
                overlaid, row["plain"] = True, row["file"].replace(".jpg", "-plain.jpg")
                context.out(row["file"]).write_bytes(jpeg(overlay(picture, cams[number].numpy())))
            context.out(row["plain"]).write_bytes(jpeg(picture))
    return overlaid


@torch.no_grad()
def _write_featuremap(context: Context, shown: Shown, i: int) -> dict[str, Any] | None:
    """The channels of the last map of one image; None where the network has none."""
    if shown.network is None:
        return None
    pixels = shown.pixels(i)
    maps = shown.network.backbone.maps(shown.normalise(pixels[None].to(shown.device)))
    if maps is None:
        return None
    picture = "gallery/featuremap.jpg"
    context.out(picture).write_bytes(jpeg(as_fed(pixels.numpy())))
    channels = save_channel_grid(maps[0].float().cpu().numpy(), context.out("featuremap.png"))
    shape = list(maps.shape[1:])
    return {"file": "featuremap.png", "picture": picture, "path": shown.paths[i], "shape": shape, "shown": channels}
