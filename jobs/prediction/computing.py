"""One part after the other: items read ahead, batches of a fixed shape, probabilities in the order of the files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from jobs.data.items import BadFile
from jobs.evaluation.scores import written
from jobs.extraction.computing import compute_batches
from jobs.prediction.items import Fed
from jobs.prediction.networks import Model
from jobs.statistics.predictions import Floats


@dataclass(frozen=True)
class PredictedPart:
    """What a model says of items: ``probabilities`` [n, classes], as written, row by row of ``paths`` and ``ids``."""

    paths: list[str]
    ids: list[str]
    probabilities: Floats
    bad: list[BadFile]


def predict(
    model: Model, items: Generator[Fed | BadFile, None, None], threads: int, *, raw: bool, tick: Callable[[int], None]
) -> PredictedPart:
    """All items of a part. ``tick`` hears after each batch how many of its images are computed, and may raise."""
    bad: list[BadFile] = []
    paths: list[str] = []
    ids: list[str] = []
    rows: list[Floats] = []
    with closing(items), closing(compute_batches(model, _batches(items, model.batch, bad), _loaded, threads)) as results:
        for batch, logits in results:
            paths += [item.path for item in batch]
            ids += [item.id for item in batch]
            rows.append(written(model.probabilities(logits, raw=raw)))
            tick(len(batch))
    empty = np.zeros((0, len(model.classes)))
    return PredictedPart(paths, ids, np.concatenate([empty, *rows]), sorted(bad, key=lambda each: each.file.path))


def _batches(items: Iterable[Fed | BadFile], size: int, bad: list[BadFile]) -> Iterator[list[Fed]]:
    """Usable items in groups of ``size``; the others are added to ``bad``."""
    batch: list[Fed] = []
    for item in items:
        if isinstance(item, BadFile):
            bad.append(item)
            continue
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _loaded(batch: Sequence[Fed]) -> list[Tensor]:
    return [item.loaded for item in batch]
