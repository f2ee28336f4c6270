"""Backbones of plug-ins, the half without torch: what ``tlbatch backbones`` and ``check`` say of one, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlbatch.backbones.catalogue import BackboneInfo, LayerInfo, OtherInfo, StageInfo, WeightInfo
from tlbatch.backbones.preprocessing import SCRATCH_INPUT

SHA256_DIGITS = 64


@dataclass(frozen=True)
class AddedBackbone:
    """A network for ``model: {backbone: plugin:name}``.

    ``program()`` gives an ``nn.Module`` for pictures [n, 3, size, size], with any first values: those of its weights take their
    place, or (``weights: random``) they are a function of a seed. ``input``: how the network is fed
    (``tlbatch.backbones.preprocessing``: what is left out is as SCRATCH_INPUT has it). ``weights``: the default first, each
    with its sha256, at a URL or in an installed package. ``head``: the path of its classifier, if it has one.

    ``stages`` in the order of the data, ``layers`` whose output can be used (``path``: of the module; "": its name is the
    path), and ``default``, one of these. A network without them is divided by what it is made of, when it is built; then
    ``tlbatch check`` knows neither its stages nor its parameters. ``extra``: stages after the default layer.
    """

    name: str
    title: str
    program: str
    input: Mapping[str, Any]
    weights: tuple[WeightInfo, ...] = ()
    stages: tuple[StageInfo, ...] = ()
    layers: tuple[LayerInfo, ...] = ()
    default: str = ""
    extra: tuple[str, ...] = ()
    head: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, which the sentence about a plug-in that cannot be imported has in it."""
        for weight in self.weights:
            if len(weight.hash) != SHA256_DIGITS:
                raise ValueError(f"weights {weight.name} of {self.name} need their whole sha256: it is part of keys")
        if unknown := self.input.keys() - SCRATCH_INPUT.keys():
            raise ValueError(
                f"input of {self.name} has {', '.join(sorted(unknown))}, which is none of {', '.join(SCRATCH_INPUT)}"
            )
        stages = [stage.name for stage in self.stages]
        if bool(stages) != bool(self.layers):
            raise ValueError(f"{self.name} needs both stages and layers, or neither")
        for layer in self.layers:
            if layer.stage not in stages:
                raise ValueError(f"layer {layer.name} of {self.name} is in stage {layer.stage}, which it does not have")
        if stages and self.default not in [layer.name for layer in self.layers]:
            raise ValueError(f"the default of {self.name}, {self.default!r}, is none of its layers")

    @property
    def info(self) -> BackboneInfo | OtherInfo:
        """As the catalogue has its own. ``self`` has its full name (tlbatch.plugins.find)."""
        library, fed = f"plug-in {self.name.partition(':')[0]}", {**SCRATCH_INPUT, **self.input}
        if not self.stages:
            return OtherInfo(self.name, library, self.weights, fed)
        return BackboneInfo(
            name=self.name,
            library=library,
            architecture=self.program,
            parameters=sum(stage.parameters for stage in self.stages),
            default=self.default,
            stages=self.stages,
            extra=self.extra,
            layers=self.layers,
            weights=self.weights,
            input=fed,
            head=self.head,
        )
