"""How a network is divided: stages (what is frozen or trained together) and layers (whose output can be used).

Both name modules by their dotted path in the library's own network, so state dicts keep the library's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PRE_LOGITS = "pre_logits"
"""The layer of every network: what its own classifier is fed with, a vector."""


@dataclass(frozen=True)
class Stage:
    """A named group of modules, in the order of the data. ``layers`` are paths of modules; each holds what lies below it."""

    name: str
    layers: tuple[str, ...]

    def holds(self, path: str) -> bool:
        """Whether the module or parameter at ``path`` belongs to this stage."""
        return any(path == layer or path.startswith(f"{layer}.") for layer in self.layers)


@dataclass(frozen=True)
class Layer:
    """A name for the output of the module at ``path``, or (``at_input``) for what that module is fed with."""

    name: str
    path: str
    stage: str
    at_input: bool = False


@dataclass(frozen=True)
class Division:
    """Stages and layers of an architecture. ``default`` names the layer used where a study names none."""

    stages: tuple[Stage, ...]
    layers: tuple[Layer, ...]
    default: str
    extra: tuple[str, ...] = ()  #: stages after the default layer, there only where a later layer is used

    def layer(self, name: str | None) -> Layer | None:
        """The layer of a name (the default for None), a stage's name meaning its last layer; None where there is none."""
        wanted = self.default if name is None else name
        named = {layer.name: layer for layer in self.layers}
        last = {layer.stage: layer for layer in self.layers}
        return named.get(wanted) or last.get(wanted) or next((x for x in self.layers if x.path == wanted), None)

    def names(self) -> list[str]:
        """All names ``layer`` takes, in the order of the data: stages first."""
        return list(dict.fromkeys([*(stage.name for stage in self.stages), *(layer.name for layer in self.layers)]))


def divide(
    stages: Mapping[str, tuple[str, ...]], layers: Mapping[str, str], default: str, extra: tuple[str, ...] = ()
) -> Division:
    """``stages``: name -> module paths; ``layers``: name -> module path. Every layer lies in a stage. Pure."""
    groups = tuple(Stage(name, paths) for name, paths in stages.items())
    placed = []
    for name, path in layers.items():
        stage = next((group.name for group in groups if group.holds(path)), None)
        if stage is None:
            raise ValueError(f"layer {name} ({path}) is in no stage")
        placed.append(Layer(name, path, stage))
    return Division(groups, tuple(placed), default, extra)
