"""Whether a context would work: each check a line, each failure with the command that fixes it. Nothing is left behind."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

from tlbatch import __version__
from tlbatch.cluster.claims import missing_claim
from tlbatch.cluster.clearing import Clearing
from tlbatch.cluster.client import (
    ALL_PODS,
    CLAIMS,
    CONFIGMAPS,
    DEVICE_CLASSES,
    JOB_NAME,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    QUOTAS,
    RESOURCE_SLICES,
    SECRETS,
    Cluster,
)
from tlbatch.cluster.devices import describe, list_devices, mistaken
from tlbatch.cluster.diagnosis import explain_job, job_ended
from tlbatch.cluster.errors import ClusterError
from tlbatch.cluster.events import job_events
from tlbatch.errors import TlbatchError
from tlbatch.manifests import Needs, Site
from tlbatch.manifests.jobs import FAILURE_POLICY
from tlbatch.manifests.needs import GPU_RESOURCE
from tlbatch.manifests.pods import build_step_template
from tlbatch.manifests.site import checked_bundle
from tlbatch.plugins import KINDS, installed
from tlbatch.profiles import Profile
from tlbatch.store import ConflictError, Store
from tlbatch.store.documents import parse

OK, WARNING, FAILED = "ok", "warning", "failed"
OLDEST_MINOR = 34
WRITERS = 16
SKEW_S = 5.0
POD_TIMEOUT_S = 90.0
LABELS = {"name": "tlbatch", "component": "step", "managed-by": "tlbatch"}
PERMISSIONS = (
    ("create", "jobs", "batch"),
    ("get", "jobs", "batch"),
    ("list", "jobs", "batch"),
    ("delete", "jobs", "batch"),
    ("list", "pods", ""),
    ("delete", "pods", ""),
    ("list", "events", ""),
    ("patch", "cronjobs", "batch"),
    ("delete", "cronjobs", "batch"),
)


@dataclass(frozen=True)
class Finding:
    """One check. ``detail``: what was found, or what is wrong and how it is mended."""

    check: str
    state: str
    detail: str


def examine(
    profile: Profile, cluster: Callable[[], Cluster], store: Callable[[], Store], pod: bool = True
) -> Iterator[Finding]:
    """All checks in order, as they are done. Where the cluster does not answer, only S3 from here is left to check."""
    yield from _plugins()
    try:
        opened = cluster()
        yield _version(opened)
    except TlbatchError as error:
        yield Finding("cluster", FAILED, str(error))
    else:
        for check in (_namespace, _permissions, _quota):
            yield from _guarded(check.__name__.strip("_"), lambda check=check: check(opened))  # type: ignore[misc]
        yield from _guarded("gpus", lambda: _gpus(opened, profile.resources.gpu_resource or GPU_RESOURCE))
        yield from _guarded("clock", lambda: _clock(opened))
        yield from _guarded("secret", lambda: _secret(opened, profile))
        if profile.pod_ca_bundle:
            yield from _guarded("ca bundle", lambda: _ca_bundle(opened, str(profile.pod_ca_bundle)))
        if profile.cache:
            yield from _guarded("cache", lambda: _cache(opened, str(profile.cache.claim if profile.cache else "")))
    yield from _guarded("store", lambda: _store(store()))
    if pod and "opened" in locals():
        yield from _guarded("pod", lambda: _pod(opened, profile.site()))


def _guarded(name: str, check: Callable[[], Any]) -> Iterator[Finding]:
    try:
        yield from check()
    except TlbatchError as error:
        yield Finding(name, FAILED, str(error))


def _plugins() -> Iterator[Finding]:
    """Those that are installed here; no line where there are none."""
    for plugin in installed().values():
        try:
            names = [f"{plugin.name}:{entry.name}" for kind in KINDS for entry in getattr(plugin.load(), kind)]
            yield Finding(
                "plug-in", OK, f"{plugin.name} of {plugin.package} {plugin.version} adds {', '.join(names) or 'nothing'}"
            )
        except TlbatchError as error:
            yield Finding("plug-in", FAILED, str(error))


def plugin_documents() -> dict[str, dict[str, str]]:
    """Package, version and source of what is installed here, as keys have them."""
    return {name: plugin.document() for name, plugin in installed().items()}


def compare_plugins(theirs: Mapping[str, Mapping[str, str]], image: str) -> Iterator[Finding]:
    """What studies are planned with here, beside what is in the image of driver and reports."""
    for name, own in plugin_documents().items():
        found = theirs.get(name)
        if found == own:
            text = f"{name} is the same in {image}; the other images are not looked into: a task that finds another says so"
            yield Finding("plug-in", OK, text)
            continue
        what = (
            "is not there"
            if found is None
            else f"is {found.get('package')} {found.get('version')} there, or another source of it"
        )
        yield Finding(
            "plug-in", FAILED, f"{name} of {own['package']} {own['version']} {what} ({image}): build the images anew with it"
        )


# -- the cluster ------------------------------------------------------------------------------------------------------


def _version(cluster: Cluster) -> Finding:
    said = cluster.version()
    minor = int("".join(letter for letter in str(said.get("minor", "0")) if letter.isdigit()) or 0)
    text = f"{cluster.host}, Kubernetes {said.get('gitVersion')}, tlbatch {__version__}"
    if minor < OLDEST_MINOR:
        return Finding("cluster", WARNING, f"{text}: tlbatch is tested with 1.{OLDEST_MINOR} or newer")
    return Finding("cluster", OK, text)


def _namespace(cluster: Cluster) -> Iterator[Finding]:
    found = cluster.get(NAMESPACES, cluster.namespace)
    if found is None:
        fix = "`kubectl apply -k k8s/overlays/dev` makes tlbatch"
        yield Finding("namespace", FAILED, f"{cluster.namespace} is not there: {fix}")
        return
    level = found["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce", "none")
    state = OK if level == "restricted" else WARNING
    yield Finding("namespace", state, f"{cluster.namespace}, Pod Security {level}")


def _permissions(cluster: Cluster) -> Iterator[Finding]:
    missing = [f"{verb} {resource}" for verb, resource, group in PERMISSIONS if not cluster.may(verb, resource, group)]
    if missing:
        bind = f"kubectl -n {cluster.namespace} create rolebinding tlbatch-users --role=tlbatch-user --user=YOU"
        yield Finding("permissions", FAILED, f"you may not {', '.join(missing)}: `{bind}`")
    else:
        yield Finding("permissions", OK, f"{len(PERMISSIONS)} asked for, all given")


def _quota(cluster: Cluster) -> Iterator[Finding]:
    for quota in cluster.list(QUOTAS)[0]:
        hard, used = quota.get("status", {}).get("hard", {}), quota.get("status", {}).get("used", {})
        full = [f"{name} {used.get(name)} of {amount}" for name, amount in hard.items() if used.get(name) == amount != "0"]
        name = quota["metadata"]["name"]
        yield Finding("quota", WARNING if full else OK, f"{name}: {', '.join(full) + ' used up' if full else 'has room'}")


def _gpus(cluster: Cluster, gpu_resource: str) -> Iterator[Finding]:
    """What pods may get besides CPU and memory, and whether the name they would ask by is among it."""
    nodes = cluster.list(NODES)[0]
    found = list_devices(nodes, _pods_everywhere(cluster), *_resource_claims(cluster))
    yield Finding("nodes", OK, f"{len(nodes)}, {describe(found) or 'no GPUs: a study with resources.gpu would wait for ever'}")
    wrong = mistaken(gpu_resource, found)
    if wrong:
        yield Finding("gpus", WARNING, wrong)


def _pods_everywhere(cluster: Cluster) -> list[dict[str, Any]] | None:
    """To see what is taken; None where that may not be asked."""
    return _allowed(lambda: cluster.list(ALL_PODS)[0])


def _resource_claims(cluster: Cluster) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Device classes and slices of dynamic resource allocation; none where the cluster has no such thing."""
    return _allowed(lambda: cluster.list(DEVICE_CLASSES)[0]) or [], _allowed(lambda: cluster.list(RESOURCE_SLICES)[0]) or []


