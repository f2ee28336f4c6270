"""Where a report is written to: a step's output, or a folder in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Output(Protocol):
    """What jobs.context.Context is, too."""

    def out(self, name: str) -> Path: ...

    def write_json(self, name: str, document: Any) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A folder of another output. ``name`` ends with a slash; "" is the output itself."""

    output: Output
    name: str

    def out(self, name: str) -> Path:
        return self.output.out(f"{self.name}{name}")

    def write_json(self, name: str, document: Any) -> None:
        self.output.write_json(f"{self.name}{name}", document)
