"""Durations and tables as plain text."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 5 s``, ``1 h 2 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def text_table(columns: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,)) -> list[str]:
    """Aligned lines: the columns of ``left`` to the left, the others to the right."""
    if not columns:
        return []
    lines = [columns, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in lines) for i in range(len(columns))]

    def shown(row: list[str]) -> str:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        return "  ".join(cells).rstrip()

    return [shown(lines[0]), "  ".join("-" * width for width in widths), *map(shown, lines[1:])]
