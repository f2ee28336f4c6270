"""What every part of a study shares: strict, immutable, no unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler


def _take_lists(schema: Any) -> None:
    """Let the tuples of a pydantic schema be given as lists; what is in them stays as strict as it was."""
    if isinstance(schema, dict):
        if schema.get("type") == "tuple":
            schema["strict"] = False
        for name, inner in schema.items():
            if name not in ("metadata", "serialization"):
                _take_lists(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _take_lists(inner)


class Part(BaseModel):
    """A part of a study. Frozen; unknown keys and wrong types are refused. Lists are tuples: JSON and YAML have no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From plain values, as JSON and YAML have them. Raises pydantic's ValidationError."""
        return cls.model_validate(values)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        schema = handler(source)
        _take_lists(schema)
        return schema


Name = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", description="lower-case letters, digits and '-', at most 40"),
]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
