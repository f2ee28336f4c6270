"""The command line as its users meet it: exit codes, sentences, JSON, help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tlbatch.listed import lay_out
from tlbatch.cli import COMMANDS, main


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


def test_a_missing_folder_is_a_sentence(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert tlbatch("list", "--store", str(tmp_path / "store")) == 0
    assert tlbatch("status", "--store", str(tmp_path / "store")) == 2
    assert "none yet" in capsys.readouterr().err


def test_the_program_is_installed() -> None:
    result = subprocess.run([sys.executable, "-m", "tlbatch", "--version"], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("tlbatch, version")
