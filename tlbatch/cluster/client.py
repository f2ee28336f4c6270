"""The API server as JSON documents: what is sent is what was built. Retries with a deadline, errors as sentences."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tlbatch.cluster.errors import (
    NotThereError,
    UnreachableError,
    not_kubernetes,
    refusal,
    transport_error,
    unreachable,
    watch_error,
)

JOBS, CRONJOBS, PODS, EVENTS = "batch/v1/jobs", "batch/v1/cronjobs", "v1/pods", "v1/events"
SERVICES = "v1/services"
SECRETS, QUOTAS, NODES, NAMESPACES = "v1/secrets", "v1/resourcequotas", "v1/nodes", "v1/namespaces"
DEVICE_CLASSES, RESOURCE_SLICES = "resource.k8s.io/v1/deviceclasses", "resource.k8s.io/v1/resourceslices"
ALL_PODS = "v1/all/pods"  # of all namespaces
CONFIGMAPS, CLAIMS = "v1/configmaps", "v1/persistentvolumeclaims"
JOB_NAME = "batch.kubernetes.io/job-name"
"""The label by which a Job's pods are found."""
CLUSTER_WIDE = frozenset({NODES, NAMESPACES, ALL_PODS, DEVICE_CLASSES, RESOURCE_SLICES})
CONNECT_S, READ_S = 5.0, 30.0
DEADLINE_S = 20.0
"""How long one request is tried again while the server does not answer or says it is busy."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.3, 5.0
PAGE = 500
MANAGER = "tlbatch"
JSON, APPLY, MERGE = "application/json", "application/apply-patch+yaml", "application/merge-patch+json"

Document = dict[str, Any]


@dataclass
class Cluster:
    """One namespace of one cluster. ``requests`` counts what was sent. Safe to use from several threads."""

    api: Any
    namespace: str
    deadline_s: float = DEADLINE_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    requests: int = 0
    _headers: dict[str, str] = field(default_factory=lambda: {"Accept": "application/json", "User-Agent": "tlbatch"})

    @property
    def host(self) -> str:
        return str(self.api.configuration.host)

    # -- objects ------------------------------------------------------------------------------------------------------

    def create(self, kind: str, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """The object as the server completed it. Raises AlreadyThereError; ``dry_run`` admits without storing."""
        query = {"dryRun": "All"} if dry_run else {}
        return self._json("POST", self._path(kind), f"create {_plural(kind)}", query, manifest)

    def replace(self, kind: str, manifest: Mapping[str, Any]) -> Document:
        """The object as it is now: what ``manifest`` does not name is gone. Raises NotThereError."""
        path = self._path(kind, manifest["metadata"]["name"])
        return self._json("PUT", path, f"replace {_plural(kind)}", {"fieldManager": MANAGER}, manifest)

    def apply(self, kind: str, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Server-side apply: the object is made, or made to be so; fields that others own and this names are taken over."""
        query = {"fieldManager": MANAGER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        path = self._path(kind, manifest["metadata"]["name"])
        return self._json("PATCH", path, f"apply {_plural(kind)}", query, manifest, APPLY)

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> Document | None:
        """Merge ``change`` into the object; None where it is not there."""
        try:
            path = self._path(kind, name)
            return self._json("PATCH", path, f"patch {_plural(kind)}", {"fieldManager": MANAGER}, change, MERGE)
        except NotThereError:
            return None

    def get(self, kind: str, name: str) -> Document | None:
        """None where it is not there."""
        try:
            return self._json("GET", self._path(kind, name), f"get {_plural(kind)}")
        except NotThereError:
            return None

    def list(self, kind: str, labels: str = "", fields: str = "") -> tuple[list[Document], str]:
        """All objects, page by page, and the resourceVersion to watch from."""
        query = _selectors(labels, fields) | {"limit": str(PAGE)}
        items: list[Document] = []
        while True:
            page = self._json("GET", self._path(kind), f"list {_plural(kind)}", query)
            metadata = page.get("metadata")
            if not isinstance(metadata, dict) or "resourceVersion" not in metadata:  # a foreign answer is no empty list
                raise not_kubernetes(self.host, f"list {_plural(kind)}", 200, json.dumps(page).encode())
            items += page.get("items") or []
            token = metadata.get("continue")
            if not token:
                return items, str(metadata["resourceVersion"])
            query["continue"] = token

    def watch(self, kind: str, version: str, labels: str, timeout_s: int, opened: Callable[[Any], None]) -> Iterator[Document]:
        """Events from after ``version`` on until ``timeout_s``. ``opened`` gets the response, whose ``close`` ends the watch.

        Raises GoneError (list anew) and UnreachableError (a connection that broke off).
        """
        query = _selectors(labels, "") | {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(timeout_s)
        response = self._send("GET", self._path(kind), query, None, stream=True, read_s=timeout_s + READ_S)
        opened(response)
        try:
            for line in _lines(response, self.host):
                event = _event(line, self.host)
                if event["type"] == "ERROR":
                    raise watch_error(event["object"], self.host)
                yield event
        finally:
            response.close()

    def delete(self, kind: str, name: str, *, grace_s: int | None = None, uid: str | None = None) -> bool:
        """Delete one object and, in the background, what belongs to it. False where it was gone already."""
        options: Document = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self._json("DELETE", self._path(kind, name), f"delete {_plural(kind)}", {}, options)
        except NotThereError:
            return False
        return True

    def logs(self, pod: str, *, container: str = "", tail: int | None = None) -> str:
        """What a pod printed. Raises NotThereError where it is gone, ClusterError where it has not started."""
        query = ({"container": container} if container else {}) | ({"tailLines": str(tail)} if tail is not None else {})
        return self.text("GET", self._path(PODS, pod) + "/log", "read logs", query)

    # -- the server ---------------------------------------------------------------------------------------------------

    def version(self) -> Document:
        return self._json("GET", "/version", "ask for the version")

    def may(self, verb: str, resource: str, group: str = "") -> bool:
        """Whether the server would allow it, by a SelfSubjectAccessReview."""
        base, _, sub = resource.partition("/")
        attributes = {"namespace": self.namespace, "verb": verb, "resource": base, "group": group}
        attributes |= {"subresource": sub} if sub else {}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self._json("POST", path, "ask for permissions", {}, {**review, "spec": {"resourceAttributes": attributes}})
        return bool(answer.get("status", {}).get("allowed"))

    def raw(self, path: str, what: str) -> Document:
        """GET any path."""
        return self._json("GET", path, what)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _path(self, kind: str, name: str = "") -> str:
        *group, plural = kind.replace("/all/", "/").split("/")
        root = "/api/v1" if group == ["v1"] else f"/apis/{'/'.join(group)}"
        place = "" if kind in CLUSTER_WIDE else f"/namespaces/{self.namespace}"
        return f"{root}{place}/{plural}" + (f"/{name}" if name else "")

    def _json(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = JSON,
    ) -> Document:
        text = self.text(method, path, what, query, body, content)
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise not_kubernetes(self.host, what, 200, text.encode())
        return document

    def text(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = JSON,
    ) -> str:
        """One request with retries: connection errors, 408, 429 and 5xx, until the deadline."""
        until, wait_s = self.clock() + self.deadline_s, FIRST_WAIT_S
        while True:
            try:
                response = self._send(method, path, query or {}, body, content=content)
                if response.status < 400:
                    return str(response.data.decode(errors="replace"))
                error = refusal(response.status, response.data, what, self.host, self.namespace)
                if not isinstance(error, UnreachableError):
                    raise error
                asked_s = _retry_after(response.headers.get("Retry-After")) if response.status == 429 else 0.0
            except UnreachableError as unreachable:
                error, asked_s = unreachable, 0.0
            if self.clock() + wait_s > until:
                raise error
            self.sleep(max(wait_s, min(asked_s, LONGEST_WAIT_S)))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        *,
        stream: bool = False,
        read_s: float = READ_S,
        content: str = JSON,
    ) -> Any:
        import urllib3

        headers = dict(self._headers)
        self.api.update_params_for_auth(headers, [], ["BearerToken"])
        if body is not None:
            headers["Content-Type"] = content
        url = self.host + path + (f"?{urlencode(query)}" if query else "")
        self.requests += 1
        try:
            response = self.api.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                preload_content=not stream,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # ValueError: a header, a URL that cannot be sent
            raise transport_error(self.host, error, self.api.configuration.proxy) from error
        if stream and response.status >= 400:
            body_text = response.read()
            response.close()
            raise refusal(response.status, body_text, "watch", self.host, self.namespace)
        return response


def _lines(response: Any, host: str) -> Iterator[bytes]:
    """Lines of a stream as they come. Ends where the server or ``close`` ended it."""
    import urllib3

    rest = b""
    try:
        for piece in response.stream(amt=None, decode_content=False):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line for line in lines if line)
    except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:  # closed from another thread, too
        raise unreachable(host, error) from error


def _event(line: bytes, host: str) -> Document:
    """An event of a watch. Half a line is a connection that broke off: list anew."""
    try:
        event = json.loads(line)
        if isinstance(event["type"], str) and isinstance(event["object"], dict):
            return dict(event)
    except (ValueError, KeyError, TypeError):
        pass
    raise unreachable(host, ValueError("an event that cannot be read"))


def _retry_after(said: str | None) -> float:
    """Seconds; a server may also say a date, or nonsense."""
    try:
        return max(0.0, float(said or 0))
    except ValueError:
        return 0.0


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})


def _plural(kind: str) -> str:
    return kind.rpartition("/")[2]
