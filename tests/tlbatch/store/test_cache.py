"""The cache of a node: bounded, shared by processes that come, are killed and go, and never wrong."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.context import Context
from tests.faults.proxy import Faults, faulty
from tlbatch.backends.local import LocalBackend
from tlbatch.cli import main
from tlbatch.errors import Stopped, StudyError, TransientError
from tlbatch.store import Store, cache
from tlbatch.store.artifacts import Manifest, artifact_files, commit, open_artifact
from tlbatch.store.cache import Fetched, SharedCache, limit_of, open_cache
from tlbatch.store.cache_space import FILES, IN_USE, LOCKS, look
from tlbatch.store.flocks import take
from tlbatch.tasks import Task

READY_WITHIN_S = 30.0


class User:
    """One process's cache. ``fetched``: names in the order they were fetched in."""

    def __init__(self, root: Path, limit: int = 1000) -> None:
        self.cache = SharedCache(root, root.parent / f"alone-{id(self)}", limit)
        self.fetched: list[str] = []

    def use(self, name: str, size: int = 300) -> Path:
        return self.cache.file(name, size, lambda target: self._fetch(name, size, target), lambda path: _right(path, size))

    def _fetch(self, name: str, size: int, target: Path) -> None:
        self.fetched.append(name)
        target.write_bytes(_content(name, size))

    def close(self) -> None:
        self.cache.close()


def _content(name: str, size: int) -> bytes:
    return name.encode() * (size // len(name))


def _right(path: Path, size: int) -> bool:
    data = path.read_bytes()
    return len(data) == size and len(set(data)) == 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@contextmanager
def user(root: Path, limit: int = 1000) -> Iterator[User]:
    found = User(root, limit)
    yield found
    found.close()


def names(root: Path) -> set[str]:
    return {path.name for path in (root / FILES).iterdir()}


def test_a_second_process_finds_what_the_first_fetched(root: Path) -> None:
    with user(root) as first, user(root) as second:
        assert first.use("a").read_bytes() == second.use("a").read_bytes() == b"a" * 300
        assert (first.fetched, second.fetched) == (["a"], [])
        assert (first.cache.fetched, second.cache.fetched) == (Fetched(1, 300), Fetched())
    with user(root) as later:
        later.use("a")
        assert later.fetched == []


def test_what_was_used_longest_ago_goes_first(root: Path) -> None:
    """Fails when files go in the order they were fetched in, or by name: ``a`` came first and was used again.

    Nothing reads the files here: file systems that note reading (relatime) would hide that nobody else notes the use.
    """
    for name in ("a", "b", "c", "a"):
        with user(root) as one:
            one.cache.file(name, 300, lambda target: target.write_bytes(b"x" * 300), Path.is_file)
            time.sleep(0.01)
    with user(root) as one:
        one.use("d")
    assert names(root) == {"a", "c", "d"}


def test_a_file_that_is_used_stays_and_the_bound_holds_when_its_users_end(root: Path) -> None:
    with user(root) as first:
        for name in "abcdef":
            first.use(name)
        assert names(root) == set("abcdef")
        with user(root) as second:
            second.use("g")
            assert first.use("a").read_bytes() == b"a" * 300
            assert first.fetched == list("abcdef")
    assert look(root).held <= 1000
    assert look(root).in_use == 0


def test_a_path_is_good_after_its_file_has_gone_from_the_cache(root: Path) -> None:
    """Fails when the cache's own name of a file is handed out: here it is removed by hand, as an impatient user would."""
    with user(root) as first:
        path = first.use("a")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            for kept in (root / FILES).iterdir():
                kept.unlink()
            with user(root) as second:
                for name in "bcdefg":
                    second.use(name)
            assert mapped[:3] == b"aaa"
        assert path.read_bytes() == b"a" * 300


def test_a_cache_that_was_removed_by_hand_is_begun_anew(root: Path) -> None:
    with user(root) as one:
        one.use("a")
        shutil.rmtree(root)
        assert one.use("a").read_bytes() == b"a" * 300
        assert one.fetched == ["a", "a"]
    assert names(root) == {"a"}
    assert list((root / IN_USE).iterdir()) == []


def test_a_file_larger_than_the_bound_works_and_is_not_kept(root: Path) -> None:
    with user(root) as one:
        one.use("a")
    with user(root) as one:
        assert one.use("b", 5000).stat().st_size == 5000
    assert names(root) == set()


def test_a_file_that_does_not_hold_is_fetched_again_by_one_and_others_keep_theirs(root: Path) -> None:
    with user(root) as first:
        mine = first.use("a")
        damaged = root / FILES / "a"
        damaged.unlink()
        damaged.write_bytes(b"x")
        with user(root) as second:
            assert second.use("a").read_bytes() == b"a" * 300
            assert second.fetched == ["a"]
        assert mine.read_bytes() == b"a" * 300
    with user(root) as third:
        third.use("a")
        assert third.fetched == []


def test_a_damaged_file_does_not_take_the_place_of_one_that_was_handed_out(root: Path) -> None:
    """A second reader in the same process finds the cache's own copy damaged. Failed before: until it had fetched another."""
    with user(root) as both:
        mine = both.use("a")
        (root / FILES / "a").unlink()
        (root / FILES / "a").write_bytes(b"x")
        seen = []

        def fetch(target: Path) -> None:
            seen.append(mine.read_bytes())
            target.write_bytes(_content("a", 300))

        assert both.cache.file("a", 300, fetch, lambda path: _right(path, 300)).read_bytes() == b"a" * 300
        assert seen == [b"a" * 300]


def test_another_user_is_not_made_to_check_a_file_again(root: Path) -> None:
    """Fails when use is noted in the modification time: readers take it for a change and hash the file once more."""
    with user(root) as first, user(root) as second:
        path = first.use("a")
        before = path.stat()
        second.use("a")
        after = path.stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)


