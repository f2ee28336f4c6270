"""Plain values to a Study; what is wrong with them is said in the study's own words and places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from tlbatch.schema.mistakes import Wording
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.study import Study

OF_A_CONTEXT = ("ca_bundle", "cache", "endpoint", "kube_context", "namespace", "pod_ca_bundle", "pod_endpoint", "region")
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
        return None, _wording().mistakes(document, error, written)


@cache
def _wording() -> Wording:
    said = ": it is where a study goes, not the study (`tlbatch context set {}=…`)"
    return Wording(json_schema(), {name: said.format(name) for name in OF_A_CONTEXT})
