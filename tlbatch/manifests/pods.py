"""Pod templates: hardened for Pod Security *restricted*, scratch on a sized emptyDir, no secret value anywhere. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from tlbatch.environment import THREAD_SETTINGS
from tlbatch.manifests.needs import Needs
from tlbatch.manifests.site import CacheVolume, Site

SCRATCH = "/tmp"
CA_VOLUME, CA_FOLDER = "ca-bundle", "/etc/tlbatch-ca"
CACHE_VOLUME, CACHE_FOLDER = "cache", "/cache"
IMAGES_GROUP = 10001
"""Of the images' user (images/Dockerfile): a volume is made writable for it."""
GRACE_S = 60
DRIVER_GRACE_S = 30


def build_step_template(
    site: Site,
    needs: Needs,
    image: str,
    command: list[str],
    args: list[str],
    labels: dict[str, str],
    environment: Iterable[dict[str, Any]] = (),
    *,
    shards: int = 0,
) -> Any:
    """A step's pod: no token, and as many compute threads as its CPU limit has cores (rounded up).

    ``environment``: what else its container is told. ``shards``: pods that share the task by the indexes of its Job.
    """
    threads = [
        {"name": name, "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}}
        for name in THREAD_SETTINGS
    ]
    waiting = [{"name": "OMP_WAIT_POLICY", "value": "PASSIVE"}, {"name": "KMP_BLOCKTIME", "value": "0"}]
    container = _container(site, needs, "step", image, [*threads, *waiting, *environment])
    container |= {"command": [escaped(each) for each in command], "args": [escaped(each) for each in args]}
    container["args"] += ["--shard", f"$(JOB_COMPLETION_INDEX)/{shards}"] if shards else []
    spec = _spec(site, needs, container, grace_s=GRACE_S)
    spec |= {"serviceAccountName": needs.service_account or site.step_account, "automountServiceAccountToken": False}
    if site.cache:
        _share_cache(site.cache, container, spec)
    if needs.priority_class:
        spec["priorityClassName"] = needs.priority_class
    return _template(needs, spec, labels)


def build_driver_template(
    site: Site, needs: Needs, args: list[str], environment: dict[str, str], labels: dict[str, str]
) -> Any:
    """The driver's pod: learns its Job's name and UID from its own labels."""
    fields = {
        "TLBATCH_NAMESPACE": "metadata.namespace",
        "TLBATCH_JOB_NAME": "metadata.labels['batch.kubernetes.io/job-name']",
        "TLBATCH_JOB_UID": "metadata.labels['batch.kubernetes.io/controller-uid']",
    }
    given = [{"name": name, "value": escaped(value)} for name, value in environment.items()]
    container = _container(site, needs, "driver", site.image("launcher"), [*given, *(_field(*each) for each in fields.items())])
    container |= {"command": ["tlbatch"], "args": [escaped(each) for each in args]}
    spec = _spec(site, needs, container, grace_s=DRIVER_GRACE_S)
    spec |= {"serviceAccountName": site.driver_account, "automountServiceAccountToken": True}
    if site.driver_priority:
        spec["priorityClassName"] = site.driver_priority
    return _template(needs, spec, labels)


def escaped(text: str) -> str:
    """What a container gets as ``text``: Kubernetes takes ``$(NAME)`` for a variable and ``$$`` for a dollar sign."""
    return text.replace("$", "$$")


def unescaped(text: str) -> str:
    """``escaped`` undone, also of what an earlier version wrote as it was."""
    return text.replace("$$", "$")


def _container(site: Site, needs: Needs, name: str, image: str, environment: list[dict[str, Any]]) -> dict[str, Any]:
    amounts: dict[str, Any] = {"cpu": needs.cpu, "memory": needs.memory}
    if needs.gpu:
        amounts[needs.gpu_resource] = str(needs.gpu)
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "imagePullPolicy": site.pull_policy,
        "env": [*_environment(site), *environment],
        "resources": {"requests": amounts, "limits": {**amounts, "cpu": needs.cpu_limit or needs.cpu}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }
    if site.secret:
        container["envFrom"] = [{"secretRef": {"name": site.secret}}]
    if site.ca_bundle:
        container["volumeMounts"].append({"name": CA_VOLUME, "mountPath": CA_FOLDER, "readOnly": True})
    if needs.shared_memory:
        container["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})
    return container


def _environment(site: Site) -> list[dict[str, Any]]:
    values = {
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "TLBATCH_CACHE": f"{SCRATCH}/cache",
        "PYTHONUNBUFFERED": "1",
        "AWS_ENDPOINT_URL_S3": site.endpoint,
        "AWS_REGION": site.region,
        "AWS_DEFAULT_REGION": site.region,
        "AWS_CA_BUNDLE": f"{CA_FOLDER}/{site.ca_bundle.rpartition('/')[2]}" if site.ca_bundle else None,
    }
    plain = [{"name": name, "value": escaped(value)} for name, value in values.items() if value is not None]
    return [*plain, _field("TLBATCH_POD", "metadata.name")]


def _share_cache(cache: CacheVolume, container: dict[str, Any], spec: dict[str, Any]) -> None:
    """Have a step's pod use the claim as its cache, in place of its own scratch.

    ``fsGroup`` because a new volume belongs to root, and pods do not run as root; with ``OnRootMismatch`` Kubernetes walks over
    the files once, and not at every start.
    """
    told = {"TLBATCH_CACHE": CACHE_FOLDER, "TLBATCH_CACHE_SIZE": cache.size}
    container["env"] = [each for each in container["env"] if each["name"] not in told]
    container["env"] += [{"name": name, "value": value} for name, value in told.items() if value is not None]
    container["volumeMounts"].append({"name": CACHE_VOLUME, "mountPath": CACHE_FOLDER})
    spec["volumes"].append({"name": CACHE_VOLUME, "persistentVolumeClaim": {"claimName": cache.claim}})
    spec["securityContext"] |= {"fsGroup": IMAGES_GROUP, "fsGroupChangePolicy": "OnRootMismatch"}


def _ca_source(bundle: str) -> dict[str, Any]:
    kind, name, key = bundle.split("/")
    items = [{"key": key, "path": key}]
    return (
        {"configMap": {"name": name, "items": items}}
        if kind == "configmap"
        else {"secret": {"secretName": name, "items": items}}
    )


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _spec(site: Site, needs: Needs, container: dict[str, Any], grace_s: int) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_s,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": needs.scratch}}],
    }
    if site.ca_bundle:
        spec["volumes"].append({"name": CA_VOLUME, **_ca_source(site.ca_bundle)})
    if needs.shared_memory:
        memory = {"medium": "Memory", "sizeLimit": needs.shared_memory}
        spec["volumes"].append({"name": "shared-memory", "emptyDir": memory})
    if needs.node_selector:
        spec["nodeSelector"] = needs.node_selector
    if needs.tolerations:
        spec["tolerations"] = list(needs.tolerations)
    if needs.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in needs.image_pull_secrets]
    return spec


def _template(needs: Needs, spec: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": {**needs.labels, **labels}}
    if needs.annotations:
        metadata["annotations"] = needs.annotations
    template = {"metadata": metadata, "spec": spec}
    patch = needs.pod_patch
    if not patch:
        return template
    whole = patch if {"spec", "metadata"} & set(patch) else {"spec": patch}
    patched: dict[str, Any] = merged(template, whole)
    return patched


def merged(base: Any, patch: Any) -> Any:
    """``patch`` laid over ``base``: mappings key by key (null removes), lists of named things by name, all else replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        result = {name: copy.deepcopy(value) for name, value in base.items() if patch.get(name, "") is not None}
        for name, value in patch.items():
            if value is not None:
                result[name] = merged(base.get(name), value)
        return result
    if _named(base) and _named(patch):
        over = {each["name"]: each for each in patch}
        kept = [merged(each, over.pop(each["name"], {})) for each in base]
        return [*kept, *copy.deepcopy(list(over.values()))]
    return copy.deepcopy(patch)


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) and "name" in each for each in value)
