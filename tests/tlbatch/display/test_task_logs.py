"""Logs of a task that has none in the store yet: from its pod, and from the store once there are any, nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tlbatch.cluster.conftest import Scripted, client, server
from tlbatch.cluster import Cluster
from tlbatch.display.task_logs import PodWords, TaskLog, overlap, pod_words
from tlbatch.errors import TransientError
from tlbatch.store import Store

__all__ = ["client", "server"]
KEY = "a" * 40


def piece(store: Store, number: int, text: str) -> None:
    store.put(f"work/{KEY}/logs/20261125T000000-abcde-{number:05d}.txt", text.encode())


def pod(name: str, created: str, **state: Any) -> dict[str, Any]:
    status = {"phase": "Running", "containerStatuses": [{"image": "registry/x", "state": state}]}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": {}, "status": status}


def listed(*pods: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"items": list(pods), "metadata": {"resourceVersion": "1"}}


# -- the pod ----------------------------------------------------------------------------------------------------------------


def test_the_newest_pods_log_is_read(server: Scripted, client: Callable[..., Cluster]) -> None:
    pods = [pod("new", "2026-11-25T00:01:00Z", running={}), pod("old", "2026-11-25T00:00:00Z", running={})]
    server.answers = [listed(*pods), (200, "Traceback")]
    assert pod_words(client(), "pets-1", KEY) == PodWords("new", '"Traceback"\n')  # the scripted server writes JSON
    assert f"execution%3Dpets-1%2Ctlbatch.dev%2Fkey%3D{KEY}" in server.asked[0][1]
    assert server.asked[1][1].endswith("/pods/new/log")


def test_a_pod_that_has_not_started_says_why_and_is_not_asked_for_its_log(
    server: Scripted,
    client: Callable[..., Cluster],
) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"}
    server.answers = [listed(pod("p", "2026-11-25T00:00:00Z", waiting=waiting))]
    said = pod_words(client(), "pets-1", KEY)
    assert (said.pod, said.text) == ("p", "")
    assert "registry/x cannot be pulled" in said.sentence
    assert len(server.asked) == 1


def test_no_pod_no_words_and_one_that_goes_meanwhile(server: Scripted, client: Callable[..., Cluster]) -> None:
    server.answers = [listed()]
    assert pod_words(client(), "pets-1", KEY) == PodWords()
    server.answers = [listed(pod("p", "2026-11-25T00:00:00Z", running={})), (404, {"message": "gone"})]
    assert pod_words(client(), "pets-1", KEY) == PodWords("p")


# -- the log ----------------------------------------------------------------------------------------------------------------


def test_from_the_pod_to_the_store_without_a_gap_or_a_repeat(directory_store: Store) -> None:
    said = ["warn\n", "warn\none\n", "warn\none\ntw"]
    log = TaskLog(directory_store, KEY, lambda: PodWords("p", said.pop(0)))
    assert [log.news() for _ in range(3)] == ["warn\n", "one\n", "tw"]
    piece(directory_store, 0, "one\ntwo\nthree\n")  # the store's log starts after what the heavy imports said
    assert log.news() == "o\nthree\n"
    assert log.news() == ""
    piece(directory_store, 1, "four\n")
    assert log.news() == "four\n"


def test_a_piece_that_was_stored_while_the_pod_was_read(directory_store: Store) -> None:
    log = TaskLog(directory_store, KEY, lambda: PodWords("p", "one\ntwo\nthree\n"))
    assert log.news() == "one\ntwo\nthree\n"
    piece(directory_store, 0, "one\n")
    assert log.news() == ""
    piece(directory_store, 1, "two\nthree\nfour\n")
    assert log.news() == "four\n"


def test_a_second_pod_is_told_from_its_start(directory_store: Store) -> None:
    said = [PodWords("p", "boom\n", "ended with code 1"), PodWords("p", "boom\n", "ended with code 1"), PodWords("q", "boom\n")]
    warned: list[str] = []
    log = TaskLog(directory_store, KEY, lambda: said.pop(0), warned.append)
    assert [log.news() for _ in range(3)] == ["boom\n", "", "boom\n"]
    assert warned == ["p: ended with code 1"]


def test_a_cluster_that_does_not_answer_is_named_once_and_the_store_goes_on(directory_store: Store) -> None:
    def away() -> PodWords:
        raise TransientError("the cluster cannot be reached")

    warned: list[str] = []
    log = TaskLog(directory_store, KEY, away, warned.append)
    assert [log.news(), log.news()] == ["", ""]
    assert warned == ["the cluster cannot be reached"]
    piece(directory_store, 0, "one\n")
    assert log.news() == "one\n"


def test_without_a_cluster_the_store_alone(directory_store: Store) -> None:
    log = TaskLog(directory_store, KEY)
    assert log.news() == ""
    piece(directory_store, 0, "one\n")
    assert log.news() == "one\n"


@pytest.mark.parametrize(
    ("printed", "text", "count"),
    [("", "abc", 0), ("xab", "abc", 2), ("xabcd", "abc", 4), ("xyz", "abc", 0), ("abab", "ab", 4), ("a\nb", "b\nc", 1)],
)
def test_overlap(printed: str, text: str, count: int) -> None:
    assert overlap(printed, text) == count
