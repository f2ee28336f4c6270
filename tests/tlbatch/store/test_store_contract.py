"""One suite for every store: what tlbatch.store.protocol promises."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE

import pytest

from tlbatch.store import ConflictError, NotFoundError, Store

BAD_NAMES = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/..", ".", "./a", ".tlbatch/lock", "a\0b"]


def test_what_is_put_is_got(store: Store) -> None:
    store.put("a/b.txt", b"one")
    assert store.get("a/b.txt") == b"one"
    store.put("a/b.txt", b"two")
    assert store.get("a/b.txt") == b"two"
    store.put("empty", b"")
    assert store.get("empty") == b""


def test_names_with_spaces_and_other_scripts(store: Store) -> None:
    names = ["übung/猫 1.jpg", "a b/c+d=e&f?.txt", "per%20cent", "..double", "a/..b"]
    for name in names:
        store.put(name, name.encode())
    assert [stat.name for stat in store.list()] == sorted(names)
    assert all(store.get(name) == name.encode() for name in names)
    store.delete(names)
    assert list(store.list()) == []


def test_what_is_missing_is_not_found(store: Store, tmp_path: Path) -> None:
    store.put("a/b", b"x")
    for name in ("nothing", "a", "a/nothing"):
        for read in (store.get, store.get_with_etag, lambda n: store.get_range(n, 0, 1)):
            with pytest.raises(NotFoundError, match="no such object"):
                read(name)
        assert store.stat(name) is None
        with pytest.raises(NotFoundError):
            store.download(name, tmp_path / "target")
    assert not list(tmp_path.glob("target*"))


def test_ranges(store: Store) -> None:
    store.put("digits", b"0123456789")
    assert store.get_range("digits", 2, 3) == b"234"
    assert store.get_range("digits", 8, 100) == b"89"
    assert store.get_range("digits", 10, 5) == b""
    assert store.get_range("digits", 99, 5) == b""
    assert store.get_range("digits", 3, 0) == b""


def test_stat_and_list_agree(store: Store) -> None:
    store.put("x/1", b"abc")
    (listed,) = store.list("x/")
    stat = store.stat("x/1")
    assert stat == listed
    assert (listed.name, listed.size) == ("x/1", 3)
    assert listed.modified > 1_500_000_000


def test_the_etag_of_a_listing_changes_with_the_content(store: Store) -> None:
    store.put("x", b"abc")
    before = store.stat("x")
    store.put("x", b"abcd")
    after = store.stat("x")
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_a_listing_is_sorted_and_cut_at_the_prefix(store: Store) -> None:
    names = ["a/1", "a/10", "a/2", "a-b", "ab/1", "a/sub/deep/er", "b"]
    for name in reversed(names):
        store.put(name, b"")
    assert [stat.name for stat in store.list()] == sorted(names)
    assert [stat.name for stat in store.list("a/")] == ["a/1", "a/10", "a/2", "a/sub/deep/er"]
    assert [stat.name for stat in store.list("a/1")] == ["a/1", "a/10"]
    assert [stat.name for stat in store.list("a/sub")] == ["a/sub/deep/er"]
    assert list(store.list("nothing/")) == []


def test_deleting(store: Store) -> None:
    for name in ("a/1", "a/2", "b"):
        store.put(name, b"")
    store.delete(["a/1", "a/2", "never/there"])
    assert [stat.name for stat in store.list()] == ["b"]
    store.delete([])
    store.put("a", b"now an object")
    assert store.get("a") == b"now an object"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_out_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    here = tmp_path / "file"
    here.write_bytes(b"x")
    for call in (store.get, store.stat, store.local_path, lambda n: store.put(n, b""), lambda n: store.delete([n])):
        with pytest.raises(ValueError, match="not an object name"):
            call(name)
    with pytest.raises(ValueError, match="not an object name"):
        store.upload(here, name)
    with pytest.raises(ValueError, match="not an object name"):
        store.download(name, here)
    assert here.read_bytes() == b"x"


@pytest.mark.parametrize("prefix", ["../", "/etc/", "a/../../", "a//b"])
def test_prefixes_that_lead_out_are_refused(store: Store, prefix: str) -> None:
    with pytest.raises(ValueError, match="not an object name"):
        store.list(prefix)


def test_only_the_first_writes_where_nothing_was(store: Store) -> None:
    store.put("once", b"first", if_absent=True)
    with pytest.raises(ConflictError):
        store.put("once", b"second", if_absent=True)
    assert store.get("once") == b"first"
    store.delete(["once"])
    store.put("once", b"third", if_absent=True)
    assert store.get("once") == b"third"


def test_compare_and_swap(store: Store) -> None:
    first = store.put("pointer", b"1")
    assert store.get_with_etag("pointer") == (b"1", first)
    second = store.put("pointer", b"2", if_match=first)
    assert second != first
    with pytest.raises(ConflictError):
        store.put("pointer", b"lost", if_match=first)
    assert store.get_with_etag("pointer") == (b"2", second)


def test_swapping_what_is_gone_conflicts(store: Store) -> None:
    etag = store.put("pointer", b"1")
    store.delete(["pointer"])
    with pytest.raises(ConflictError):
        store.put("pointer", b"2", if_match=etag)
    assert store.stat("pointer") is None


def test_files_go_up_and_come_down(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 200)
    store.upload(source, "files/one")
    assert store.get("files/one") == source.read_bytes()
    target.write_bytes(b"old")
    store.download("files/one", target)
    assert target.read_bytes() == source.read_bytes()
    source.write_bytes(b"")
    store.upload(source, "files/one")
    assert store.get("files/one") == b""


def test_large_files_survive_multipart(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"".join(number.to_bytes(4) * 1024 for number in range(9 * 1024)))  # 36 MiB: three parts
    store.upload(source, "large")
    stat = store.stat("large")
    assert stat is not None
    assert stat.size == source.stat().st_size
    store.download("large", target)
    assert target.read_bytes() == source.read_bytes()


def test_a_local_path_is_the_file(store: Store) -> None:
    store.put("a/b", b"x")
    path = store.local_path("a/b")
    assert path is None or path.read_bytes() == b"x"


def test_many_threads_one_wins(store: Store) -> None:
    def attempt(number: int) -> bool:
        try:
            store.put("race", str(number).encode() * 1000, if_absent=True)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(16)))
    assert sum(won) == 1
    assert store.get("race") == str(won.index(True)).encode() * 1000


def test_threads_that_swap_lose_no_update(store: Store) -> None:
    store.put("counter", b"0")

    def add(_: int) -> None:
        while True:
            value, etag = store.get_with_etag("counter")
            try:
                store.put("counter", str(int(value) + 1).encode(), if_match=etag)
            except ConflictError:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(20)))
    assert store.get("counter") == b"20"


RACER = """
import sys
from tlbatch.store import ConflictError, open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(10):
    try:
        store.put(f"races/{turn}", sys.argv[2].encode(), if_absent=True)
    except ConflictError:
        continue
    print(turn, flush=True)
"""


def test_many_processes_one_wins(store: Store) -> None:
    command = [sys.executable, "-c", RACER, store.url]
    racers = [subprocess.Popen([*command, name], stdin=PIPE, stdout=PIPE, text=True) for name in ("a", "b", "c")]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = {name: racer.communicate(timeout=60)[0].split() for name, racer in zip("abc", racers, strict=True)}
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sorted(turn for turns in won.values() for turn in turns) == sorted(map(str, range(10)))
    assert all(store.get(f"races/{turn}") == name.encode() for name, turns in won.items() for turn in turns)


def test_readers_never_see_a_part(store: Store) -> None:
    contents = [bytes([letter]) * 200_000 for letter in b"abc"]
    store.put("whole", contents[0])

    def write(turn: int) -> None:
        store.put("whole", contents[turn % 3])

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write, turn) for turn in range(20)]
        seen = {store.get("whole") for _ in range(20)}
        for future in writing:
            future.result()
    assert seen <= set(contents)
