"""The manual's pages and the examples in them, as the tests see them.

Every fenced block says what holds it, by the line before: ``<!-- run -->`` (it is run in a sandbox; ``<!-- run: slow -->`` with
the slow tests), ``<!-- tested: FILE::TEST … -->`` (others do), or ``*Recorded…*``, which readers see. Blocks of YAML are
studies or parts of one and are loaded; ``<!-- file: NAME -->`` puts one into the sandbox. Formulas hold no example.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"<!-- (run|run: slow|tested: [^>]+|file: \S+) -->|\*(Recorded)\b.*\*|\*(Recorded)\b.*")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block. ``mark``: ``run``, ``run: slow``, ``tested: …``, ``file: …``, ``Recorded``; "" for nothing."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> dict[str, str]:
    """Name (``README.md``, ``docs/data.md``) to text."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def blocks(*languages: str) -> list[Block]:
    """All blocks, or those of some languages, page by page."""
    found = []
    for page, text in pages().items():
        for fence in FENCE.finditer(text):
            before = text[: fence.start()].rstrip("\n").rpartition("\n\n")[2]
            mark = MARK.fullmatch(" ".join(before.split()))
            said = next((group for group in mark.groups() if group), "") if mark else ""
            found.append(Block(page, text.count("\n", 0, fence.start()) + 1, fence[1], said, fence[2]))
    return [block for block in found if not languages or block.language in languages]
