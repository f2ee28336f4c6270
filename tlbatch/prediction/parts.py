"""Predictions in parts: pictures in the order of their paths, a chunk a part, each known by its key.

In OUT: ``predictions/part-00000.jsonl`` (or ``.parquet``) and, written after it, ``parts/part-00000.json``, which has the
part's key, size and hash, its counts and its bad files. A part whose record has the wanted key is not computed again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from tlbatch.contracts.prediction import PredictParams
from tlbatch.datasets.listing import ListedFile
from tlbatch.store import Store
from tlbatch.store.documents import as_is, parse, read, read_disposable, shaped
from tlbatch.tasks import InputRef

FORMATS = ("jsonl", "parquet")
PREDICTIONS, RECORDS = "predictions/", "parts/"
SUMMARY, BAD, REQUEST = "summary.json", "bad.jsonl", "request.json"
OWN = re.compile(rf"{PREDICTIONS}part-\d{{5,}}\.({'|'.join(FORMATS)})|{RECORDS}part-\d{{5,}}\.json")
AT_ONCE = 16
DECIDING = ("format", "batch", "raw", "stored_size")
"""Parameters that decide the bytes of a part, with its files and the model."""


@dataclass(frozen=True)
class Part:
    """One part: its number from 0, its key, and the pictures it is of."""

    number: int
    key: str
    format: str
    files: tuple[ListedFile, ...]

    @property
    def name(self) -> str:
        return f"{PREDICTIONS}part-{self.number:05d}.{self.format}"

    @property
    def record(self) -> str:
        return f"{RECORDS}part-{self.number:05d}.json"


def plan_parts(params: PredictParams, digests: Sequence[str], version: int, files: Sequence[ListedFile]) -> list[Part]:
    """Pure. ``digests``: of the model's networks, folds in order; ``version``: of the predict step."""
    chunk = params.chunk
    base = {"model": list(digests), "version": version, **{name: getattr(params, name) for name in DECIDING}}
    parts = []
    for number, start in enumerate(range(0, len(files), chunk)):
        own = tuple(files[start : start + chunk])
        parts.append(Part(number, _digest({**base, "files": listing_digest(own)}), params.format, own))
    return parts


def model_digests(inputs: Mapping[str, InputRef]) -> list[str]:
    """Digests of the inputs ``model:<seed>[:<fold>]``, folds in order: what predictions follow from."""
    roles = sorted(
        (role for role in inputs if role.startswith("model:")), key=lambda role: [int(n) for n in role.split(":")[1:]]
    )
    return [inputs[role].digest for role in roles]


def listing_digest(files: Sequence[ListedFile]) -> str:
    """sha256 (hex) over paths, sizes and ETags (or times)."""
    return _digest([[file.path, file.size, file.etag, file.problem] for file in files])


def listing_to_json(files: Sequence[ListedFile]) -> bytes:
    return json.dumps([[file.path, file.size, file.etag, file.problem] for file in files], separators=(",", ":")).encode()


def listing_from_json(data: bytes) -> tuple[ListedFile, ...]:
    return tuple(ListedFile(path, size, etag, "", problem=problem) for path, size, etag, problem in parse(data))


@dataclass(frozen=True)
class PartRecord:
    """What a finished part says of itself. ``bad``: [{path, reason}]; ``counts``: predicted class -> images."""

    key: str
    file: str
    size: int
    sha256: str
    images: int
    counts: dict[str, int]
    bad: list[dict[str, str]]

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def finished_parts(out: Store, parts: Sequence[Part]) -> dict[int, PartRecord]:
    """The records of the parts that are there, whole, with their keys. One LIST, and a GET a part."""
    sizes = {stat.name: stat.size for stat in out.list(PREDICTIONS)}
    there = [part for part in parts if part.name in sizes]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        records = list(pool.map(lambda part: read_disposable(out, part.record, shaped(PartRecord)), there))
    return {
        part.number: record
        for part, record in zip(there, records, strict=True)
        if record is not None and record.key == part.key and record.size == sizes[part.name]
    }


def written_parts(out: Store) -> Iterator[str]:
    """Names of parts and their records in OUT, of whatever listing: what else lies in these folders is somebody else's."""
    return (stat.name for prefix in (PREDICTIONS, RECORDS) for stat in out.list(prefix) if OWN.fullmatch(stat.name))


def load_summary(out: Store) -> dict[str, Any] | None:
    return read(out, SUMMARY, as_is, "the same `tlbatch predict` writes it anew")


def clear(out: Store) -> None:
    """Remove all that predictions leave in OUT, the request last; nothing else."""
    out.delete([*written_parts(out), SUMMARY, BAD])
    out.delete([REQUEST])


def read_request(out: Store) -> dict[str, Any] | None:
    """``request.json``: what OUT's predictions were asked for with; None where there are none. Raises DamagedError."""
    return read(out, REQUEST, as_is, f"whose predictions these are cannot be told: name another OUT, or remove {REQUEST}")


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
