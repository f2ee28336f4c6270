"""ImageNet-1k's classes by name: which of a pretrained network's 1,000 outputs mean a study's classes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

WORDNET = re.compile(r"^(n\d{8})(?:$|[\s._-])")


def _among(*spans: tuple[int, int]) -> tuple[int, ...]:
    return tuple(index for first, last in spans for index in range(first, last + 1))


_FISH = _among((0, 6), (389, 397))
_BIRD = _among((7, 24), (80, 100), (127, 146))
_CAR = (407, 436, 468, 511, 609, 627, 656, 661, 751, 817)
_TRUCK = (555, 569, 675, 717, 734, 864, 867)
_SHIP = (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 914)
_PLANE = (404, 895)
_INSECT = _among((300, 326))
_SNAKE = _among((52, 68))
_CATTLE = (345, 346, 347)
_SWINE = (341, 342, 343)

GROUPS: dict[str, tuple[int, ...]] = {
    "fish": _FISH,
    "shark": (2, 3, 4),
    "bird": _BIRD,
    "chicken": (7, 8),
    "owl": (24,),
    "duck": (97, 98),
    "parrot": (87, 88, 89, 90),
    "penguin": (145,),
    "salamander": _among((25, 29)),
    "frog": (30, 31, 32),
    "amphibian": _among((25, 32)),
    "turtle": _among((33, 37)),
    "tortoise": _among((33, 37)),
    "lizard": _among((38, 48)),
    "crocodile": (49, 50),
    "snake": _SNAKE,
    "reptile": _among((33, 50), (52, 68)),
    "spider": _among((72, 77)),
    "crab": _among((118, 121)),
    "lobster": (122, 123),
    "whale": (147, 148),
    "dog": _among((151, 268)),
    "wolf": _among((269, 272)),
    "fox": _among((277, 280)),
    "cat": _among((281, 285)),
    "big cat": _among((286, 293)),
    "bear": _among((294, 297)),
    "beetle": _among((300, 307)),
    "butterfly": _among((321, 326)),
    "insect": _INSECT,
    "rabbit": _among((330, 332)),
    "squirrel": (335,),
    "horse": (339,),
    "pig": _SWINE,
    "cow": _CATTLE,
    "cattle": _CATTLE,
    "sheep": (348, 349),
    "goat": (350,),
    "antelope": (351, 352, 353),
    "camel": (354,),
    "ape": _among((365, 369)),
    "monkey": _among((370, 382)),
    "primate": _among((365, 384)),
    "elephant": (101, 385, 386),
    "panda": (387, 388),
    "car": _CAR,
    "automobile": _CAR,
    "truck": _TRUCK,
    "bus": (654, 779, 874),
    "bicycle": (444, 671),
    "motorcycle": (665, 670),
    "airplane": _PLANE,
    "aeroplane": _PLANE,
    "plane": _PLANE,
    "ship": _SHIP,
    "boat": _SHIP,
}
"""Everyday words for several of the classes: outputs under the word in WordNet's tree, as indices from 0."""


@cache
def classes() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(WordNet number, names) of the 1,000 classes in the order of a network's outputs. From timm's ImageNetInfo."""
    text = resources.files("tlbatch.backbones").joinpath("imagenet.json").read_text(encoding="utf-8")
    return tuple((number, tuple(names)) for number, names in json.loads(text))


@cache
def _by_name() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for index, (number, names) in enumerate(classes()):
        for name in dict.fromkeys([number, *(normalise(name) for name in names)]):
            found[name] = (*found.get(name, ()), index)
    return found


def normalise(name: str) -> str:
    """Lower case, single spaces: "Shih_Tzu", "shih-tzu" and "Shih Tzu" are one."""
    return re.sub(r"[\s_\-.]+", " ", name).strip().lower()


def class_mapping(names: Iterable[str]) -> dict[str, list[int]] | None:
    """Class -> the outputs that mean it, or None where not every class is covered by outputs of its own.

    A class is a WordNet number (n02088364-beagle), one of ImageNet's names, or an everyday word for a group of them; its
    score without labels is the sum of its outputs' probabilities. Where one class is part of another, it has its outputs
    to itself.
    """
    wanted = list(names)
    mapping = known_outputs(wanted)
    every = [index for found in mapping.values() for index in found]
    return mapping if wanted and len(mapping) == len(wanted) and len(every) == len(set(every)) else None


def known_outputs(names: Iterable[str]) -> dict[str, list[int]]:
    """As ``class_mapping``, of those classes that have outputs of their own."""
    wanted = list(names)
    exact = {name: found for name in wanted if (found := _exact(name))}
    exact = _nearest_meaning(exact)
    taken = {index for name, found in exact.items() for index in found}
    mapping: dict[str, list[int]] = {}
    for name in wanted:
        if found := exact.get(name) or [index for index in _group(name) if index not in taken]:
            mapping[name] = sorted(found)
    return mapping


def _exact(name: str) -> list[int]:
    """Outputs with this very name (or WordNet number), unless the word also stands for a group."""
    number = WORDNET.match(name)
    if number:
        return list(_by_name().get(number.group(1), ()))
    if _group(name):
        return []
    return next((list(_by_name()[form]) for form in _forms(name) if form in _by_name()), [])


def _group(name: str) -> tuple[int, ...]:
    return next((GROUPS[form] for form in _forms(name) if form in GROUPS), ())


def _forms(name: str) -> Sequence[str]:
    """The name, and what it may be the plural of."""
    plain = normalise(name)
    forms = [plain]
    for ending, singular in (("ves", "f"), ("ies", "y"), ("es", ""), ("s", "")):
        if plain.endswith(ending) and len(plain) > len(ending) + 1:
            forms.append(plain.removesuffix(ending) + singular)
    return forms


def _nearest_meaning(exact: dict[str, list[int]]) -> dict[str, list[int]]:
    """Of two meanings (cardigan: a dog, a sweater) the one nearest to the other classes: kinds stand side by side."""
    sure = [found[0] for found in exact.values() if len(found) == 1]
    if not sure:
        return exact
    return {
        name: found if len(found) == 1 else [min(found, key=lambda index: min(abs(index - other) for other in sure))]
        for name, found in exact.items()
    }
