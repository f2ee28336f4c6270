"""Texts that stand for classes before a CLIP network: a study's own, or templates filled with their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tlbatch.backbones.imagenet import WORDNET, classes

PLACE = "{}"
DEFAULT_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven that OpenAI's notebook "Prompt Engineering for ImageNet" chose of 80 (Radford et al. 2021; open_clip has them as
SIMPLE_IMAGENET_TEMPLATES): chosen on ImageNet, not on the data of any study."""


def spoken(name: str) -> str:
    """A class's name as words: no WordNet number, spaces for underscores. A bare number is its first name there."""
    number = WORDNET.match(name)
    plain = name[number.end() :] if number else name
    plain = re.sub(r"[\s_]+", " ", plain).strip(" -.")
    if number and not plain:
        plain = next((names[0] for found, names in classes() if found == number.group(1)), "")
    return plain or name


def prompts_of(
    names: Sequence[str], given: Mapping[str, Sequence[str]], templates: Sequence[str] | None
) -> dict[str, tuple[str, ...]]:
    """Class -> its texts: those given, else the templates (None: the default ones) with its name in."""
    filled = DEFAULT_TEMPLATES if templates is None else templates
    return {name: tuple(given.get(name) or (each.replace(PLACE, spoken(name)) for each in filled)) for name in names}
