"""What a plug-in adds, as a study names it: ``plugin:name``, or ``{plugin:name: {its settings}}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from tlbatch.errors import StudyError
from tlbatch.plugins import NAME, find
from tlbatch.schema.base import Part
from tlbatch.schema.mistakes import Wording
from tlbatch.schema.yamltree import Mistake, Path

AddedName = Annotated[str, Field(pattern=f"^{NAME}$")]
AddedSettings = Annotated[
    dict[AddedName, dict[str, Any]],
    Field(min_length=1, max_length=1, json_schema_extra={"additionalProperties": False}),  # else editors take own ones for it
]


def whose(value: Any) -> str:
    """``added`` for what a plug-in adds, which has a colon in its name; else ``own``. For pydantic's Discriminator."""
    name = next(iter(value), "") if isinstance(value, dict) else value
    return "added" if isinstance(name, str) and ":" in name else "own"


def name_and_settings(value: str | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Of ``plugin:name`` or ``{plugin:name: {…}}``."""
    return (value, {}) if isinstance(value, str) else next(iter(value.items()))


def settings_by(model: type[Part] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, checked and filled up by an entry's settings.

    Raises pydantic's ValidationError; ValueError where nothing may be set.
    """
    if model is None:
        if given:
            raise ValueError("nothing can be set of it")
        return {}
    values: dict[str, Any] = model.of(given).model_dump(mode="json")
    return values


def added_name(value: Any) -> str | None:
    """The name in ``plugin:name`` or ``{plugin:name: {…}}``; None for what is tlbatch's own, or nothing."""
    return None if value is None or whose(value) == "own" else name_and_settings(value)[0]


def added_to_model(model: Mapping[str, Any]) -> list[str]:
    """Names of what plug-ins add to a resolved model, as plans, task documents and cards have it."""
    names = (
        added_name(model.get("scratch")),
        added_name((model.get("backbone") or {}).get("name")),
        added_name(model.get("head")),
    )
    return [name for name in names if name is not None]


def resolved(kind: str, value: str | Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{plugin:name: {all its settings}}``, as keys and cards have it. Raises StudyError; ValidationError, ValueError."""
    name, given = name_and_settings(value)
    return {name: settings_by(getattr(find(kind, name), "settings", None), given)}


def check_added(kind: str, value: Any, path: Path) -> Iterator[Mistake]:
    """That a plug-in has what is named, and takes what is set of it. Nothing to say of tlbatch's own."""
    if added_name(value) is None:
        return
    name, given = name_and_settings(value)
    try:
        entry = find(kind, name)
    except StudyError as error:
        yield Mistake(path, str(error))
        return
    yield from check_settings(name, getattr(entry, "settings", None), given, path)  # metrics and backbones have none


def check_settings(name: str, model: type[Part] | None, given: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    """That the entry ``name`` takes what is set of it beneath its name."""
    try:
        settings_by(model, given)
    except ValidationError as error:
        for mistake in Wording(model.model_json_schema() if model else {}).mistakes(given, error):
            yield Mistake((*path, name, *mistake.path), mistake.text)
    except ValueError:
        yield Mistake(path, f"nothing can be set of it: write {name}")
