"""Who may import what: the launcher neither torch nor the steps, the steps no Kubernetes, steps without networks no torch.

Every module is found, and every import counts, also one within a function. Fails when a launcher module anywhere imports
torch, or a new step's program does what its entry in the table of steps says it does not.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.imports import ROOT, chain, import_graph, imported_names, modules
from tlbatch.steps import STEPS

TORCH = frozenset({"torch", "torchvision", "timm"})
NOT_THE_LAUNCHERS = TORCH | {"sklearn", "numpy", "scipy", "jobs"}
KUBERNETES = frozenset({"kubernetes"})
WITHOUT_TORCH = [*(f"jobs.{step.name}" for step in STEPS.values() if not step.torch), "jobs.compare"]
LAYERS = """
tlbatch.cli
tlbatch.commands
tlbatch.fsck tlbatch.extending
tlbatch.schedules tlbatch.advice
tlbatch.display tlbatch.forecast tlbatch.prediction tlbatch.preemption tlbatch.doctor
tlbatch.execution
tlbatch.backends tlbatch.credentials
tlbatch.cluster
tlbatch.profiles tlbatch.reports tlbatch.memory tlbatch.init
tlbatch.prices
tlbatch.manifests
tlbatch.planning
tlbatch.champions tlbatch.datasets
tlbatch.contracts
tlbatch.records tlbatch.spec
tlbatch.kinds
tlbatch.backbones tlbatch.tasks tlbatch.strategies tlbatch.entries
tlbatch.plugins
tlbatch.store
tlbatch.environment
tlbatch.schema
tlbatch.markdown
tlbatch.logins tlbatch.output
tlbatch.roles tlbatch.steps tlbatch.errors tlbatch.home tlbatch.interrupts tlbatch.nouns
tlbatch.packed tlbatch.peak_memory tlbatch.spreadsheet tlbatch.quantities tlbatch.scratch
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


STATISTICS = "jobs.statistics"
DISTRIBUTIONS = ("scipy.stats", "scipy.special", "statsmodels", "statistics.NormalDist")
QUANTILES = frozenset({"quantile", "nanquantile", "quantiles", "percentile", "nanpercentile", "erf", "erfc", "NormalDist"})
CRITICAL = (1.96, 1.9599, 1.645, 1.6448, 2.576, 2.5758)


def judgements(path: Path) -> list[str]:
    """What of a module makes intervals or p-values: distributions imported, quantiles taken, critical values written out."""
    found = [name for name in sorted(imported_names(path)) if any(name == d or name.startswith(f"{d}.") for d in DISTRIBUTIONS)]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in QUANTILES:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            found += [repr(node.value) for critical in CRITICAL if repr(node.value).startswith(str(critical))]
    return found


def test_intervals_and_p_values_are_made_in_one_place() -> None:
    """Fails where another package imports a distribution, takes a quantile or writes 1.96: jobs.promotion.paired did."""
    others = {name: path for name, path in modules(ROOT).items() if not name.startswith(STATISTICS)}
    assert {name: found for name, path in others.items() if (found := judgements(path))} == {}


def test_statistics_know_nothing_of_who_asks() -> None:
    """They import one another only, so that all the others can use them; and what the items that they count are called."""
    inside = {name: imported for name, imported in import_graph().items() if name.startswith(STATISTICS)}
    assert len(inside) > 15
    pairs = [(name, other) for name, imported in inside.items() for other in imported - {"tlbatch.nouns"}]
    assert [pair for pair in pairs if pair[1].startswith(("jobs.", "tlbatch.")) and not pair[1].startswith(STATISTICS)] == []


def test_the_wall_around_statistics_sees(tmp_path: Path) -> None:
    """Each way of making an interval of one's own that was thought of."""
    for text in (
        "from scipy import special",
        "def late():\n    from scipy.stats import binomtest",
        "import scipy.special as functions",
        "import statistics\nz = statistics.NormalDist().inv_cdf(0.975)",
        "from statistics import NormalDist",
        "import numpy as np\nlow = np.quantile(drawn, 0.025)",
        "high = value + 1.96 * error",
        "high = value + 1.959963984540054 * error",
        "import math\np = math.erfc(z)",
    ):
        (tmp_path / "own.py").write_text(text)
        assert judgements(tmp_path / "own.py"), text
    (tmp_path / "own.py").write_text("from scipy.optimize import brentq\nfrom statistics import median\nx = 1.9\n")
    assert judgements(tmp_path / "own.py") == []