def test_pages_that_people_read_count_and_go_when_they_were_not_looked_at_for_an_hour(root: Path) -> None:
    for name, age_s in (("old", 7200.0), ("new", 60.0)):
        page = root / "reports" / name / "index.html"
        page.parent.mkdir(parents=True)
        page.write_bytes(b"p" * 500)
        os.utime(page, (time.time() - age_s,) * 2)
    with user(root, 400) as one:
        one.use("a")
        assert {path.name for path in (root / "reports").iterdir()} == {"new"}


# -- real processes -----------------------------------------------------------------------------------------------------

PROCESS = """
import os, random, sys, time
from pathlib import Path
from typing import Any
from tlbatch.store.cache import SharedCache

root, log, seed, limit, how = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
cache = SharedCache(root, root.parent / f"alone{seed}", limit)
chance = random.Random(seed)

def use(name):
    def fetch(target):
        with open(log, "a") as lines:
            lines.write(name + "\\n")
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as file:
            for piece in range(4):
                file.write(name.encode() * 250)
                file.flush()
                if how == "hang":
                    print("fetching", flush=True)
                    time.sleep(600)
                time.sleep({"slow": 0.1, "many": 0.001}[how])
        partial.replace(target)
    return cache.file(name, 1000, fetch, lambda path: path.read_bytes() == name.encode() * 1000)

if how == "many":
    paths = {}
    for _ in range(80):
        name = chance.choice("abcdefghijklmnopqrst")
        paths[name] = use(name)
        for held, path in paths.items():
            assert path.read_bytes() == held.encode() * 1000, held
else:
    print("ready", flush=True)
    sys.stdin.readline()
    assert use("x").read_bytes() == b"x" * 1000
cache.close()
"""


def start(root: Path, seed: int, how: str, limit: int = 10_000) -> subprocess.Popen[str]:
    arguments = [str(root), str(root.parent / "log"), str(seed), str(limit), how]
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def fetches(root: Path) -> list[str]:
    return (root.parent / "log").read_text(encoding="ascii").split()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


def test_processes_that_want_one_file_at_once_fetch_it_once(root: Path) -> None:
    processes = [start(root, seed, "slow") for seed in range(6)]
    for process in processes:
        heard(process, "ready")
    for process in processes:
        go(process)
    assert [process.wait(READY_WITHIN_S) for process in processes] == [0] * 6
    assert fetches(root) == ["x"]
    assert list((root / LOCKS).iterdir()) == []


