"""``--set path=value``: fields of a study from the command line."""

from __future__ import annotations

import re
from typing import Any

from tlbatch.schema.nearest import nearest
from tlbatch.schema.yamltree import Mistake, Path, Tree, read_tree

_STEP = re.compile(r"\.?([^.\[\]=]+)|\[([^\[\]]+)\]")


def apply_override(tree: Tree, text: str) -> Path | None:
    """Set one field in the tree; returns its path, or None when the override was wrong (see ``tree.mistakes``).

    ``runs[basic-cnn].train.lr=1e-4``, ``runs.0.train.lr=1e-4``: an entry of a list by its name or its number. The value
    is YAML. Mappings on the way are made when they are not there.
    """
    place = f"--set {text}"
    steps, value_text = _parse(text)
    if steps is None:
        tree.mistakes.append(Mistake((), "write it as path=value, e.g. runs[basic-cnn].train.lr=1e-4", place))
        return None
    value = read_tree(value_text, place)
    if value.mistakes:
        tree.mistakes += [Mistake((), mistake.text, place) for mistake in value.mistakes]
        return None
    try:
        path = _put(tree, steps, value.value, place)
    except _WrongPathError as wrong:
        tree.mistakes.append(Mistake(wrong.path, wrong.text, place))
        return None
    tree.places = {known: label for known, label in tree.places.items() if known[: len(path)] != path}
    tree.written = {known: text for known, text in tree.written.items() if known[: len(path)] != path}
    tree.written |= {(*path, *inside): text for inside, text in value.written.items()}
    tree.places[path] = place
    return path


def _parse(text: str) -> tuple[list[str] | None, str]:
    """The steps of the path and the text of the value; names in brackets may hold dots, not '='."""
    left, equals, right = text.partition("=")
    steps, at = [], 0
    while at < len(left):
        match = _STEP.match(left, at)
        if match is None:
            return None, right
        steps.append((match[1] or match[2]).strip())
        at = match.end()
    return (steps if equals and steps and all(steps) else None), right


class _WrongPathError(Exception):
    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path, self.text = path, text


def _put(tree: Tree, steps: list[str], value: Any, place: str) -> Path:
    if not isinstance(tree.value, dict):
        tree.value = {}
    parent: Any = tree.value
    path: Path = ()
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        key = _key(parent, step, path)
        path = (*path, key)
        if last:
            _assign(parent, key, value)
            break
        inside = parent.get(key) if isinstance(parent, dict) else parent[key] if int(key) < len(parent) else None
        if inside is None:
            inside = {}
            _assign(parent, key, inside)
            tree.places[path] = place
        if not isinstance(inside, dict | list):
            raise _WrongPathError(path, f"is {inside!r}, which has nothing inside; set it as a whole")
        parent = inside
    return path


def _assign(parent: Any, key: str | int, value: Any) -> None:
    if isinstance(parent, list) and int(key) == len(parent):
        parent.append(value)
    else:
        parent[key] = value


def _key(parent: Any, step: str, path: Path) -> str | int:
    if isinstance(parent, dict):
        return step
    if re.fullmatch(r"[0-9]{1,9}", step):
        if int(step) <= len(parent):
            return int(step)
        raise _WrongPathError(path, f"there is no entry {step}: there are {len(parent)}, counted from 0")
    names = [item.get("name") if isinstance(item, dict) else None for item in parent]
    if step in names:
        return names.index(step)
    known = [str(name) for name in names if name]
    near = nearest(step, known)
    hint = f" (did you mean {near!r}?)" if near else f"; there are {', '.join(known)}" if known else ""
    raise _WrongPathError(path, f"no entry is named {step!r}{hint}")
