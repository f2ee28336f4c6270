"""Sweeps of folders at once: every key, each once, whatever lies where; and no more requests than they are worth."""

from __future__ import annotations

import random
from typing import cast

import pytest

from tlbatch.datasets.buckettree import walk_bucket
from tlbatch.store import Store
from tlbatch.store.protocol import Stat
from tlbatch.store.s3 import S3Store
from tlbatch.store.s3sweeps import MOST_UNITS, Page, Request, divided, swept

ODD = ["/a", "//", "x//y", "b/", "b/c/", "b/c/1", "b", "é/ü/1", "b-/1", "b0/1", "train/n", "train/n0.jpg"]


class Server:
    """Keys in no order at all, in pages; counts requests, and how many levels deep they waited for one another."""

    def __init__(self, names: list[str], page: int = 1000) -> None:
        self.names, self.page, self.requests = names, page, 0

    def __call__(self, request: Request) -> Page:
        self.requests += 1
        found: list[str | Stat] = []
        for name in self.names:
            if not name.startswith(request.prefix):
                continue
            rest = name[len(request.prefix) :]
            folder = request.prefix + rest.partition("/")[0] + "/"
            if request.by_folder and "/" in rest:
                found += [] if folder in found else [folder]
            else:
                found.append(Stat(name, 1, "", 0.0))
        start = int(request.token or 0)
        some, end = found[start : start + self.page], start + self.page
        stats, folders = [e for e in some if isinstance(e, Stat)], [e for e in some if isinstance(e, str)]
        return Page(stats, str(end) if end < len(found) else None, folders)


def keys(classes: int, each: int, above: str = "") -> list[str]:
    return [f"{above}n{label * 7919 % 99991:05d}/{number}.jpg" for label in range(classes) for number in range(each)]


@pytest.mark.parametrize("page", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    "names",
    [
        [],
        ["one"],
        [str(number) for number in range(40)],
        keys(3, 11),
        keys(100, 3, "a/train/") + ODD,
        [*keys(100, 1, "train/"), *keys(70, 2), *ODD, *(f"train/{number}.jpg" for number in range(30))],
    ],
)
def test_every_key_comes_once_whatever_the_order(names: list[str], page: int) -> None:
    """Fails when keys beside folders come twice, when a marker is taken for its folder, when order is relied upon."""
    shuffled = list(names)
    random.Random(page).shuffle(shuffled)
    found = [stat.name for stat in swept(Server(shuffled, page))]
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize(
    ("names", "most"),
    [
        (keys(10, 90), 1),  # a page holds all
        ([f"{number}.jpg" for number in range(5000)], 5 + 1),
        (keys(2, 5000), 1 + 1 + 2 * (1 + 5)),
        (keys(1000, 20, "train/"), 1 + 1 + 1 + 1 + 20 + 100),  # not one for each of a thousand classes
    ],
)
def test_requests_are_about_as_many_as_pages(names: list[str], most: int) -> None:
    server = Server(names)
    assert len(list(swept(server))) == len(names)
    assert server.requests <= most


def test_many_folders_are_divided_by_how_they_begin() -> None:
    folders = sorted({name.rpartition("/")[0] + "/" for name in keys(1000, 1, "train/")})
    groups = divided("train/", folders)
    assert 1 < len(groups) <= MOST_UNITS
    assert sum(count for _, count in groups) == 1000
    assert divided("", ["cat/", "dog/"]) == [("cat/", 1), ("dog/", 1)]


def test_what_a_request_raises_is_raised() -> None:
    server = Server(keys(5, 5), page=4)

    def load(request: Request) -> Page:
        if server.requests == 4:
            raise PermissionError("no more")
        return server(request)

    with pytest.raises(PermissionError, match="no more"):
        list(swept(load))


@pytest.mark.s3
def test_a_real_server_lists_the_same_either_way(s3_store: Store) -> None:
    names = [*keys(5, 4, "train/"), *keys(2, 3, "test/"), "labels.csv", "train/readme.md"]
    for name in names:
        s3_store.put(name, b"x")
    s3_store.put_folder("train/empty")
    store = cast(S3Store, s3_store)
    store.paging = {"MaxKeys": 3}
    assert sorted(stat.name for stat in store.list_all()) == sorted([*names, "train/empty/"])
    assert [stat.name for stat in store.list()] == sorted(names)
    assert {file.path for file in walk_bucket(store).files.packed()} == set(names)
