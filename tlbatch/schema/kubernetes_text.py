"""Texts that a study or a context hands on to Kubernetes, as its API checks them (k8s.io/apimachinery, util/validation)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

_SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_LABEL_KEY = re.compile(rf"((?=[^/]{{1,253}}/){_SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?")


def _taken(pattern: str, what: str, of: str, most: int) -> Any:
    """A text of at most ``most`` characters. ``what`` and ``of``: what sentences call it, and of what it may be."""
    return Field(pattern=f"^{pattern}$", max_length=most, description=f"{what} as Kubernetes takes it ({of})")


def _label_key(text: str) -> str:
    if not _LABEL_KEY.fullmatch(text):
        raise ValueError("must be a key as Kubernetes takes it: name or example.com/name")
    return text


def _extended_resource(text: str) -> str:
    """What a device plug-in or a class of devices may be called: others are Kubernetes' own."""
    if "/" not in _label_key(text):
        raise ValueError("must be a name as clusters call devices by: with its domain, such as nvidia.com/gpu")
    return text


def _annotation_key(text: str) -> str:
    """Kubernetes looks at it in lower case."""
    _label_key(text.lower())
    return text


ObjectName = Annotated[str, _taken(f"({_SUBDOMAIN})?", "a name", "lower-case letters, digits, - and .", 253)]
"""Empty: none, whatever a context has."""
QueueName = Annotated[ObjectName, Field(max_length=63)]
Namespace = Annotated[str, _taken("[a-z0-9]([a-z0-9-]*[a-z0-9])?", "a name", "at most 63 lower-case letters, digits and -", 63)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[
    str, _taken("([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?", "a label", "at most 63 letters, digits, -, _ and .", 63)
]
DeviceName = Annotated[str, AfterValidator(_extended_resource)]
AnnotationKey = Annotated[str, AfterValidator(_annotation_key)]
