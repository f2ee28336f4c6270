"""Which names an object may have. One rule for every store, so that what one refuses no other takes."""

from __future__ import annotations

from tlbatch.errors import StudyError

HIDDEN = ".tlbatch"
"""Folder at a directory store's root for temporary files and the lock; reserved in every store."""


def check_name(name: str) -> list[str]:
    """The name's parts. Raises ValueError unless it is relative, '/'-separated and without '', '.', '..' or NUL."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts) or parts[0] == HIDDEN:
        raise ValueError(f"not an object name: {name!r}")
    return parts


def check_prefix(prefix: str) -> None:
    """Like ``check_name`` for the start of a name: its last part may be cut anywhere. Raises ValueError."""
    folder, slash, _ = prefix.rpartition("/")
    if slash:
        check_name(folder)
    if "\0" in prefix:
        raise ValueError(f"not the start of an object name: {prefix!r}")


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """Of ``s3://bucket`` or ``s3://bucket/prefix``. Raises StudyError."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not bucket or (prefix and not is_name(prefix)):
        raise StudyError(f"store {url}: expected s3://bucket or s3://bucket/prefix")
    return bucket, prefix


def is_part(name: str) -> bool:
    """Whether it may be one part of an object's name, between slashes."""
    return is_name(name) and "/" not in name


def is_name(name: str) -> bool:
    """Whether ``check_name`` takes it. Listings leave other objects out: folder markers of consoles, for one."""
    try:
        check_name(name)
    except ValueError:
        return False
    return True
