"""CSV for spreadsheets: what somebody named ``=1+1.jpg`` or ``@x`` must not be taken for a formula.

Such a cell gets an apostrophe in front (OWASP, "CSV Injection"); numbers stay numbers. ``restored`` takes it away again, so
that a table of ours that was edited and handed back means the same names.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)([eE][+-]?\d+)?\s?%?|[+-]|[+-]?(inf|nan)")


def defused(cell: Any) -> Any:
    """A cell as it may be written: text that a spreadsheet would compute starts with an apostrophe. None is empty."""
    if cell is None:
        return ""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def restored(cell: str) -> str:
    """What ``defused`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A heading line and the rows, defused."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([defused(cell) for cell in row] for row in (columns, *rows))
    return buffer.getvalue()
