"""A class more for a head that was fitted or trained, from a few images of it and without training. Pure, free of torch.

Class means and nearest neighbours take it as if they had been fitted with it: a mean, or items, of its own. A linear layer gets
a row by weight imprinting (Qi, Brown and Lowe 2018): the direction of the new class' mean feature, as long as the other rows
are. Here directions are those of standardised features, seen from the mean of images of the known classes (as a logistic
regression sees them), and the row's intercept is such that one in fifty of these images would be taken for the new class.

Arrays are called as in the layers' states (jobs.models.fitted_heads, and ``classifier`` of all others).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.prototypes import normalised
from tlbatch import nouns
from tlbatch.errors import DataError

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.floating[Any]]]
TAKEN = 0.02
"""Share of the known classes' images that an imprinted class may take.

Measured on ten breeds, MobileNetV2 and a logistic head, each breed in turn added to the nine others from 1, 5 and 20 images:
.84, .96 and .97 of its own are recognised, and the others' accuracy falls from .945 to .92. Shares of .05 and .10 find a few
more (.88 to .99), and the others fall to .89 and .85.
"""


def add_mean(state: Arrays, features: Floats, known: Floats) -> dict[str, Floats]:
    """``means`` [c, d] with the mean of ``features`` [k, d] as a row more: what a fit on all images gives."""
    mean = normalised(normalised(features).sum(axis=0, keepdims=True))
    return {"means": np.concatenate([state["means"], mean])}


def add_items(state: Arrays, features: Floats, known: Floats) -> dict[str, Floats]:
    """``items`` [n, d] and ``classes`` [n, c] with ``features`` [k, d] as items more; k of the votes stays as it is."""
    n, count = state["classes"].shape
    classes = np.zeros((n + len(features), count + 1))
    classes[:n, :count] = state["classes"]
    classes[n:, count] = 1
    items = np.concatenate([state["items"], normalised(features)])
    return {"items": items, "classes": classes, "votes": np.asarray(state["votes"], dtype=np.float64)}


def add_row(state: Arrays, features: Floats, known: Floats) -> dict[str, Floats]:
    """``classifier.weight`` [c, d] and ``classifier.bias`` [c] with an imprinted row more.

    ``known`` [m, d]: features of the known classes' images, best such as it was not trained on. Raises DataError where these
    say nothing, or where the new images lie at their mean.
    """
    weight, bias = (np.asarray(state[f"classifier.{part}"], dtype=np.float64) for part in ("weight", "bias"))
    mean, scale = _standard(known)
    towards = ((features - mean) / scale).mean(axis=0)
    length = float(np.linalg.norm(towards))
    if length <= 1e-12:
        raise DataError(
            f"the {nouns.items()} of the new class look to this model like the mean of all others: add other ones, or "
            "train with them"
        )
    row = float(np.linalg.norm(weight * scale, axis=1).mean()) / length * towards / scale
    margins = known @ row - (known @ weight.T + bias).max(axis=1)
    intercept = -float(np.sort(margins)[len(margins) - 1 - int(TAKEN * len(margins))])
    return {"classifier.weight": np.concatenate([weight, row[None]]), "classifier.bias": np.append(bias, intercept)}


def _standard(known: Floats) -> tuple[Floats, Floats]:
    if len(known) < 2:
        raise DataError(f"no {nouns.items()} of the known classes to hold the new one against: run the study again")
    scale = known.std(axis=0)
    return known.mean(axis=0), np.where(scale > 1e-12, scale, 1.0)


Add = Callable[[Arrays, Floats, Floats], dict[str, Floats]]
OF_FITTED: dict[str, Add] = {"prototypes": add_mean, "knn": add_items}
"""By the name of the head; all others end in a linear layer."""
SENTENCES = {"prototypes": "its mean", "knn": "its own neighbours"}
IMPRINTED = "an imprinted row"
