"""Who may import what: the launcher neither torch nor the steps, the steps no Kubernetes, the data steps no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} may not be imported here")
sys.meta_path.insert(0, Wall())
{code}
"""
LAUNCHER = [
    "tlbatch.cli",
    "tlbatch.commands.run",
    "tlbatch.commands.studies",
    "tlbatch.commands.executions",
    "tlbatch.commands.backbones",
    "tlbatch.telling.display",
    "tlbatch.launch",
    "tlbatch.checking",
    "tlbatch.planning.settle",
    "tlbatch.backends.local",
    "tlbatch.backends.kubernetes",
    "tlbatch.incluster",
    "tlbatch.doctor",
    "tlbatch.commands.submit",
    "tlbatch.commands.control",
    "tlbatch.commands.status",
    "tlbatch.commands.contexts",
    "tlbatch.commands.data",
    "tlbatch.commands.cleaning",
    "tlbatch.commands.drive",
    "tlbatch.commands.predict",
    "tlbatch.commands.reports",
    "tlbatch.commands.comparison",
    "tlbatch.reports.comparing",
    "tlbatch.schedules.trend",
    "tlbatch.prediction.here",
    "tlbatch.prediction.there",
]
STEPS = [
    "jobs.prepare",
    "jobs.pin",
    "jobs.extract",
    "jobs.finetune",
    "jobs.evaluate",
    "jobs.decide",
    "jobs.report",
    "jobs.predict",
]


def imports(blocked: set[str], *modules: str) -> subprocess.CompletedProcess[str]:
    code = BLOCK.format(blocked=blocked, code="\n".join(f"import {module}" for module in modules))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_the_wall_holds() -> None:
    """The test's own wall: what it blocks is refused."""
    assert imports({"json"}, "json.tool").returncode != 0


@pytest.mark.parametrize("module", LAUNCHER)
def test_the_launcher_needs_neither_torch_nor_the_steps(module: str) -> None:
    result = imports({"torch", "torchvision", "timm", "sklearn", "numpy", "jobs"}, module)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", [*STEPS, "jobs.prediction.walking"])
def test_steps_know_nothing_of_kubernetes(module: str) -> None:
    result = imports({"kubernetes"}, module)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["jobs.data.pinning", "jobs.promotion.decision", "jobs.evaluation.champion"])
def test_pins_and_decisions_need_no_torch(module: str) -> None:
    """Nor does a champion whose test set is the one it was evaluated on."""
    result = imports({"torch", "torchvision", "timm", "sklearn", "kubernetes"}, module)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["jobs.prepare", "jobs.report"])
def test_the_data_steps_need_no_torch(module: str) -> None:
    """Their modules are imported inside ``run``; so they are imported here with it."""
    code = f"import pkgutil, importlib, {module}; run = {module}.run"
    result = imports({"torch", "torchvision", "timm"}, module)
    assert result.returncode == 0, result.stderr
    wall = BLOCK.format(blocked={"torch", "torchvision", "timm"}, code=code)
    assert subprocess.run([sys.executable, "-c", wall], capture_output=True, timeout=120, check=False).returncode == 0


def test_comparing_needs_no_torch() -> None:
    code = "import jobs.compare, jobs.comparing.analysis, jobs.comparing.document, jobs.comparing.page, jobs.comparing.sides"
    wall = BLOCK.format(blocked={"torch", "torchvision", "timm", "kubernetes"}, code=code)
    result = subprocess.run([sys.executable, "-c", wall], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
