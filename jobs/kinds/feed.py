"""How items of one kind of data come into a network, are varied and explained: what a kind's ``feed_program`` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tlbatch.kinds.entry import ResolvedInput

if TYPE_CHECKING:
    from jobs.models.network import Network

Normalise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Explained:
    """An item for people, as a file of the gallery: ``plain``, and with what the network looks at, where that can be said."""

    plain: bytes
    overlaid: bytes | None = None


@dataclass(frozen=True)
class Usage:
    """For those who use an exported model without tlbatch. ``input``: the settings, and what follows from them; ``words``.

    ``onnx``: the ONNX file's input; ``items``: what its batch axis counts; ``program``: one that uses it, or "".
    """

    input: dict[str, Any]
    words: str
    onnx: str
    items: str
    program: str = ""


class Feed(Protocol):
    """``suffix``: of the gallery's files (jpg, png, svg). ``overlay``: what the overlaid ones show, in a word."""

    suffix: str
    overlay: str

    def load(self, stored: bytes, settings: ResolvedInput) -> Tensor:
        """One item as it is kept in memory: of one shape and type for all items of these settings (a picture: uint8 [c, h, w]).

        Pure. Raises DataError where the bytes are no item.
        """

    def normaliser(self, settings: ResolvedInput) -> Normalise:
        """From a batch of loaded or varied items to the float32 that a network is fed, on the items' device."""

    def vary(self, items: Tensor, augmentation: Mapping[str, Any], chance: torch.Generator) -> Tensor:
        """Random changes of a batch, of the same shape, type and device. Deterministic by the generator's state."""

    def explain(
        self, network: Network | None, items: Tensor, normalise: Normalise, predicted: Tensor, device: torch.device
    ) -> Sequence[Explained]:
        """Items [n, …] for people; ``predicted`` [n] classes. ``network`` is None where there is nothing to look into.

        Called from several threads, each with a network of its own.
        """

    def feature_map(
        self, network: Network, item: Tensor, normalise: Normalise, path: Path, device: torch.device
    ) -> dict[str, Any] | None:
        """Draw what the last layer before pooling puts out for an item, as a PNG at ``path``: {shape, shown}. None: no such."""

    def usage(self, settings: ResolvedInput) -> Usage:
        """What the card of an exported model says."""

    def varied_sheet(self, rows: Sequence[Sequence[Tensor]]) -> bytes | None:
        """A JPEG file of items (a row each: plain, then varied); None where this kind shows none."""


def laid_out(batch: Tensor) -> Tensor:
    """Maps with the channels last, which convolutions on CPUs and GPUs are quickest with; others as they are."""
    return batch.contiguous(memory_format=torch.channels_last) if batch.dim() == 4 else batch.contiguous()
