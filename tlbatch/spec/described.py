"""Classes known by their descriptions alone: no output of a pretrained network means them, and no label is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from tlbatch.schema.base import Count, Part
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake

if TYPE_CHECKING:
    from tlbatch.spec.study import Study


class Described(Part):
    """Zero-shot classification from what a network says of ImageNet's classes and from texts (ConSE: Norouzi et al. 2014)."""

    unseen: tuple[str, ...] | None = Field(
        default=None,
        description="classes whose outputs are not used, to see how well texts do; default: those that no output means",
    )
    texts: dict[str, str] = Field(
        default_factory=dict, description="class -> what it looks like, in words; default: WordNet's, for classes it knows"
    )
    vectors: str | None = Field(
        default=None, description="a file of word vectors (GloVe's or word2vec's text); default: TF-IDF of the texts"
    )
    top: Count = Field(default=10, description="outputs that speak for an item, the likeliest ones")


def check_described(study: Study) -> Iterator[Mistake]:
    """What can be known without the data: names of classes, where the study lists them, and empty texts."""
    asked = study.described
    if asked is None:
        return
    known = study.dataset.classes
    for place in ("unseen", "texts"):
        for name in getattr(asked, place) or ():
            if known and name not in known:
                yield Mistake(("described", place), f"{name!r} is no class of this study{suggestion(name, known)}")
    for name, text in asked.texts.items():
        if not text.strip():
            yield Mistake(("described", "texts", name), "is empty: say what the class looks like, or leave it out")
