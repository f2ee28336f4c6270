"""What pydantic finds wrong with a document, in a study's words: one mistake a place, with what would be right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pydantic import ValidationError

from tlbatch.logins import without_logins
from tlbatch.schema.nearest import nearest, suggestion
from tlbatch.schema.writing import yaml_text
from tlbatch.schema.yamltree import Mistake, Path

MOST_ERRORS = 300  # that are looked at: a union's alternatives speak each

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "model": "a mapping (key: value)",
    "dict": "a mapping (key: value)",
    "tuple": "a list",
    "list": "a list",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_OWN_WORDS = ("value_error", "assertion_error")  # a validator's: "Value error, …"

Items = list[dict[str, Any]]
"""Pydantic's errors (``ErrorDetails``) about one place."""


@dataclass(frozen=True)
class Wording:
    """For documents of ``schema``, a JSON Schema; ``elsewhere``: what is said of unknown keys that belong elsewhere."""

    schema: Mapping[str, Any]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def mistakes(self, document: Any, error: ValidationError, written: Mapping[Path, str] | None = None) -> list[Mistake]:
        """One a place: of the alternatives of a union, those that came furthest speak.

        ``written``: scalars as the file has them.
        """
        said: dict[Path, Items] = {}
        found: Items = [{**item} for item in error.errors(include_url=False, include_context=True)[:MOST_ERRORS]]
        for item in (meant := _of_what_is_meant(document, found)):
            said.setdefault(_document_path(document, item), []).append(item)
        unknown = {path for path, items in said.items() if any(item["type"] == "extra_forbidden" for item in items)}
        choices = _choices(document, meant)
        return [Mistake(place, _choice(said.get(place, []), keys)) for place, keys in choices.items()] + [
            Mistake(path, self._sentence(path, items, written or {}))
            for path, items in said.items()
            if path not in choices
            and not (path and path[-1] in choices.get(path[:-1], ()))
            and not (_only_shadows(path, said, items) or self._misspelt(path, items, unknown))
        ]

    def known_keys(self, path: Path) -> list[str]:
        """The keys that a mapping at this path may have; empty where any key will do."""
        keys = {key: None for part in self._schemas_at(path) for key in part.get("properties", {})}
        return list(keys)

    def _schemas_at(self, path: Path) -> list[Mapping[str, Any]]:
        parts = list(self._alternatives(self.schema))
        for step in path:
            below: list[Mapping[str, Any]] = []
            for part in parts:
                inside = part.get("items") if isinstance(step, int) else part.get("properties", {}).get(step)
                named = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
                for each in (inside,) if inside or isinstance(step, int) else named:
                    below += self._alternatives(each) if isinstance(each, dict) else ()
            parts = below
        return parts

    def _alternatives(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if "$ref" in schema:
            yield from self._alternatives(self.schema["$defs"][schema["$ref"].rpartition("/")[2]])
        for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from self._alternatives(part)
        yield schema

    def _misspelt(self, path: Path, items: Items, unknown: set[Path]) -> bool:
        """Whether a missing key is there under a misspelt name, which is reported already."""
        if items[0]["type"] != "missing":
            return False
        siblings = [str(other[-1]) for other in unknown if other[:-1] == path[:-1]]
        return any(nearest(name, self.known_keys(path[:-1])) == path[-1] for name in siblings)

    def _sentence(self, path: Path, items: Items, written: Mapping[Path, str]) -> str:
        kinds = [item["type"] for item in items]
        if "missing" in kinds:
            note = next((part["description"] for part in self._schemas_at(path) if part.get("description")), "")
            return f"is missing ({note.splitlines()[0]})" if note else "is missing"
        if "extra_forbidden" in kinds:
            return self._unknown(path)
        bound = next((item for item in items if item["type"] in _BOUNDS), None)
        if bound is not None:
            limit, words = _BOUNDS[bound["type"]]
            return f"must be {words} {bound['ctx'][limit]:g}, not {_show(bound['input'])}"
        own = next((item for item in items if item["type"] in _OWN_WORDS), None)
        if own is not None:
            return str(own["msg"]).partition(", ")[2]
        return self._expected(path, items, kinds, written)

    def _unknown(self, path: Path) -> str:
        """A key that nobody knows, one that takes no settings, or one of an alternative beside one of another."""
        key, parts = str(path[-1]), self._schemas_at(path[:-1])
        if any(key == part.get("const") or key in part.get("enum", ()) for part in parts):
            return f"takes no settings: write {path[-2]}: {key}"
        known = self.known_keys(path[:-1])
        if key in known:
            return "cannot be there together with the other keys: it is said instead of them"
        return f"unknown key{self.elsewhere.get(key) or suggestion(key, known, most=20)}"

    def _expected(self, path: Path, items: Items, kinds: list[str], written: Mapping[Path, str]) -> str:
        """What the alternatives want of a value, and what it is."""
        wanted = list(dict.fromkeys(self._wanted(item, path) for item in items))
        if "be a number" in wanted:
            wanted = [each for each in wanted if each != "be a whole number"]
        given = items[0]["input"]
        expected = [name for item in items for name in _literals(item)]
        hint = _hint(given, kinds, written.get(path, ""))
        if isinstance(given, str):
            keys = self.known_keys(path)
            near = None if given in keys else nearest(given, expected)
            key = nearest(given, keys)
            hint = f" (did you mean {near!r}?)" if near else f" (did you mean {{{key}: {{}}}}?)" if key else ""
        return f"must {' or '.join(wanted).replace(' or be ', ' or ')}, not {_show(given)}{hint}"

    def _wanted(self, item: Mapping[str, Any], path: Path) -> str:
        """What comes behind "must"."""
        kind: str = item["type"]
        if kind == "literal_error":
            names = _literals(item)
            return f"be one of {', '.join(names)}" if len(names) > 1 else f"be {names[0]}"
        if kind == "string_pattern_mismatch":
            described = [part for part in self._schemas_at(path) if part.get("description")]
            own = [part for part in described if part.get("pattern") == item["ctx"]["pattern"]] or described[-1:]
            return f"be {own[0]['description']}" if own else f"be of the form {item['ctx']['pattern']}"
        if kind == "too_short":
            return f"be at least {item['ctx']['min_length']} of them"
        if kind == "too_long":
            return f"be at most {item['ctx']['max_length']} of them"
        if kind == "int_from_float":
            return "be a whole number"
        stem = kind.removesuffix("_type").removesuffix("_parsing")
        if stem in _KINDS:
            return f"be {_KINDS[stem]}"
        said, _, wanted = str(item["msg"]).partition(" should ")  # "String should have at least 3 characters"
        return wanted.replace("be a valid ", "be ", 1) if wanted else f"be: {said}"


def _only_shadows(path: Path, said: Mapping[Path, Items], items: Items) -> bool:
    """Whether these are other alternatives of a union (text? a list?) while one that took the value has more to say."""
    deeper = any(len(other) > len(path) and other[: len(path)] == path for other in said)
    return deeper and all(item["type"] not in {"extra_forbidden", "missing"} for item in items)


def _of_what_is_meant(document: Any, items: Items) -> Items:
    """Without what alternatives of a union say that know fewer of a mapping's keys than another: these were not meant.

    Where none knows a key, the keys are unknown, and nobody misses any.
    """
    unknown: dict[Path, dict[Path, set[Any]]] = {}  # of each mapping, by alternative, the keys that it does not know
    for item in items:
        path = _document_path(document, item)
        for place, alternative in _alternatives_of(document, item).items():
            refused = unknown.setdefault(place, {}).setdefault(alternative, set())
            if item["type"] == "extra_forbidden" and path[:-1] == place:
                refused.add(path[-1])
            elif path == place and item["type"].endswith(("_type", "literal_error")):  # no mapping at all: text, a list
                refused.update(_at(document, place))

    def meant(item: dict[str, Any]) -> bool:
        for place, alternative in _alternatives_of(document, item).items():
            counts = {name: len(keys) for name, keys in unknown[place].items()}
            none = min(counts.values()) == len(_at(document, place)) > 0
            if counts[alternative] > min(counts.values()) or (none and item["type"] == "missing"):
                return False
        return True

    return [item for item in items if meant(item)]


def _choices(document: Any, items: Items) -> dict[Path, list[str]]:
    """Empty mappings of which every alternative of a union misses its key, and these keys: one of them is asked for."""
    missed: dict[Path, dict[Path, list[str]]] = {}
    for item in items:
        place = _document_path(document, item)[:-1]
        alternative = _alternatives_of(document, item).get(place)
        if item["type"] == "missing" and alternative is not None and not _at(document, place):
            missed.setdefault(place, {}).setdefault(alternative, []).append(str(item["loc"][-1]))
    return {place: [*dict.fromkeys(chain.from_iterable(keys.values()))] for place, keys in missed.items() if len(keys) > 1}


def _choice(items: Items, keys: list[str]) -> str:
    """``items``: what alternatives that are words say of the same place."""
    words = [name for item in items for name in _literals(item)]
    return f"is empty: {' or '.join([*words, 'one of the keys ' + ', '.join(keys)])} is asked for"


def _alternatives_of(document: Any, item: Mapping[str, Any]) -> dict[Path, Path]:
    """Mappings of the document on the way to the item's place that pydantic names an alternative of, and its name."""
    value, found = document, dict[Path, Path]()
    path: Path = ()
    steps = list(_steps(document, item))
    for step, inside in steps[:-1] if item["type"] == "missing" else steps:
        if inside:
            value, path = value[step], (*path, step)
        elif isinstance(value, dict):
            found[path] = (*found.get(path, ()), step)
    return found


def _document_path(document: Any, item: Mapping[str, Any]) -> Path:
    """Pydantic's location without what is not in the document: names of union branches and validators."""
    steps = list(_steps(document, item))
    missing = item["type"] == "missing"
    return tuple(step for place, (step, inside) in enumerate(steps) if inside or (missing and place == len(steps) - 1))


def _steps(document: Any, item: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
    """The steps of pydantic's location, and whether each leads into the document."""
    value, last = document, len(item["loc"]) - 1
    for place, step in enumerate(item["loc"]):
        named = isinstance(value, dict) and step in value and not (place == last and item["type"] == "missing")
        inside = named or (isinstance(value, list) and isinstance(step, int) and step < len(value))
        if inside:
            value = value[step]
        yield step, inside


def _at(document: Any, place: Path) -> Any:
    for step in place:
        document = document[step]
    return document


def _hint(given: Any, kinds: list[str], written: str) -> str:
    """What to type for text that YAML reads as something else: as it was written, ``001`` and not 1."""
    if "string_type" in kinds and isinstance(given, int | float | None) and (written or given is not None):
        text = yaml_text(written or json.dumps(given))
        return f" (put it in quotes: {text if text.startswith(chr(34)) else json.dumps(text)})"
    return ""


def _literals(item: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", item["ctx"]["expected"]) if item["type"] == "literal_error" else []


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return without_logins(repr(value))
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
