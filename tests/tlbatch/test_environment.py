"""Names in the environment that look like ours and are none are told, each with the nearest; all that are read are known."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.requirements import missing
from tlbatch import environment
from tlbatch.cli import main
from tlbatch.environment import SETTINGS, unknown_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", [name for name in SETTINGS if len(name) > 12])
def test_a_slip_of_the_fingers_is_told_with_the_name_that_works(name: str) -> None:
    slipped = name[:-3] + name[-2] + name[-3] + name[-1]
    (said,) = unknown_names([slipped, name, "HOME", "TLBATCHES"]) if slipped != name else (f"{name!r}",)
    assert repr(name) in said


def test_a_command_warns_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLBATCH_STROE", "s3://elsewhere/x")
    with pytest.raises(SystemExit) as ended:
        main(["schema"])
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert "TLBATCH_STROE in the environment is no setting of tlbatch (did you mean 'TLBATCH_STORE'?)" in told.err
    assert told.out.startswith("{")


def test_what_kubernetes_says_of_services_is_none_of_ours() -> None:
    """A Service called tlbatch-s3, as pods beside it see it. Fails when every name that begins so is told."""
    own = ["TLBATCH_S3_SERVICE_HOST", "TLBATCH_S3_SERVICE_PORT", "TLBATCH_S3_SERVICE_PORT_HTTP", "TLBATCH_S3_PORT"]
    own += [f"TLBATCH_S3_PORT_9000_TCP{end}" for end in ("", "_ADDR", "_PORT", "_PROTO")]
    assert list(unknown_names(own)) == []


def test_every_name_that_is_read_is_known_and_every_known_one_is_read() -> None:
    """In the product, the studies, the images and the tests."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    files = [ROOT / name for name in listed if name.endswith((".py", ".yaml", ".sh", ".md", "Makefile", "Dockerfile", "run"))]
    files = [file for file in files if file.exists() and file.name not in ("environment.py", "test_environment.py")]
    if not files:
        missing("git", "which files are the project's is asked of git: run this in a clone, with git installed")
    found = {name for file in files for name in re.findall(r"\bTLBATCH_[A-Z0-9_]+\b", file.read_text("utf-8"))}
    known = {*environment.SETTINGS, *environment.STUDIES, *environment.PODS, *environment.TESTS}
    assert {name for name in found - known if list(unknown_names([name]))} == set()
    assert known - found == set()
