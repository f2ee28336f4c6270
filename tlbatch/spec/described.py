"""Classes known by their descriptions alone, with no label: by texts about what a network names, or by CLIP's prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from tlbatch.backbones.prompts import DEFAULT_TEMPLATES, PLACE
from tlbatch.schema.base import Count, Part
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake

if TYPE_CHECKING:
    from tlbatch.spec.study import Study


class Described(Part):
    """Zero-shot classification: from what a network says of ImageNet's classes and from texts (ConSE: Norouzi et al. 2014);
    by CLIP networks from prompts (Radford et al. 2021)."""

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
    prompts: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="of runs with a CLIP network: class -> texts that may come with it; the mean of their embeddings counts",
    )
    templates: tuple[str, ...] | None = Field(
        default=None,
        description="of runs with a CLIP network: texts with {} for the class's name, of classes without prompts; "
        f"default, where no prompts are given: {', '.join(DEFAULT_TEMPLATES)}",
    )

    @property
    def prompted(self) -> bool:
        """Whether it says anything of prompts."""
        return bool(self.prompts) or self.templates is not None

    @property
    def by_texts(self) -> bool:
        """Whether networks with a head over ImageNet's classes are asked."""
        return bool(self.texts) or self.vectors is not None or not self.prompted


def check_described(study: Study) -> Iterator[Mistake]:
    """What can be known without the data: names of classes, where the study lists them, and empty texts."""
    asked = study.described
    if asked is None:
        return
    known = study.dataset.classes
    for place in ("unseen", "texts", "prompts"):
        for name in getattr(asked, place) or ():
            if known and name not in known:
                yield Mistake(("described", place), f"{name!r} is no class of this study{suggestion(name, known)}")
    for name, text in asked.texts.items():
        if not text.strip():
            yield Mistake(("described", "texts", name), "is empty: say what the class looks like, or leave it out")
    yield from _check_prompts(asked, known or ())


def _check_prompts(asked: Described, known: Sequence[str]) -> Iterator[Mistake]:
    for name, texts in asked.prompts.items():
        if not texts or not all(text.strip() for text in texts):
            what = "has no prompt" if not texts else "has an empty prompt"
            yield Mistake(
                ("described", "prompts", name), f"{what}: write one, as [a photo of a {name}], or leave the class out"
            )
    for number, template in enumerate(asked.templates or ()):
        if PLACE not in template:
            yield Mistake(
                ("described", "templates", number),
                f"{template!r} has no {PLACE}, which the class's name takes: as 'a photo of a {PLACE}.'",
            )
    if asked.templates == ():
        yield Mistake(("described", "templates"), "is empty: write one, as 'a photo of a {}.', or leave it out")
    missing = [name for name in known if asked.prompts and not asked.templates and name not in asked.prompts]
    if missing:
        yield Mistake(("described", "prompts"), no_prompt(missing))


def no_prompt(classes: Sequence[str]) -> str:
    """The sentence about classes that have none, where others have and no templates are there."""
    return (
        f"no prompt for {', '.join(classes[:5])}{'…' if len(classes) > 5 else ''}: write some, or give described.templates, "
        "which serve classes without prompts"
    )
