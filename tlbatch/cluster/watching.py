"""Objects of one kind kept up to date: a list, then a watch from its resourceVersion on. Survives 410 and restarts."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from tlbatch.cluster.client import Cluster, Document
from tlbatch.cluster.errors import GoneError
from tlbatch.errors import TlbatchError

WATCH_S = 290
"""The server ends a watch after this long and it is taken up again; proxies that cut idle connections need less."""
GIVE_UP_S = 600.0
"""How long the server may stay away, or refuse, before the watch reports it."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0


class Watched:
    """A cache of all objects of a kind with these labels. ``changed`` is called after every change, from a thread.

    ``start`` lists at once and raises what the server says; later trouble is waited out, ``check`` raises what lasts.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        labels: str,
        changed: Callable[[], None],
        slim: Callable[[Document], Document] = lambda document: document,
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        self._cluster, self._kind, self._labels, self._changed, self._slim = cluster, kind, labels, changed, slim
        self._give_up_s = give_up_s
        self._objects: dict[str, Document] = {}
        self._version = ""
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._response: Any = None
        self._error: TlbatchError | None = None
        self._thread = threading.Thread(target=self._loop, name=f"watch {kind}", daemon=True)

    def start(self) -> Watched:
        self._list()
        self._thread.start()
        return self

    def objects(self) -> list[Document]:
        """All there are now, by name."""
        with self._lock:
            return [self._objects[name] for name in sorted(self._objects)]

    def get(self, name: str) -> Document | None:
        with self._lock:
            return self._objects.get(name)

    def put(self, document: Document) -> None:
        """Take in what was just created, before the watch tells of it."""
        with self._lock:
            self._objects.setdefault(document["metadata"]["name"], self._slim(document))

    def check(self) -> None:
        """Raise what has kept the watch from working for ``give_up_s``."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._closed.set()
        response = self._response
        if response is not None:
            with contextlib.suppress(Exception):  # whatever state the connection is in, it is done with
                response.shutdown()  # wakes the thread that reads; a close would wait for it

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        failing_since: float | None = None
        wait_s, stale = FIRST_WAIT_S, False
        while not self._closed.is_set():
            try:
                if stale:
                    self._list()
                    stale = False
                self._watch()
                failing_since, wait_s = None, FIRST_WAIT_S
                if not self._seen:  # a server that ends watches at once is not asked in a tight loop
                    self._closed.wait(FIRST_WAIT_S)
            except GoneError:
                stale = True
            except TlbatchError as error:
                failing_since = failing_since or time.monotonic()
                if self._seen:
                    failing_since, wait_s = time.monotonic(), FIRST_WAIT_S
                if time.monotonic() - failing_since > self._give_up_s and not self._closed.is_set():
                    self._error = error
                    self._changed()
                    return
                self._closed.wait(wait_s)
                wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    _seen = False

    def _watch(self) -> None:
        self._seen = False
        for event in self._cluster.watch(self._kind, self._version, self._labels, WATCH_S, self._opened):
            if self._closed.is_set():
                return
            self._seen = True
            self._apply(event)

    def _opened(self, response: Any) -> None:
        self._response = response

    def _list(self) -> None:
        items, version = self._cluster.list(self._kind, self._labels)
        with self._lock:
            self._objects = {item["metadata"]["name"]: self._slim(item) for item in items}
            self._version = version
        self._changed()

    def _apply(self, event: Document) -> None:
        item = event["object"]
        self._version = item["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return
        name = item["metadata"]["name"]
        with self._lock:
            if event["type"] == "DELETED":
                self._objects.pop(name, None)
            else:
                self._objects[name] = self._slim(item)
        self._changed()


def slim_job(job: Document) -> Document:
    """Without the template: hundreds of Jobs are kept in memory."""
    spec = {name: value for name, value in job.get("spec", {}).items() if name != "template"}
    return {"metadata": _slim_metadata(job), "spec": spec, "status": job.get("status", {})}


def slim_pod(pod: Document) -> Document:
    containers = [{"name": each["name"], "resources": each.get("resources", {})} for each in pod["spec"].get("containers", [])]
    spec = {"nodeName": pod["spec"].get("nodeName"), "containers": containers}
    return {"metadata": _slim_metadata(pod), "spec": spec, "status": pod.get("status", {})}


def _slim_metadata(document: Document) -> Document:
    metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
    return {"labels": {}, **metadata}
