"""The papers of the project agree with each other and with what is built.

Breaks when the types' marker or the license is left out of the wheel, when the workflow's oldest Python is not the one that
pyproject asks for, or when the hooks before a commit are not what `make lint` runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tlbatch.steps import STEPS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_wheel_has_license_types_and_what_programs_read(tmp_path: Path, pyproject: dict[str, Any]) -> None:
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    source.mkdir()
    for name in ("tlbatch", "jobs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=120)
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if not name.endswith("/RECORD")}
        [metadata] = [opened.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    assert {"tlbatch/py.typed", "jobs/py.typed"} <= names
    assert any(name.endswith("/LICENSE") for name in names)
    assert f"License-Expression: {pyproject['project']['license']}" in metadata
    tracked = [path.relative_to(ROOT) for name in ("tlbatch", "jobs") for path in (ROOT / name).rglob("*") if path.is_file()]
    missing = {str(path) for path in tracked if "__pycache__" not in path.parts} - names
    assert missing == set()


def test_the_license_is_the_one_that_is_named(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert len(text.splitlines()) > 200


def test_the_changelog_begins_with_unreleased_and_has_this_version(pyproject: dict[str, Any]) -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert any(heading.strip("[]").startswith(pyproject["project"]["version"]) for heading in headings)
    kinds = set(re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_has_the_version_of_every_step() -> None:
    """Raised without a word, artifacts are made again and nobody knows why."""
    [line] = re.findall(
        r"^- \*\*Versions of steps\*\*.*$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    told = {name: int(version) for name, version in re.findall(r"`(\w+)` (\d+)", line)}
    assert {name: told.get(name, 1) for name in STEPS} == {name: step.version for name, step in STEPS.items()}


def test_the_workflow_runs_the_two_commands_on_the_oldest_python(pyproject: dict[str, Any]) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["two-commands"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[:2] == ["make demo", "make test"]
    oldest = pyproject["project"]["requires-python"].removeprefix(">=")
    assert oldest in job["strategy"]["matrix"]["python"]
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {word for command in commands for word in command.split()[1:]} <= targets


def test_the_hooks_before_a_commit_are_what_lint_asks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for repo in hooks for hook in repo["hooks"]]
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].split("\n\n")[0]
    asked = [line.split("$(BIN)/")[1].split(" --check")[0].removesuffix(" .") for line in lint.splitlines()[1:]]
    assert [entry.split(" --")[0] for entry in entries] == asked
    assert {repo["repo"] for repo in hooks} == {"local"}
