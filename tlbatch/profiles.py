"""Contexts, like kubeconfig's: where studies go. ``~/.config/tlbatch/config.yaml``; TLBATCH_CONFIG names another file."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tlbatch import __version__
from tlbatch.errors import StudyError
from tlbatch.home import expanded
from tlbatch.logins import KEYS, SERVER, check_no_login
from tlbatch.manifests.site import CacheVolume, Site, checked_bundle
from tlbatch.prices import Prices
from tlbatch.schema.base import Part
from tlbatch.schema.files import read_settings
from tlbatch.schema.kubernetes_text import Namespace, ObjectName
from tlbatch.schema.mistakes import Wording
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.writing import dump_yaml
from tlbatch.spec.resources import Quantity, StudyResources
from tlbatch.store.opening import check_address

DEFAULT_NAME = "default"
CONFIG_KEYS = ("current-context", "contexts")
ENVIRONMENT = {"store": "TLBATCH_STORE", "namespace": "TLBATCH_NAMESPACE", "images": "TLBATCH_IMAGES", "tag": "TLBATCH_TAG"}

Server = Annotated[str, Field(pattern=r"^(https?://[^\s/].*)?$", description="an address: http://HOST:PORT or https://HOST")]
ImagePrefix = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9\[][^\s]*)?$", description="REGISTRY/PATH, where REGISTRY/PATH/tlbatch-launcher is")
]
Tag = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[0-9a-f]{64})$",
        description="a tag of images (letters, digits, _, - and .), or sha256:… for a digest",
    ),
]


class CacheClaim(Part):
    """A PersistentVolumeClaim of the namespace that the pods of all tasks share as their cache."""

    claim: Annotated[ObjectName, Field(min_length=1)]
    size: Annotated[
        Quantity | None, Field(description="how large the cache may get; default: 20Gi, at most half of the volume")
    ] = None


class Profile(Part):
    """One context. ``endpoint`` is S3 as seen from here, ``pod_endpoint`` as seen from pods.

    ``ca_bundle``: a file here with the certificates that S3's is signed by; ``pod_ca_bundle``: where pods find them,
    ``configmap/NAME`` or ``secret/NAME`` (its key ``ca.crt``, or ``…/NAME/KEY``). They belong to a context, as the endpoint
    does, and not to a study: a driver needs them before it can read its study out of the store.

    ``cache``: a PersistentVolumeClaim that tasks share, so that no node fetches a file twice.

    ``prices``: what an hour of a pod costs, by which `tlbatch check` says what a study will cost.

    ``secret`` holds the pods' S3 credentials; null where ``service_account`` has a cloud identity.
    """

    kube_context: str | None = None
    namespace: Namespace = "tlbatch"
    images: ImagePrefix | None = None
    tag: Tag = __version__
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    store: str | None = None
    endpoint: Server | None = None
    pod_endpoint: Server | None = None
    region: str | None = None
    ca_bundle: str | None = None
    pod_ca_bundle: str | None = None
    secret: ObjectName | None = "tlbatch-s3"
    service_account: ObjectName = "tlbatch-step"
    driver_account: ObjectName = "tlbatch-driver"
    driver_priority: ObjectName | None = "tlbatch-driver"
    cache: CacheClaim | None = None
    resources: StudyResources = StudyResources()
    prices: Prices | None = None

    def site(self) -> Site:
        """What manifests need. Raises StudyError where images or the store are not named, or pods cannot see the store."""
        if self.images is None:
            raise StudyError(
                "no image prefix is set: `tlbatch context set images=REGISTRY/PATH` (where REGISTRY/PATH/tlbatch-launcher is), "
                "or TLBATCH_IMAGES"
            )
        return Site(
            store=self.checked_store(),
            images=self.images,
            namespace=self.namespace,
            tag=self.tag,
            pull_policy=self.pull_policy,
            secret=self.secret,
            endpoint=self.pod_endpoint,
            region=self.region,
            ca_bundle=checked_bundle(self.pod_ca_bundle),
            driver_account=self.driver_account,
            step_account=self.service_account,
            driver_priority=self.driver_priority,
            cache=CacheVolume(self.cache.claim, self.cache.size) if self.cache else None,
            defaults=self.resources.model_dump(mode="json", exclude_unset=True),
        )

    def checked_store(self) -> str:
        """The store, which must be one that pods can see."""
        if self.store is None:
            raise StudyError("no store is set: `tlbatch context set store=s3://BUCKET/PREFIX`, or --store, or TLBATCH_STORE")
        if not self.store.startswith("s3://"):
            raise StudyError(
                f"store {self.store} is a folder of this machine, which pods cannot see: --store s3://BUCKET/PREFIX"
            )
        return self.store.rstrip("/")

    def point_to_endpoint(self) -> None:
        """Let this process reach S3 at ``endpoint``; what the environment says already comes first."""
        if self.endpoint and not os.environ.get("AWS_ENDPOINT_URL"):
            os.environ.setdefault("AWS_ENDPOINT_URL_S3", self.endpoint)
        if self.ca_bundle:
            os.environ.setdefault("AWS_CA_BUNDLE", str(expanded(self.ca_bundle)))
        if self.region and not os.environ.get("AWS_REGION"):
            os.environ.setdefault("AWS_DEFAULT_REGION", self.region)


def config_path() -> Path:
    """Where contexts are kept."""
    given = os.environ.get("TLBATCH_CONFIG")
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return expanded(given or f"{base}/tlbatch/config.yaml")


def load_config() -> dict[str, Any]:
    """``{"current-context": …, "contexts": {…}}``; empty where there is no file. Raises StudyError."""
    path = config_path()
    try:
        document = read_settings(path, "a file of contexts", pipes=False)
    except FileNotFoundError:
        document = None
    except StudyError as error:
        raise StudyError(f"{error}\n{path}: fix it, or move it away and `tlbatch context set` makes a new one") from error
    document = {} if document is None else document
    contexts = _contexts(document.get("contexts")) if isinstance(document, dict) else None
    if contexts is None or not set(document) <= {"current-context", "contexts"}:
        near = [f"{key!r}{suggestion(str(key), CONFIG_KEYS)}" for key in document if key not in CONFIG_KEYS] if contexts else []
        unknown = f"; unknown: {', '.join(near)}" if near else ""
        raise StudyError(f"{path}: expected `current-context: NAME` and `contexts: {{NAME: {{FIELD: VALUE}}}}`{unknown}")
    current = document.get("current-context")
    return {"current-context": None if current in (None, "") else str(current), "contexts": contexts}


def _contexts(given: Any) -> dict[str, Any] | None:
    """Names to fields; None where it is of another shape."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(fields is None or isinstance(fields, dict) for fields in given.values()):
        return None
    return {str(name): fields or {} for name, fields in given.items()}