def test_who_is_killed_while_fetching_blocks_nobody_and_leaves_nothing(root: Path) -> None:
    """Fails when a lock is a file that its holder has to remove, or when partial downloads are nobody's."""
    dead = start(root, 0, "hang")
    heard(dead, "ready")
    go(dead)
    heard(dead, "fetching")
    waiting = start(root, 1, "slow")
    heard(waiting, "ready")
    go(waiting)
    time.sleep(0.3)
    assert waiting.poll() is None
    dead.kill()
    dead.wait()
    assert waiting.wait(READY_WITHIN_S) == 0
    assert fetches(root) == ["x", "x"]
    with user(root, 10_000) as one:
        one.use("y")
        left = [path for path in root.rglob("*") if path.is_file() and path.parent.name not in (FILES, "cache")]
        assert {path.parent for path in left} == {one.use("y").parent}, left
        assert names(root) == {"x", "y"}


def test_the_lock_of_who_was_killed_while_fetching_is_removed(root: Path) -> None:
    dead = start(root, 0, "hang")
    heard(dead, "ready")
    go(dead)
    heard(dead, "fetching")
    dead.kill()
    dead.wait()
    assert [path.name for path in (root / LOCKS).iterdir()] == ["x"]
    with user(root, 10_000) as one:
        one.use("y")
        assert list((root / LOCKS).iterdir()) == []


def test_a_lock_file_that_its_holder_has_just_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when what was opened before the holder removed it counts: the next one makes a new file and has the lock, too."""
    path, real, calls = tmp_path / "lock", fcntl.flock, iter([True])

    def late(file: int, how: int) -> None:
        if next(calls, False):
            path.unlink()
        real(file, how)

    monkeypatch.setattr("fcntl.flock", late)
    file = take(path)
    assert file is not None
    assert os.path.samestat(os.fstat(file), path.stat())
    os.close(file)


def test_who_hangs_is_not_waited_for_for_ever(root: Path) -> None:
    hanging = start(root, 0, "hang")
    heard(hanging, "ready")
    go(hanging)
    heard(hanging, "fetching")
    try:
        impatient = SharedCache(root, root.parent / "alone", 10_000, wait_s=0.2)
        path = impatient.file("x", 3, lambda target: target.write_bytes(b"xxx"), Path.is_file)
        assert path.read_bytes() == b"xxx"
        impatient.close()
    finally:
        hanging.kill()
        hanging.wait()


def test_a_task_that_waits_for_anothers_download_hears_that_it_is_to_stop(
    root: Path, directory_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when it waits on: a pod has half a minute until it is killed, and the download may take an hour."""
    monkeypatch.setenv("TLBATCH_CACHE", str(root))
    hanging = start(root, 0, "hang")
    heard(hanging, "ready")
    go(hanging)
    heard(hanging, "fetching")
    given_up = threading.Timer(20, hanging.kill)  # whoever waits on gets the file then, and no exception
    given_up.start()
    asked = iter([False, False, True])
    context = Context(directory_store, Task("extract", {}, {}), "a1", root.parent / "scratch", stop=lambda: next(asked))
    try:
        with pytest.raises(Stopped, match="asked to stop while another process fetched what this one needs"):
            context.cache.file("x", 3, lambda target: target.write_bytes(b"xxx"), Path.is_file)
        assert next(asked, None) is None  # asked until it said so, and no more
    finally:
        given_up.cancel()
        hanging.kill()
        hanging.wait()
        context.close()


def test_many_processes_some_of_them_killed_never_read_what_is_wrong_and_keep_the_bound(root: Path) -> None:
    """Twenty files, room for ten, eight processes that hold on to all they have used."""
    processes = [start(root, seed, "many") for seed in range(8)]
    chance = random.Random(0)
    for process in processes[:4]:
        time.sleep(chance.uniform(0.1, 0.4))
        process.send_signal(signal.SIGKILL)
    codes = [process.wait(60) for process in processes]
    assert codes[4:] == [0] * 4
    with user(root, 10_000) as one:
        one.use("z", 1000)
    assert look(root).held <= 10_000
    assert list((root / IN_USE).iterdir()) == []
    assert list((root / LOCKS).iterdir()) == []
    assert len(fetches(root)) < 8 * 20


