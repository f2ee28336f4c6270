"""Things joined in pairs, and the sets that come of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Joined:
    """``count`` things by number, each alone at first. ``label`` [count] is the same for things of one set.

    ``room``: integers [count], where others may look ``label`` up: what is equal there is one set, also while sets are joined.
    """

    def __init__(self, count: int, room: NDArray[Any] | None = None) -> None:
        self.label: NDArray[Any] = np.arange(count) if room is None else room
        self.label[:] = np.arange(count)
        self._members: dict[int, list[int]] = {}

    def of(self, numbers: NDArray[Any] | int) -> NDArray[Any]:
        """Equal for things of one set."""
        return np.asarray(self.label[numbers])

    def join(self, a: int, b: int) -> None:
        """The sets of ``a`` and ``b`` are one. The smaller takes the larger one's label, so that n joins cost n log n."""
        one, other = int(self.label[a]), int(self.label[b])
        if one == other:
            return
        ones, others = self._members.pop(one, [one]), self._members.pop(other, [other])
        if len(ones) < len(others):
            one, ones, others = other, others, ones
        self.label[others] = one
        ones.extend(others)
        self._members[one] = ones
