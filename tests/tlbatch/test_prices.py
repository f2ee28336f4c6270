"""What a study will cost, by the prices of a context: the pods' requests by the hour, for as long as is estimated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tlbatch.test_cli import study, tlbatch
from tlbatch.execution.rates import START_S, estimate_s, remember_rate
from tlbatch.manifests.needs import HEAVY, Needs
from tlbatch.planning.resolve import plan_study
from tlbatch.prices import Prices
from tlbatch.quantities import amount
from tlbatch.spec import load_study
from tlbatch.store import open_store

__all__ = ["study"]
PRICES = "prices={currency: EUR, cpu_hour: 0.04, memory_gib_hour: 0.005, gpu_hour: 2.5}"


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "config.yaml"))


def test_an_hour_of_a_pod() -> None:
    """2 cores, 8 GiB and a GPU by hand; half of it in half an hour."""
    prices = Prices(cpu_hour=0.04, memory_gib_hour=0.005, gpu_hour=2.5)
    needs = Needs(**{**HEAVY.__dict__, "gpu": 1})
    assert prices.cost(needs, 3600) == pytest.approx(2 * 0.04 + 8 * 0.005 + 2.5)
    assert prices.cost(needs, 1800) == pytest.approx(prices.cost(needs, 3600) / 2)
    assert [prices.text(cost) for cost in (0.0, 0.001, 1234.5)] == ["0.00 USD", "<0.01 USD", "1,234.50 USD"]
    assert [amount(quantity) for quantity in ("500m", "2", "1Gi", "1G")] == [0.5, 2.0, 2.0**30, 1e9]


def test_check_says_what_pods_cost(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a context's resources are left out, or a task without an estimate counts as free without being named."""
    assert tlbatch("context", "set", PRICES, "resources={cpu: 3, memory: 6Gi}") == 0
    store = tmp_path / "store"
    _, plan = plan_study(load_study(study), open_store(str(store)))
    node = plan.nodes["finetune:cnn:0"]
    remember_rate(open_store(str(store)), node, START_S + 7200)
    capsys.readouterr()
    assert tlbatch("check", str(study), "--store", str(store), "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    by_name = {task["name"]: task["cost"] for task in document["tasks"]}
    assert by_name["finetune:cnn:0"] == pytest.approx((3 * 0.04 + 6 * 0.005) * (7200 + START_S) / 3600, rel=1e-3)
    assert by_name["report"] is None
    estimate = document["estimate"]
    assert estimate["cost"] == {"value": pytest.approx(by_name["finetune:cnn:0"], abs=1e-4), "currency": "EUR"}
    assert estimate["tasks_without_estimate"] == 3
    assert tlbatch("check", str(study), "--store", str(store)) == 0
    said = capsys.readouterr().out
    assert said.count("and 3 tasks of kinds that this store has not measured yet") == 1
    assert f"the pods of tasks that have an estimate cost about {estimate['cost']['value']:.2f} EUR, by the" in said


def test_a_task_that_found_most_of_it_made_tells_no_rate(study: Path, tmp_path: Path) -> None:
    """Fails when ten new images of thousands make the next estimate of all of them seconds."""
    store = open_store(str(tmp_path / "store"))
    _, plan = plan_study(load_study(study), store)
    node = replace(plan.nodes["finetune:cnn:0"], units=1000.0)
    remember_rate(store, node, START_S + 10, computed=10)
    assert estimate_s(store, node) is None
    remember_rate(store, node, START_S + 60, computed=600)
    assert estimate_s(store, node) == pytest.approx(START_S + 100)
    remember_rate(store, node, START_S + 1, computed=0)
    assert estimate_s(store, node) == pytest.approx(START_S + 100)


def test_without_prices_nothing_is_said_of_cost(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("check", str(study), "--store", str(tmp_path / "store"), "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert "cost" not in document["estimate"]
    assert all("cost" not in task for task in document["tasks"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("prices={gpu_hours: 1}", "did you mean 'gpu_hour'?"),
        ("prices={gpu_hour: -1}", "must be at least 0"),
        ("prices={gpu_hour: .inf}", "must be a number"),
        ("prices={currency: dollars}", "three capital letters"),
    ],
)
def test_mistakes_are_sentences(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("context", "set", given) == 2
    assert said in capsys.readouterr().err
