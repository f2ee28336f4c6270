"""One walk: init, check, data check, data put, predict, relabel and run see the same files of any layout, here and in S3.

Breaks when a command gets a walk or a list of suffixes of its own, or when something is left out without being named
(so it was: `rglob` in `data put`, suffixes in `init`, `is_name` in the S3 listing).
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from tests.nobody import as_nobody
from tlbatch.cli import _code as tlbatch
from tlbatch.datasets.copying import put
from tlbatch.datasets.describing import listing_lines
from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.relabelling import plan_relabelling
from tlbatch.datasets.walk import walk
from tlbatch.errors import DataError, StudyError, TlbatchError
from tlbatch.init import starter_study
from tlbatch.prediction.pictures import list_pictures
from tlbatch.spec import parse_study
from tlbatch.spec.dataset import Dataset
from tlbatch.store import Store
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.s3 import S3Store

Layout = Callable[[Path], None]


def fill(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def plain(root: Path) -> None:
    fill(root, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/deep/er/2.jpg")


def any_suffix(root: Path) -> None:
    fill(root, "cat/1.jfif", "cat/2", "dog/1.heic", "dog/2.JPE", "dog/notes.txt")


def litter(root: Path) -> None:
    pictures = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg", "top.jpg")
    fill(root, *pictures, "cat/.DS_Store", "dog/Thumbs.db", ".git/config", "__MACOSX/cat/1.jpg")
    (root / "emu").mkdir()


def linked_inside(root: Path) -> None:
    fill(root, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
    (root / "hound").symlink_to("dog")


def linked_out(root: Path) -> None:
    fill(root, "cat/1.jpg")
    fill(root.parent / f"{root.name}-elsewhere", "1.jpg", "2.jpg")
    (root / "dog").symlink_to(root.parent / f"{root.name}-elsewhere")


def parts(root: Path) -> None:
    fill(root, "train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "val/dog/2.jpg", "extra/1.jpg")


def wrapped(root: Path) -> None:
    fill(root, "data/train/cat/1.jpg", "data/train/dog/1.jpg", "data/test/cat/2.jpg", "data/test/dog/2.jpg", "LICENSE")


def odd_names(root: Path) -> None:
    fill(root, "cat/a\nb.jpg", "cat/ünï côdé 🐕.jpg", "cat/ 1 .jpg", "dog/back\\slash.jpg", "dog/1.jpg", "dog/%41.jpg")


def numbers(root: Path) -> None:
    fill(root, *(f"{digit}/{digit}{place}.png" for digit in range(10) for place in "ab"))


def specials(root: Path) -> None:
    fill(root, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
    os.mkfifo(root / "cat/pipe.jpg")
    (root / "dog/gone.jpg").symlink_to("nowhere.jpg")
    (root / "dog/loop").symlink_to(root / "dog")
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(root / "cat")  # a socket's path has at most 108 bytes
        bound.bind("socket.jpg")
        os.chdir(here)


ZOO: tuple[Layout, ...] = (plain, any_suffix, litter, linked_inside, linked_out, parts, wrapped, odd_names, numbers, specials)


@pytest.fixture(params=ZOO, ids=lambda layout: layout.__name__)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = tmp_path / "zoo"
    root.mkdir()
    request.param(root)
    return root


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    code = tlbatch([*arguments, "-o", "json"])
    out = capsys.readouterr()
    assert code in {0, 65}, out.err
    return json.loads(out.out)


def on_disk(root: Path) -> set[str]:
    """What there is, by another walk than ours: links followed, hidden and system files left out."""
    found = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name not in {"loop", "__MACOSX"} and not name.startswith(".")]
        found |= {f"{folder}/{name}".removeprefix(f"{root}/") for name in files}
    return {path for path in found if not re.search(r"(^|/)\.|Thumbs\.db", path)}


def test_every_command_counts_the_same(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.yaml"
    text = starter_study(folder)
    study.write_text(text, encoding="utf-8")
    dataset = parse_study(text).study.dataset
    listing = list_dataset(dataset)

    [(files, classes)] = re.findall(r"# (\d+) files in (\d+) classes", text)
    assert (int(files), int(classes)) == (len(listing.files), len(listing.classes))

    checked = said(capsys, "check", str(study), "--store", str(tmp_path / "store"))["data"]
    assert checked["files"] == len(listing.files)
    assert sum(checked["classes"].values()) == len(listing.files)

    everything = walk(str(folder), follow_links=True)
    assert {file.path for file in everything.files if not file.problem} == on_disk(folder) - {
        file.path for file in everything.files if file.problem
    }
    pictures = list_pictures(str(folder), follow_links=True)
    assert [file.path for file in pictures] == [file.path for file in everything.files]

    sent = put(folder, DirectoryStore(tmp_path / "copy"), follow_links=True)
    assert sent.files + len(sent.unsent) == len(everything.files)
    assert {path for path, _ in sent.unsent} == {file.path for file in everything.files if file.problem}
    assert {stat.name for stat in DirectoryStore(tmp_path / "copy").list()} == {
        file.path for file in everything.files if not file.problem
    }

    below = dataset.url.removeprefix(str(folder)).strip("/")
    if dataset.split.folders is None and not below:
        told = said(capsys, "data", "check", str(folder), "--follow-links")
        assert (told["files"], told["classes"]) == (checked["files"], checked["classes"])
    path, label = listing.files[0].path, listing.classes[-1]
    planned, _ = plan_relabelling(
        parse_study(text).study, DirectoryStore(tmp_path / "store"), csv_of(path, label), "corrections.csv"
    )
    assert planned.lines == 1


def csv_of(path: str, label: str) -> bytes:
    quoted = path.replace('"', '""')
    return f'path,label\n"{quoted}",{label}\n'.encode()


@pytest.mark.s3
def test_a_folder_that_was_put_is_the_same_dataset(folder: Path, s3_store: Store, s3_server: str, tmp_path: Path) -> None:
    """The bucket's listing has the files, labels and classes of the folder's: of what can be sent."""
    for path in folder.rglob("*\n*") if s3_server == "moto" else ():
        path.unlink()  # moto's routes take no line break; a real server does
    dataset = parse_study(starter_study(folder)).study.dataset
    sent = put(folder, s3_store, follow_links=True)
    below = dataset.url.removeprefix(str(folder)).strip("/")
    here = list_dataset(dataset)
    there = list_dataset(dataset.model_copy(update={"url": f"{s3_store.url}/{below}".rstrip("/")}))
    unsent = {path.removeprefix(f"{below}/") for path, _ in sent.unsent}
    facts = [[(file.path, file.label, file.part, file.size) for file in one.files] for one in (here, there)]
    assert facts[1] == [fact for fact in facts[0] if fact[0] not in unsent]
    assert (there.classes, there.empty_classes, there.unlabelled) == (here.classes, here.empty_classes, here.unlabelled)


@pytest.mark.s3
def test_keys_that_are_no_paths_are_named(s3_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(s3_store, S3Store)
    for name in ("cat/1.jpg", "dog/1.jpg", "cat/.hidden"):
        s3_store.put(name, b"x")
    taken = []
    for name in ("cat//2.jpg", "/top.jpg", "dog/full/"):
        try:
            s3_store._client.put_object(Bucket=s3_store.bucket, Key=s3_store._base + name, Body=b"x")
        except ClientError:  # a gateway over a file system takes no such key
            continue
        taken.append(name)
    listed = {file.path: file for file in walk(s3_store.url).files}
    for name in [name for name in taken if name in listed]:
        assert "copy it to another key" in listed[name].problem
    assert set(listed) >= {"cat/1.jpg", "dog/1.jpg"}
    told = said(capsys, "data", "check", s3_store.url)
    loose = [name for name in listed if name.find("/") < 1]
    assert (told["files"], told["unlabelled"]) == (len(listed) - len(loose), len(loose))
    assert next(left["why"] for left in told["left_out"]) == "hidden"


WALKERS = {
    "tlbatch/datasets/foldertree.py",  # the walk
    "tlbatch/store/directory.py",  # objects of a store
    "tlbatch/backbones/weightfiles.py",  # files of an installed package
    "tlbatch/champions/exporting.py",  # its own output
    "tlbatch/plugins.py",  # the source of an installed package
    "jobs/samples.py",  # its own output, the system's fonts
    "jobs/context.py",  # a step's own output
    "tlbatch/backends/cores.py",  # devices of this machine
    "tlbatch/store/cache_space.py",  # what a cache holds
    "tlbatch/scratch.py",  # what a killed process left of a scratch folder
}


@pytest.mark.promise(11)
def test_nothing_else_walks_folders() -> None:
    """Fails when another module lists a folder itself."""
    root = Path(__file__).parents[3]
    sources = [path for package in ("tlbatch", "jobs") for path in (root / package).rglob("*.py")]
    walking = re.compile(r"rglob\(|iterdir\(|os\.walk\(|scandir\(|\.glob\(|listdir\(")
    found = {str(path.relative_to(root)) for path in sources if walking.search(path.read_text(encoding="utf-8"))}
    assert found <= WALKERS


class Keys:
    """A bucket as its listing has it."""

    url = "s3://bucket/prefix"

    def __init__(self, *names: str) -> None:
        self.names = names

    def list_all(self) -> Any:
        from tlbatch.store import Stat

        return iter([Stat(name, 0 if name.endswith("/") else 1, "e", 0.0) for name in self.names])


def test_what_any_key_comes_to() -> None:
    from tlbatch.datasets.buckettree import walk_bucket

    names = (
        "",
        "cat/1.jpg",
        "cat//2.jpg",
        "/3.jpg",
        "cat/../4.jpg",
        "./5.jpg",
        "emu/",
        "a/b/",
        ".git/x",
        ".git/y",
        "cat/._1.jpg",
    )
    tree = walk_bucket(Keys(*names))  # type: ignore[arg-type]
    problems = {file.path: file.problem for file in tree.files.packed()}
    assert problems["cat/1.jpg"] == ""
    assert all("//" in problems[name] for name in ("cat//2.jpg", "/3.jpg"))
    assert all("has the part" in problems[name] for name in ("cat/../4.jpg", "./5.jpg"))
    assert tree.folders == {"cat", "emu", "a", "a/b"}
    assert tree.litter == {".git/", "cat/._1.jpg"}
    assert len(problems) == 5


# ---- links, the system's folders, what cannot be opened ----


@pytest.mark.parametrize(
    "make",
    [
        lambda root: (root / "dog").symlink_to("/etc"),
        lambda root: (root / "dog").symlink_to(root.parent / "other"),
        lambda root: (root / "cat" / "2.jpg").symlink_to(root.parent / "other" / "1.jpg"),
        lambda root: (root / "up").symlink_to(".."),
        lambda root: (root / "cat" / "via").symlink_to(Path("..") / "again"),
    ],
)
def test_links_out_are_refused_by_every_command(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "photos"
    fill(root, "cat/1.jpg", "dag/1.jpg")
    fill(tmp_path / "other", "1.jpg")
    (root / "again").symlink_to(tmp_path / "other")
    make(root)
    for call in (
        lambda: list_dataset(Dataset(url=str(root))),
        lambda: list_pictures(str(root)),
        lambda: put(root, DirectoryStore(tmp_path / "copy")),
    ):
        with pytest.raises(StudyError, match=r"lead[s]? out of this folder .*follow.links"):
            call()
    assert "follow_links: true" in starter_study(root)
    assert tlbatch(["data", "check", str(root)]) == 2
    assert "--follow-links" in capsys.readouterr().err


def test_a_labels_file_that_is_a_link_out_is_not_read(tmp_path: Path) -> None:
    fill(tmp_path / "photos", "a.jpg", "b.jpg")
    (tmp_path / "labels.csv").write_text("id,label\na,x\nb,y\n")
    (tmp_path / "photos/labels.csv").symlink_to(tmp_path / "labels.csv")
    dataset = Dataset.model_validate({"url": str(tmp_path / "photos"), "labels": {"csv": "labels.csv"}})
    with pytest.raises(StudyError, match="leads out"):
        list_dataset(dataset)
    assert len(list_dataset(dataset.model_copy(update={"follow_links": True})).files) == 2


NO_PLACES = ("/", "/proc", "/proc/self", "/sys", "/dev", "/dev/zero", "/dev/null", "a\0b", "x" * 5000, "~nobody-here/x")


@pytest.mark.parametrize("name", NO_PLACES)
def test_places_that_are_no_folder_of_pictures(name: str) -> None:
    for follow_links in (False, True):
        with pytest.raises(StudyError):
            walk(name, follow_links=follow_links)


def test_followed_links_do_not_leave_for_the_system_or_what_is_above(tmp_path: Path) -> None:
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg")
    for name, target in {"self": "/proc/self", "all": "/", "up": "..", "sys": "/sys", "dev": "/dev/fd"}.items():
        (tmp_path / "dog" / name).symlink_to(target)
    found = walk(str(tmp_path), follow_links=True)
    assert {file.path for file in found.files if not file.problem} == {"cat/1.jpg", "dog/1.jpg"}
    assert len(found.files) == 7


def test_a_labels_file_that_is_a_pipe_does_not_hang(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg")
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        list_dataset(Dataset.model_validate({"url": str(tmp_path), "labels": {"csv": "labels.csv"}}))


def test_folders_nested_deeper_than_a_stack(tmp_path: Path) -> None:
    here = Path.cwd()
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg")
    try:
        os.chdir(tmp_path / "dog")
        for _ in range(700):
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
        Path("deep.jpg").write_bytes(b"x")
        os.chdir(here)
        found = walk(str(tmp_path))
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", str(tmp_path / "dog")], check=True)  # too deep for Python's own
    assert any(file.path.endswith("deep.jpg") for file in found.files)


def test_a_class_folder_that_cannot_be_opened_is_said() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        fill(root, "cat/1.jpg", "dog/1.jpg", "dog/shut/2.jpg")
        (root / "dog/shut").chmod(0)
        try:
            with as_nobody(root):
                lines = list(listing_lines(list_dataset(Dataset(url=str(root)))))
                sent = put(root, DirectoryStore(root / ".copy"))
                (root / "emu").mkdir(0)
                with pytest.raises(DataError) as raised:
                    list_dataset(Dataset(url=str(root)))
                lost = str(raised.value)
        finally:
            (root / "dog/shut").chmod(0o755)
            (root / "emu").chmod(0o755)
    assert "cannot be used: 1 (dog/shut: a folder that cannot be opened" in lines[0]
    assert "class 'emu' has no image: fix its permissions" in lost
    assert [path for path, _ in sent.unsent] == ["dog/shut"]


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    litter(tmp_path)
    (tmp_path / "dog/empty.jpg").write_bytes(b"")
    os.mkfifo(tmp_path / "dog/pipe.jpg")
    assert tlbatch(["data", "check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for line in (
        "cannot be used: 1 (dog/pipe.jpg: neither a file nor a folder)",
        "empty files: 1 (dog/empty.jpg)",
        "without images, and so no class: 1 (emu)",
        "left out: 2 hidden (.git/, cat/.DS_Store)",
        "left out: 2 left there by the system (__MACOSX/, dog/Thumbs.db)",
        "left out: 1 without a label (top.jpg)",
    ):
        assert line in out.splitlines(), out


def test_lines_of_a_csv_without_a_file_are_no_empty_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "labels.csv").write_text("id,label\na,x\nb,y\nghost,x\n")
    told = said(capsys, "data", "check", str(tmp_path), "--csv", "labels.csv")
    assert told["empty_files"] == 0
    assert [entry["path"] for entry in told["unusable"]] == ["ghost"]


def test_put_says_what_it_cannot_send(tmp_path: Path, s3_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "/".join(["dog", *("d" * 200 for _ in range(6)), "1.jpg"]))
    (tmp_path / "dog/gone.jpg").symlink_to("nowhere")
    assert tlbatch(["data", "put", str(tmp_path), s3_store.url]) == 65
    out = capsys.readouterr()
    assert f"{s3_store.url}: 2 files, 2 sent" in out.out
    assert "not sent: dog/gone.jpg: a link that leads nowhere" in out.err
    assert "a key has at most 1,024 bytes" in out.err


def test_what_init_writes_is_what_check_reads(folder: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(starter_study(folder))
    assert isinstance(document, dict)
    try:
        list_dataset(parse_study(starter_study(folder)).study.dataset)
    except TlbatchError as error:
        pytest.fail(str(error))
