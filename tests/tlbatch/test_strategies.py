"""Ways to learn are entries: what is asked of one is asked of its entry, and no name of one stands elsewhere."""

from __future__ import annotations

import ast
from pkgutil import resolve_name

import pytest

from tests.imports import ROOT, modules
from tlbatch.spec import json_schema, parse_study
from tlbatch.strategies import STRATEGIES, Strategy, default_strategy, settings_of, strategy_of

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: pets}}
runs: [{{name: one, model: {model}{strategy}}}]
"""


@pytest.mark.parametrize("entry", STRATEGIES.values(), ids=STRATEGIES)
def test_an_entry_holds_what_it_says(entry: Strategy) -> None:
    program = resolve_name(entry.program)
    assert callable(program)
    asked = entry.name if entry.settings is None else {entry.name: entry.settings().model_dump(mode="json")}
    assert strategy_of(asked) is entry
    assert entry.phrase(settings_of(asked), "the last layer")
    assert set(entry.learning(settings_of(asked), ["conv", "block"])) <= {"conv", "block"}
    assert entry.whole or not entry.learning(settings_of(asked), ["conv", "block"])


@pytest.mark.parametrize(
    ("model", "strategy", "expected"),
    [
        ("{scratch: {}}", "", "scratch"),
        ("{scratch: {}}", ", strategy: scratch", "scratch"),
        ("{backbone: vgg16}", "", "features"),
        ("{backbone: vgg16}", ", strategy: {finetune: {}}", "finetune"),
    ],
)
def test_a_run_has_one(model: str, strategy: str, expected: str) -> None:
    run = parse_study(STUDY.format(model=model, strategy=strategy)).study.runs[0]
    assert run.strategy_entry is STRATEGIES[expected]
    assert (run.strategy_settings is None) == (run.strategy_entry.settings is None)


def test_the_schema_has_them_all() -> None:
    schema = str(json_schema())
    assert all(f"'{name}'" in schema for name in STRATEGIES)


def test_each_model_has_one_default() -> None:
    assert {default_strategy(model).model for model in ("scratch", "backbone")} == {"scratch", "backbone"}


def test_no_other_module_asks_for_one_by_name() -> None:
    """Fails when a step or the planning compares a strategy with a name again, as twenty files did."""
    named = []
    for name, path in modules(ROOT).items():
        for node in ast.walk(ast.parse(path.read_text())):
            compared = isinstance(node, ast.Compare) and any(
                isinstance(each, ast.Constant) and each.value in STRATEGIES for each in [node.left, *node.comparators]
            )
            if compared and "strategy" in ast.unparse(node):
                named.append(f"{name}: {ast.unparse(node)}")
    assert named == []