def save_config(config: Mapping[str, Any]) -> None:
    """Replace the file, whole or not at all; that which a link names, and who may read it stays as it is."""
    path = config_path()
    try:
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise StudyError(f"{path}: is no file; TLBATCH_CONFIG names another")
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(dump_yaml(dict(config)), encoding="utf-8")
        if mode is not None:
            partial.chmod(stat.S_IMODE(mode))
        partial.replace(path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); TLBATCH_CONFIG names another file") from error


def load_profile(context: str | None = None, given: Mapping[str, Any] | None = None) -> Profile:
    """The context named, else TLBATCH_CONTEXT's, else the current one, else defaults; then the environment, then ``given``."""
    config = load_config()
    name = context or os.environ.get("TLBATCH_CONTEXT") or config["current-context"]
    if name is not None and name not in config["contexts"]:
        there = ", ".join(config["contexts"]) or "none"
        raise StudyError(
            f"no context {name!r} in {config_path()}{suggestion(str(name), config['contexts'], most=0)}; there: {there}; "
            f"`tlbatch context set --context {name} store=s3://…` makes it"
        )
    fields = dict(config["contexts"].get(name) or {}) if name is not None else {}
    fields |= {field: os.environ[variable] for field, variable in ENVIRONMENT.items() if os.environ.get(variable)}
    fields |= {field: value for field, value in (given or {}).items() if value is not None}
    return decode_profile(fields, f"{config_path()}: contexts.{name or DEFAULT_NAME}")


ADDRESSES = {
    "endpoint": SERVER,
    "pod_endpoint": SERVER,
    "store": f"write s3://BUCKET/PREFIX, and {KEYS}",
    "images": "write REGISTRY/PATH, and the login as a Secret for resources.image_pull_secrets",
}
"""Fields that hold an address, and what to write where it holds a login."""


def decode_profile(fields: Mapping[str, Any], where: str) -> Profile:
    """Validate as a study is (lists are lists); every mistake in one StudyError, with the nearest valid name."""
    document = json.dumps({str(field): value for field, value in fields.items()}, default=str)
    try:
        profile = Profile.model_validate_json(document)
    except ValidationError as error:
        found = Wording(Profile.model_json_schema()).mistakes(json.loads(document), error)
        lines = [f"{where}.{'.'.join(str(step) for step in mistake.path)}: {mistake.text}" for mistake in found]
        raise StudyError("\n".join(lines)) from error
    for name, instead in ADDRESSES.items():
        check_no_login(getattr(profile, name), f"{where}.{name}", instead)
    if profile.store:
        check_address(profile.store)
    return profile


def has_store() -> bool:
    """Whether a current context names a store: then commands that only read look there.

    Raises StudyError for a context that is not there: a wrong name is no empty store.
    """
    if not (os.environ.get("TLBATCH_CONTEXT") or os.path.lexists(config_path())):
        return False
    return bool(load_profile().store)
