"""All that a comparison of executions knows before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.comparing.images import ImageChange, image_changes
from jobs.comparing.pairs import Pair, compare_sides
from jobs.comparing.sentences import data_sentence, images_sentence, lead_sentence, namesakes_sentence, study_sentence
from jobs.comparing.sides import Place, Side
from jobs.comparing.studies import FieldChange, study_changes


@dataclass(frozen=True)
class Changes:
    """What differs from the first execution to a later one.

    ``parted``: of the images that are as they were, how many went from one part to another; ``versions``: library (or
    device) -> what each of the two had.
    """

    side: Side
    study: tuple[FieldChange, ...]
    images: tuple[ImageChange, ...]
    same_data: bool
    parted: dict[tuple[str, str], int]
    versions: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Comparison:
    """``sides`` in the order given; each is held against the first."""

    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    changes: tuple[Changes, ...]
    sentences: tuple[str, ...]

    @property
    def first(self) -> Side:
        return self.sides[0]


def compare(sides: Sequence[Side]) -> Comparison:
    """Compare all others with the first."""
    first, *others = sides
    pairs = compare_sides(first, others)
    changes = [changes_between(first, other) for other in others]
    sentences: list[str] = []
    for change in changes:
        own = [pair for pair in pairs if pair.a in change.side.sources.runs]
        sentences.append(lead_sentence(first, change.side, own, sum(pair.contrast is not None for pair in pairs)))
        sentences.append(images_sentence(first, change.side, own))
        sentences.append(namesakes_sentence(first, change.side, own))
        sentences.append(study_sentence(first, change.side, change.study))
        sentences.append(data_sentence(first, change.side, change.images, change.parted))
    return Comparison(tuple(sides), tuple(pairs), tuple(changes), tuple(sentence for sentence in sentences if sentence))


def changes_between(first: Side, other: Side) -> Changes:
    same_data = first.sources.dataset.digest == other.sources.dataset.digest
    versions = {
        name: (first.versions.get(name, "–"), other.versions.get(name, "–"))
        for name in sorted({*first.versions, *other.versions})
        if first.versions.get(name) != other.versions.get(name)
    }
    return Changes(
        side=other,
        study=tuple(study_changes(first.document, other.document)),
        images=() if same_data else tuple(image_changes(first.entries, other.entries)),
        same_data=same_data,
        parted=parted_images(first.parts, other.parts),
        versions=versions,
    )


def parted_images(before: Mapping[Place, str], after: Mapping[Place, str]) -> dict[tuple[str, str], int]:
    """Images with the same content and path that are in another part now. Pure."""
    pairs = Counter((part, after[place]) for place, part in before.items() if place in after)
    return {pair: n for pair, n in sorted(pairs.items()) if pair[0] != pair[1]}
