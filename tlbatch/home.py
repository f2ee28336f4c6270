"""This user's home, which a container's user may not have: a uid without a line in /etc/passwd, and HOME not set."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """``~``; where the system knows none, a folder of this uid's own for temporary files (it need not exist)."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"tlbatch-{os.getuid()}"


def expanded(path: str | Path) -> Path:
    """``path`` with a leading ``~`` as this user's home. ``~nobody``, who is not there, stays as it is."""
    text = str(path)
    if text == "~" or text.startswith("~/"):
        return home() / text[2:]
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
