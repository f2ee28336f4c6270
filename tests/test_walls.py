"""Who may import what: the launcher neither torch nor the steps, the steps no Kubernetes, steps without networks no torch.

Every module is found, and every import counts, also one within a function. Fails when a launcher module anywhere imports
torch, or a new step's program does what its entry in the table of steps says it does not.
"""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.imports import ROOT, chain, import_graph, modules
from tlbatch.steps import STEPS

TORCH = frozenset({"torch", "torchvision", "timm"})
NOT_THE_LAUNCHERS = TORCH | {"sklearn", "numpy", "scipy", "jobs"}
KUBERNETES = frozenset({"kubernetes"})
WITHOUT_TORCH = [*(f"jobs.{step.name}" for step in STEPS.values() if not step.torch), "jobs.compare"]
LAYERS = """
tlbatch.cli
tlbatch.commands
tlbatch.fsck
tlbatch.schedules
tlbatch.display tlbatch.forecast tlbatch.prediction tlbatch.preemption tlbatch.doctor
tlbatch.execution
tlbatch.backends tlbatch.credentials
tlbatch.cluster
tlbatch.profiles tlbatch.reports tlbatch.memory tlbatch.init
tlbatch.manifests
tlbatch.planning
tlbatch.champions tlbatch.datasets
tlbatch.contracts
tlbatch.records tlbatch.spec
tlbatch.backbones tlbatch.tasks tlbatch.strategies
tlbatch.plugins
tlbatch.store
tlbatch.environment
tlbatch.schema tlbatch.steps tlbatch.errors tlbatch.home tlbatch.interrupts tlbatch.output tlbatch.spreadsheet
"""
"""The launcher's packages from top to bottom: none imports one beside or above it."""
BLOCK = """
import importlib, sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} may not be imported here")
sys.meta_path.insert(0, Wall())
for module in {modules!r}:
    importlib.import_module(module)
"""


def import_behind_wall(blocked: frozenset[str], *names: str) -> subprocess.CompletedProcess[str]:
    code = BLOCK.format(blocked=set(blocked), modules=names)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_the_wall_holds() -> None:
    """The test's own wall: what it blocks is refused."""
    assert import_behind_wall(frozenset({"json"}), "json.tool").returncode != 0


def test_the_launcher_needs_neither_torch_nor_the_steps() -> None:
    launcher = [name for name in modules(ROOT) if name.partition(".")[0] == "tlbatch" and not name.endswith("__main__")]
    result = import_behind_wall(NOT_THE_LAUNCHERS, *launcher)
    assert result.returncode == 0, result.stderr
    assert [way for name in launcher if (way := chain(import_graph(), name, NOT_THE_LAUNCHERS))] == []


def test_steps_know_nothing_of_kubernetes() -> None:
    steps = [name for name in modules(ROOT) if name.partition(".")[0] == "jobs"]
    assert [way for name in steps if (way := chain(import_graph(), name, KUBERNETES))] == []


def test_every_step_has_its_program() -> None:
    assert {f"jobs.{name}" for name in STEPS} <= modules(ROOT).keys()


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_steps_without_networks_need_no_torch(module: str) -> None:
    """Their modules are imported within functions; so the source is read, and what is imported at once is imported."""
    assert chain(import_graph(), module, TORCH | KUBERNETES) == ()
    result = import_behind_wall(TORCH | KUBERNETES, module)
    assert result.returncode == 0, result.stderr


def test_a_champion_that_was_evaluated_on_these_images_needs_no_torch() -> None:
    result = import_behind_wall(TORCH | {"sklearn", "kubernetes"}, "jobs.evaluation.champion")
    assert result.returncode == 0, result.stderr


def test_a_new_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "tlbatch").mkdir()
    (tmp_path / "tlbatch/__init__.py").write_text("")
    (tmp_path / "tlbatch/new.py").write_text("def late() -> None:\n    from tlbatch import newer\n")
    (tmp_path / "tlbatch/newer.py").write_text("def late() -> None:\n    import torch.nn\n")
    assert chain(import_graph(tmp_path), "tlbatch.new", TORCH) == ("tlbatch.new", "tlbatch.newer", "torch.nn")


def packages() -> dict[str, set[str]]:
    """Package (or module at the top) -> those it imports."""
    graph, found = import_graph(), {}
    for name, imported in graph.items():
        own = found.setdefault(package_of(name), set())
        own |= {package_of(other) for other in imported if other in graph} - {package_of(name), "tlbatch", "jobs"}
    return found


def package_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def test_no_packages_import_each_other_in_a_circle() -> None:
    """Fails when, say, tlbatch.champions imports a state of tasks from tlbatch.execution, which it did."""
    TopologicalSorter(packages()).prepare()


def test_arrows_between_packages_point_one_way() -> None:
    place = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}
    inside = {name: imported for name, imported in packages().items() if name.startswith("tlbatch.")}
    assert inside.keys() - {"tlbatch.__main__"} <= place.keys()
    assert [
        (name, other)
        for name, imported in inside.items()
        for other in imported
        if name in place and place[other] <= place[name]
    ] == []
