"""YAML that reads back as the same values, by ``yamltree`` and by who knows YAML 1.1 only: studies, manifests, hints."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from tlbatch.schema.yamltree import CoreTypes

TEXT = "tag:yaml.org,2002:str"
_BREAKS = re.compile("[\x85\u2028\u2029]")  # PyYAML writes them as they are, and reads them as the end of a line
NUMBER = "tag:yaml.org,2002:float"
GO_NUMBER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)")
"""What go-yaml (kubectl) takes for one: strconv.ParseInt of base 0, and its yamlStyleFloat."""
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def yaml_text(text: str, *, visible: bool = False, is_key: bool = False) -> str:
    """A scalar, plain where it can be, else in double quotes; ``${`` of a value is kept from being read as a variable.

    Characters that do not print are escaped; with ``visible`` all that are not ASCII, so that look-alikes can be told apart.
    """
    safe = text if is_key else _without_variables(text)
    if re.fullmatch(r"[A-Za-z/][\w./-]*", safe, re.ASCII) and safe.lower() not in _WORDS:
        return safe
    return '"' + "".join(_escaped(char, visible) for char in safe) + '"'


def _escaped(char: str, visible: bool) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable() and not (visible and not char.isascii()):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes a text where either version of YAML would take it for something else.

    PyYAML writes by 1.1, to which 1e3 and 0o7 are text; to 1.2, Go's reader and ours they are numbers. Go's takes y for a
    truth value besides, and numbers whatever underscores are in them.
    """

    _core = CoreTypes()

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if kind is yaml.ScalarNode and tag == TEXT:
            if implicit[0] and (value.lower() in {"y", "n"} or GO_NUMBER.fullmatch(value.replace("_", ""))):
                return NUMBER
            return self._core.resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return tag

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar(TEXT, data, '"' if _BREAKS.search(data) else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def dump_yaml(
    document: Any, *, variables: bool = False, ascii_only: bool = False, one_line: bool = False, width: float = 80
) -> str:
    """The text of ``document``, mappings in their order.

    ``variables``: it is read where ``${NAME}`` stands for a variable, so a ``${`` in it is written ``$${``. ``one_line``: as
    lists and mappings are written in a line, without its end. ``width``: after which long texts go on in another line.
    """
    text = yaml.dump(
        _values_escaped(document) if variables else document,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=not ascii_only,
        default_flow_style=one_line,
        width=math.inf if one_line else width,
    )
    return text.removesuffix("...\n").strip() if one_line else text


def _values_escaped(value: Any) -> Any:
    """With what ``read_tree`` takes of values, and not of keys, written so that it stays as it is."""
    if isinstance(value, str):
        return _without_variables(value)
    if isinstance(value, dict):
        return {key: _values_escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_values_escaped(inner) for inner in value]
    return value


def _without_variables(text: str) -> str:
    return text.replace("${", "$${")
