"""The cache behind a watch: it holds what the server has, over ends, errors and 410."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tlbatch.cluster import Cluster
from tlbatch.cluster.client import JOBS
from tlbatch.cluster.watching import Watched


def item(name: str, version: int, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, **fields}


def listed(version: int, *items: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": document}


@pytest.fixture
def watched(client: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("tlbatch.cluster.watching.FIRST_WAIT_S", 0.01)
    started: list[Watched] = []

    def start(**settings: Any) -> Watched:
        started.append(Watched(client(), JOBS, "a=b", lambda: None, **settings).start())
        return started[-1]

    yield start
    for each in started:
        each.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def names(watched: Watched) -> list[str]:
    return [document["metadata"]["name"] for document in watched.objects()]


def test_a_list_and_what_happened_since(server: Any, watched: Any) -> None:
    changes = [event("ADDED", item("b", 2)), event("MODIFIED", item("a", 3, x=1)), event("DELETED", item("b", 4))]
    server.answers = [listed(1, item("a", 1)), (200, changes), (200, [])]
    found = watched()
    until(lambda: (found.get("a") or {}).get("x") == 1 and found.get("b") is None)
    until(lambda: len(server.asked) >= 3)
    assert "resourceVersion=1&" in server.asked[1][1]
    assert "resourceVersion=4&" in server.asked[2][1]  # taken up where it ended, not listed anew


def test_a_bookmark_moves_the_place_to_go_on_from(server: Any, watched: Any) -> None:
    server.answers = [listed(1), (200, [event("BOOKMARK", item("", 9))]), (200, [])]
    found = watched()
    until(lambda: len(server.asked) >= 3)
    assert "resourceVersion=9&" in server.asked[2][1]
    assert names(found) == []


def test_after_410_everything_is_listed_anew(server: Any, watched: Any) -> None:
    gone = {"code": 410, "message": "too old resource version", "metadata": {}}
    server.answers = [
        listed(1, item("a", 1), item("b", 1)),
        (200, [event("ERROR", gone)]),
        listed(50, item("b", 40)),
        (200, []),
    ]
    found = watched()
    until(lambda: names(found) == ["b"])
    until(lambda: any("watch=1&resourceVersion=50" in path for _, path, _ in server.asked))


def test_a_restarting_server_is_waited_for(server: Any, watched: Any) -> None:
    """Connections that break, 500, and 403 while the server has not loaded its roles yet."""
    server.answers = [
        listed(1),
        (0, None),
        (500, {}),
        (403, {"message": "no RBAC yet"}),
        (200, [event("ADDED", item("a", 2))]),
        (200, []),
    ]
    found = watched()
    until(lambda: names(found) == ["a"])
    found.check()


def test_what_lasts_is_raised(server: Any, watched: Any) -> None:
    server.answers = [listed(1), (403, {"message": "no more"})]
    found = watched(give_up_s=0.05)

    def failed() -> bool:
        try:
            found.check()
        except Exception as error:  # noqa: BLE001 - whatever was raised is looked at
            return "no more" in str(error)
        return False

    until(failed)


def test_what_was_just_created_is_there_before_the_watch_tells(server: Any, watched: Any) -> None:
    server.answers = [listed(1), (200, [])]
    found = watched(slim=lambda document: {"metadata": document["metadata"]})
    found.put(item("new", 5, spec={"much": "text"}))
    assert found.get("new") == {"metadata": {"name": "new", "resourceVersion": "5"}}
