"""What every manifest of a cluster shares: namespace, images, store, credentials, accounts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from tlbatch import __version__
from tlbatch.errors import StudyError
from tlbatch.spec.resources import StudyResources
from tlbatch.store.cache import limit_of

LAUNCHER = "launcher"
CA_KEY = "ca.crt"


def checked_bundle(given: str | None) -> str | None:
    """``configmap/NAME/KEY`` or ``secret/NAME/KEY``, the key filled in where it is not given. Raises StudyError."""
    if not given:
        return None
    kind, _, rest = given.partition("/")
    name, _, key = rest.partition("/")
    named = re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name)
    if kind.lower() not in ("configmap", "secret") or not named or not re.fullmatch(r"[-._A-Za-z0-9]+", key or CA_KEY):
        raise StudyError(
            f"pod_ca_bundle {given!r}: expected configmap/NAME or secret/NAME, whose key {CA_KEY} holds the certificates, "
            "or …/NAME/KEY"
        )
    return f"{kind.lower()}/{name}/{key or CA_KEY}"


@dataclass(frozen=True)
class CacheVolume:
    """The PersistentVolumeClaim that tasks' pods share as their cache, and how large that may get (TLBATCH_CACHE_SIZE)."""

    claim: str
    size: str | None = None

    def __post_init__(self) -> None:
        """Raises StudyError for a size that is too small."""
        if self.size is not None:
            limit_of(self.size, "cache.size")


@dataclass(frozen=True)
class Site:
    """Where and as whom tasks run. ``secret`` holds S3 credentials (None: the service accounts have a cloud identity).

    ``endpoint`` is the S3 server as pods see it (None: what the Secret says, else AWS's own). ``ca_bundle``:
    ``configmap/NAME/KEY`` or ``secret/NAME/KEY`` with the certificates that S3's is signed by, mounted and named by
    AWS_CA_BUNDLE in drivers and steps. ``cache``: a claim that tasks share; None: each pod has a cache of its own. Drivers
    fetch nothing and do not mount it: a claim of one node would bind them to it. ``defaults`` are resources in the form of a
    study's, which a study's own override. It travels to the driver in its environment.
    """

    store: str
    images: str
    namespace: str = "tlbatch"
    tag: str = __version__
    pull_policy: str = "IfNotPresent"
    secret: str | None = "tlbatch-s3"
    endpoint: str | None = None
    region: str | None = None
    ca_bundle: str | None = None
    driver_account: str = "tlbatch-driver"
    step_account: str = "tlbatch-step"
    driver_priority: str | None = "tlbatch-driver"
    cache: CacheVolume | None = None
    defaults: dict[str, Any] = field(default_factory=dict)

    def image(self, target: str) -> str:
        """``<prefix>/tlbatch-<target>:<tag>``; a tag ``sha256:…`` pins by digest."""
        joint = "@" if self.tag.startswith("sha256:") else ":"
        prefix = f"{self.images.rstrip('/')}/" if self.images else ""
        return f"{prefix}tlbatch-{target}{joint}{self.tag}"

    def resources(self) -> StudyResources:
        """The defaults, decoded (leniently where a newer tlbatch wrote them: unknown fields are left out)."""
        known = {name: value for name, value in self.defaults.items() if name in StudyResources.model_fields}
        return StudyResources.model_validate_json(json.dumps(known))

    def to_json(self) -> str:
        """Compact and stable: equal sites give equal text."""
        document = asdict(self)
        for name in ("ca_bundle", "cache"):  # fields that came later: where they are not set a schedule's text stays the same
            if document[name] is None:
                del document[name]
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Site:
        """Leniently: fields of another version are left out."""
        document = json.loads(text)
        known = {name: value for name, value in document.items() if name in Site.__dataclass_fields__}
        if known.get("cache"):
            known["cache"] = CacheVolume(known["cache"]["claim"], known["cache"].get("size"))
        return Site(**known)


@dataclass(frozen=True)
class DriverIdentity:
    """The driver's Job, which task Jobs name as their owner."""

    name: str
    uid: str

    def reference(self) -> dict[str, Any]:
        """Garbage collection follows it; Kueue, which looks at controllers only, does not."""
        kind = {"apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": self.uid}
        return {**kind, "controller": False, "blockOwnerDeletion": False}
