"""Tables as text, CSV and Markdown; a report in the same formats."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import click

from tlbatch.output import terminal_width
from tlbatch.telling.text import text_table


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], form: str, left: tuple[int, ...] = (0,)) -> None:
    """``form``: text, csv or md. ``left``: columns that are aligned to the left."""
    if form == "csv":
        click.echo(csv_text(columns, rows), nl=False)
    elif form == "md":
        click.echo("\n".join(markdown_table(columns, rows, left)))
    else:
        click.echo("\n".join(text_table(list(columns), [list(row) for row in rows], left, terminal_width())))


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return buffer.getvalue()


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: tuple[int, ...] = (0,)) -> list[str]:
    """GitHub's Markdown; bars in cells are escaped."""
    rule = [":--" if place in left else "--:" for place in range(len(columns))]
    lines = [list(columns), rule, *([str(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in line)} |" for line in lines]


def csv_of_report(document: dict[str, Any]) -> str:
    """A line for each run and metric: run, role, metric, value, low, high, sd."""
    rows = [
        [row.get("run"), row.get("role"), name, *(found.get(key) for key in ("value", "low", "high", "sd"))]
        for row in (document.get("table") or {}).get("values") or []
        for name, found in (row.get("metrics") or {}).items()
    ]
    return csv_text(("run", "role", "metric", "value", "low", "high", "sd"), rows)


def markdown_of_report(document: dict[str, Any]) -> str:
    """Title, first sentence, table, the other sentences, warnings."""
    table = document.get("table") or {}
    parts = [f"# {document.get('study', '')}", str(document.get("first_sentence", ""))]
    columns = [str(column) for column in table.get("columns", [])]
    if columns:
        parts.append("\n".join(markdown_table(columns, table.get("rows", []))))
    parts += _list(document.get("sentences", []))
    warnings = _list(document.get("warnings", []))
    parts += ["## Before you trust a number", *warnings] if warnings else []
    return "\n\n".join(parts) + "\n"


def _list(sentences: Sequence[Any]) -> list[str]:
    texts = [sentence if isinstance(sentence, str) else str(sentence.get("text", "")) for sentence in sentences]
    return ["\n".join(f"- {text}" for text in texts)] if texts else []
