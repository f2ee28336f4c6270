"""One part after the other: pictures read ahead, batches of a fixed shape, probabilities in the order of the files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jobs.data.reading import BadFile
from jobs.evaluation.scores import written
from jobs.extraction.computing import AHEAD, in_order
from jobs.extraction.extractor import one_thread_each
from jobs.prediction.networks import Model
from jobs.prediction.pictures import Fed
from jobs.statistics.predictions import Floats


@dataclass(frozen=True)
class PredictedPart:
    """What a model says of pictures: ``probabilities`` [n, classes], as written, row by row of ``paths`` and ``ids``."""

    paths: list[str]
    ids: list[str]
    probabilities: Floats
    bad: list[BadFile]


def predict(
    model: Model, pictures: Generator[Fed | BadFile, None, None], threads: int, *, raw: bool, tick: Callable[[int], None]
) -> PredictedPart:
    """All pictures of a part. ``tick`` hears after each batch how many of its images are computed, and may raise."""
    bad: list[BadFile] = []
    paths: list[str] = []
    ids: list[str] = []
    rows: list[Floats] = []
    with closing(pictures), closing(_computed(model, _batches(pictures, model.batch, bad), threads)) as results:
        for batch, logits in results:
            count = len(batch)
            paths += [picture.path for picture in batch]
            ids += [picture.id for picture in batch]
            rows.append(written(model.probabilities([one[:count] for one in logits], raw=raw)))
            tick(count)
    empty = np.zeros((0, len(model.classes)))
    return PredictedPart(paths, ids, np.concatenate([empty, *rows]), sorted(bad, key=lambda each: each.file.path))


def _batches(pictures: Iterable[Fed | BadFile], size: int, bad: list[BadFile]) -> Iterator[list[Fed]]:
    """Usable pictures in groups of ``size``; the others are added to ``bad``."""
    batch: list[Fed] = []
    for picture in pictures:
        if isinstance(picture, BadFile):
            bad.append(picture)
            continue
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _computed(
    model: Model, batches: Iterator[list[Fed]], threads: int
) -> Generator[tuple[Sequence[Fed], list[Floats]], None, None]:
    if model.device.type == "cuda":
        for batch in batches:
            yield batch, model.logits(_padded(batch, model.batch, pinned=True))
        return
    with one_thread_each(), ThreadPoolExecutor(threads) as pool:
        yield from in_order(pool, lambda batch: model.logits(_padded(batch, model.batch)), batches, AHEAD * threads)


def _padded(batch: Sequence[Fed], size: int, *, pinned: bool = False) -> Tensor:
    """uint8 [size, c, h, w]: the batch, then zeros, so that every forward pass has one shape."""
    padded = torch.zeros((size, *batch[0].pixels.shape), dtype=torch.uint8, pin_memory=pinned)
    for place, picture in enumerate(batch):
        padded[place] = picture.pixels
    return padded
