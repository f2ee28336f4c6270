"""The files that are predicted: a folder or an S3 prefix, listed whole, no file read."""

from __future__ import annotations

from pathlib import Path

from tlbatch.datasets.foldertree import FoundFile, is_litter, walk_folder
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import DataError, StudyError
from tlbatch.store import open_store


def list_pictures(url: str) -> tuple[ListedFile, ...]:
    """Every file below ``url``, nested as deep as you like, sorted by path; labels are "".

    Raises StudyError where there is no such folder, DataError where nothing is in it, TransientError where the store
    cannot be reached.
    """
    found = _in_store(url) if url.startswith("s3://") else _in_folder(Path(url))
    if not found:
        raise DataError(f"{url}: there is nothing to predict; name a folder or s3://BUCKET/PREFIX with images")
    listed = (ListedFile(file.path, file.size, file.etag.strip('"'), "", problem=file.problem) for file in found)
    return tuple(sorted(listed, key=lambda file: file.path))


def _in_store(url: str) -> list[FoundFile]:
    return [FoundFile(stat.name, stat.size, stat.etag) for stat in open_store(url).list() if not is_litter(stat.name)]


def _in_folder(root: Path) -> list[FoundFile]:
    if not root.is_dir():
        what = "is a file; name the folder it is in" if root.exists() else "there is no such folder"
        raise StudyError(f"{root}: {what}")
    try:
        return list(walk_folder(root))
    except OSError as error:
        raise StudyError(f"{root} cannot be opened ({error.strerror}); mend its permissions") from error


def place_of(text: str) -> str:
    """SRC or OUT as a URL, or as an absolute path. Raises StudyError for a URL that is neither a folder's nor S3's."""
    if text.startswith("s3://"):
        return text.rstrip("/")
    if "://" in text and not text.startswith("file://"):
        raise StudyError(f"{text}: expected a folder or s3://BUCKET/PREFIX")
    return str(Path(text.removeprefix("file://")).expanduser().absolute())


def check_apart(source: str, out: str) -> None:
    """Raises StudyError where the predictions would lie among the pictures, and be listed as such the next time."""
    if f"{out}/".startswith(f"{source}/"):
        raise StudyError(f"{out} lies in {source}, whose files are to be predicted: name another place for the predictions")
