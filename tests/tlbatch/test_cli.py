"""The command line as its users meet it: exit codes, sentences, JSON, help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.tlbatch.listed import lay_out
from tlbatch.cli import COMMANDS, cli, main
from tlbatch.commands.options import GivenPath
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.layout import check_format


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return lay_out(tmp_path, "shapes", ("a", "b"))


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch(command, "--help") == 0
    assert "Usage:" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_an_unknown_command_is_a_sentence_with_a_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("chek") == 2
    assert "did you mean 'check'?" in capsys.readouterr().err


def test_check_prints_the_plan_and_touches_nothing(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    before = sorted(tmp_path.rglob("*"))
    assert tlbatch("check", str(study), "--store", str(store)) == 0
    text = capsys.readouterr().out
    assert "prepare" in text
    assert "to run" in text
    assert "known after prepare" in text
    assert sorted(tmp_path.rglob("*")) == before


def test_check_as_json(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("check", str(study), "--store", str(tmp_path / "store"), "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [task["name"] for task in document["tasks"]] == ["prepare", "finetune:cnn:0", "evaluate:cnn", "report"]


def test_all_mistakes_of_a_study_at_once_with_exit_code_2(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study.write_text(study.read_text().replace("size: 8", "sise: 8").replace("kind: Study", "kind: Stuby"))
    assert tlbatch("check", str(study)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "study.yaml:3: kind:" in lines[0]
    assert "(did you mean 'size'?)" in lines[1]


@pytest.mark.promise(12)
def test_a_missing_folder_is_a_sentence(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a traceback is printed without ``--debug``."""
    assert tlbatch("check", str(study), "--set", "dataset.url=/nowhere/at/all") == 2
    error = capsys.readouterr().err
    assert "/nowhere/at/all" in error
    assert "Traceback" not in error


def test_init_writes_a_study_that_loads_and_overwrites_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new.yaml"
    assert tlbatch("init", "-f", str(target)) == 0
    assert tlbatch("init", "-f", str(target)) == 2
    assert "is there already" in capsys.readouterr().err


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Study"


def test_an_empty_store_has_no_executions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_format(DirectoryStore(tmp_path / "store"))
    assert tlbatch("list", "--store", str(tmp_path / "store")) == 0
    assert tlbatch("status", "--store", str(tmp_path / "store")) == 2
    assert "none yet" in capsys.readouterr().err


READING = [
    *(("list",), ("status",), ("why",), ("logs", "x", "y"), ("report",), ("report", "list")),
    *(("gc",), ("gc", "--dry-run"), ("rm", "x"), ("champion", "show"), ("schedule", "list")),
    *(("schedule", "show", "x"), ("schedule", "history", "x"), ("schedule", "delete", "x")),
]


@pytest.mark.parametrize("command", READING)
def test_a_wrong_name_is_not_an_empty_store(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is not there, a folder of other things, a mistyped scheme, a context nobody made: 2, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"")
    (tmp_path / "config.yaml").write_text("contexts: {production: {store: there}}")
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "config.yaml"))
    before = sorted(tmp_path.rglob("*"))
    for store in ("none", "pictures", "s3:/x", "S3://x/y", "gs://x", "http://x", "file://x", "~nobody-there/x"):
        assert tlbatch(*command, "--store", store) == 2, store
    monkeypatch.setenv("TLBATCH_CONTEXT", "porduction")
    assert tlbatch(*command) == 2
    assert "did you mean 'production'" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "text", ["a: [", "- a", "hello", "!!int abc", "contexts: [a]", "contexts: {a: b}", "context: {}", "\\xff"]
)
def test_a_config_of_another_shape_is_a_sentence(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("latin-1") if text != "\\xff" else b"\xff\xfe")
    monkeypatch.setenv("TLBATCH_CONFIG", str(path))
    for command in (("context", "list"), ("list",), ("context", "show")):
        assert tlbatch(*command) == 2


def test_a_user_without_a_home_and_a_name_is_no_bug(tmp_path: Path) -> None:
    """A container's uid that /etc/passwd does not know, and no HOME: as the password database answers then."""
    code = "import sys, pwd\n\ndef unknown(uid): raise KeyError(uid)\n\npwd.getpwuid = unknown\n"
    code += "from tlbatch.cli import main\nmain(['list', '--store', sys.argv[1]])"
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CONFIG_HOME", "TLBATCH_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, "no store at" in done.stderr) == (2, True), done.stderr


def test_the_program_is_installed() -> None:
    result = subprocess.run([sys.executable, "-m", "tlbatch", "--version"], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("tlbatch, version")


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--store", "s3://AKIA:hidden@bucket/x"],
        ["check", "study.yaml", "--set", "dataset.url=s3://AKIA:hidden@bucket/x"],
        ["check", "study.yaml", "--set", 'schedule={cron: "0 3 * * *", webhook: {secret: "https://me:hidden@h/x"}}'],
        ["data", "check", "s3://AKIA:hidden@bucket/x"],
        ["run", "study.yaml", "--store", "s3://AKIA:hidden@bucket/x"],
        ["predict", "--model", "s3://AKIA:hidden@bucket/x", "photos", "out"],
    ],
)
def test_a_login_in_an_address_is_refused_and_not_repeated(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sentences are in logs, addresses in plans and manifests. Failed before: accepted, or quoted whole."""
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "1.jpg").write_bytes(b"\xff\xd8")
    assert tlbatch("init", "photos", "-f", "study.yaml") == 0
    capsys.readouterr()
    assert tlbatch(*arguments) == 2
    said = capsys.readouterr()
    assert "hidden" not in said.out + said.err
    assert said.err


def commands(group: click.Command, ctx: click.Context) -> Iterator[click.Command]:
    if isinstance(group, click.Group):
        for name in group.list_commands(ctx):
            found = group.get_command(ctx, name)
            assert found is not None
            yield from commands(found, ctx)
    else:
        yield group


def test_no_path_is_taken_for_the_current_folder_when_it_is_empty() -> None:
    """``tlbatch data check "$PHOTOS"`` with PHOTOS not set looked at the folder that one stood in. Fails when a command takes
    click's own Path.
    """
    given = [param for each in commands(cli, click.Context(cli)) for param in each.params if isinstance(param.type, click.Path)]
    assert len(given) > 15
    assert [param.name for param in given if not isinstance(param.type, GivenPath)] == []


@pytest.mark.parametrize("arguments", [("data", "check", ""), ("init", ""), ("run", ""), ("predict", "", "x", "--model", "y")])
def test_an_empty_path_is_a_mistake(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch(*arguments) == 2
    assert "it is empty: name a file or a folder" in capsys.readouterr().err


def test_doctor_says_by_its_code_that_no_study_would_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when it ends with 1, which is the code of a bug (design: exit codes are a contract)."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "none.yaml"))
    assert tlbatch("doctor") == 2