def _allowed(ask: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
    try:
        return ask()
    except TlbatchError:
        return None


def _clock(cluster: Cluster) -> Iterator[Finding]:
    """Leases allow for 5 s between the clocks of drivers; the API server's stands for the cluster's."""
    before = time.time()
    response = cluster.api.rest_client.pool_manager.request("GET", f"{cluster.host}/version", timeout=5.0, retries=False)
    cluster.requests += 1
    said = response.headers.get("Date")
    if said is None:
        return
    skew_s = abs(parsedate_to_datetime(said).timestamp() - (before + time.time()) / 2)
    state, fix = (OK, "") if skew_s < SKEW_S else (WARNING, ": set the time by NTP")
    yield Finding("clock", state, f"{skew_s:.0f} s between here and the cluster{fix}")


def _secret(cluster: Cluster, profile: Profile) -> Iterator[Finding]:
    if profile.secret is None:
        yield Finding("secret", OK, f"none: service account {profile.service_account} is trusted")
        return
    found = cluster.get(SECRETS, profile.secret)
    if found is None:
        yield Finding("secret", FAILED, f"{profile.secret} is not there: `tlbatch secret create` makes it from the environment")
        return
    keys = sorted(found.get("data", {}))
    missing = [key for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if key not in keys]
    if missing:
        yield Finding("secret", FAILED, f"{profile.secret} lacks {', '.join(missing)}: `tlbatch secret create`")
    else:
        yield Finding("secret", OK, f"{profile.secret}: {', '.join(keys)}")


def _ca_bundle(cluster: Cluster, given: str) -> Iterator[Finding]:
    """What pods would mount must be there, or they wait for ever in ContainerCreating."""
    kind, name, key = str(checked_bundle(given)).split("/")
    try:
        found = cluster.get(CONFIGMAPS if kind == "configmap" else SECRETS, name)
    except ClusterError as error:  # a role of before ConfigMaps were looked at
        yield Finding("ca bundle", WARNING, f"{kind} {name} could not be looked at: {error}")
        return
    what = "configmap" if kind == "configmap" else "secret generic"
    make = f"`kubectl -n {cluster.namespace} create {what} {name} --from-file={key}=FILE`"
    if found is None:
        yield Finding("ca bundle", FAILED, f"{kind} {name} is not there: {make}")
    elif key not in {**found.get("data", {}), **found.get("binaryData", {})}:
        yield Finding("ca bundle", FAILED, f"{kind} {name} has no key {key}: {make}, or name the key: {kind}/{name}/KEY")
    else:
        yield Finding("ca bundle", OK, f"{kind} {name}, key {key}")


def _cache(cluster: Cluster, claim: str) -> Iterator[Finding]:
    """The claim that tasks share must be there, or they wait for ever for a node."""
    try:
        found = cluster.get(CLAIMS, claim)
    except ClusterError as error:  # a role of before claims were looked at
        yield Finding("cache", WARNING, f"claim {claim} could not be looked at: {error}")
        return
    if found is None:
        yield Finding("cache", FAILED, missing_claim(claim, cluster.namespace))
        return
    phase, modes = found.get("status", {}).get("phase"), found.get("spec", {}).get("accessModes") or []
    size = found.get("status", {}).get("capacity", {}).get("storage") or "not bound yet"
    if phase == "Lost":
        yield Finding("cache", FAILED, f"claim {claim} has lost its volume: delete it and make it again")
    elif "ReadWriteMany" in modes:
        yield Finding("cache", OK, f"claim {claim}, {size}")
    else:
        yield Finding("cache", OK, f"claim {claim}, {size}, {', '.join(modes)}: all tasks run on the node that has it")


# -- S3 ---------------------------------------------------------------------------------------------------------------


def _store(store: Store) -> Iterator[Finding]:
    yield Finding("store", OK, f"{store.url}: {probe(store)}")


def probe(store: Store) -> str:
    """Write, read, delete, and let 16 writers race for one object, twice: exactly one may win. Raises TlbatchError."""
    name = f"work/doctor/{secrets.token_hex(8)}"
    try:
        store.put(name, b"doctor")
        if store.get(name) != b"doctor":
            raise TlbatchError(f"{store.url} does not give back what was written")
        created = _race(lambda i: store.put(f"{name}-new", f"{i}".encode(), if_absent=True))
        etag = store.get_with_etag(name)[1]
        swapped = _race(lambda i: store.put(name, f"{i}".encode(), if_match=etag))
        if (created, swapped) != (1, 1):
            raise TlbatchError(
                f"{store.url} has no conditional writes ({created} and {swapped} of {WRITERS} writers won at once, not 1): "
                "leases and commits need If-None-Match and If-Match; use another S3 server"
            )
    finally:
        store.delete([name, f"{name}-new"])
    return f"read, write, conditional puts by {WRITERS} writers at once"


def _race(write: Callable[[int], Any]) -> int:
    def won(i: int) -> bool:
        try:
            write(i)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        return sum(pool.map(won, range(WRITERS)))


# -- a pod ------------------------------------------------------------------------------------------------------------


def build_probe(site: Site, name: str) -> dict[str, Any]:
    """A Job whose pod is like a step's and does the same with the store: image, Secret, Pod Security, network, all at once."""
    needs = Needs(cpu="100m", memory="256Mi", scratch="64Mi", cpu_limit="1")
    labels = {f"app.kubernetes.io/{name}": value for name, value in LABELS.items()}
    code = (
        "import sys; from tlbatch.doctor import probe; from tlbatch.store import open_store; "
        "from tlbatch import __version__; print('tlbatch', __version__, probe(open_store(sys.argv[1])))\n"
        "import json, tlbatch.doctor as d; print(json.dumps(getattr(d, 'plugin_documents', dict)()))"
    )
    template = build_step_template(site, needs, site.image("launcher"), ["python", "-c", code], [site.store], labels)
    spec = {"backoffLimit": 0, "podFailurePolicy": FAILURE_POLICY, "ttlSecondsAfterFinished": 60, "template": template}
    metadata = {"name": name, "namespace": site.namespace, "labels": labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _pod(cluster: Cluster, site: Site) -> Iterator[Finding]:
    name = f"tlbatch-doctor-{secrets.token_hex(4)}"
    job = cluster.create(JOBS, build_probe(site, name))
    try:
        found = _outcome(cluster, job)
    finally:
        Clearing(cluster).delete(JOBS, lambda: [name])
    said, _, plugins = found.detail.partition("\n")
    if found.state != OK:
        yield found
        return
    yield replace(found, detail=_version_words(said))
    yield from compare_plugins(_plugins_there(plugins), site.image("launcher"))


def _plugins_there(said: str) -> Mapping[str, Mapping[str, str]]:
    """What the pod's second line has; {} where an older image, or something in between, put another there."""
    try:
        found = parse(said or "{}")
    except ValueError:
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def _outcome(cluster: Cluster, job: dict[str, Any]) -> Finding:
    name, until, words = job["metadata"]["name"], time.monotonic() + POD_TIMEOUT_S, ""
    while time.monotonic() < until:
        job = cluster.get(JOBS, name) or job
        pods, _ = cluster.list(PODS, f"{JOB_NAME}={name}")
        how = job_ended(job)
        if how == "Complete" and pods:
            return Finding("pod", OK, cluster.logs(pods[0]["metadata"]["name"]).strip())
        words = explain_job(job, pods, [] if pods else job_events(cluster, job)) or words
        for_ever = ("cannot be pulled", "Secret", "Pod Security", "not found")
        if how == "Failed" or any(each in words for each in for_ever):
            return Finding("pod", FAILED, words)
        time.sleep(0.5)
    return Finding("pod", FAILED, words or f"did not end in {POD_TIMEOUT_S:g} s")


def _version_words(said: str) -> str:
    theirs = said.split()[1] if said.startswith("tlbatch ") else "?"
    if theirs != __version__:
        return f"{said}; here it is {__version__}: `pip install tlbatch=={theirs}`, or `make images` and push them"
    return said
