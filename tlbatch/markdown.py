"""Markdown (GitHub's) in which a name is what it is: a class called ``*a*`` is no emphasis, one with ``|`` no end of a cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tlbatch.output import one_line

_MARKS = re.compile(
    r"[\\`|*~$]"
    r"|(?<!\w)_|_(?!\w)"  # emphasis; not within a word
    r"|(?<=\])[(\[:]|!(?=\[)"  # links and images
    r"|&(?=#?\w+;)"  # an entity
)
_FIRST = re.compile(r"^(\d+)([.)])|^(?=[-+](\s|$)|[-=\s]+$|>|#+(\s|$)|\[[ xX]\](\s|$))")
"""What makes a list, a rule, a quote, a heading or a box to tick of a line."""
_LAST = re.compile(r"(?<=\s)#+$")
"""The end of a heading, which is not shown."""
_TICKS = re.compile(r"`+")


def markdown(text: str) -> str:
    """A line that Markdown shows as it is: of a paragraph, a list or a heading."""
    return _LAST.sub(r"\\\g<0>", _FIRST.sub(r"\1\\\2", _inline(text)))


def markdown_code(text: str) -> str:
    """A code span, in one line, whatever backticks are in the text (CommonMark, "Code spans")."""
    shown = one_line(text.replace("\n", " "))
    fence = "`" * (max((len(ticks) for ticks in _TICKS.findall(shown)), default=0) + 1)
    room = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{room}{shown}{room}{fence}"


def _inline(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", one_line(text.replace("\n", " ")).strip()).replace("<", "&lt;")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Its lines; cells are texts that are shown as they are. ``left``: columns that are aligned to the left."""
    rule = [":--" if place in left else "--:" for place in range(len(columns))]
    shown = [[_inline(str(cell)) for cell in row] for row in (columns, *rows)]
    return [f"| {' | '.join(line)} |" for line in (shown[0], rule, *shown[1:])]
