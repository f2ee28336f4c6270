"""Reports in a store: listed, shown, fetched with every file checked, opened."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tlbatch.cli import main
from tlbatch.errors import StudyError
from tlbatch.records.executions import Execution
from tlbatch.reports.listing import find_reports, list_reports, since_when, split_place
from tlbatch.reports.pulling import local_page, pull_report
from tlbatch.store import Store
from tlbatch.store.artifacts import Manifest, artifact_files, commit

FILES = {"index.html": b"<html>the page</html>", "figures/a.svg": b"<svg/>", "metrics.csv": b"run,metric\n"}
NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC


def report_document(study: str, accuracy: float) -> dict[str, Any]:
    metrics = {"accuracy": {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02, "sd": None}}
    return {
        "study": study,
        "first_sentence": f"Transfer helped: {study}.",
        "sentences": ["And more | so."],
        "warnings": ["Few images."],
        "best_run": "features",
        "table": {
            "columns": ["run", "accuracy"],
            "rows": [["features", f"{100 * accuracy:.1f} %"]],
            "values": [{"run": "features", "role": "run", "metrics": metrics}],
        },
    }


def make_report(store: Store, folder: Path, execution: str, study: str, accuracy: float) -> Execution:
    """An execution with a published report, as a driver leaves it."""
    contents = {**FILES, "report.json": json.dumps(report_document(study, accuracy)).encode()}
    local = {}
    for name, content in contents.items():
        local[name] = folder / execution / name
        local[name].parent.mkdir(parents=True, exist_ok=True)
        local[name].write_bytes(content)
    key = execution.encode().hex()[:40].ljust(40, "0")
    entries = artifact_files(local, "report", key, "a1")
    for name, path in local.items():
        store.upload(path, entries[name].path)
        store.upload(path, f"executions/{execution}/report/{name}")
    commit(store, Manifest("report", key, entries), "a1")
    found = Execution(store, execution)
    found.save_study(f"name: {study}\n")
    found.save_status({"state": "succeeded", "study": study, "tasks": {"report": {"key": key, "state": "done"}}})
    return found


@pytest.fixture
def pets(store: Store, tmp_path: Path) -> Execution:
    return make_report(store, tmp_path / "made", "pets-20261123-0412-x7k2", "pets", 0.9)


def test_listing(store: Store, pets: Execution, tmp_path: Path) -> None:
    make_report(store, tmp_path / "made", "breeds-20261124-0300-b2m9", "breeds", 0.8)
    Execution(store, "broken-20261124-0400-aaaa").save_study("name: broken\n")
    lines = list_reports(store)
    assert {line.execution for line in lines} == {pets.id, "breeds-20261124-0300-b2m9"}
    assert [line.made for line in lines] == sorted((line.made for line in lines), reverse=True)
    [line] = list_reports(store, study="pets")
    assert (line.best_run, line.accuracy, line.sentence) == (
        "features",
        {"value": 0.9, "low": 0.88, "high": 0.92},
        "Transfer helped: pets.",
    )
    assert list_reports(store, since=line.made + 3600) == []


def test_a_report_is_fetched_once_and_whole(pets: Execution, tmp_path: Path) -> None:
    pulled = pull_report(pets, tmp_path / "here")
    assert (pulled.files, pulled.fetched, pulled.damaged, pulled.whole) == (4, 4, (), True)
    assert {p.relative_to(tmp_path / "here").as_posix() for p in (tmp_path / "here").rglob("*") if p.is_file()} == {
        *FILES,
        "report.json",
    }
    assert all((tmp_path / "here" / name).read_bytes() == content for name, content in FILES.items())
    again = pull_report(pets, tmp_path / "here")
    assert (again.files, again.fetched, again.fetched_bytes) == (4, 0, 0)


def test_what_is_missing_or_wrong_here_is_fetched_again(pets: Execution, tmp_path: Path) -> None:
    pull_report(pets, tmp_path / "here")
    (tmp_path / "here/index.html").write_bytes(b"<html>the Page</html>")  # as long, but not the same
    (tmp_path / "here/figures/a.svg").unlink()
    assert pull_report(pets, tmp_path / "here").fetched == 2
    assert (tmp_path / "here/index.html").read_bytes() == FILES["index.html"]


def test_a_damaged_copy_is_named_and_the_artifact_serves(pets: Execution, tmp_path: Path) -> None:
    pets.store.put(pets.name("report/index.html"), b"<html>the Page</html>")
    pulled = pull_report(pets, tmp_path / "here")
    assert pulled.whole
    [damaged] = pulled.damaged
    assert (damaged.object, damaged.mended) == (pets.name("report/index.html"), True)
    assert (tmp_path / "here/index.html").read_bytes() == FILES["index.html"]


def damage(execution: Execution, name: str) -> None:
    """Both copies: as long as they were, with another byte."""
    stats = list(execution.store.list("artifacts/report/")) + list(execution.store.list(execution.name("report/")))
    for stat in stats:
        if stat.name.endswith(f"/{name}"):
            data = bytearray(execution.store.get(stat.name))
            data[-1] ^= 1
            execution.store.put(stat.name, bytes(data))


def test_what_no_copy_has_right_is_named_and_not_kept(
    pets: Execution, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(pets, "metrics.csv")
    assert tlbatch("report", "pull", pets.id, str(tmp_path / "here"), "--store", pets.store.url) == 65
    said = capsys.readouterr().err
    assert f"{pets.id}/metrics.csv" in said
    assert pets.name("report/metrics.csv") in said
    folder = tmp_path / "here" / pets.id
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"index.html", "a.svg", "report.json"}


def test_a_report_whose_manifest_is_gone_is_a_sentence(pets: Execution, tmp_path: Path) -> None:
    pets.store.delete([stat.name for stat in pets.store.list("artifacts/") if stat.name.endswith("manifest.json")])
    with pytest.raises(StudyError, match="can be checked"):
        pull_report(pets, tmp_path / "here")


def test_pulling_all_or_some(directory_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, study in enumerate(("pets", "pets", "breeds")):
        execution = make_report(directory_store, tmp_path / "made", f"{study}-2026112{number}-0300-aaa{number}", study, 0.9)
        path = directory_store.local_path(execution.name("report/report.json"))
        assert path is not None
        os.utime(path, (NOON + 86400 * number, NOON + 86400 * number))
    where = ("--store", directory_store.url)

    def fetched(*arguments: str) -> set[str]:
        folder = tmp_path / "-".join(arguments).replace("/", "-")
        assert tlbatch("report", "pull", *arguments, str(folder), *where, "-o", "json") == 0
        found = json.loads(capsys.readouterr().out)
        assert {path.name for path in folder.iterdir()} == {one["execution"] for one in found}
        return {one["execution"][:8] for one in found}

    assert fetched("--all") == {"pets-202", "breeds-2"}
    assert fetched("--since", "2026-11-27") == {"breeds-2"}
    assert fetched("--study", "pets", "--since", "2026-11-26") == {"pets-202"}
    assert tlbatch("report", "pull", "pets", *where) == 2
    assert tlbatch("report", "pull", "--all", "pets", str(tmp_path / "x"), *where) == 2


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def test_show_in_every_format(pets: Execution, capsys: pytest.CaptureFixture[str]) -> None:
    """And ``report [ID]`` is ``report show [ID]``, options in either place."""
    said = {}
    for arguments in (("show", "pets"), ("pets",), (), ("show",)):
        assert tlbatch("report", *arguments, "--store", pets.store.url) == 0
        said[arguments] = capsys.readouterr().out
    assert len(set(said.values())) == 1
    assert "Transfer helped: pets." in said[()]
    assert tlbatch("report", "-o", "json", "--store", pets.store.url, "pets") == 0
    assert json.loads(capsys.readouterr().out) == report_document("pets", 0.9)
    assert tlbatch("report", "show", "-o", "csv", "--store", pets.store.url) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["run"], row["metric"], row["value"], row["sd"]) == ("features", "accuracy", "0.9", "")
    assert tlbatch("report", "show", "-o", "md", "--store", pets.store.url) == 0
    text = capsys.readouterr().out
    assert text.startswith("# pets\n")
    assert "| features | 90.0 % |" in text


def test_list_in_every_format(pets: Execution, capsys: pytest.CaptureFixture[str]) -> None:
    for output, start in (("text", "execution "), ("csv", "execution,study"), ("md", "| execution |")):
        assert tlbatch("report", "list", "-o", output, "--store", pets.store.url) == 0
        text = capsys.readouterr().out
        assert text.startswith(start)
        assert pets.id in text
    assert tlbatch("report", "list", "-o", "json", "--store", pets.store.url) == 0
    assert json.loads(capsys.readouterr().out)[0]["execution"] == pets.id
    assert tlbatch("report", "list", "--since", "yesterday", "--store", pets.store.url) == 2
    assert "--since yesterday" in capsys.readouterr().err


def test_the_page_is_opened_where_it_is_or_fetched(
    pets: Execution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLBATCH_CACHE", str(tmp_path / "cache"))
    page, _ = local_page(pets)
    assert page is not None
    assert page.read_bytes() == FILES["index.html"]
    own = pets.store.local_path(pets.name("report/index.html"))
    assert page == (own or tmp_path / "cache" / "reports" / pets.id / "index.html")
    opened: list[str] = []

    def browse(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    assert tlbatch("report", "open", "pets", "--print", "--store", pets.store.url) == 0
    assert opened == []
    assert tlbatch("report", "open", "pets", "--store", pets.store.url) == 0
    assert opened == [page.as_uri()]
    assert capsys.readouterr().out.splitlines() == [str(page), str(page)]


def test_an_execution_is_found_by_its_place_in_any_store(pets: Execution, directory_store: Store) -> None:
    for tail in ("", "/", "/report/index.html"):
        [found] = find_reports(directory_store, [f"{pets.store.url}/executions/{pets.id}{tail}"])
        assert (found.id, found.store.url) == (pets.id, pets.store.url)
    with pytest.raises(StudyError, match="did you mean"):
        find_reports(directory_store, [f"{pets.store.url}/executions/pets"])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("pets", None),
        ("s3://b/p/executions/x-1", ("s3://b/p", "x-1")),
        ("/a/executions/b/executions/x/report/index.html", ("/a/executions/b", "x")),
        ("executions/x", (".", "x")),
        ("s3://b/executions/", None),
    ],
)
def test_places(text: str, place: tuple[str, str] | None) -> None:
    assert split_place(text) == place


@pytest.mark.parametrize(("text", "seconds"), [("2026-11-25 12:00", NOON), ("2026-11-25", NOON - 43200), ("6h", NOON - 21600)])
def test_since(text: str, seconds: float) -> None:
    assert since_when(text, now=NOON) == seconds
