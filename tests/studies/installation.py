"""A folder to work in, beside which the package of tests/plugin_example is installed; commands run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.imports import ROOT

PACKAGE = ROOT / "tests/plugin_example"


class Installation:
    """``folder``: where commands run; ``site``: where the package is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        install(self.site)

    def call(self, *words: str, code: int = 0, site: Path | None = None) -> str:
        """What ``tlbatch …`` prints; with its errors, where it is to fail with ``code``."""
        path = os.pathsep.join([str(site or self.site), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "160"}
        command = [sys.executable, "-m", "tlbatch", *words]
        result = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr if code else result.stdout


def install(site: Path, version: str = "1.0") -> None:
    """As an installer leaves it: the package, and its metadata beside it."""
    shutil.copytree(PACKAGE / "tlbatch_example", site / "tlbatch_example", ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"tlbatch_example-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tlbatch-example\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[tlbatch.plugins]\nexample = tlbatch_example.plugin:PLUGIN\n")
