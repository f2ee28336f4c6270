"""Every artifact: its manifest, and each file the manifest names, in whichever artifact's folder that is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tlbatch.errors import StudyError
from tlbatch.fsck.finding import LEAVE, SET_ASIDE, Finding, each_at_once
from tlbatch.store import NotFoundError, Stat, Store
from tlbatch.store.artifacts import FileEntry, Manifest, file_sha256
from tlbatch.store.documents import WRONG

PIECE = 8 << 20  # bytes asked of a remote store at once
MADE_AGAIN = "set aside by --repair: the next run that needs it makes it once more"


@dataclass(frozen=True)
class Artifacts:
    """``sound``: manifests whose every file holds, by (step, key). ``named``: all object names any manifest names."""

    sound: dict[tuple[str, str], Manifest]
    named: frozenset[str]
    findings: tuple[Finding, ...]
    checked_bytes: int


def manifest_places(stats: Mapping[str, Stat]) -> list[str]:
    return [n for n in stats if n.startswith("artifacts/") and n.endswith("/manifest.json") and n.count("/") == 3]


def check_artifacts(
    store: Store, stats: Mapping[str, Stat], quick: bool, begin: Callable[[int], Callable[[], None]]
) -> Artifacts:
    """``quick``: files are there and have their size. ``begin(total)`` gives what is called after each file."""
    places = manifest_places(stats)
    read = each_at_once(lambda name: _manifest(store, name), places)
    manifests = {name: found for name, found in zip(places, read, strict=True) if isinstance(found, Manifest)}
    findings = [found for found in read if isinstance(found, Finding)]
    wanted = sorted({entry for manifest in manifests.values() for entry in manifest.files.values()}, key=lambda e: e.path)
    done = begin(len(wanted))
    verdicts = dict(zip(wanted, each_at_once(lambda e: _wrong_file(store, stats, e, quick), wanted, done), strict=True))
    sound = {}
    for name, manifest in manifests.items():
        bad = {file: verdict for file, entry in manifest.files.items() if (verdict := verdicts[entry])}
        if bad:
            findings.append(_broken(name, manifest, bad))
        else:
            sound[manifest.step, manifest.key] = manifest
    read_bytes = 0 if quick else sum(entry.size for entry, wrong in verdicts.items() if not wrong)
    named = frozenset(entry.path for entry in wanted) | set(places)
    return Artifacts(sound, named, tuple(findings), read_bytes)


def _manifest(store: Store, name: str) -> Manifest | Finding:
    """Unlike ``load_manifest``, a check that changes nothing."""
    _, step, key, _ = name.split("/")
    try:
        manifest = Manifest.from_json(store.get(name))
        if (manifest.step, manifest.key) == (step, key):
            return manifest
        why = f"it is that of {manifest.step}/{manifest.key}"
    except StudyError as error:  # of a newer tlbatch
        return Finding(name, str(error), LEAVE, "upgrade tlbatch", key)
    except NotFoundError:
        why = "it is gone"
    except WRONG as error:
        why = f"it is no manifest ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    except OSError as error:
        why = f"it cannot be read: {error.strerror or error}"
    return Finding(name, why, SET_ASIDE, MADE_AGAIN, key)


def _broken(name: str, manifest: Manifest, bad: Mapping[str, str]) -> Finding:
    shown = [f"{manifest.files[file].path} {verdict}" for file, verdict in sorted(bad.items())[:3]]
    more = [f"{len(bad) - 3} more files"] if len(bad) > 3 else []
    return Finding(name, "; ".join(shown + more), SET_ASIDE, MADE_AGAIN, manifest.key)


def _wrong_file(store: Store, stats: Mapping[str, Stat], entry: FileEntry, quick: bool) -> str:
    """What is wrong with a file of an artifact; "" where it is what was written."""
    stat = stats.get(entry.path) or store.stat(entry.path)  # written since the listing
    if stat is None:
        return "is gone"
    if stat.size != entry.size:
        return f"has {stat.size} bytes instead of {entry.size}"
    try:
        return "" if quick or sha256_of(store, entry.path, entry.size) == entry.sha256 else "is not what was written"
    except (NotFoundError, FileNotFoundError):
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def sha256_of(store: Store, name: str, size: int) -> str:
    """sha256 (hex) of an object, read in pieces. Raises NotFoundError, and OSError of a directory's file."""
    local = store.local_path(name)
    if local is not None:
        return file_sha256(local)
    digest = hashlib.sha256()
    for offset in range(0, max(size, 1), PIECE):
        digest.update(store.get_range(name, offset, min(PIECE, size - offset)) if size else store.get(name))
    return digest.hexdigest()
