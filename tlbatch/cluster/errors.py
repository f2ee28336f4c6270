"""What the API server refuses, as sentences with the command that fixes it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from tlbatch.errors import StudyError, TlbatchError, TransientError

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
ELSEWHERE = frozenset(range(300, 400)) | {511}


class ClusterError(StudyError):
    """The cluster refused what was asked: fix it and try again."""


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
    if status == 407:
        return ClusterError(f"the proxy before {host} wants a login ({said}): put it into HTTPS_PROXY or proxy-url")
    if status in ELSEWHERE or (status < 500 and is_page(body)):
        return not_kubernetes(host, what, status, body)
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
    if status == 422:
        return ClusterError(f"{host} refuses to {what}: what was asked for is not valid there ({said})")
    if status in BUSY or status > 511:
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
        fix = "`kubectl apply -k k8s/overlays/dev` makes namespace tlbatch with all it needs, or name another: --namespace"
        return ClusterError(f"namespace {namespace} is not there: {fix}")
    return NotThereError(f"could not {what}: {said}")


def message(body: bytes) -> str:
    """The ``message`` of a Status, or the body's start."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return " ".join(body[:300].decode(errors="replace").split()) or "no words"
    return str(document.get("message") or document.get("reason") or document) if isinstance(document, dict) else str(document)


def watch_error(status: Mapping[str, Any], host: str) -> TlbatchError:
    """The error for an ERROR event of a watch."""
    body = json.dumps(dict(status)).encode()
    return refusal(int(status.get("code") or 500), body, "watch", host, "")


def is_page(body: bytes) -> bool:
    """Whether it is HTML: a portal, a login, a proxy's page."""
    start = body[:500].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body"))


def not_kubernetes(host: str, what: str, status: int, body: bytes) -> ClusterError:
    """Something answers there, and it is no API server."""
    said = " ".join(body[:200].decode(errors="replace").split()) or "nothing"
    return ClusterError(
        f"{host} does not answer as an API server does when asked to {what} (HTTP {status}: {said}); is it behind a "
        "portal or a proxy that wants a login? `kubectl cluster-info` must answer; another one is named by --context or "
        "`tlbatch context use`"
    )


def transport_error(host: str, error: Exception, proxy: str | None = None) -> TlbatchError:
    """No answer. A certificate that is not trusted, or what no request can be made of, is wrong for ever (2)."""
    causes = list(_causes(error))
    reason = str(error).rsplit(": ", 1)[-1].strip("()'\"") or type(error).__name__
    untrusted = next((each for each in causes if isinstance(each, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        return ClusterError(
            f"the certificate of {host} is not trusted ({untrusted.verify_message or untrusted}): certificate-authority of the "
            "kubeconfig must hold who signed it, tls-server-name the name in it"
        )
    if any(isinstance(each, ssl.SSLError) and each.reason in NO_TLS for each in causes):
        return ClusterError(f"{host} does not speak TLS ({reason}): fix `server` in the kubeconfig")
    if any(type(each).__name__ == "ProxyError" for each in causes):
        return UnreachableError(
            f"the proxy {proxy} before {host} does not let through ({reason}): fix proxy-url or HTTPS_PROXY"
        )
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return ClusterError(f"{host}: no request can be made ({reason}): fix server and token in the kubeconfig")
    return unreachable(host, error)


NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            behind = [getattr(each, "reason", None), each.__cause__, each.__context__, *each.args]
            waiting += [inner for inner in behind if isinstance(inner, BaseException)]


def unreachable(host: str, error: Exception) -> UnreachableError:
    reason = str(error).rsplit(": ", 1)[-1].strip("()'\"") or type(error).__name__
    return UnreachableError(
        f"the cluster at {host} cannot be reached ({reason}): `kubectl cluster-info` must answer; "
        f"another one is named by --context or `tlbatch context use`"
    )
