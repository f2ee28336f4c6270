"""What the parameters of every step share: how they are written into a task document and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from tlbatch.schema.base import Part


class Parameters(Part):
    """Parameters of a task, or a part of them. Frozen. Wrong types are refused; fields that a step does not know are not.

    Parts of a study within (``train``, ``split``) are as strict as in a study: what is said there decides the output.
    """

    model_config = ConfigDict(extra="ignore", defer_build=True)

    def as_json(self) -> dict[str, Any]:
        """As JSON has them in a task document: what was given, by the names there. What was left out stays left out."""
        names = {name: field.alias or name for name, field in type(self).model_fields.items()}
        given = {names[name]: getattr(self, name) for name in names if name in self.model_fields_set}
        return {name: _plain(value) for name, value in (given | (self.model_extra or {})).items()}

    @classmethod
    def of_another_time(cls, document: Mapping[str, Any]) -> Self:
        """Of a task that may be years old: fields that are unknown by now are ignored in parts of a study, too."""
        return cls.model_validate(document, extra="ignore")


class Open(Parameters):
    """Parameters that what plugs in may add to: fields that are not known here are kept."""

    model_config = ConfigDict(extra="allow")


def _plain(value: Any) -> Any:
    if isinstance(value, Parameters):
        return value.as_json()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
