"""No library that computes for tlbatch tells its makers of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT, imported_names, modules

TELLING = ("openvino", "onnxruntime")
LOADER = "jobs.telemetry"
PROGRAM = """
import os, time
from jobs.telemetry import {load}
before = len(os.listdir("/proc/self/task"))
library = {load}()
{use}
time.sleep(0.3)
print(len(os.listdir("/proc/self/task")) - before)
"""


def run(home: Path, load: str, use: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(home), str(ROOT)]), "HOME": str(home)}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-B", "-c", PROGRAM.format(load=load, use=use)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_openvino_s_makers_are_told_nothing(tmp_path: Path) -> None:
    """Its import alone would. Where their package for that is loaded, the one that stands in for it here ends the process."""
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text("raise SystemExit('usage data')")
    run(tmp_path, "load_openvino", "library.Core(); import openvino.frontend.pytorch")
    assert [path.name for path in tmp_path.iterdir()] == ["openvino_telemetry"]


def test_onnx_runtime_s_makers_are_told_nothing(tmp_path: Path) -> None:
    """Its import alone makes a number for the machine, a file of what is to be sent and a thread that sends it. Fails without
    the variable that keeps it from that.
    """
    pytest.importorskip("onnxruntime")
    threads = run(tmp_path, "load_onnxruntime", "library.get_available_providers()")
    assert list(tmp_path.iterdir()) == []
    assert int(threads) <= 1  # one is the library's own


def test_they_are_loaded_in_one_place() -> None:
    """Whoever imports one by itself is heard of again. Modules below openvino are imported once it is there."""
    importing = {
        name: told
        for name, path in modules(ROOT).items()
        if name != LOADER and (told := [each for each in imported_names(path) if each in TELLING])
    }
    assert importing == {}
