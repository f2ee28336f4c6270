"""Features of images as the extract step leaves them: safetensors, a file for each first hex digit of the content id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.data.row_store import RowFile, open_rows
from tlbatch import nouns
from tlbatch.store.artifacts import Artifact

FEATURES, VIEWS = "features", "views"
DESCRIPTION = "features.json"


def group_file(kind: str, image_id: str) -> str:
    """Name of the file that has the image's ``features`` or ``views``."""
    return f"{kind}/{image_id[0]}.safetensors"


def groups(kind: str, ids: Iterable[str]) -> dict[str, list[str]]:
    """File names and the ids that each holds, both sorted, every id once. Pure."""
    found: dict[str, list[str]] = {}
    for image_id in sorted(set(ids)):
        found.setdefault(group_file(kind, image_id), []).append(image_id)
    return found


def load_features(artifact: Artifact, ids: Sequence[str]) -> NDArray[np.float32]:
    """[n, d] in the order of ``ids``. Raises KeyError for an image that was not extracted."""
    dim = int(artifact.read_json(DESCRIPTION)["dim"])
    found = np.empty((len(ids), dim), np.float32)
    for rows, array, targets in _by_group(artifact, FEATURES, ids):
        found[targets] = array[rows]
    return found


def load_views(artifact: Artifact, ids: Sequence[str], redraw: int | None = None) -> NDArray[np.float32]:
    """[k, n, d]: the augmented views of images in the order of ``ids``.

    A view is drawn from the image's content and its number alone, so it is the same in every redraw; ``redraw`` only says in
    the error which training images were meant. Raises KeyError for an image whose views were not extracted.
    """
    description = artifact.read_json(DESCRIPTION)
    found = np.empty((len(ids), int(description["views"] or 0), int(description["dim"])), np.float32)
    try:
        for rows, array, targets in _by_group(artifact, VIEWS, ids):
            found[targets] = array[rows]
    except KeyError as error:
        raise KeyError(f"{error.args[0]} (training {nouns.items()} of redraw {redraw})") from error
    return found.transpose(1, 0, 2)


def _by_group(artifact: Artifact, kind: str, ids: Sequence[str]) -> Iterable[tuple[list[int], NDArray[np.float32], list[int]]]:
    """For each file: the rows wanted of it, its tensor, and their places in ``ids``."""
    wanted: dict[str, list[int]] = {}
    for target, image_id in enumerate(ids):
        wanted.setdefault(group_file(kind, image_id), []).append(target)
    for name, targets in sorted(wanted.items()):
        places = _places(artifact, name)
        missing = next((ids[target] for target in targets if ids[target] not in places), None)
        if missing is not None:
            raise KeyError(f"no {kind} of {nouns.item()} {missing} in {artifact.manifest.step} {artifact.manifest.key[:12]}")
        array = open_rows(artifact.path(name)).array()
        yield [places[ids[target]] for target in targets], array, targets


def _places(artifact: Artifact, name: str) -> Mapping[str, int]:
    if name not in artifact:
        return {}
    rows: RowFile = open_rows(artifact.path(name))
    return {image_id: place for place, image_id in enumerate(rows.ids)}
