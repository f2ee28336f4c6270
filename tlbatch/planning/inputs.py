"""How a run's images are fed: what the study says, else what the weights were trained with (design §8.4). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT
from tlbatch.spec.model import Input, Normalize


def resolve_input(said: Input, own: Mapping[str, Any]) -> dict[str, Any]:
    """The full input parameters of a run: ``own`` (the weights' or SCRATCH_INPUT) with what the study says on top. Pure."""
    resolved = {name: own.get(name, SCRATCH_INPUT[name]) for name in SCRATCH_INPUT}
    for name in ("size", "resize", "crop", "interpolation"):
        value = getattr(said, name)
        if value is not None:
            resolved[name] = value
    if said.resize is not None and said.resize != "crop":
        resolved["crop"] = 1.0
    if said.grayscale:
        resolved["grayscale"] = True
    if isinstance(said.normalize, Normalize):
        resolved |= {"mean": list(said.normalize.mean), "std": list(said.normalize.std), "channels": "rgb", "scale": "unit"}
    elif said.normalize is not None:
        resolved |= NORMALIZATIONS[said.normalize]
    return resolved
