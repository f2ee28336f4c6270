"""What other packages add: found by their entry points, imported when a study names it.

    [project.entry-points."tlbatch.plugins"]
    pets = "pets_extra.plugin:PLUGIN"          # a tlbatch.plugins.Plugin

A study names what it adds ``pets:<name>``. The package's version and the sha256 of its source go into the keys of tasks that
use it, so another version is another task.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from traceback import extract_tb
from types import MappingProxyType
from typing import Any

from tlbatch.errors import StudyError, TlbatchError
from tlbatch.schema.nearest import suggestion

GROUP = "tlbatch.plugins"
NAME = r"[a-z0-9][a-z0-9_-]*:[a-z0-9][a-z0-9_-]*"
"""How a study names what a plug-in adds."""


KINDS: Mapping[str, str] = MappingProxyType(
    {
        "strategies": "tlbatch.strategies.entry:Strategy",
        "networks": "tlbatch.entries:AddedNetwork",
        "heads": "tlbatch.entries:AddedHead",
        "metrics": "tlbatch.entries:AddedMetric",
        "backbones": "tlbatch.backbones.added:AddedBackbone",
        "kinds": "tlbatch.kinds.entry:Kind",
        "augmentations": "tlbatch.entries:AddedAugmentation",
    }
)
"""What a plug-in may add: the field of Plugin, and which class its entries are of."""
OWN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
PROGRAM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Plugin:
    """What a package adds: tuples of entries of the classes in KINDS, each named without the plug-in's own name."""

    strategies: tuple[Any, ...] = ()
    networks: tuple[Any, ...] = ()
    heads: tuple[Any, ...] = ()
    metrics: tuple[Any, ...] = ()
    backbones: tuple[Any, ...] = ()
    kinds: tuple[Any, ...] = ()
    augmentations: tuple[Any, ...] = ()


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
        if (wrong := next(_malformed(found), None)) is not None:
            raise StudyError(f"{whose}: {wrong}; ask its authors")
        return found

    def document(self) -> dict[str, str]:
        """What of it goes into a key."""
        module = self.target.partition(":")[0].partition(".")[0]
        return {"package": self.package, "version": self.version, "sha256": source_digest(module)}


def _malformed(plugin: Plugin) -> Iterator[str]:
    """What is wrong with entries, in words."""
    for kind, target in KINDS.items():
        wanted, entries, names = resolve_name(target), getattr(plugin, kind), set[str]()
        if not isinstance(entries, tuple):
            yield f"its {kind} are a {type(entries).__name__} and no tuple of {wanted.__name__}"
            continue
        for entry in entries:
            if not isinstance(entry, wanted):
                yield f"{entry!r} among its {kind} is no {target.replace(':', '.')}"
                continue
            if not OWN_NAME.fullmatch(entry.name):
                yield f"{entry.name!r} among its {kind} is no name: lower-case letters, digits, '-' and '_'"
            if entry.name in names:
                yield f"two of its {kind} are called {entry.name}"
            for program in _programs(entry):
                if not PROGRAM.fullmatch(program):
                    yield f"the program of {entry.name} among its {kind} is {program!r} and not 'package.module:function'"
                elif not _is_there(program.partition(":")[0]):
                    yield f"the program of {entry.name} among its {kind}, {program}, is in no module that is installed"
            names.add(entry.name)


def _programs(entry: Any) -> list[str]:
    """Where an entry's halves are that compute: its fields called ``…program``."""
    return [getattr(entry, field.name) for field in fields(entry) if field.name.endswith("program")]


def _is_there(module: str) -> bool:
    """Whether a module can be found. What it imports is not looked at: the launcher has no torch."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


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
    """What ``plugin:name`` means among a plug-in's ``kind`` (of KINDS), under its full name. Raises StudyError."""
    plugin, _, own = name.partition(":")
    known = installed()
    if plugin not in known:
        hint = suggestion(plugin, known) or ("" if known else ", and no other either")
        raise StudyError(f"{name}: no plug-in called {plugin!r} is installed here{hint}; `tlbatch plugins` lists them")
    entries = {entry.name: entry for entry in getattr(known[plugin].load(), kind)}
    if own not in entries:
        hint = suggestion(own, entries) or " (it has none)"
        raise StudyError(f"{name}: plug-in {plugin} has no such name among its {kind}{hint}")
    return replace(entries[own], name=name)


def entry_of(kind: str, name: str, own: Mapping[str, Any], what: str) -> Any:
    """The entry of a name: tlbatch's ``own``, or of ``plugin:name`` a plug-in's (``find``). ``what`` it is, in words.

    Raises StudyError.
    """
    if name in own:
        return own[name]
    if ":" not in name:
        raise StudyError(f"{what} {name!r} is not known here: made by a newer tlbatch?")
    return find(kind, name)


def call(name: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What a function of a plug-in's entry returns. Raises StudyError, with where it failed, for whatever else it raises."""
    try:
        return function(*given, **named)
    except (TlbatchError, MemoryError):
        raise
    except Exception as error:
        last = extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        raise StudyError(f"{name} failed at {place} ({type(error).__name__}: {error}); ask the plug-in's authors") from error


def program(kind: str, name: str) -> Callable[..., Any]:
    """The half that computes of ``plugin:name``, imported now. Raises StudyError."""
    return partial(call, name, imported(name, find(kind, name).program))


def imported(name: str, target: str) -> Any:
    """What ``module:object`` of the plug-in's entry ``name`` is. Raises StudyError."""
    try:
        return resolve_name(target)
    except Exception as error:
        raise StudyError(f"{name}: {target} cannot be imported ({type(error).__name__}: {error})") from error


class Guarded:
    """An object of a plug-in's entry whose methods fail in sentences (``call``); its other attributes are as they are."""

    def __init__(self, name: str, whole: Any) -> None:
        self._name, self._whole = name, whole

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._whole, attribute)
        return partial(call, self._name, found) if callable(found) else found


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
                "install it, or build an image FROM tlbatch's with it"
            )
        if here.document() != document:
            raise StudyError(
                f"plug-in {plugin} is {here.package} {here.version} here, and what this rests on was planned with "
                f"{document['package']} {document['version']} or another source of it: install that, or build the image anew"
            )
