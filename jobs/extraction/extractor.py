"""The network that computes features, or what else it puts out, in batches of one fixed shape.

On a CPU every worker thread has a network of its own (the weights are shared) that computes with a single thread: an image's
features depend neither on its neighbours and its place in the batch nor on how many threads there are, and no thread waits
for another. ``engine`` says what runs it. On a GPU there is one network, and the threads decode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, Semaphore
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.context import Context
from jobs.extraction.engine import CompiledNetwork, can_follow, compiled
from jobs.extraction.folding import fold_batch_norms
from jobs.extraction.rounding import to_bfloat16
from jobs.finite import finite
from jobs.kinds import feed_of
from jobs.kinds.feed import laid_out
from jobs.models.building import build_backbone
from jobs.models.copies import ThreadCopies
from jobs.models.network import Backbone
from jobs.models.pretrained import load_pretrained
from jobs.randomness import generator
from tlbatch.contracts.models import ExtractParams

BATCH = {"cpu": 8, "cuda": 64}
Folded = TypeVar("Folded", bound=nn.Module)
Number = TypeVar("Number", np.float32, np.float64)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class RowNetwork(Protocol):
    """What puts out a row an item: a backbone cut at a layer, or all layers of one. ``dim``: values of a row."""

    @property
    def dim(self) -> int: ...


class Extractor:
    """Items to rows. ``batch``: items to give at a time; passes have one size, however many are.

    ``build``: the network, which is its own from there on; called with the first batch, so that others load what comes next
    meanwhile. ``threads``: passes at a time; more may call it. ``mixed``: where torch computes in bfloat16, weights stay
    float32 and operations are cast (autocast), as when they were trained; else weights are bfloat16, too. ``rows``: what they
    are, in words. ``batch``: another than the device's, on a GPU.
    """

    def __init__(
        self,
        build: Callable[[], Any],
        settings: Mapping[str, Any],
        precision: str,
        device: torch.device,
        threads: int = 1,
        *,
        mixed: bool = False,
        rows: str = "features",
        batch: int | None = None,
    ) -> None:
        self.device, self.batch = device, batch_of(device, batch)
        self._normalise = feed_of(settings).normaliser(settings)
        self._build, self._precision, self._threads = build, precision, threads
        self._mixed, self._rows = mixed, rows
        self._network: CompiledNetwork | TorchNetwork | None = None
        self._normalises = False  # whether the network does
        self._opening = Lock()
        self._failure: Exception | None = None

    @property
    def engine(self) -> str:
        """What computes, and its version; "" before the first batch, whose items say what the network is fed."""
        return self._network.name if self._network else ""

    def __call__(self, items: Tensor) -> NDArray[np.float32]:
        """[n, d] of items as their kind loads them. Safe to call from several threads."""
        network = self._opened(items)
        fed = items if self._normalises else self._fed(items)
        return np.asarray(finite(in_batches(network, fed, network.size), self._rows), np.float32)

    def _opened(self, items: Tensor) -> CompiledNetwork | TorchNetwork:
        """Once, whether it succeeds or not: threads that wait for it would try in turn what takes long to fail."""
        with self._opening:
            if self._failure:
                raise self._failure
            try:
                self._network = self._network or self._open(items)
            except Exception as error:
                self._failure = error
                raise
            return self._network

    def _fed(self, items: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._normalise(items.to(self.device, non_blocking=True)).float()

    def _open(self, items: Tensor) -> CompiledNetwork | TorchNetwork:
        network = self._build()
        if self.device.type == "cpu":
            inside = items.dtype == torch.uint8 and can_follow(self._normalise)
            shape = (self.batch, *(items if inside else self._fed(items[:1])).shape[1:])
            if fast := compiled(network, shape, self._precision, self._threads, self._normalise if inside else None):
                self._normalises = inside
                return fast
        return TorchNetwork(network, self._precision, self.device, self.batch, mixed=self._mixed, at_once=self._threads)


def batch_of(device: torch.device, asked: int | None = None) -> int:
    """Items of a forward pass. On a CPU it is not to be chosen: another would be no faster and have other last bits."""
    return asked if asked and device.type != "cpu" else BATCH[device.type]


def in_batches(compute: Callable[[Tensor], NDArray[Number]], fed: Tensor, size: int) -> NDArray[Number]:
    """Rows of items [n, …] by passes of ``size`` items, what is missing being zeros: so bits do not depend on n."""
    parts = [fed[start : start + size] for start in range(0, len(fed), size)]
    return np.concatenate([compute(_filled(part, size))[: len(part)] for part in parts])


def _filled(part: Tensor, size: int) -> Tensor:
    return part if len(part) == size else torch.cat([part, part.new_zeros((size - len(part), *part.shape[1:]))])


class TorchNetwork:
    """The network as torch runs it, in place: float32 [n, …] on ``device`` to float32 [n, d]. ``name``: engine and version.

    ``size``: items that a pass is to have. ``at_once``: passes at a time, each of which holds what its layers put out; whoever
    comes then waits, as at a compiled network.
    """

    name = f"torch {torch.__version__}"

    def __init__(
        self,
        network: nn.Module,
        precision: str,
        device: torch.device,
        size: int,
        *,
        mixed: bool = False,
        at_once: int = 1,
    ) -> None:
        self.size, self._turns = size, Semaphore(at_once)
        network.to(device)
        bf16 = precision == "bf16"
        if bf16 and not mixed:
            to_bfloat16(network)
        self.shared, self._dtype = network.to(memory_format=torch.channels_last), DTYPES["fp32" if mixed else precision]
        self._device, self._cast = device.type, bf16 and mixed
        self._copies = None if device.type == "cuda" else ThreadCopies(self.shared)

    def __call__(self, fed: Tensor) -> NDArray[np.float32]:
        with self._turns, torch.inference_mode(), torch.autocast(self._device, torch.bfloat16, enabled=self._cast):
            rows: Tensor = self.own()(laid_out(fed.to(self._dtype)))
            return rows.float().cpu().numpy()

    def own(self) -> nn.Module:
        """On a CPU this thread's own."""
        return self._copies.get() if self._copies else self.shared


def open_backbone(context: Context) -> Backbone:
    """The backbone that the task names, in float32, BatchNorms folded where that changes nothing."""
    params = context.read_params(ExtractParams)
    pretrained = load_pretrained(context, params.backbone.as_json())
    return fold(lambda: build_backbone(params.as_json(), params.input, pretrained))


def fold(build: Callable[[], Folded]) -> Folded:
    """What ``build`` makes, for computing alone: BatchNorms folded where that changes nothing, no gradients.

    Its ``fed`` is the shape of an item.
    """
    with one_thread_each():  # single items: threads would spend their time waiting for one another
        backbone = build()
        if not fold_batch_norms(backbone, _noise(backbone)):
            backbone = build()
    for parameter in backbone.parameters():
        parameter.requires_grad_(False)
    return backbone


def _noise(backbone: Any) -> Tensor:
    return torch.randn((1, *backbone.fed), generator=generator("noise"))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let every thread that starts inside compute on its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
