"""A network for every thread: forward passes hang hooks on modules, so threads cannot share those. They share the weights."""

from __future__ import annotations

import copy
import threading
from typing import Generic, TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


class ThreadCopies(Generic[Module]):
    """``get()`` is this thread's own copy of a network, made when the thread first asks."""

    def __init__(self, network: Module) -> None:
        self._network = network
        self._own = threading.local()

    def get(self) -> Module:
        if not hasattr(self._own, "network"):
            tensors = [*self._network.parameters(), *self._network.buffers()]
            self._own.network = copy.deepcopy(self._network, {id(tensor): tensor for tensor in tensors})
        own: Module = self._own.network
        return own
