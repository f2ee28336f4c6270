"""How a folder is laid out, told from its paths alone: class folders, ready-made parts, a folder around them. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tlbatch.datasets.partnames import TRAIN, assigned_parts, kind_of_part
from tlbatch.schema.writing import yaml_text

MOST_NAMED = 30  # classes that a sentence writes out


@dataclass(frozen=True)
class Layout:
    """What to write of a folder: ``below`` it (a folder inside, "" for itself), its ready-made ``parts`` (part -> folder), or
    the ``classes`` to name where folders beside them are named like parts. ``classes`` holds how many files each has.
    """

    below: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    beside: tuple[str, ...] = ()  #: folders that are neither
    outside: tuple[str, ...] = ()  #: folders beside the one that ``below`` begins with

    @property
    def is_usable(self) -> bool:
        return len(self.classes) > 1


def layout_of(paths: Iterable[str]) -> Layout:
    """The likeliest layout of files at these '/'-separated paths."""
    inner: dict[str, list[str]] = defaultdict(list)
    loose = 0
    for path in paths:
        top, slash, rest = path.partition("/")
        if slash:
            inner[top].append(rest)
        else:
            loose += 1
    like_parts = [name for name in inner if kind_of_part(name)]
    others = {name: len(rest) for name, rest in sorted(inner.items()) if name not in like_parts}
    divided = {name: _class_folders(inner[name]) for name in like_parts}
    parts = assigned_parts(name for name, classes in divided.items() if classes)
    if parts:
        counts = sum((divided[name] for name in parts.values()), Counter[str]())
        beside = sorted(set(inner) - set(parts.values()))
        return Layout("", parts, dict(sorted(counts.items())), tuple(beside))
    if len(others) > 1:
        return Layout("", {}, others, tuple(sorted(like_parts)))
    return _around(inner, divided, others) or Layout("", {}, others, tuple(sorted(like_parts)))


def _around(inner: Mapping[str, list[str]], divided: Mapping[str, Counter[str]], others: Mapping[str, int]) -> Layout | None:
    """One folder around all others: ``train/`` alone, or what unpacking an archive leaves."""
    trains = [name for name in divided if kind_of_part(name) == TRAIN and divided[name]]
    around = trains[0] if len(trains) == 1 and not others else next(iter(others)) if len(others) == 1 and not divided else ""
    if not around or not any("/" in path for path in inner[around]):
        return None
    found = layout_of(inner[around])
    below = f"{around}/{found.below}".rstrip("/")
    beside = tuple(sorted(set(inner) - {around}))
    return replace(found, below=below, outside=beside) if found.is_usable else None


def _class_folders(paths: Iterable[str]) -> Counter[str]:
    return Counter(path.partition("/")[0] for path in paths if "/" in path)


# ---- what to say of names that are parts ----


def refused_parts(names: Sequence[str], paths: Iterable[str], classes: Iterable[str]) -> str:
    """Why folders called like parts are no classes, and what to write for the layout that is there."""
    one = len(names) == 1
    named = " and ".join(repr(name) for name in names)
    said = f"{named} {'is the name of a part' if one else 'are names of parts'} of a split (train, validation, test), not of "
    said += "a class" if one else "classes"
    found = layout_of(paths)
    if found.parts:
        return f"{said}: write dataset.split: {{folders: {written_parts(found)}}}"
    if found.below:
        return f"{said}: name the folder inside, {found.below}, in dataset.url"
    every = sorted(set(classes))
    others = [name for name in every if name not in names]
    ways = [f"dataset.classes: {written_classes(others)} leaves {'it' if one else 'them'} out"] if len(others) > 1 else []
    ways += [f"dataset.classes: {written_classes(every)} makes {'a class' if one else 'classes'} of {'it' if one else 'them'}"]
    return f"{said}: {', '.join(ways)}; ready-made parts (dataset.split.folders) need a folder for each class in each of them"


def written_parts(layout: Layout) -> str:
    """The value of ``split.folders`` as YAML."""
    below = f"{layout.below}/" if layout.below else ""
    return "{" + ", ".join(f"{part}: {yaml_text(below + name)}" for part, name in layout.parts.items()) + "}"


def written_classes(names: Iterable[str]) -> str:
    """The value of ``classes`` as YAML; shortened where it would be too long to read."""
    every = list(names)
    shown = [yaml_text(name) for name in every[:MOST_NAMED]]
    return "[" + ", ".join([*shown, *(["…"] if len(every) > MOST_NAMED else [])]) + "]"


def inner_parts(paths: Iterable[str]) -> tuple[str, ...]:
    """Folders named like parts inside of class folders (``cat/train``): they divide nothing; () where there are none."""
    seen: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        steps = path.split("/", 2)
        kind = kind_of_part(steps[1]) if len(steps) == 3 else None
        if kind:
            seen[steps[0]].add(f"{steps[0]}/{steps[1]}")
    several = [name for name, folders in seen.items() if len(folders) > 1]
    return tuple(sorted(path for name in several for path in seen[name]))
