"""Kinds of files in a store, ways to damage one, commands in this process, and what must hold after them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tlbatch.cli import _code
from tlbatch.store import documents
from tlbatch.store.layout import FORMAT_NAME
from tlbatch.store.names import HIDDEN

CODES = (0, 2, 65, 75, 124, 143)  #: the manual's table, without 1 (a bug)
HANGS_S = 60.0  #: for a command that computes nothing
SAME = (  #: what tells one file from the next of its kind
    (r"-\d{8}-\d{4}-[a-z0-9]{4}(?=[./]|$)", "-*"),  # executions
    (r"\d{8}T\d{6}Z?(-[0-9a-z]{4,8})?", "*"),  # attempts, decisions, firings
    (r"(?<![a-z])[0-9a-f]{8,64}(?![a-z])", "*"),  # keys
    (r"(?<=/figures|/gallery)/(?!gallery\.json)[^/]*(?=\.)", "/*"),
    (r"(?<=/cards)/[^/]*(?=\.)", "/*"),
    (r"(?<=/shards)/[^/]*(?=\.)", "/*"),
    (r"(?<=/features)/[^/]*(?=\.)", "/*"),
    (r"\d+", "#"),
)


def kind_of(name: str) -> str:
    """The kind of a stored file: its name without what tells one from the next, so that new kinds are found by themselves."""
    for pattern, same in SAME:
        name = re.sub(pattern, same, name)
    return name


def files_of(store: Path) -> dict[str, Path]:
    """Every object of a store in a folder, by name."""
    found = {path.relative_to(store).as_posix(): path for path in sorted(store.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith(f"{HIDDEN}/")}


def kinds(store: Path) -> dict[str, list[str]]:
    """The names of the stored files by kind."""
    found: dict[str, list[str]] = {}
    for name in files_of(store):
        found.setdefault(kind_of(name), []).append(name)
    return found


# -- damage -------------------------------------------------------------------------------------------------------------


def _flipped(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) or 1)
    return data[:place] + bytes([(data[place] if data else 0) ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _huge(data: bytes, chance: random.Random) -> bytes:
    """One of a document's numbers made huge; where there is none, such a number alone."""
    number = chance.choice([b"9" * 5000, b"1e999", b"-" + b"9" * 30, b"1" + b"0" * 12])
    places = list(re.finditer(rb"(?<=[:\[,])\s?-?\d+(\.\d+)?(?=[,\s\]}])", data))
    if not places:
        return number
    place = chance.choice(places)
    return data[: place.start()] + number + data[place.end() :]


VALUES = (None, [], {}, "x", -1, 2**70, 0.5, True, [{"a": None}], {"a": [1]}, "\x1b]0;x\x07", "../../etc/passwd")


def _spoiled(data: bytes, chance: random.Random) -> bytes:
    """One value somewhere in a JSON document replaced by one of another type; what is no JSON is turned round."""
    try:
        document = json.loads(data)
    except ValueError:
        return data[::-1]
    node = document
    while isinstance(node, dict | list) and node:
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.7:
            node = node[key]
            continue
        node[key] = chance.choice([value for value in VALUES if type(value) is not type(node[key])])
        break
    return json.dumps(document).encode()


REMOVED, FOLDER = "removed", "a folder in its place"
DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda data, chance: b"",
    "truncated": lambda data, chance: data[: chance.randrange(len(data) or 1)],
    "one bit flipped": _flipped,
    "zeros": lambda data, chance: bytes(len(data)),
    "[]": lambda data, chance: b"[]",
    "{}": lambda data, chance: b"{}",
    "another JSON type": lambda data, chance: chance.choice([b"null", b'"x"', b"7", b"true", b"NaN"]),
    "a value of another type": _spoiled,
    "no UTF-8": lambda data, chance: data[: len(data) // 2] + b"\xff\xfe\x80" + data[len(data) // 2 :],
    "a huge number": _huge,
    "nested deep": lambda data, chance: b"[" * 100_000,
    REMOVED: lambda data, chance: b"",
    FOLDER: lambda data, chance: b"",
}


def inflict(path: Path, damage: str, chance: random.Random) -> bytes:
    """Damage a stored file in place; what it holds now. A hard link to it elsewhere stays whole."""
    data, stat = path.read_bytes(), path.stat()
    path.unlink()
    if damage == FOLDER:
        path.mkdir()
    new = DAMAGES[damage](data, chance)
    if damage not in (REMOVED, FOLDER):
        path.write_bytes(new)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # disks rot, nobody wrote
    return new


@dataclass(frozen=True)
class Whole:
    """A store that is never touched, and a copy of it (hard links) that is damaged and restored."""

    original: Path
    store: Path

    def restore(self) -> None:
        """The copy as it was; what commands wrote goes."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.original, self.store, copy_function=os.link)

    def state(self) -> dict[str, tuple[int, int]]:
        """What changes when a file is written: inode and time."""
        stats = {name: path.stat() for name, path in files_of(self.store).items()}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


# -- commands -----------------------------------------------------------------------------------------------------------


WAIT = re.compile(r"\(in \d+ (min|h|days)\)")
"""How long it is until the next firing, which is less and less."""


@dataclass(frozen=True)
class Said:
    """What a command did: its exit code, its output, its words on stderr, and how long it took in s."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def all(self) -> str:
        return self.out + self.err


def tlbatch(*arguments: str) -> Said:
    """The command in this process."""
    documents._told.clear()
    out, err, start = io.StringIO(), io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _code(list(arguments))
    return Said(code, WAIT.sub("(in a while)", out.getvalue()), err.getvalue(), time.monotonic() - start)


@contextlib.contextmanager
def stopped_clock() -> Iterator[None]:
    """Time stands still: what commands say of "now" is the same each time."""
    now = time.time()
    with mock.patch("time.time", return_value=now):
        yield


# -- what must hold -----------------------------------------------------------------------------------------------------


def broken(said: Said) -> list[str]:
    """Promises that hold for every command on every store, and do not here."""
    wrong = [] if said.code in CODES else [f"exit code {said.code}"]
    wrong += ["a traceback"] if "Traceback" in said.all else []
    wrong += ["no sentence"] if said.code and not said.all.strip() else []
    return wrong


def silent(before: Said, after: Said, name: str, whole: bytes, damage: str, now: bytes) -> bool:
    """Whether a command says something else of a damaged store, and not that the file is damaged.

    It need not name what is gone (nobody can know of some files that they were there), and cannot know of a document without a
    seal that is still one.
    """
    if (after.code, after.out) == (before.code, before.out) or damage in (REMOVED, FOLDER):
        return False
    if _is_document(now) and not _is_sealed(whole):
        return False
    return not named(name, after.all)


def named(name: str, words: str) -> bool:
    """Whether words name a file: whole, by its artifact, by folder and own name, or as a damaged execution in a list."""
    folder, _, file = name.rpartition("/")
    parts = name.split("/")
    if parts[0] == "artifacts" and "/".join(parts[1:3]) in words:
        return True
    listed = parts[0] == "executions" and re.search(rf"{re.escape(parts[1])}\b.*\bdamaged\b", words) is not None
    listed = listed or (name == FORMAT_NAME and "has layout" in words)  # a version is a number: another one is a newer one
    return name in words or (folder in words and file in words) or listed


def _is_document(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _is_sealed(data: bytes) -> bool:
    return _is_document(data) and documents.SEAL in json.loads(data)
