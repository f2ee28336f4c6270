"""Networks by name: the catalogue's families first, then every other image model of torchvision and timm, CLIP's, plug-ins'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn

from jobs.models.added import added_backbone
from jobs.models.clip import image_tower
from jobs.models.families import FAMILIES
from jobs.models.stages import Division, Layer, Stage, divide
from jobs.randomness import seed_of
from tlbatch.backbones.catalogue import BackboneInfo, info_of
from tlbatch.backbones.clip import clip_backbone
from tlbatch.errors import StudyError
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.added import added_name

LIBRARIES = ("torchvision", "timm")
PLUGIN = "plug-in"
OPEN_CLIP = "open_clip"


@dataclass(frozen=True)
class Architecture:
    """Where a name leads: the library, its own name there, the path of its classifier and its stages where they are known."""

    name: str
    library: str
    model: str
    options: dict[str, Any]
    head: str | None = None
    division: Division | None = None
    size: int | None = None  #: pixels that it is made for, where that is said

    def create(self) -> nn.Module:
        """The library's network with its own initialisation (torch's global generator) and 1,000 classes, in eval mode."""
        if self.library == PLUGIN:
            return added_backbone(self.name, self.division)
        if self.library == OPEN_CLIP:
            return image_tower(self.model).eval()
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
    if (added := added_name(name)) is not None:
        return _added(added)
    if (tower := clip_backbone(name)) is not None:
        return _tower(tower)
    library, _, model = name.rpartition("/")
    known: dict[str, Callable[[], frozenset[str]]] = {"torchvision": torchvision_names, "timm": timm_names}
    for candidate in [library] if library else LIBRARIES:
        if candidate in known and model in known[candidate]():
            return Architecture(name, candidate, model, {})
    names = [*FAMILIES, *sorted(torchvision_names() | timm_names())]
    raise StudyError(f"unknown backbone {name!r}{suggestion(name, names, most=0)}; `tlbatch backbones` lists them")


def _tower(info: BackboneInfo) -> Architecture:
    """An image tower of CLIP, divided as the catalogue has it."""
    stages = tuple(Stage(stage.name, stage.modules) for stage in info.stages)
    layers = tuple(Layer(layer.name, layer.path, layer.stage) for layer in info.layers)
    division = Division(stages, layers, info.default)
    return Architecture(info.name, OPEN_CLIP, info.architecture, {}, division=division, size=int(info.input["size"]))


def _added(name: str) -> Architecture:
    """A plug-in's. Raises StudyError where its layers lie in none of its stages."""
    info = info_of(name)
    assert info is not None
    found = Architecture(name, PLUGIN, name, {}, size=int(info.input["size"]))
    if not isinstance(info, BackboneInfo):
        return found
    stages = {stage.name: stage.modules for stage in info.stages}
    layers = {layer.name: layer.path or layer.name for layer in info.layers}
    try:
        return replace(found, head=info.head or None, division=divide(stages, layers, info.default, info.extra))
    except ValueError as error:
        raise StudyError(f"{name}: {error}; ask the plug-in's authors") from error
