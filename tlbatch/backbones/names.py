"""What the catalogue knows about backbones, as names to check against. Imported on use; the catalogue is data, not torch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from tlbatch.schema.nearest import suggestion


@cache
def _catalogue() -> Any:
    """The catalogue's module, or None where the launcher was taken without it: then names are checked by the steps."""
    try:
        return import_module("tlbatch.backbones.catalogue")
    except ModuleNotFoundError as error:
        if error.name != "tlbatch.backbones.catalogue":
            raise
        return None


def backbone_names() -> list[str]:
    """Backbones of the catalogue first, then every other model that can be had by name; empty when unknown."""
    catalogue = _catalogue()
    return list(dict.fromkeys([*catalogue.backbones(), *catalogue.known_names()])) if catalogue else []


def backbone_hint(name: str) -> str:
    """What a name that is none may mean: timm's ``<architecture>.<weights>`` as two fields, else the nearest name."""
    catalogue = _catalogue()
    names = backbone_names()
    architecture, dot, tag = name.partition(".")
    for candidate in (f"timm/{architecture}", architecture) if dot and catalogue else ():
        if candidate in names and tag in [_name(weight) for weight in catalogue.weights_of(candidate)]:
            return f" (did you mean {candidate!r} with weights: {tag}?)"
    return suggestion(name, names)


def stage_names(backbone: str) -> list[str]:
    """Stages from the input to the head; empty for a backbone whose stages are found when it is built."""
    return [_name(stage) for stage in _part(backbone, "stages")]


def used_stages(backbone: str, layer: str | None) -> list[str]:
    """Stages of a model that uses ``layer`` (None: the default one); empty where they are found when it is built."""
    info = _info(backbone)
    return [_name(stage) for stage in info.stages_to(layer)] if info else []


def layer_names(backbone: str) -> list[str]:
    """Names that ``layer`` may take; empty for a backbone whose layers are found when it is built."""
    if not _info(backbone):
        return []
    return list(dict.fromkeys([*stage_names(backbone), *(_name(layer) for layer in _catalogue().layer_names(backbone))]))


def weight_names(backbone: str) -> list[str]:
    """Named weights of a backbone."""
    return [_name(weight) for weight in _part(backbone, "weights")]


def own_size(backbone: str, weights: str) -> int | None:
    """The size of images that named weights were trained with; None where that is not known."""
    catalogue = _catalogue()
    published = catalogue.weights_of(backbone) if catalogue else ()
    named = [each for each in published if each.name == weights] or (list(published[:1]) if weights == "default" else [])
    return int(named[0].input["size"]) if named else None


def sizes(backbone: str, layer: str | None) -> tuple[int, int] | None:
    """(least, most) pixels a side that a backbone takes up to a layer, most 0 for no limit; None: every size, or not known."""
    catalogue = _catalogue()
    return catalogue.input_sizes(backbone, layer) if catalogue else None


def _info(backbone: str) -> Any:
    catalogue = _catalogue()
    return catalogue.described(backbone) if catalogue else None


def _part(backbone: str, name: str) -> Iterable[Any]:
    info = _info(backbone)
    part: Iterable[Any] = getattr(info, name, ()) if info else ()
    return part


def _name(item: Any) -> str:
    return item if isinstance(item, str) else str(getattr(item, "name", item))