def test_a_forked_process_that_ends_takes_nothing_with_it(root: Path) -> None:
    with user(root) as one:
        path = one.use("a")
        child = os.fork()
        if child == 0:
            one.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert path.exists()
        with user(root) as other:
            other.use("b")  # sweeps what dead processes left
        assert path.exists()


# -- where it cannot be so ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [False, True])
def test_a_full_disk_gives_up_what_nobody_uses(root: Path, both: bool) -> None:
    """Then files go to the task's own scratch. ``both``: that is full, too."""
    room = 900

    def fetch(target: Path) -> None:
        if look(root).held + 400 > room and (both or target.is_relative_to(root)):
            raise TransientError("s3://b/x: no space left on this machine; make room") from OSError(errno.ENOSPC, "full")
        target.write_bytes(b"x" * 400)

    with user(root, 10**9) as one:
        one.use("a")
        one.use("b")
    with user(root, 10**9) as one:
        one.use("b")
        assert one.cache.file("x", 400, fetch, Path.is_file).stat().st_size == 400
        assert names(root) == {"b", "x"}
        if both:
            with pytest.raises(TransientError, match="no space left"):
                one.cache.file("y", 400, fetch, Path.is_file)
        else:
            path = one.cache.file("y", 400, fetch, Path.is_file)
            assert path.stat().st_size == 400
            assert not path.is_relative_to(root)
            assert one.cache.fetched.files == 2


def test_a_disk_that_stays_full_whatever_the_cache_gives_up_is_done_without(root: Path) -> None:
    def fetch(target: Path) -> None:
        if target.is_relative_to(root):
            raise TransientError("no space left") from OSError(errno.ENOSPC, "full")
        target.write_bytes(b"x")

    with user(root) as one:
        one.use("a")
    with user(root) as one:
        assert one.cache.file("x", 1, fetch, Path.is_file).read_bytes() == b"x"


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("missing", ["fcntl.flock", "os.link"])
def test_without_locks_or_links_every_process_fetches_for_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    monkeypatch.setattr(missing, refuse)
    with user(root) as first, user(root) as second:
        assert first.use("a").read_bytes() == second.use("a").read_bytes()
        assert first.fetched == second.fetched == ["a"]
    assert "cannot be shared (No locks available): fetching for this process alone" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0", "100k", "63Mi"])
