"""Plain values to a Study; what pydantic says about them, said in the study's own words and places."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from tlbatch.schema.nearest import nearest, suggestion
from tlbatch.schema.writing import yaml_text
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.study import Study

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

OF_A_CONTEXT = ("ca_bundle", "endpoint", "kube_context", "namespace", "pod_ca_bundle", "pod_endpoint", "region")
"""Fields of a context (tlbatch.profiles) that people look for in a study."""


@cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of a study, for editors and for ``tlbatch schema``."""
    schema = Study.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def decode(document: Any, written: Mapping[Path, str] | None = None) -> tuple[Study | None, list[Mistake]]:
    """The study, or what is wrong with the document's keys and types. ``written``: scalars as the file has them."""
    if not isinstance(document, dict):
        return None, [Mistake((), "a study is a mapping that starts with apiVersion: tlbatch/v1 (see `tlbatch init`)")]
    try:
        return Study.model_validate_json(json.dumps(document)), []
    except ValidationError as error:
        return None, _mistakes(document, error, written or {})


def known_keys(path: Path) -> list[str]:
    """The keys that a mapping at this path may have; empty where any key will do."""
    keys = {key: None for part in _schemas_at(path) for key in part.get("properties", {})}
    return list(keys)


def _schemas_at(path: Path) -> list[dict[str, Any]]:
    parts = list(_alternatives(json_schema()))
    for step in path:
        below: list[dict[str, Any]] = []
        for part in parts:
            inside = part.get("items") if isinstance(step, int) else part.get("properties", {}).get(step)
            named = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
            for each in (inside,) if inside or isinstance(step, int) else named:
                below += _alternatives(each) if isinstance(each, dict) else ()
        parts = below
    return parts


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        yield from _alternatives(json_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _alternatives(part)
    yield schema


def _mistakes(document: Any, error: ValidationError, written: Mapping[Path, str]) -> list[Mistake]:
    """One mistake a place: of the alternatives of a union, those that came furthest speak."""
    said: dict[Path, list[dict[str, Any]]] = {}
    for item in error.errors(include_url=False, include_context=True)[:MOST_ERRORS]:
        raw: dict[str, Any] = {**item}
        said.setdefault(_document_path(document, raw), []).append(raw)
    unknown = {path for path, items in said.items() if any(item["type"] == "extra_forbidden" for item in items)}
    mistakes = []
    for path, items in said.items():
        if _only_shadows(path, said, items) or _misspelt(path, items, unknown):
            continue
        mistakes.append(Mistake(path, _sentence(path, items, written)))
    return mistakes


def _only_shadows(path: Path, said: dict[Path, list[dict[str, Any]]], items: list[dict[str, Any]]) -> bool:
    """Whether these are other alternatives of a union (text? a list?) while one that took the value has more to say."""
    deeper = any(len(other) > len(path) and other[: len(path)] == path for other in said)
    return deeper and all(item["type"] not in {"extra_forbidden", "missing"} for item in items)


def _misspelt(path: Path, items: list[dict[str, Any]], unknown: set[Path]) -> bool:
    """Whether a missing key is there under a misspelt name, which is reported already."""
    if items[0]["type"] != "missing":
        return False
    siblings = [str(other[-1]) for other in unknown if other[:-1] == path[:-1]]
    return any(nearest(name, known_keys(path[:-1])) == path[-1] for name in siblings)


def _document_path(document: Any, item: dict[str, Any]) -> Path:
    """Pydantic's location without what is not in the document: names of union branches and validators."""
    value, path = document, []
    location = item["loc"]
    for position, step in enumerate(location):
        last = position == len(location) - 1
        known = isinstance(value, dict) and step in value
        if known or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
        elif not (last and item["type"] == "missing"):
            continue
        path.append(step)
    return tuple(path)


def _sentence(path: Path, items: list[dict[str, Any]], written: Mapping[Path, str]) -> str:
    kinds = [item["type"] for item in items]
    if "missing" in kinds:
        note = next((part["description"] for part in _schemas_at(path) if part.get("description")), "")
        return f"is missing ({note.splitlines()[0]})" if note else "is missing"
    if "extra_forbidden" in kinds:
        unknown = str(path[-1])
        if unknown in OF_A_CONTEXT:
            return f"unknown key: it is where a study goes, not the study (`tlbatch context set {unknown}=…`)"
        return f"unknown key{suggestion(unknown, known_keys(path[:-1]), most=16)}"
    bound = next((item for item in items if item["type"] in _BOUNDS), None)
    if bound is not None:
        limit, words = _BOUNDS[bound["type"]]
        return f"must be {words} {bound['ctx'][limit]:g}, not {_show(bound['input'])}"
    wanted = list(dict.fromkeys(_wanted(item, path) for item in items))
    given = items[0]["input"]
    expected = [name for item in items for name in _literals(item)]
    hint = _hint(given, kinds, written.get(path, ""))
    if isinstance(given, str):
        keys = known_keys(path)
        near = None if given in keys else nearest(given, expected)
        key = nearest(given, keys)
        hint = f" (did you mean {near!r}?)" if near else f" (did you mean {{{key}: {{}}}}?)" if key else ""
    return f"must be {' or '.join(wanted)}, not {_show(given)}{hint}"


def _hint(given: Any, kinds: list[str], written: str) -> str:
    """What to type for text that YAML reads as something else: as it was written, ``001`` and not 1."""
    if "string_type" in kinds and isinstance(given, int | float | None) and (written or given is not None):
        text = yaml_text(written or json.dumps(given))
        return f" (put it in quotes: {text if text.startswith(chr(34)) else json.dumps(text)})"
    return ""


def _literals(item: dict[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", item["ctx"]["expected"]) if item["type"] == "literal_error" else []


def _wanted(item: dict[str, Any], path: Path) -> str:
    kind: str = item["type"]
    if kind == "literal_error":
        names = _literals(item)
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    if kind == "string_pattern_mismatch":
        notes = [part["description"] for part in _schemas_at(path) if part.get("description")]
        return notes[-1] if notes else f"of the form {item['ctx']['pattern']}"
    if kind == "too_short":
        return f"at least {item['ctx']['min_length']} of them"
    if kind == "too_long":
        return f"at most {item['ctx']['max_length']} of them"
    if kind == "int_from_float":
        return "a whole number"
    stem = kind.removesuffix("_type").removesuffix("_parsing")
    return _KINDS.get(stem, str(item["msg"]).removeprefix("Input should be ").removeprefix("a valid "))


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
