"""How many threads linear algebra takes: one, where steps are so small that waiting costs more than sharing saves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import scipy.linalg
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

WORTH_SHARING = 4e9  #: operations of a step, from which on threads gain more than they lose
_LOADED = (np.linalg, scipy.linalg)
"""Whose libraries there are to be found."""


def threads() -> int:
    """How many the linear algebra of this process may use."""
    return max((library["num_threads"] for library in _blas().info()), default=1)


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Of each library, for all threads of this process, until the block is left."""
    if not when:
        yield
        return
    with _blas().limit(limits=1):
        yield


@cache
def _blas() -> ThreadpoolController:
    """Found once: it takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")
