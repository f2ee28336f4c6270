"""Which trainings of a plan are alike: the seeds and folds of a run. On one machine they may run side by side."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from tlbatch.memory import forecast_mib
from tlbatch.planning import Alike, Node, Plan
from tlbatch.planning.resolved import ResolvedStudy


def mark_alike(plan: Plan, resolved: ResolvedStudy) -> Plan:
    """The plan, each of several trainings of a network that take alike long told its place among them and what it holds.

    By the plan alone, whatever of it is known already. Left as they are: those whose memory is not known, as of a plug-in's
    network.
    """
    groups = defaultdict[str, list[Node]](list)
    for node in plan:
        if node.step == "finetune" and "features" not in node.needs:
            groups[node.shape].append(node)
    nodes = dict(plan.nodes)
    for group in groups.values():
        held = forecast_mib(group[0], resolved) if len(group) > 1 else None
        if held is not None:
            alike = {node.name: replace(node, alike=Alike(place, len(group), held)) for place, node in enumerate(group)}
            nodes |= alike
    return replace(plan, nodes=nodes)
