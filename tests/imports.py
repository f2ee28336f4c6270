"""Who imports whom, read from the source: all modules of the launcher and the steps, imports within functions too."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
Graph = Mapping[str, frozenset[str]]


def modules(root: Path) -> dict[str, Path]:
    """Module -> its file, of ``tlbatch`` and ``jobs`` below ``root``."""
    found = {}
    for path in sorted([*root.glob("tlbatch/**/*.py"), *root.glob("jobs/**/*.py")]):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def import_graph(root: Path = ROOT) -> Graph:
    """Module -> what it imports, wherever it does; what only a type checker sees is left out."""
    known = modules(root)
    return {name: frozenset(_imports(path, known)) for name, path in known.items()}


def _imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in _executed(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                own = f"{node.module}.{alias.name}"
                yield own if own in known else node.module


def imported_names(path: Path) -> frozenset[str]:
    """All that a file imports, as ``module`` and as ``module.name``, of libraries too."""
    found: set[str] = set()
    for node in _executed(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"):
            yield child
            yield from _executed(child)


def chain(graph: Graph, start: str, libraries: frozenset[str]) -> tuple[str, ...]:
    """A shortest way of imports from a module to one of the libraries, through packages too; () where there is none."""
    waiting, seen = deque([(start,)]), {start}
    while waiting:
        way = waiting.popleft()
        parents = {".".join(way[-1].split(".")[:depth]) for depth in range(1, way[-1].count(".") + 1)}
        for name in sorted(graph[way[-1]] | (parents & graph.keys())):
            if name.partition(".")[0] in libraries:
                return (*way, name)
            if name in graph and name not in seen:
                seen.add(name)
                waiting.append((*way, name))
    return ()
