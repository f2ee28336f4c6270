"""``tlbatch completion``: a real bash, at a terminal, completes what is begun; every script names how to install it.

Breaks when the program prints completions past its own screen of control characters, or when the script's variable is
not the one the program listens to.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.requirements import missing
from tlbatch.cli import COMMANDS
from tlbatch.cli import _code as tlbatch
from tlbatch.commands.completion import VARIABLE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH begins with a ``tlbatch``."""
    shim = tmp_path / "bin" / "tlbatch"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tlbatch "$@"\n')
    shim.chmod(0o755)
    path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PS1": "READY> ", "TERM": "dumb", "HISTFILE": ""}


def typed_into_bash(program: dict[str, str], setup: str, keys: str, until: str, timeout_s: float = 30) -> str:
    """What an interactive bash shows after ``keys``, up to ``until``."""
    if shutil.which("bash") is None:
        missing("bash", "a shell that completes is a real bash: install the package bash")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], program)
    shown, end = "", time.monotonic() + timeout_s
    waiting = [("READY> ", f"{setup}\n"), ("READY> ", keys)]
    try:
        while time.monotonic() < end:
            if waiting and waiting[0][0] in shown:
                shown = ""
                os.write(terminal, waiting.pop(0)[1].encode())
            elif not waiting and until in shown:
                return shown
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
        return shown
    finally:
        os.close(terminal)  # its reader gone, bash ends
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("keys", "whole"),
    [("tlbatch fsc\t", "tlbatch fsck "), ("tlbatch schedule trig\t", "trigger "), ("tlbatch list --ou\t", "--output ")],
)
def test_bash_completes_commands_and_options(program: dict[str, str], keys: str, whole: str) -> None:
    shown = typed_into_bash(program, "source <(tlbatch completion bash)", keys, whole)
    assert whole in shown


def test_the_shell_is_told_all_commands_and_no_other(program: dict[str, str]) -> None:
    asked = {**program, VARIABLE: "bash_complete", "COMP_WORDS": "tlbatch ", "COMP_CWORD": "1"}
    run = subprocess.run(["tlbatch"], env=asked, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == [f"plain,{name}" for name in COMMANDS]
    assert run.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_say_how_to_install_them(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"tlbatch completion {shell}" in script
    assert f"{VARIABLE}={shell}_complete" in script
    assert script.startswith("#compdef tlbatch\n") == (shell == "zsh")
    checker = shutil.which(shell)
    if checker:
        subprocess.run([checker, "-n"], input=script, text=True, check=True)
