"""A folder to work in, beside which the package of tests/plugin_example is installed; commands run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.imports import ROOT

PACKAGE = ROOT / "tests/plugin_example"


KILLED = """
import os, signal, sys
from jobs.training import checkpoints, trainer
checkpoints.STEP_EVERY_S = 0.0
saved = checkpoints.Keeper.save
def save(self, what):
    saved(self, what)
    if self._number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoints.Keeper.save = save
keeper = checkpoints.Keeper.__init__
checkpoints.Keeper.__init__ = lambda self, context, **given: keeper(self, context, step_every_s=0.0, epoch_every_s=0.0)
from jobs.finetune import run
from jobs.runtime import step_main
step_main("finetune", run, ["--task", sys.argv[1]])
"""
"""Ends with SIGKILL in mid-training, after the seventh checkpoint of a task whose URL it is given."""


class Installation:
    """``folder``: where commands run; ``site``: where the package is; ``said``: all that commands printed so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site, self.said = folder, folder / "site", ""
        install(self.site)

    def environment(self, site: Path | None = None) -> dict[str, str]:
        path = os.pathsep.join([str(site or self.site), str(ROOT)])
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "160", "TLBATCH_THREADS": "1"}

    def call(self, *words: str, code: int = 0, site: Path | None = None) -> str:
        """What ``tlbatch …`` prints; with its errors, where it is to fail with ``code``."""
        environment = self.environment(site)
        command = [sys.executable, "-m", "tlbatch", *words]
        result = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        self.said += result.stdout + result.stderr
        return result.stdout + result.stderr if code else result.stdout


def install(site: Path, version: str = "1.0") -> None:
    """As an installer leaves it: the package, and its metadata beside it."""
    shutil.copytree(PACKAGE / "tlbatch_example", site / "tlbatch_example", ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"tlbatch_example-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tlbatch-example\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[tlbatch.plugins]\nexample = tlbatch_example.plugin:PLUGIN\n")
