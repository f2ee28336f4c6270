"""The files that are predicted: a folder or an S3 prefix, listed whole, no file read."""

from __future__ import annotations

from pathlib import Path

from tlbatch import nouns
from tlbatch.datasets.listing import ListedFile
from tlbatch.datasets.walk import walk
from tlbatch.errors import DataError, StudyError
from tlbatch.home import expanded
from tlbatch.prediction.parts import PREDICTIONS, RECORDS


def list_pictures(url: str, *, follow_links: bool = False) -> tuple[ListedFile, ...]:
    """Every file below ``url``, nested as deep as you like, sorted by path; labels are "".

    Raises StudyError where there is no such folder or links lead out of it, DataError where nothing is in it,
    TransientError where the store cannot be reached.
    """
    found = walk(url, follow_links=follow_links, what="", way="--follow-links")
    if not found.files:
        raise DataError(f"{url}: there is nothing to predict; name a folder or s3://BUCKET/PREFIX with {nouns.items()}")
    return tuple(ListedFile(file.path, file.size, file.etag.strip('"'), "", problem=file.problem) for file in found.files)


def place_of(text: str) -> str:
    """SRC or OUT as a URL, or as an absolute path. Raises StudyError for a URL that is neither a folder's nor S3's."""
    if text.startswith("s3://"):
        return text.rstrip("/")
    if "://" in text and not text.startswith("file://"):
        raise StudyError(f"{text}: expected a folder or s3://BUCKET/PREFIX")
    return str(expanded(text.removeprefix("file://")).absolute())


def check_apart(source: str, out: str) -> None:
    """Raises StudyError where predictions would lie among the pictures: they would be listed as such the next time."""
    pictures, place = _resolved(source), _resolved(out)
    if f"{place}/".startswith(f"{pictures}/"):
        raise StudyError(f"{out} lies in {source}, whose files are to be predicted: name another place for the predictions")
    for folder in (PREDICTIONS, RECORDS):
        if f"{pictures}/".startswith(f"{place}/{folder}"):
            raise StudyError(f"{source} lies in {out}/{folder}, where predictions go: name another place for the predictions")


def _resolved(place: str) -> str:
    """The folder that it is, whatever links and .. lead there."""
    return place if place.startswith("s3://") else str(Path(place).resolve())
