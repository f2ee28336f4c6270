"""What the API server refuses, as sentences with the command that mends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tlbatch.errors import StudyError, TlbatchError, TransientError

BUSY = frozenset({408, 429, 500, 502, 503, 504})


class ClusterError(StudyError):
    """The cluster refused what was asked: mend it and try again."""


class NotThereError(TlbatchError):
    """HTTP 404: no such object."""


class AlreadyThereError(TlbatchError):
    """HTTP 409: an object of this name is there."""


class GoneError(TlbatchError):
    """HTTP 410: the resourceVersion is too old, list anew."""


class UnreachableError(TransientError):
    """No answer, or the server is overloaded, for longer than was waited."""


class QuotaError(TransientError):
    """The namespace's quota allows no more objects of this kind now."""


def refusal(status: int, body: bytes, what: str, host: str, namespace: str) -> TlbatchError:
    """The error for an answer of ``status`` >= 400 to ``what`` (``create jobs``)."""
    said = message(body)
    if status == 401:
        return ClusterError(f"{host} does not accept these credentials ({said}): log in again, then `kubectl auth whoami`")
    if status == 403 and "exceeded quota" in said:
        return QuotaError(
            f"the quota of namespace {namespace} is used up ({said}): `kubectl -n {namespace} describe resourcequota` shows "
            "it; try again when something has ended"
        )
    if status == 403 and "status unknown for quota" in said:  # a namespace made, or a quota changed, a moment ago
        return UnreachableError(f"{host}: could not {what} now ({said}): its quota is not counted yet; try again in a moment")
    if status == 403:
        return ClusterError(_forbidden(said, what, namespace))
    if status == 404:
        return _missing(said, what, namespace)
    if status == 409:
        return AlreadyThereError(said)
    if status == 410:
        return GoneError(said)
    if status in BUSY:
        return UnreachableError(f"{host}: could not {what} now (HTTP {status}: {said}); try again later")
    return ClusterError(f"{host}: could not {what} (HTTP {status}): {said}")


def _forbidden(said: str, what: str, namespace: str) -> str:
    if "admission webhook" in said or "ValidatingAdmissionPolicy" in said or "violates PodSecurity" in said:
        return f"the cluster's admission refused to {what}: {said}"
    if "because it is being terminated" in said:
        return f"namespace {namespace} is being deleted: wait until it is gone, then `kubectl apply -k k8s/overlays/dev`"
    bind = f"kubectl -n {namespace} create rolebinding tlbatch-users --role=tlbatch-user --user=YOU"
    return f"you may not {what} in namespace {namespace} ({said}); who administers it can allow it: `{bind}`"


def _missing(said: str, what: str, namespace: str) -> TlbatchError:
    if f'namespaces "{namespace}" not found' in said:
        mend = "`kubectl apply -k k8s/overlays/dev` makes namespace tlbatch with all it needs, or name another: --namespace"
        return ClusterError(f"namespace {namespace} is not there: {mend}")
    return NotThereError(f"could not {what}: {said}")


def message(body: bytes) -> str:
    """The ``message`` of a Status, or the body's start."""
    try:
        document = json.loads(body)
    except ValueError:
        return body[:300].decode(errors="replace").strip() or "no words"
    return str(document.get("message") or document.get("reason") or document) if isinstance(document, dict) else str(document)


def watch_error(status: Mapping[str, Any], host: str) -> TlbatchError:
    """The error for an ERROR event of a watch."""
    body = json.dumps(dict(status)).encode()
    return refusal(int(status.get("code") or 500), body, "watch", host, "")
