"""From a URL to a store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from tlbatch.errors import StudyError
from tlbatch.home import expanded
from tlbatch.store.layout import FORMAT_NAME
from tlbatch.store.names import bucket_and_prefix
from tlbatch.store.protocol import NotFoundError, Store

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
FOLDERS = ("executions/", "artifacts/", "schedules/", "champions/", "labels/", "weights/", "work/")
"""What a store holds: where one of these is, there is a store."""
EXPECTED = "expected s3://BUCKET, s3://BUCKET/PREFIX or a folder"


def open_store(url: str) -> Store:
    """The store at ``s3://bucket/prefix`` or a directory (a path or file:// URL). Imports boto3 only for S3.

    Raises StudyError for what is neither: a mistyped scheme never becomes the name of a folder.
    """
    if url.startswith("s3://"):
        from tlbatch.store.s3 import S3Store

        return S3Store(url)
    from tlbatch.store.directory import DirectoryStore

    return DirectoryStore(local_folder(url))


def local_folder(url: str) -> Path:
    """The folder a path or ``file://`` URL means. Raises StudyError."""
    if not url.strip() or "\0" in url:
        raise StudyError(f"store {url!r}: {EXPECTED}")
    if url.startswith("file://"):
        host, slash, path = url.removeprefix("file://").partition("/")
        if host not in ("", "localhost") or not path.strip("/"):
            raise StudyError(f"store {url}: expected file:///FOLDER, with three slashes")
        try:
            url = slash + unquote(path, errors="strict")
        except UnicodeDecodeError as error:
            raise StudyError(f"store {url}: is no UTF-8 text; write the folder's path") from error
        if "\0" in url:
            raise StudyError(f"store {url!r}: {EXPECTED}")
    elif SCHEME.match(url):
        near = re.sub(r"^s3[an]?:/*", "s3://", url, flags=re.IGNORECASE)
        hint = f" (did you mean {near}?)" if near.startswith("s3://") and len(near) > len("s3://") else ""
        raise StudyError(f"store {url}: {EXPECTED}{hint}; a folder of that name is written ./{url}")
    folder = expanded(url)
    if str(folder).startswith("~"):
        raise StudyError(f"store {url}: there is no user {url[1:].partition('/')[0]!r} here; write the folder's whole path")
    return folder


def check_address(url: str) -> None:
    """Raises StudyError for what ``open_store`` would not open, wherever it leads."""
    if url.startswith("s3://"):
        bucket_and_prefix(url)
    else:
        local_folder(url)


def open_kept(url: str) -> Store:
    """A store to read what is kept there. Raises StudyError where there is none: a wrong name is not an empty store.

    A store is there once something was written to it (every writer leaves FORMAT first). Nothing is made.
    """
    store = open_store(url)
    try:
        store.get(FORMAT_NAME)
    except NotFoundError:
        if any(next(iter(store.list(folder)), None) is not None for folder in FOLDERS):
            return store  # its FORMAT was lost
        raise StudyError(
            f"there is no store at {store.url}: nothing has been written there. Name the right one by --store, TLBATCH_STORE "
            "or the context (`tlbatch context list`); `tlbatch run` and `tlbatch submit` make one"
        ) from None
    return store
