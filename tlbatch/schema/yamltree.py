"""YAML to plain values, with the line of every path.

The scalars are read by YAML 1.2's core rules: ``1e-3`` is a number, ``no``, ``on`` and ``off`` are text, dates are text.
``${NAME}`` and ``${NAME:-default}`` are expanded from the environment; ``$${`` is a literal ``${``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
MAX_NODES = 100_000  # aliases of aliases can blow a small file up: a study has some hundred nodes
MAX_TEXT = 8 * 2**20  # characters of all scalars together, each counted as often as an alias repeats it
MAX_DEPTH = 50  # of lists and mappings in each other: a study has eight
MOST_MISTAKES = 100  # that are told; a file with more is no file with slips
MAX_DIGITS = 400  # of a number: more than a float holds

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_VARIABLE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^{}])*))?\}")


class CoreTypes(yaml.resolver.BaseResolver):
    """What plain text is by YAML 1.2's core schema."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own name and shape


class _Loader(yaml.SafeLoader):
    """SafeLoader with the types of YAML 1.2's core schema."""

    yaml_implicit_resolvers = CoreTypes.yaml_implicit_resolvers

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML's, which calls itself for what is inside: too deep and too many are noticed while they are read."""
        self.depth += 1
        self.nodes += 1
        try:
            if self.depth > MAX_DEPTH:
                line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
                raise _TooLarge(f"lists and mappings nested more than {MAX_DEPTH} deep: eight is much", line)
            if self.nodes > MAX_NODES:
                raise _TooLarge(f"more than {MAX_NODES} values: is this the right file?")
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _implicit(tag: str, pattern: str, first: list[str]) -> None:
    CoreTypes.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), first)


_implicit("null", r"~|null|Null|NULL|", ["~", "n", "N", ""])
_implicit("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF"))
_implicit("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789"))
_implicit("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789"))
_implicit("merge", r"<<", ["<"])


@dataclass(frozen=True)
class Mistake:
    """One thing wrong. ``path`` is where in the study; ``place`` overrides the place found from the path.

    ``rests_on`` names other paths whose own mistakes would make this one meaningless.
    """

    path: Path
    text: str
    place: str | None = None
    rests_on: tuple[Path, ...] = ()


@dataclass
class Tree:
    """Plain values, the place (``file:line`` or ``--set …``) of every path, and what was wrong on the way."""

    name: str
    value: Any = None
    places: dict[Path, str] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)  #: scalars that are no text, as the file has them
    mistakes: list[Mistake] = field(default_factory=list)

    def place_of(self, path: Path) -> str:
        """The place of the path, or of the nearest part that contains it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return self.name

    def lookup(self, path: Path) -> Any:
        """The value at a path that exists."""
        value = self.value
        for part in path:
            value = value[part]
        return value


def read_tree(
    text: str, name: str, environ: Mapping[str, str] | None = None, *, variables: bool = True, types: bool = True
) -> Tree:
    """Parse ``text``; every mistake that YAML can make is in the tree's ``mistakes``, none is raised.

    ``environ``: of the variables, by default this process's. ``variables``: false where ``${NAME}`` is text as any other.
    ``types``: false where all scalars but null are text, as it is written.
    """
    tree = Tree(name)
    if len(text) > MAX_TEXT:
        tree.mistakes.append(Mistake((), f"{len(text):,} characters: is this the right file?", name))
        return tree
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            variables_of = os.environ if environ is None else environ
            tree.value = _Builder(tree, loader, variables_of if variables else None, types).build(node, ())
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        said = " ".join(str(part) for part in (problem.context, problem.problem) if part)
        tree.mistakes.append(Mistake((), f"this is not YAML: {said}", place))
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        tree.mistakes.append(Mistake((), f"this is not YAML: {problem.reason}", f"{name}:{line}"))
    except _TooLarge as problem:
        place = f"{name}:{problem.line}" if problem.line else name
        tree.mistakes.append(Mistake((), problem.text, place))
    except (ValueError, OverflowError, RecursionError) as problem:  # PyYAML's own, of escapes and directives out of range
        tree.mistakes.append(Mistake((), f"this is not YAML: {problem}", name))
    return tree


def lines_of(tree: Tree) -> list[str]:
    """One line a mistake, in the order of the file: ``file:line: runs[1].train.lr: what is wrong``."""

    def order(item: tuple[str, str]) -> tuple[bool, int]:
        line = item[0].removeprefix(f"{tree.name}:")
        return (not line.isdecimal(), int(line) if line.isdecimal() else 0)

    placed = []
    for mistake in tree.mistakes:
        place = mistake.place or tree.place_of(mistake.path)
        where = f"{show_path(mistake.path)}: " if mistake.path else ""
        placed.append((place, f"{place}: {where}{mistake.text}"))
    lines = list(dict.fromkeys(line for _, line in sorted(placed, key=order)))
    more = [f"{tree.name}: and {len(lines) - MOST_MISTAKES} more mistakes"] if len(lines) > MOST_MISTAKES else []
    return lines[:MOST_MISTAKES] + more


def show_path(path: Path) -> str:
    """``runs[1].train.lr``"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class _TooLarge(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.text, self.line = text, line


