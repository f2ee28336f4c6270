"""What other packages add: found by their entry points, imported when a study names it.

    [project.entry-points."tlbatch.plugins"]
    pets = "pets_extra.plugin:PLUGIN"          # a tlbatch.plugins.Plugin

A study names what it adds ``pets:<name>``. The package's version and the sha256 of its source go into the keys of tasks that
use it, so another version is another task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.schema.nearest import suggestion

GROUP = "tlbatch.plugins"
NAME = r"[a-z0-9][a-z0-9_-]*:[a-z0-9][a-z0-9_-]*"
"""How a study names what a plug-in adds."""


@dataclass(frozen=True)
class Plugin:
    """What a package adds. ``strategies``: tlbatch.strategies.Strategy, named without the plug-in's own name."""

    strategies: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Installed:
    """A plug-in as its package's metadata tell of it; nothing of it is imported."""

    name: str
    package: str
    version: str
    target: str

    def load(self) -> Plugin:
        """Raises StudyError where it cannot be imported, or is none."""
        whose = f"plug-in {self.name} of {self.package} {self.version}"
        try:
            found = EntryPoint(self.name, self.target, GROUP).load()
        except Exception as error:
            raise StudyError(
                f"{whose} cannot be imported ({type(error).__name__}: {error}); install it again, or leave it out of the study"
            ) from error
        if not isinstance(found, Plugin):
            raise StudyError(f"{whose}: {self.target} is no tlbatch.plugins.Plugin; ask its authors")
        return found

    def document(self) -> dict[str, str]:
        """What of it goes into a key."""
        module = self.target.partition(":")[0].partition(".")[0]
        return {"package": self.package, "version": self.version, "sha256": source_digest(module)}


@cache
def source_digest(module: str) -> str:
    """sha256 over the Python files of a package, by their paths within it; read once a process."""
    spec = find_spec(module)
    roots = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    files = [path for root in roots for path in root.rglob("*.py")] or ([Path(spec.origin)] if spec and spec.origin else [])
    content = hashlib.sha256()
    for path in sorted(files):
        root = next((root for root in roots if path.is_relative_to(root)), path.parent)
        content.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return content.hexdigest()


@cache
def installed() -> Mapping[str, Installed]:
    """Every plug-in of this environment by its name, in the order of names."""
    found = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        package = point.dist.name if point.dist else "?"
        found[point.name] = Installed(point.name, package, point.dist.version if point.dist else "?", point.value)
    return found


def find(kind: str, name: str) -> Any:
    """What ``plugin:name`` means among a plug-in's ``kind`` (strategies), under its full name. Raises StudyError."""
    plugin, _, own = name.partition(":")
    known = installed()
    if plugin not in known:
        hint = suggestion(plugin, known) or ("" if known else ", and no other either")
        raise StudyError(f"{name}: no plug-in called {plugin!r} is installed here{hint}; `tlbatch plugins` lists them")
    entries = {entry.name: entry for entry in getattr(known[plugin].load(), kind)}
    if own not in entries:
        has = ", ".join(entries) or "none"
        raise StudyError(
            f"{name}: plug-in {plugin} has no such name among its {kind}{suggestion(own, entries)} (it has: {has})"
        )
    return replace(entries[own], name=name)


def used(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The plug-ins behind these names, as they go into a key; {} where all are tlbatch's own."""
    plugins = sorted({name.partition(":")[0] for name in names if ":" in name})
    return {plugin: installed()[plugin].document() for plugin in plugins}


def check_used(asked: Mapping[str, Mapping[str, str]]) -> None:
    """That what a task was planned with is what is installed where it runs. Raises StudyError."""
    for plugin, document in asked.items():
        here = installed().get(plugin)
        if here is None:
            raise StudyError(
                f"plug-in {plugin} ({document['package']} {document['version']}) is not installed here: "
                "build an image FROM tlbatch's with it"
            )
        if here.document() != document:
            raise StudyError(
                f"plug-in {plugin} is {here.package} {here.version} here, and the study was planned with "
                f"{document['package']} {document['version']} or another source of it: build the image anew"
            )
