"""Kubeconfig files as kubectl reads them: several merged, each with its own folder for relative paths. Strict, with places.

Values are taken as they are written, numbers too: a token of digits is a token.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlbatch.cluster.errors import ClusterError
from tlbatch.errors import StudyError
from tlbatch.home import home
from tlbatch.schema.files import read_settings
from tlbatch.schema.nearest import nearest

MEND = "`kubectl config view` shows what counts, KUBECONFIG names another file"


@dataclass(frozen=True)
class Entry:
    """One named context, cluster or user, and the file it is from."""

    kind: str
    name: str
    fields: Mapping[str, Any]
    file: Path

    @property
    def place(self) -> str:
        return f"{self.file}: {self.kind} {self.name!r}"

    def text(self, key: str) -> str | None:
        """A field that is a text, or None. Raises ClusterError."""
        value = self.fields.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            kind = "list" if isinstance(value, list) else "mapping"  # and not what is in it, which may be a secret
            raise ClusterError(f"{self.place}: {key} is a {kind}, expected a text; {MEND}")
        return value

    def flag(self, key: str) -> bool:
        found = flag_of(self.fields.get(key))
        if found is None:
            raise ClusterError(f"{self.place}: {key} is {self.fields.get(key)!r}, expected true or false; {MEND}")
        return found

    def path(self, key: str) -> Path | None:
        """A file, relative to the kubeconfig's folder. Raises ClusterError where it cannot be read."""
        given = self.text(key)
        if given is None:
            return None
        path = self.file.parent / given
        try:
            with path.open("rb"):
                return path
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ClusterError(f"{self.place}: {key} {path} cannot be read ({reason}); {MEND}") from error

    def file_or_data(self, key: str) -> str | None:
        """The path of ``key``, or of a temporary file (kept while the process lives) with ``<key>-data``, which comes first."""
        data = self.text(f"{key}-data")
        if data is None:
            path = self.path(key)
            return None if path is None else str(path)
        try:
            decoded = base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ClusterError(f"{self.place}: {key}-data is not base64 ({error}); {MEND}") from error
        return kept_file(decoded)


def flag_of(value: Any) -> bool | None:
    """Of a field as it is written; kubectl reads YAML 1.1, which has more words for it. None: it is no flag."""
    if value is None:
        return False
    text = str(value).lower()
    return True if text in {"true", "yes", "on", "y"} else False if text in {"false", "no", "off", "n"} else None


_KEPT: dict[bytes, Any] = {}


def kept_file(content: bytes) -> str:
    """The path of a file with ``content`` that only this user can read and that goes with the process."""
    if content not in _KEPT:
        file = tempfile.NamedTemporaryFile(prefix="tlbatch-kube-")  # noqa: SIM115 - open as long as the process lives
        file.write(content)
        file.flush()
        _KEPT[content] = file
    return str(_KEPT[content].name)


@dataclass
class KubeConfig:
    """What all files say together: of two entries of one name the first counts, as kubectl has it."""

    current: str | None = None
    contexts: dict[str, Entry] = field(default_factory=dict)
    clusters: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def chosen(self, context: str | None) -> tuple[Entry, Entry | None]:
        """Cluster and user (None: anonymous) of a context, by default the current one. Raises ClusterError."""
        name = context or self.current
        where = ", ".join(map(str, self.files))
        if name is None:
            raise ClusterError(
                f"no cluster is configured here: {where or 'no kubeconfig'} sets no current-context; "
                "`kubectl config use-context NAME`, or name one by kube_context of the tlbatch context"
            )
        found = self.contexts.get(name)
        if found is None:
            raise ClusterError(
                f"no cluster is configured here: there is no context {name!r} in {where}{_near(name, self.contexts)}; "
                "`kubectl config get-contexts` lists what is there"
            )
        cluster, user = found.text("cluster"), found.text("user")
        if cluster is None or cluster not in self.clusters:
            near = _near(cluster or "", self.clusters)
            raise ClusterError(f"{found.place}: there is no cluster {cluster!r}{near}; {MEND}")
        if user is not None and user not in self.users:
            raise ClusterError(f"{found.place}: there is no user {user!r}{_near(user, self.users)}; {MEND}")
        return self.clusters[cluster], self.users[user] if user is not None else None


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = nearest(name, known)
    if near:
        return f" (did you mean {near!r}?)"
    return f" (there: {', '.join(known)})" if known else ""


def config_files() -> list[Path]:
    """KUBECONFIG's files (several, joined by ``:``), or ~/.kube/config; an empty KUBECONFIG is one that is not set."""
    given = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part) for part in given] if given else [home() / ".kube" / "config"]


def load_kubeconfig() -> KubeConfig:
    """All files merged; those that are not there are passed over. Raises ClusterError."""
    merged = KubeConfig()
    for path in config_files():
        document = _document(path)
        if document is None:
            continue
        merged.files = (*merged.files, path)
        current = document.get("current-context")
        if current is not None and not isinstance(current, str):
            raise ClusterError(f"{path}: current-context is {current!r}, expected a name; {MEND}")
        merged.current = merged.current or current or None
        for kind, into in (("context", merged.contexts), ("cluster", merged.clusters), ("user", merged.users)):
            for entry in _entries(document, kind, path):
                into.setdefault(entry.name, entry)
    if not merged.files:
        places = ", ".join(map(str, config_files()))
        raise ClusterError(
            f"no cluster is configured here: {places} is not there; set KUBECONFIG to the file your cluster gave you"
        )
    return merged


def _document(path: Path) -> dict[str, Any] | None:
    try:
        document = read_settings(path, "a kubeconfig", types=False)
    except FileNotFoundError:
        return None
    except StudyError as error:
        first = str(error).partition("\n")[0]
        raise ClusterError(f"the kubeconfig cannot be read ({first}); fix it, or set KUBECONFIG to another") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ClusterError(f"the kubeconfig {path} is no kubeconfig (a {type(document).__name__}); {MEND}")
    return document


def _entries(document: Mapping[str, Any], kind: str, path: Path) -> list[Entry]:
    listed = document.get(f"{kind}s")
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise ClusterError(f"{path}: {kind}s: expected a list of `{{name: …, {kind}: {{…}}}}`; {MEND}")
    entries = []
    for number, each in enumerate(listed):
        fields = each.get(kind) if isinstance(each, dict) else None
        if not isinstance(each, dict) or not isinstance(each.get("name"), str) or not isinstance(fields, dict | None):
            raise ClusterError(f"{path}: {kind}s[{number}]: expected `{{name: …, {kind}: {{…}}}}`; {MEND}")
        entries.append(Entry(kind, each["name"], fields or {}, path))
    return entries
