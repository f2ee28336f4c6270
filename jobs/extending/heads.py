"""The head of a trained model as arrays and as a layer, and the same with a class more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.finite import finite
from jobs.heads.adding import IMPRINTED, OF_FITTED, SENTENCES, add_row
from jobs.models.fitted_heads import make_room
from jobs.models.heads import build_head
from tlbatch.spec.model import fitted_head

Features = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ExtendableHead:
    """``settings``: the head as a plan has it; ``state``: its tensors by name; ``classes`` outputs of ``dim`` features."""

    settings: Mapping[str, Any]
    state: Mapping[str, Tensor]
    dim: int
    classes: int

    @staticmethod
    def of(card: Mapping[str, Any], state: Mapping[str, Tensor], dim: int) -> ExtendableHead:
        """``state``: of the whole artifact (``head.…``). Heads of plug-ins are refused when this is planned."""
        own = {name.removeprefix("head."): tensor for name, tensor in state.items() if name.startswith("head.")}
        return ExtendableHead(settings_of(card), own, dim, len(card["classes"]))

    @property
    def how(self) -> str:
        """What the class becomes in it, in words."""
        return SENTENCES.get(fitted_head(self.settings) or "", IMPRINTED)

    def with_class(self, features: Features, known: Features) -> ExtendableHead:
        """``features`` [k, dim] of the new class, ``known`` [m, dim] of items of the others."""
        add = OF_FITTED.get(fitted_head(self.settings) or "", add_row)
        inner = self._before_last if add is add_row else _as_it_is
        arrays = {name: tensor.double().numpy() for name, tensor in self.state.items()}
        changed = add(arrays, inner(features), inner(known))
        state = {**self.state, **{name: torch.from_numpy(values).float() for name, values in changed.items()}}
        return replace(self, state=state, classes=self.classes + 1)

    def logits(self, features: Features) -> Floats:
        """[n, classes]"""
        return self._run(self._layer(), features)

    def left_out(self, features: Features, known: Features, units: Sequence[str]) -> Floats | None:
        """[k, classes + 1] of each item of the new class, by the head that got the class from the other units alone.

        None where there is one unit alone.
        """
        names = np.asarray(units)
        if len(set(units)) < 2:
            return None
        found = np.zeros((len(features), self.classes + 1))
        for unit in sorted(set(units)):
            own = names == unit
            found[own] = self.with_class(features[~own], known).logits(features[own])
        return found

    def _layer(self) -> nn.Module:
        head = build_head(self.dim, self.classes, self.settings, seed=0, init="torch")
        make_room(head, self.state)
        head.load_state_dict(dict(self.state))
        return head.eval()

    def _before_last(self, features: Features) -> Floats:
        """What the last layer of a head of several is fed."""
        head = self._layer()
        assert isinstance(head, nn.Sequential)
        return self._run(head[:-1], features)

    @torch.no_grad()
    def _run(self, layer: nn.Module, features: Features) -> Floats:
        out: Tensor = layer(torch.from_numpy(np.array(features, dtype=np.float32)))
        return np.asarray(finite(out.double().numpy(), "outputs of the head"))


def settings_of(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """The head as a plan has it; a network from scratch ends in a linear layer."""
    model: Mapping[str, Any] = card["model"]
    return {} if model.get("scratch") is not None else model.get("head") or {}


def is_imprinted(card: Mapping[str, Any]) -> bool:
    """Whether a class is held against items of the known classes."""
    return (fitted_head(settings_of(card)) or "") not in OF_FITTED


def _as_it_is(features: Features) -> Floats:
    return features.astype(np.float64)
