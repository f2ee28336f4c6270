"""The plan: a DAG of tasks whose parameters are resolved and whose keys follow from their inputs' digests. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tlbatch.store.pieces import InPieces
from tlbatch.tasks import InputRef, Task


@dataclass(frozen=True)
class Alike:
    """A training's ``place`` (from 0) among ``count`` of a run that take alike long, and the MiB that each holds at most."""

    place: int
    count: int
    memory_mib: int


@dataclass(frozen=True)
class Node:
    """One task before its inputs are complete.

    ``needs`` maps a role to another node's name; ``given`` maps a role to an artifact that exists already (the model of
    an earlier study). ``weight`` says what the task asks of a machine: ``light`` (one core is enough) or ``heavy``.
    ``files`` are put in the store before it starts, by name (prepare's listing, which is no artifact).
    ``runs`` are the runs it belongs to, for people; ``shape`` tells which tasks take alike long per unit of ``units``.
    ``alike``: where it is one of several trainings that one machine may do side by side.
    """

    name: str
    step: str
    params: dict[str, Any]
    needs: dict[str, str] = field(default_factory=dict)
    given: dict[str, InputRef] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, InPieces] = field(default_factory=dict)
    weight: str = "heavy"
    runs: tuple[str, ...] = ()
    shape: str = ""
    units: float = 1.0
    alike: Alike | None = None

    def task(self, done: Mapping[str, InputRef]) -> Task | None:
        """The task document once every need is in ``done`` (node name -> artifact); None before."""
        if any(name not in done for name in self.needs.values()):
            return None
        inputs = {**self.given, **{role: done[name] for role, name in self.needs.items()}}
        ordered = dict(sorted(inputs.items()))
        return Task(self.step, self.params, ordered, self.locations, self.limits, name=self.name)


@dataclass(frozen=True)
class Plan:
    """Nodes by name, each after what it needs."""

    study: str
    nodes: dict[str, Node]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes.values():
            missing = [name for name in node.needs.values() if name not in seen]
            if missing:
                raise ValueError(f"plan of {self.study}: {node.name} comes before what it needs ({', '.join(missing)})")
            seen.add(node.name)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def leading_to(self, name: str) -> Plan:
        """The part of it that ``name`` needs, and itself."""
        wanted, left = set[str](), [name]
        while left:
            node = self.nodes[left.pop()]
            wanted.add(node.name)
            left += [need for need in node.needs.values() if need not in wanted]
        return Plan(self.study, {each: node for each, node in self.nodes.items() if each in wanted})

    def needed_by(self, name: str) -> list[Node]:
        """All nodes that need ``name``, directly or not, in the plan's order."""
        reached = {name}
        after = []
        for node in self:
            if reached & set(node.needs.values()):
                reached.add(node.name)
                after.append(node)
        return after


class PlanBuilder:
    """Collects nodes; equal ones (same step, parameters and inputs) become one that belongs to several runs."""

    def __init__(self, study: str) -> None:
        self._study = study
        self._nodes: dict[str, Node] = {}

    def add(self, node: Node) -> str:
        """The name under which the node is in the plan: that of an equal one which is there already, or its own."""
        for present in self._nodes.values():
            if _content(present) == _content(node):
                runs = tuple(dict.fromkeys([*present.runs, *node.runs]))
                self._nodes[present.name] = _with_runs(present, runs)
                return present.name
        if node.name in self._nodes:
            raise ValueError(f"two different tasks are called {node.name}")
        self._nodes[node.name] = node
        return node.name

    def add_apart(self, node: Node) -> str:
        """Likewise; where a different one has its name, it gets another."""
        taken = {name for name, present in self._nodes.items() if _content(present) != _content(node)}
        name = node.name
        while name in taken:
            name = f"{name}-control"
        return self.add(replace(node, name=name))

    def build(self) -> Plan:
        return Plan(self._study, dict(self._nodes))


def _content(node: Node) -> tuple[Any, ...]:
    return (node.step, node.params, node.needs, node.given)


def _with_runs(node: Node, runs: tuple[str, ...]) -> Node:
    return Node(**{**node.__dict__, "runs": runs})
