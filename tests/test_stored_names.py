"""What is stored is read for years: a field that is renamed in the code is lost to every store that has it.

``tests/stored_names.json`` has the fields of every class that a strict reader decodes (tlbatch.store.documents). ``python -m
tests.test_stored_names`` writes it anew where one comes; one that goes is a change of the format, and the change says what
still reads the old one.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

from tests.imports import ROOT, modules

RECORDED = Path(__file__).with_name("stored_names.json")
READERS = {"shaped", "checked"}


def stored_names() -> dict[str, list[str]]:
    """Class -> its fields, read from the source: of each class that ``shaped`` or ``checked`` is called with."""
    fields: dict[str, list[str]] = {}
    read: set[str] = set()
    for path in modules(ROOT).values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                named = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
                fields[node.name] = sorted(each.id for each in named if isinstance(each, ast.Name))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS and node.args:
                read |= {each.id for each in ast.walk(node.args[0]) if isinstance(each, ast.Name)}
    return {name: fields[name] for name in sorted(read & fields.keys())}


def test_stored_names_are_the_recorded_ones() -> None:
    """Fails when a field of a stored document is renamed, as ``settled`` of decisions was by a change of words."""
    found, recorded = stored_names(), json.loads(RECORDED.read_text())
    assert found.keys() == recorded.keys()
    assert {name for name in found if found[name] != recorded[name]} == set()


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(stored_names(), indent=1) + "\n")
