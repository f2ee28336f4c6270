"""Tables as text, CSV and Markdown; a report in the same formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tlbatch.display.label_curve import COLUMNS, LEFT, curve_rows, curve_sentences
from tlbatch.display.text import text_table
from tlbatch.markdown import markdown, markdown_table
from tlbatch.output import terminal_width
from tlbatch.spreadsheet import csv_text


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], form: str, left: tuple[int, ...] = (0,)) -> None:
    """``form``: text, csv or md. ``left``: columns that are aligned to the left."""
    if form == "csv":
        click.echo(csv_text(columns, rows), nl=False)
    elif form == "md":
        click.echo("\n".join(markdown_table(columns, rows, left)))
    else:
        click.echo("\n".join(text_table(list(columns), [list(row) for row in rows], left, terminal_width())))


def csv_of_report(document: dict[str, Any]) -> str:
    """A line for each run and metric: run, role, metric, value, low, high, sd."""
    rows = [
        [row.get("run"), row.get("role"), name, *(found.get(key) for key in ("value", "low", "high", "sd"))]
        for row in (document.get("table") or {}).get("values") or []
        for name, found in (row.get("metrics") or {}).items()
    ]
    return csv_text(("run", "role", "metric", "value", "low", "high", "sd"), rows)


def markdown_of_report(document: dict[str, Any]) -> str:
    """Title, first sentence, table, the other sentences, the label curve, warnings."""
    table = document.get("table") or {}
    parts = [f"# {markdown(str(document.get('study', '')))}", markdown(str(document.get("first_sentence", "")))]
    columns = [str(column) for column in table.get("columns", [])]
    if columns:
        parts.append("\n".join(markdown_table(columns, table.get("rows", []))))
    parts += _list(document.get("sentences", []))
    if curve := document.get("labels"):
        table_of_curve = "\n".join(markdown_table(COLUMNS, list(curve_rows(curve)), LEFT))
        parts += ["## How many labels?", table_of_curve, *_list(curve_sentences(curve))]
    warnings = _list(document.get("warnings", []))
    parts += ["## Before you trust a number", *warnings] if warnings else []
    return "\n\n".join(parts) + "\n"


def _list(sentences: Sequence[Any]) -> list[str]:
    texts = [sentence if isinstance(sentence, str) else str(sentence.get("text", "")) for sentence in sentences]
    return ["\n".join(f"- {markdown(text)}" for text in texts)] if texts else []