@dataclass
class _Builder:
    tree: Tree
    loader: _Loader
    environ: Mapping[str, str] | None
    types: bool = True
    nodes: int = 0
    text: int = 0
    open_nodes: list[yaml.Node] = field(default_factory=list)

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or self.text > MAX_TEXT:
            raise _TooLarge(f"more than {MAX_NODES} values or {MAX_TEXT:,} characters: aliases (*name) that repeat themselves?")
        place = f"{self.tree.name}:{node.start_mark.line + 1}"
        self.tree.places.setdefault(path, place)
        if any(node is outer for outer in self.open_nodes):
            self.tree.mistakes.append(Mistake(path, "an alias (*name) inside what it stands for", place))
            return None
        self.open_nodes.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
            return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        finally:
            self.open_nodes.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag.endswith(":merge"):
                merged.append(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.tree.mistakes.append(Mistake(path, "a key must be plain text", f"{self.tree.name}:{line}"))
                continue
            key = self._checked(str(key_node.value), path, key_node)
            if key in lines:
                text = f"given twice (first in line {lines[key]})"
                self.tree.mistakes.append(Mistake((*path, key), text, f"{self.tree.name}:{line}"))
                continue
            lines[key] = line
            self.tree.places[(*path, key)] = f"{self.tree.name}:{line}"
            result[key] = self.build(value_node, (*path, key))
        for other in merged:
            self._merge(other, path, result)
        return result

    def _merge(self, node: yaml.Node, path: Path, into: dict[str, Any]) -> None:
        """``<<: *name``: what the mapping does not say itself comes from the named one."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                place = f"{self.tree.name}:{part.start_mark.line + 1}"
                self.tree.mistakes.append(Mistake((*path, "<<"), "must name a mapping", place))
                continue
            outer, self.tree.places = self.tree.places, {}
            value = self.build(part, path)
            inner, self.tree.places = self.tree.places, outer
            for below, label in inner.items():
                outer.setdefault(below, label)
            if isinstance(value, dict):  # None: an alias inside what it stands for
                into.update({key: value[key] for key in value if key not in into})

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text, tag = str(node.value), node.tag
        if self.environ is not None and "${" in text:
            text = self._expand(text, path, node, self.environ)
            if node.style is None:  # unquoted: what the variable holds decides the type
                tag = self.loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        text = self._checked(text, path, node)
        if not self.types and not tag.endswith(":null"):
            return text
        try:
            value = plain_scalar(tag, text)
        except ValueError as problem:
            self.tree.mistakes.append(Mistake(path, str(problem), self._place(node)))
            return None
        if not isinstance(value, str):
            self.tree.written[path] = str(node.value)
        return value

    def _checked(self, text: str, path: Path, node: yaml.Node) -> str:
        """The text, its length counted; halves of characters (``\\ud800``) and NUL, which no file's name has, are mistakes."""
        self.text += len(text)
        bad = _NO_TEXT.search(text)
        if bad is None:
            return text
        self.tree.mistakes.append(Mistake(path, f"holds {bad[0]!a}, which is no character of a text", self._place(node)))
        return _NO_TEXT.sub("?", text)

    def _place(self, node: yaml.Node) -> str:
        return f"{self.tree.name}:{node.start_mark.line + 1}"

    def _expand(self, text: str, path: Path, node: yaml.Node, environ: Mapping[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            escaped, name, default = match.groups()
            if escaped:
                return "${"
            found = environ.get(name) or default
            if found is None:
                place = f"{self.tree.name}:{node.start_mark.line + 1}"
                say = f"the environment variable {name} is not set; set it, or write ${{{name}:-a default}}"
                self.tree.mistakes.append(Mistake(path, say, place))
            return found or ""

        return _VARIABLE.sub(value, text)


def plain_scalar(tag: str, text: str) -> Any:
    """The value of a scalar by its tag; unknown tags stay text. Raises ValueError, a sentence, where the two do not fit."""
    kind = tag.rpartition(":")[2]
    if kind in _VALUES:
        if len(text) > MAX_DIGITS:
            raise ValueError(f"{text[:12]}… has {len(text):,} digits: no number here needs as many")
        try:
            value = _VALUES[kind](text)
        except (ValueError, KeyError, OverflowError):
            raise ValueError(f"{text!r} is no {_KINDS[kind]}, as its tag !!{kind} says") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{text!r} is no finite number")
        return value
    return text


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


_KINDS = {"null": "null", "bool": "true or false", "int": "whole number", "float": "number"}
_VALUES: dict[str, Callable[[str], Any]] = {
    "null": lambda text: {"": None, "~": None, "null": None}[text.lower()],
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": float,
}
