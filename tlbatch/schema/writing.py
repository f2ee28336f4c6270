"""Text as YAML that reads back as the same text: for studies that are written, and for hints that are typed."""

from __future__ import annotations

import re

_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def yaml_text(text: str, *, visible: bool = False) -> str:
    """A scalar, plain where it can be, else in double quotes; ``${`` is kept from being read as a variable.

    Characters that do not print are escaped; with ``visible`` all that are not ASCII, so that look-alikes can be told apart.
    """
    safe = text.replace("${", "$${")
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
