"""Stages that never learn, run once for every look of an item instead of in every epoch.

They compute as in eval mode, so what they put out is a function of an item as it is varied; where it is not varied, or
mirrored alone, an item has one, two or four looks. These are computed before the first epoch as extract and evaluate compute
(jobs.extraction.extractor: an item's values depend neither on its batch nor on how many threads there are, so a training that
is stopped goes on bit for bit), and kept in memory or in a file. The epochs run the rest of the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from jobs.context import Context
from jobs.extraction.computing import compute_batches
from jobs.extraction.extractor import Extractor, fold
from jobs.kinds.looks import Looks, looks_of
from jobs.models.boundary import Before, Boundary, find_boundary, unflattened
from jobs.models.network import Network
from jobs.randomness import generator
from jobs.training.batches import VALIDATION_BATCH
from jobs.training.items import ItemFeed, room_for
from jobs.training.phases import Phases
from jobs.training.sampling import Sampler
from jobs.training.settings import Settings
from tlbatch import nouns

MOST_BYTES = 2 * 2**30
"""Of all that is kept; more of it would take longer to read from a file than small networks to compute."""
IN_MEMORY_BYTES = 256 * 2**20  # beyond it, a file that the system pages in and out
PAYS_FROM = 256
"""Forward passes that are saved. Compiling the frozen stages takes as long as so many of a small network."""
PROBED = 2  # items of noise on which the rest of the network is held against the whole


@dataclass(frozen=True)
class Frozen:
    """Where the network that learns begins, and what it is fed there."""

    boundary: Boundary
    feed: FrozenFeed


class FrozenFeed:
    """Batches of what the frozen stages make of items. Which look an item has in a batch is drawn as when it is varied.

    ``train`` [looks · n, d] (all items' first look, then all second ones) and ``validation`` [m, d]: float32, or the bits of
    bfloat16 (int16).
    """

    def __init__(
        self,
        train: Tensor,
        validation: Tensor,
        items: ItemFeed,
        boundary: Boundary,
        looks: Looks,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.train_labels, self.validation_labels = items.train_labels, items.validation_labels
        self._train, self._validation, self._boundary = train, validation, boundary
        self._looks, self._seed, self._device = looks, seed, device

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input to what learns."""
        return self._boundary.shape

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return self.batch_rows(indices, slice(0, len(indices)), epoch, step)

    def batch_rows(self, indices: Tensor, rows: slice, epoch: int, step: int) -> Tensor:
        """``batch(indices, epoch, step)[rows]``."""
        shown = self._looks.drawn(len(indices), generator(self._seed, "augment", epoch, step))
        places = shown * len(self.train_labels) + indices
        return self._fed(self._train[places[rows]])

    def validation_batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self._validation), VALIDATION_BATCH):
            yield self._fed(self._validation[start : start + VALIDATION_BATCH])

    def _fed(self, rows: Tensor) -> Tensor:
        return unflattened(rows.view(self._boundary.dtype).to(self._device), self._boundary)


def run_frozen_once(
    context: Context, settings: Settings, items: ItemFeed, network: nn.Module, phases: Phases, device: torch.device
) -> Frozen | None:
    """None where no stage is frozen for good, or it would not pay, or cannot be: images that are mixed, or varied in more ways
    than by being mirrored, are new ones in every epoch.

    ``network``: as it begins to learn, on ``device``. Raises Stopped when asked to stop meanwhile.
    """
    looks = looks_of(settings.input, settings.params.augmentation)
    if looks is None or settings.train.mixup or settings.train.cutmix or not isinstance(network, Network):
        return None
    if not _pays(settings, items, looks):
        return None
    learning = phases.ever([stage.name for stage in network.stages])
    noise = torch.randn((PROBED, *items.shape), generator=generator("boundary")).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
        boundary = find_boundary(network, noise, learning)
    if boundary is None or _bytes(boundary, items, looks) > MOST_BYTES:
        return None
    if context.leads:
        shown = f" for each of {looks.count} looks of an item" if looks.count > 1 else ""
        print(f"stages that never learn are run once{shown}: the network is trained from {boundary.path} on", flush=True)
    computed = _Computed(context, settings, network, boundary, items, device)
    train = computed.rows(items.train, looks)
    validation = computed.rows(items.validation, Looks())
    return Frozen(boundary, FrozenFeed(train, validation, items, boundary, looks, seed=settings.seed, device=device))


def _pays(settings: Settings, items: ItemFeed, looks: Looks) -> bool:
    train, n, held = settings.train, len(items.train), len(items.validation)
    shown = Sampler(n, train.batch_size, settings.seed, train.steps_per_epoch).images
    return train.epochs * (shown + held) - looks.count * n - held >= PAYS_FROM


def _bytes(boundary: Boundary, items: ItemFeed, looks: Looks) -> int:
    return (looks.count * len(items.train) + len(items.validation)) * prod(boundary.shape) * boundary.dtype.itemsize


class _Computed:
    """``rows``: what the frozen stages make of items, as FrozenFeed keeps it."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        network: nn.Module,
        boundary: Boundary,
        items: ItemFeed,
        device: torch.device,
    ) -> None:
        before = fold(lambda: Before(network, boundary, items.shape))
        precision = "bf16" if settings.bf16 else "fp32"
        self._extractor = Extractor(
            lambda: before, settings.input, precision, device, context.threads, mixed=True, rows="outputs of frozen stages"
        )
        self._context, self._settings, self._boundary, self._done = context, settings, boundary, 0

    def rows(self, items: Tensor, looks: Looks) -> Tensor:
        like = torch.empty(prod(self._boundary.shape), dtype=self._boundary.dtype)
        like = like.view(torch.int16) if like.dtype == torch.bfloat16 else like
        kept = room_for(looks.count * len(items), like, self._context.scratch, IN_MEMORY_BYTES)
        size = self._extractor.batch
        batches = [(look, start) for look in range(looks.count) for start in range(0, len(items), size)]

        def load(batch: tuple[int, int]) -> list[Tensor]:
            look, start = batch
            return list(looks.show(items[start : start + size], look))

        for (look, start), rows in compute_batches(self._extractor, batches, load, self._context.threads):
            place = look * len(items) + start
            kept[place : place + len(rows)] = torch.from_numpy(rows).to(self._boundary.dtype).view(like.dtype)
            self._tell(len(rows))
        return kept

    def _tell(self, n: int) -> None:
        self._done += n
        self._context.check_stop()
        self._context.progress(
            0, self._settings.train.epochs, "epochs", f"frozen stages: {self._done} {nouns.items()} computed"
        )
