"""A vote of logistic regressions: each round of boosting has one, and says which class it takes an item for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.logistic import Fitted

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Voted:
    """Of h regressions ``weight`` [h, classes, d] and ``bias`` [h, classes]; ``votes`` [h]. ``c``, ``cv``: how C was chosen."""

    weight: Floats
    bias: Floats
    votes: Floats
    c: float
    cv: list[dict[str, Any]]
    only: bool = False

    @staticmethod
    def of(regressions: Sequence[Fitted], votes: Floats, chosen: Fitted) -> Voted:
        """``chosen``: by whose C all were fitted."""
        weight, bias = np.stack([each.weight for each in regressions]), np.stack([each.bias for each in regressions])
        return Voted(weight, bias, votes, chosen.c, chosen.cv, chosen.only)

    @property
    def chosen(self) -> dict[str, Any]:
        return {"c": self.c, "cv": self.cv}

    @property
    def sentence(self) -> str:
        how = "chosen by cross-validation" if self.cv else "as asked" if self.only else "too few labels to choose by"
        return f"a vote of {len(self.votes)} logistic regressions, C = {self.c:g}, {how}"

    def shares(self, features: NDArray[np.floating[Any]]) -> Floats:
        """[n, classes] each class's share of the votes, for raw features [n, d]."""
        said = np.einsum("nd,hkd->nhk", features.astype(np.float64), self.weight) + self.bias
        one_hot = np.eye(self.bias.shape[1])[said.argmax(axis=2)]
        return np.asarray((one_hot * self.votes[:, None]).sum(axis=1) / self.votes.sum())

    def logits(self, features: NDArray[np.floating[Any]]) -> Floats:
        """log((h · share + 1 / classes) / (h + 1)), as of the votes of nearest neighbours."""
        h, n_classes = self.bias.shape
        return np.asarray(np.log((h * self.shares(features) + 1 / n_classes) / (h + 1)))
