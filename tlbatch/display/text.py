"""Durations and tables as plain text."""

from __future__ import annotations

import math

from tlbatch.output import one_line, width_of

NARROWEST = 10


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 5 s``, ``1 h 2 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress_words(done: float, total: float, unit: str) -> str:
    """``epoch 1 of 10, 6 %`` (the share is of that epoch), ``1,200/4,000 images``."""
    if unit != "epochs":
        return f"{_count(done)}/{_count(total)} {unit}".rstrip()
    if done >= total:
        return f"{_count(done)} of {_count(total)} epochs"
    epoch = math.floor(done + 1e-9)
    share = min(99, max(0, round((done - epoch) * 100)))
    return f"epoch {epoch + 1:,} of {_count(total)}, {share} %"


def _count(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) else f"{number:,.1f}"


def rate_words(rate: float, unit: str) -> str:
    """``320 images/s``; slower than one a second: ``4.0 s per epoch``."""
    if rate < 1:
        return f"{duration(1 / rate)} per {unit.removesuffix('s')}"
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"


def text_table(columns: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,), width: int | None = None) -> list[str]:
    """Aligned lines: the columns of ``left`` to the left, the others to the right. ``width``: none is wider (None: no bound).

    What does not fit goes on in the next line of its column; where columns would get too narrow for that, each row becomes a
    few lines of its own.
    """
    if not columns:
        return []
    lines = [[one_line(str(cell)) for cell in row] for row in (columns, *rows)]
    natural = [max(width_of(row[i]) for row in lines) for i in range(len(columns))]
    widths = natural if width is None else _fitted(natural, left, width)
    if widths is None:
        return _stacked(lines[0], lines[1:], width or 0)
    rule = "  ".join("-" * each for each in widths)
    return [*_wrapped(lines[0], widths, left), rule, *(text for row in lines[1:] for text in _wrapped(row, widths, left))]


def _fitted(natural: list[int], left: tuple[int, ...], width: int) -> list[int] | None:
    """Widths of columns that fit: those of words give way, the widest first. None where they would get too narrow."""
    widths, gaps = list(natural), 2 * (len(natural) - 1)
    words = [i for i in range(len(natural)) if i in left or i == len(natural) - 1]
    while sum(widths) + gaps > width:
        widest = max(words, key=lambda i: widths[i])
        if widths[widest] <= NARROWEST:
            return None
        widths[widest] -= 1
    return widths


def _wrapped(row: list[str], widths: list[int], left: tuple[int, ...]) -> list[str]:
    cells = [wrap(cell, widths[i]) for i, cell in enumerate(row)]
    height = max(len(cell) for cell in cells)
    shown = [[cell[place] if place < len(cell) else "" for cell in cells] for place in range(height)]
    return ["  ".join(_aligned(text, widths[i], i in left) for i, text in enumerate(line)).rstrip() for line in shown]


def _aligned(text: str, width: int, to_the_left: bool) -> str:
    space = " " * (width - width_of(text))
    return text + space if to_the_left else space + text


def _stacked(columns: list[str], rows: list[list[str]], width: int) -> list[str]:
    """A row as lines: its first cell, then what is in the others, each with its column's name."""
    lines = []
    for row in rows:
        lines += wrap(row[0], width)
        said = ", ".join(f"{name} {cell}".strip() for name, cell in zip(columns[1:], row[1:], strict=True) if cell)
        lines += [f"  {part}" for part in wrap(said, width - 2)] if said else []
    return lines


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken at blanks where there are some. At least one line."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width_of(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while width_of(word) > width:
            part = _start(word, width)
            lines.append(part)
            word = word[len(part) :]
        line = word
    return [*lines, line] if line or not lines else lines


def _start(text: str, width: int) -> str:
    """As much of it as fits, one character at least."""
    taken = 0
    for place, character in enumerate(text):
        taken += width_of(character)
        if taken > width:
            return text[: max(place, 1)]
    return text
