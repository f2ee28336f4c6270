"""Which trainings of a plan are marked as alike: by the plan alone."""

from __future__ import annotations

from tests.tlbatch.test_memory import resolved_of
from tlbatch.execution.side_by_side import mark_alike
from tlbatch.memory import forecast_mib
from tlbatch.planning import Alike
from tlbatch.planning.make import make_plan

TWO = "repeat.seeds=[0,1]"


def marked(*overrides: str) -> dict[str, Alike | None]:
    resolved = resolved_of(*overrides)
    return {node.name: node.alike for node in mark_alike(make_plan(resolved), resolved)}


def test_the_seeds_of_a_run_are_alike_and_each_tells_what_it_holds() -> None:
    resolved = resolved_of(TWO, "control=none")
    plan = make_plan(resolved)
    held = forecast_mib(plan.nodes["finetune:whole:0"], resolved)
    assert held is not None
    found = {name: alike for name, alike in marked(TWO, "control=none").items() if alike}
    assert found == {"finetune:whole:0": Alike(0, 2, held), "finetune:whole:1": Alike(1, 2, held)}


def test_a_control_is_not_like_its_run() -> None:
    found = marked(TWO, "control=full")
    assert [found[f"finetune:whole-random:{seed}"] for seed in (0, 1)] != [None, None]
    assert all(alike is None or alike.count == 2 for alike in found.values())


def test_of_one_seed_and_of_heads_on_features_none_is_marked() -> None:
    assert not any(marked("control=none").values())
    on_features = ("runs.0.strategy=features", "control=none")
    assert not any(marked(TWO, *on_features).values())


def test_what_is_asked_of_the_plan_changes_no_place() -> None:
    """``tlbatch run --task`` does a part of the plan: with the cores, and so the bits, that it has in all of it."""
    resolved = resolved_of(TWO, "control=none")
    part = mark_alike(make_plan(resolved), resolved).leading_to("finetune:whole:1")
    assert part.nodes["finetune:whole:1"].alike == marked(TWO, "control=none")["finetune:whole:1"]