def test_a_size_that_is_too_small_is_a_sentence(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLBATCH_CACHE_SIZE", text)
    with pytest.raises(StudyError, match=f"TLBATCH_CACHE_SIZE={text}: a cache of less than 64Mi holds no shard.*20Gi"):
        open_cache(tmp_path)


@pytest.mark.parametrize("text", ["much", "20GB", "-1Gi", "1.2.3Gi", "500m"])
def test_a_size_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(StudyError, match="such as 20Gi"):
        limit_of(text, "TLBATCH_CACHE_SIZE")


def test_sizes_and_the_default() -> None:
    assert limit_of("20Gi", "x") == 20 * 2**30
    assert limit_of("1.5G", "x") == 1_500_000_000


def test_no_size_leaves_half_of_what_the_file_system_could_give(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10 * 2**30
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert cache.cache_space.default_limit(root, 2 * 2**30) == 6 * 2**30
    free = 500 * 2**30
    assert cache.cache_space.default_limit(root, 0) == 20 * 2**30


# -- artifacts ----------------------------------------------------------------------------------------------------------

READER = """
import sys
from pathlib import Path
from typing import Any
from tlbatch.store import open_store
from tlbatch.store.artifacts import open_artifact
from tlbatch.store.cache import open_cache
cache = open_cache(Path(sys.argv[2]))
artifact = open_artifact(open_store(sys.argv[1]), "prepare", "0" * 40, cache)
print("ready", flush=True)
sys.stdin.readline()
for name in artifact.names():
    assert len(artifact.read_bytes(name)) == 300_000
cache.close()
"""


@pytest.fixture
def shards(s3_store: Store, tmp_path: Path) -> Manifest:
    paths = {}
    for digit in "0123":
        paths[f"shards/{digit}.tar"] = tmp_path / f"{digit}.tar"
        paths[f"shards/{digit}.tar"].write_bytes(hashlib.sha256(digit.encode()).digest()[:30] * 10_000)
    files = artifact_files(paths, "prepare", "0" * 40, "one")
    for name, path in paths.items():
        s3_store.upload(path, files[name].path)
    return commit(s3_store, Manifest("prepare", "0" * 40, files, {}), "one")


class Counted(Faults):
    """No faults: what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def draw(self, method: str, path: str) -> str | None:
        with self.lock:
            self.asked.append(f"{method} {path.partition('?')[0]}")
        return None


@pytest.mark.s3
def test_five_tasks_of_a_node_get_a_shard_once_from_s3(s3_store: Store, shards: Manifest, root: Path, tmp_path: Path) -> None:
    """Counted at the server. Fails when processes do not wait for the one that fetches."""
    counted = Counted()
    with faulty(os.environ["AWS_ENDPOINT_URL_S3"], counted) as endpoint:
        environment = {**os.environ, "AWS_ENDPOINT_URL_S3": endpoint, "TLBATCH_CACHE": str(root)}
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READER, s3_store.url, str(tmp_path / f"alone{number}")],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(5)
        ]
        for reader in readers:
            heard(reader, "ready")
        for reader in readers:
            go(reader)
        assert [reader.wait(READY_WITHIN_S) for reader in readers] == [0] * 5
    gets = [line for line in counted.asked if line.startswith("GET") and line.endswith(".tar")]
    assert len(gets) == len(set(gets)) == 4, gets
    assert look(root).held == 4 * 300_000


@pytest.mark.s3
@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"x" * 300_000), lambda p: os.truncate(p, 7), Path.unlink])
def test_a_tampered_cache_is_no_fault_of_the_artifact(
    s3_store: Store, shards: Manifest, root: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """While it is in use, too: what was written into the very file is seen before the next read."""
    shared = SharedCache(root, tmp_path / "alone")
    artifact = open_artifact(s3_store, "prepare", "0" * 40, shared)
    assert artifact is not None
    right = artifact.read_range("shards/0.tar", 30, 30)
    for path in (root / FILES).iterdir():
        damage(path)
    assert artifact.read_range("shards/0.tar", 30, 30) == right
    again = open_artifact(s3_store, "prepare", "0" * 40, SharedCache(root, tmp_path / "other"))
    assert again is not None
    assert again.read_bytes("shards/0.tar") == artifact.path("shards/0.tar").read_bytes()
    shared.close()


def test_a_size_that_is_none_is_said_before_any_task_starts(directory_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_CACHE_SIZE", "0")
    with pytest.raises(StudyError, match="TLBATCH_CACHE_SIZE=0"):
        LocalBackend(directory_store)


# -- commands -----------------------------------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as end:
        main(["cache", *arguments, "-o", "json"])
    assert not end.value.code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_cache_is_shown_and_emptied_but_for_what_is_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLBATCH_CACHE", str(root))
    assert said(capsys, "show")["bytes"] == 0
    assert not root.exists()
    monkeypatch.setenv("TLBATCH_CACHE_SIZE", "64Mi")
    with user(root) as first:
        first.use("a")
    with user(root) as second:
        second.use("b")
        shown = {"folder": str(root), "files": 2, "bytes": 600, "in_use_bytes": 300, "limit_bytes": 64 * 2**20}
        assert said(capsys, "show") == shown
        assert said(capsys, "clear") == {"folder": str(root), "removed_bytes": 300, "bytes": 300, "in_use_bytes": 300}
        assert names(root) == {"b"}
    assert said(capsys, "clear")["removed_bytes"] == 300
