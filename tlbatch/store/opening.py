"""From a URL to a store."""

from __future__ import annotations

from pathlib import Path

from tlbatch.errors import StudyError
from tlbatch.store.protocol import Store


def open_store(url: str) -> Store:
    """The store at ``s3://bucket/prefix`` or a directory (a path or file:// URL). Imports boto3 only for S3."""
    if url.startswith("s3://"):
        from tlbatch.store.s3 import S3Store

        return S3Store(url)
    from tlbatch.store.directory import DirectoryStore

    if "://" in url and not url.startswith("file://"):
        raise StudyError(f"store {url}: expected s3://bucket/prefix or a directory")
    return DirectoryStore(Path(url.removeprefix("file://")))
