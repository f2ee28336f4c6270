"""Networks by name, from torchvision and timm: the catalogue's families first, then every other image model of either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from jobs.models.families import FAMILIES
from jobs.models.stages import Division
from jobs.randomness import seed_of
from tlbatch.errors import StudyError
from tlbatch.schema.nearest import suggestion

LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class Architecture:
    """Where a name leads: the library, its own name there, the path of its classifier and its stages where they are known."""

    name: str
    library: str
    model: str
    options: dict[str, Any]
    head: str | None = None
    division: Division | None = None

    def create(self) -> nn.Module:
        """The library's network with its own initialisation (torch's global generator) and 1,000 classes, in eval mode."""
        if self.library == "torchvision":
            from torchvision import models

            network = models.get_model(self.model, weights=None, **self.options)
        else:
            import timm

            network = timm.create_model(self.model, pretrained=False, **self.options)
        return network.eval()  # type: ignore[no-any-return]

    def create_seeded(self, seed: int) -> nn.Module:
        """As ``create``, the same for the same seed whatever ran before; the global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "backbone", self.name))
            return self.create()

    def create_empty(self) -> nn.Module:
        """As ``create`` on the meta device: shapes without memory."""
        with torch.device("meta"):
            return self.create()


@cache
def torchvision_names() -> frozenset[str]:
    from torchvision import models

    return frozenset(models.list_models(module=models))


@cache
def timm_names() -> frozenset[str]:
    import timm

    return frozenset(timm.list_models())


def find(name: str) -> Architecture:
    """The architecture of a name; ``timm/resnet50`` says whose where both have one. Raises StudyError for unknown names."""
    if name in FAMILIES:
        family = FAMILIES[name]
        return Architecture(name, family.library, family.architecture, dict(family.options), family.head, family.division)
    library, _, model = name.rpartition("/")
    known: dict[str, Callable[[], frozenset[str]]] = {"torchvision": torchvision_names, "timm": timm_names}
    for candidate in [library] if library else LIBRARIES:
        if candidate in known and model in known[candidate]():
            return Architecture(name, candidate, model, {})
    names = [*FAMILIES, *sorted(torchvision_names() | timm_names())]
    raise StudyError(f"unknown backbone {name!r}{suggestion(name, names, most=0)}; `tlbatch backbones` lists them")
