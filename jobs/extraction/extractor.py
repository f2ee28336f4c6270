"""The network that computes features, in batches of one fixed shape.

On a CPU every worker thread has a network of its own (the weights are shared) that computes with a single thread: an image's
features depend neither on its neighbours and its place in the batch nor on how many threads there are, and no thread waits
for another. ``engine`` says what runs it. On a GPU there is one network, and the threads decode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.context import Context
from jobs.extraction.engine import CompiledNetwork, compiled
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
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class RowNetwork(Protocol):
    """What puts out a row an item: a backbone cut at a layer, or all layers of one. ``dim``: values of a row."""

    @property
    def dim(self) -> int: ...


class Extractor:
    """Items to features. ``batch``: items a forward pass takes. The backbone is its own from here on.

    ``threads``: how many call it at a time.
    """

    def __init__(
        self, backbone: Any, settings: Mapping[str, Any], precision: str, device: torch.device, threads: int = 1
    ) -> None:
        self.device, self.batch = device, BATCH[device.type]
        self._normalise = feed_of(settings).normaliser(settings)
        self._backbone, self._precision, self._threads = backbone, precision, threads
        self._network: CompiledNetwork | TorchNetwork | None = None
        self._opening = Lock()

    @property
    def engine(self) -> str:
        """What computes, and its version; "" before the first batch, whose items say what the network is fed."""
        return self._network.name if self._network else ""

    def __call__(self, items: Tensor) -> NDArray[np.float32]:
        """[n, d] of a batch of items as their kind loads them. Safe to call from several threads."""
        with torch.inference_mode():
            fed = self._normalise(items.to(self.device, non_blocking=True))
        with self._opening:
            self._network = self._network or self._open(fed)
        return np.asarray(finite(self._network(fed), "features"), np.float32)

    def _open(self, fed: Tensor) -> CompiledNetwork | TorchNetwork:
        shape, on_cpu = (self.batch, *fed.shape[1:]), self.device.type == "cpu"
        fast = compiled(self._backbone, shape, self._precision, self._threads) if on_cpu else None
        return fast or TorchNetwork(self._backbone, self._precision, self.device)


class TorchNetwork:
    """The network as torch runs it, in place: float32 [n, …] on ``device`` to float32 [n, d]. ``name``: engine and version."""

    name = f"torch {torch.__version__}"

    def __init__(self, network: nn.Module, precision: str, device: torch.device) -> None:
        network.to(device)
        if precision == "bf16":
            to_bfloat16(network)
        self.shared, self._dtype = network.to(memory_format=torch.channels_last), DTYPES[precision]
        self._copies = None if device.type == "cuda" else ThreadCopies(self.shared)

    def __call__(self, fed: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            features: Tensor = self.own()(laid_out(fed.to(self._dtype)))
            return features.float().cpu().numpy()

    def own(self) -> nn.Module:
        """On a CPU this thread's own."""
        return self._copies.get() if self._copies else self.shared


def open_backbone(context: Context) -> Backbone:
    """The backbone that the task names, in float32, BatchNorms folded where that changes nothing."""
    params = context.read_params(ExtractParams)
    pretrained = load_pretrained(context, params.backbone.as_json())
    return fold(lambda: build_backbone(params.as_json(), params.input, pretrained))


def fold(build: Callable[[], Folded]) -> Folded:
    """What ``build`` makes, for computing alone: BatchNorms folded where that changes nothing, no gradients."""
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
