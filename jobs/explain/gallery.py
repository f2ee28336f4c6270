"""The gallery of an evaluation: mistakes and right predictions with where the network looks, and a feature map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.context import Context
from jobs.explain.choice import right_samples, surest_errors
from jobs.extraction.computing import in_order
from jobs.extraction.extractor import one_thread_each
from jobs.kinds import feed_of
from jobs.kinds.feed import Explained, Feed, Normalise
from jobs.models.copies import ThreadCopies
from jobs.models.network import Network
from jobs.statistics.predictions import Predictions

AT_ONCE = 8
"""Items that are looked into at a time, at most, each by a thread of its own: all that its layers put out is kept meanwhile."""


@dataclass(frozen=True)
class Shown:
    """What the gallery is made of. ``item(i)`` is test item i as its kind loads it by ``settings``, the run's input.

    ``network`` is None where there is nothing to look into (zero labels).
    """

    predictions: Predictions
    ids: Sequence[str]
    paths: Sequence[str]
    classes: Sequence[str]
    item: Callable[[int], Tensor]
    settings: Mapping[str, Any]
    network: Network | None
    device: torch.device

    @property
    def kind(self) -> Feed:
        return feed_of(self.settings)

    @property
    def normalise(self) -> Normalise:
        return self.kind.normaliser(self.settings)


def write_gallery(context: Context, shown: Shown, seed: str) -> None:
    """``gallery/…`` and ``featuremap.png`` (see jobs.evaluate)."""
    errors = surest_errors(shown.predictions)
    samples = right_samples(shown.predictions, shown.ids)
    document: dict[str, Any] = {"seed": seed, "overlay": None}
    for name, places in (("errors", errors), ("samples", samples)):
        document[name] = [_described(shown, i, f"gallery/{name}-{number:02d}") for number, i in enumerate(places)]
        if _write_items(context, shown, places, document[name]):
            document["overlay"] = shown.kind.overlay
    document["featuremap"] = _write_featuremap(context, shown, (samples or errors or [0])[0])
    context.write_json("gallery/gallery.json", document)


def _described(shown: Shown, i: int, name: str) -> dict[str, Any]:
    p, classes = shown.predictions, shown.classes
    return {
        "file": f"{name}.{shown.kind.suffix}",
        "plain": f"{name}.{shown.kind.suffix}",
        "id": shown.ids[i],
        "path": shown.paths[i],
        "label": classes[p.labels[i]],
        "predicted": classes[p.predicted[i]],
        "confidence": float(p.confidence[i]),
        "p_label": float(p.probabilities[i, p.labels[i]]),
    }


def _write_items(context: Context, shown: Shown, places: Sequence[int], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether there are overlays; a row's ``plain`` is then a file of its own."""
    overlaid, suffix = False, f".{shown.kind.suffix}"
    for row, one in zip(rows, _explained(context, shown, places), strict=True):
        context.check_stop()
        if one.overlaid is not None:
            overlaid, row["plain"] = True, row["file"].replace(suffix, f"-plain{suffix}")
            context.out(row["file"]).write_bytes(one.overlaid)
        context.out(row["plain"]).write_bytes(one.plain)
    return overlaid


def _explained(context: Context, shown: Shown, places: Sequence[int]) -> Iterator[Explained]:
    """Items for people, in order. On a CPU threads share them, each on its own, so that bits do not depend on their number."""
    copies = None if shown.network is None else ThreadCopies(shown.network)
    threads = min(AT_ONCE, context.threads) if shown.device.type == "cpu" else 1

    def explain(place: int) -> Explained:
        items, predicted = shown.item(place)[None], torch.as_tensor(shown.predictions.predicted[[place]])
        network = copies.get() if copies else None
        (explained,) = shown.kind.explain(network, items, shown.normalise, predicted, shown.device)
        return explained

    with one_thread_each(), ThreadPoolExecutor(threads) as pool, closing(in_order(pool, explain, places, threads)) as found:
        yield from (explained for _, explained in found)


@torch.no_grad()
def _write_featuremap(context: Context, shown: Shown, i: int) -> dict[str, Any] | None:
    """The channels of the last map of one item; None where the network has none."""
    if shown.network is None:
        return None
    item, path = shown.item(i), context.scratch / "featuremap.png"
    drawn = shown.kind.feature_map(shown.network, item, shown.normalise, path, shown.device)
    if drawn is None:
        return None
    context.out("featuremap.png").write_bytes(path.read_bytes())
    picture = f"gallery/featuremap.{shown.kind.suffix}"
    (plain,) = shown.kind.explain(None, item[None], shown.normalise, torch.zeros(1), shown.device)
    context.out(picture).write_bytes(plain.plain)
    return {"file": "featuremap.png", "picture": picture, "path": shown.paths[i], **drawn}
